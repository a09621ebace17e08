//! Client of the TiDB Cloud API and of SQL over HTTP. Nothing here names the protocol that its callers speak.
//!
//! ```text
//! cloud                  one caller during one call
//!   serverless premium   one folder a service, one file a resource: its types and its calls
//!   dedicated iam billing
//!   database             SQL over HTTP: login, statement, transaction, rows
//!   transport            a call becomes requests, an answer a result; the one place that sends
//!   auth                 API keys by HTTP Digest, bearer tokens, and who watches over keys
//!   service              what differs between the APIs, as data
//! oauth                  TiDB Cloud's own authorization server
//! cause                  a failure and its causes, as one line of the log
//! units alias tolerant   ids and names; short names for clusters; how fields are read
//! ```
//!
//! What is absent: no clock, no randomness and no connection but through [`Io`](crate::port::Io); no host that a caller
//! could name; no code that asks which API it speaks to; no write that is sent twice, unless TiDB Cloud said that it had
//! not been carried out, or it is a deletion; one place that sends a key.

pub mod alias;
mod auth;
mod billing;
mod cause;
mod cloud;
mod database;
mod dedicated;
mod iam;
mod oauth;
mod premium;
mod serverless;
mod service;
mod tolerant;
mod transport;
mod units;

#[cfg(test)]
mod fake;

pub(crate) use self::database::facts::Facts;
pub use self::{
    auth::{
        Authenticator,
        bearer::BearerToken,
        key::{ApiKey, Caller},
        witness::{KeyTry, KeyVerdict, KeyWitness, NotTried, Unwatched},
    },
    billing::{
        bills::{Bill, ByProject, Charge},
        costs::{CostCluster, CostService, CostTerms},
    },
    cloud::Cloud,
    database::{
        Databases, Query, Replay,
        failure::SqlFailure,
        login::{AccessClass, SqlLogin},
        managed::random_password,
        names::{DatabaseName, NotADatabase},
        rows::{Cell, ColumnType, Rows},
        transaction::{BESIDE_STATEMENTS, Outside, RolledBack, Transaction, TransactionFailure},
    },
    dedicated::{
        clusters::{DedicatedCluster, NodeGroup, NodeGroupEndpoint},
        integrations::{Integration, PrometheusAccess, Receiver},
        node_quota::NodeQuota,
        private_endpoints::{PrivateEndpointConnection, PrivateLinkService},
    },
    iam::{
        api_keys::{KnownKey, OwnKey},
        audit_logs::AuditEvent,
        members::{Invitation, Member, MemberRoles, ScopedRole},
        projects::Project,
        sql_users::{SqlRole, SqlUser},
    },
    oauth::{AuthorizationServer, DeviceAuthorization, OAuthError, TokenKind, Tokens, UserInfo},
    serverless::{
        backups::{Backup, RestorePoint},
        branches::{Branch, BranchList, NewBranch},
        clusters::{
            AutoScaling, AutomatedBackupPolicy, Cluster, ClusterChange, ClusterList, EncryptionConfig,
            IDEMPOTENCY_LABEL, NewCluster, Plan, SYSTEM_LABEL_PREFIX, SpendingLimit,
        },
        exports::{Address, ExportFile},
        instance::{AuthorizedNetwork, Endpoints, Instance, PrivateEndpoint, PrivateService, PublicEndpoint, State},
        regions::Region,
        transfers::{Opened, Place, StorageKind, Transfer, TransferKind},
    },
    transport::{
        alive::{circuits, is_alive},
        error::{Answer, ApiError, CheckFailure, Misread},
        hosts::Hosts,
        list::{List, Listed},
        memory::Memory,
        repeat::Made,
        trail::Trail,
    },
    units::{
        AccessKey, BilledDay, BilledMonth, BranchId, BranchName, ClusterId, DisplayName, EmailAddress, Endpoint,
        IntegrationId, Malformed, MemberId, OpaqueId, PageToken, ProjectId, Rcu, RegionName, RoleArn, SqlUserName,
        Target, Timestamp, TransferId, UsdCents,
    },
};
