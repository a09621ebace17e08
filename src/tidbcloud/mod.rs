//! Client of the TiDB Cloud API and of SQL over HTTP. Nothing here names the protocol that its callers speak.
//!
//! What is absent: no clock, no randomness and no connection but through [`Platform`]; no host that a caller could
//! name; no write that is sent twice, unless TiDB Cloud said that it had not been carried out, or it is a deletion.

pub mod alias;
mod api;
mod authenticator;
mod database;
mod digest;
mod error;
mod hosts;
mod managed;
mod memory;
mod nonces;
mod oauth;
mod retry;
mod rows;
mod send;
mod sql;
mod units;
mod witness;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

pub use self::{
    api::{
        AuthorizedNetwork, AutoScaling, AutomatedBackupPolicy, Branch, BranchList, Cluster, ClusterChange, ClusterList,
        EncryptionConfig, Endpoints, NewBranch, NewCluster, PrivateEndpoint, PrivateService, PublicEndpoint, Region,
        SpendingLimit, SqlRole, SqlUser, State,
    },
    authenticator::{Authenticator, BearerToken},
    database::{DatabaseName, NotADatabase},
    error::{Answer, ApiError, CheckFailure},
    hosts::Hosts,
    managed::random_password,
    memory::Memory,
    oauth::{AuthorizationServer, DeviceAuthorization, OAuthError, TokenKind, Tokens, UserInfo},
    rows::{Cell, ColumnType, Rows},
    sql::{AccessClass, Databases, Effect, Query, RolledBack, SqlFailure, SqlLogin, TransactionFailure},
    units::{
        ApiKey, BranchId, BranchName, Caller, ClusterId, DisplayName, Malformed, PageToken, RegionName, SqlUserName,
        Target, Timestamp, UsdCents,
    },
    witness::{KeyTry, KeyVerdict, KeyWitness, NotTried, Unwatched},
};
use self::{
    hosts::Host,
    send::{Call, Failed},
};
use crate::{
    base::{clock::UnixMillis, http::Method, secret::Secret},
    port::{Io, RequestLog, allowance::Allowance},
};

/// The largest page that TiDB Cloud gives.
const PAGE_SIZE_MAX: &str = "100";
/// 50 pages of 100 are 5,000 clusters, 50 times what the API lets an organization have (100 instances and branches),
/// and the subrequests of one call on the free plan of Workers.
const PAGES_MAX: usize = 50;
/// How far TiDB Cloud's clock may be behind ours when a resource's creation time is compared with the request's.
const CLOCK_SKEW: u64 = 5_000;
/// When to look for a resource whose creation went unanswered: at once, and twice more, because lists may lag.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2)];

/// What the labels begin with that TiDB Cloud keeps for itself, for example `tidb.cloud/project`.
pub const SYSTEM_LABEL_PREFIX: &str = "tidb.cloud/";

/// TiDB Cloud as one caller sees it during one call.
#[derive(Clone, Copy)]
pub struct Cloud<'a> {
    io: &'a dyn Io,
    log: RequestLog<'a>,
    hosts: &'a Hosts,
    authenticator: &'a Authenticator,
    witness: &'a dyn KeyWitness,
    memory: &'a Memory,
    deadline: UnixMillis,
}

impl<'a> Cloud<'a> {
    /// Everything that is sent ends by `deadline`. `witness` watches over the key of `authenticator`, where it is one.
    pub fn new(
        io: &'a dyn Io,
        log: RequestLog<'a>,
        hosts: &'a Hosts,
        authenticator: &'a Authenticator,
        witness: &'a dyn KeyWitness,
        memory: &'a Memory,
        deadline: UnixMillis,
    ) -> Self {
        Self { io, log, hosts, authenticator, witness, memory, deadline }
    }

    /// Whether TiDB Cloud takes the caller's credentials: `GET /clusters` for one cluster, because whoever may not list
    /// clusters can do nothing here.
    ///
    /// # Errors
    /// [`CheckFailure::Refused`] where it does not take them, [`CheckFailure::Unsettled`] where it did not say.
    pub async fn check(&self) -> Result<(), CheckFailure> {
        match self.read::<IgnoredAny>(&Call::get(&["clusters"], &[("pageSize", "1")])).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.answer() {
                Some(answer) if matches!(answer.status, 401 | 403) => CheckFailure::Refused(answer.clone()),
                _ => CheckFailure::Unsettled(error),
            }),
        }
    }

    /// `GET /regions`: all regions, unpaged.
    pub async fn regions(&self) -> Result<Vec<Region>, ApiError> {
        Ok(self.read::<api::RegionList>(&Call::get(&["regions"], &[])).await?.regions)
    }

    /// `GET /clusters`: one page. `page_size` is 10 by default and 100 at most.
    pub async fn clusters(
        &self,
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<ClusterList, ApiError> {
        self.page(&["clusters"], page_size, page_token).await
    }

    /// `GET /clusters`: all pages.
    pub async fn all_clusters(&self) -> Result<Vec<Cluster>, ApiError> {
        self.all(&["clusters"], |page: ClusterList| (page.clusters, page.next_page_token)).await
    }

    /// `GET /clusters/{clusterId}`
    pub async fn cluster(&self, id: &ClusterId) -> Result<Cluster, ApiError> {
        self.read(&Call::get(&["clusters", id.as_str()], &[])).await
    }

    /// `POST /clusters`. It is sent once; where no answer comes, the cluster is looked for by name and creation time.
    pub async fn create_cluster(&self, new: &NewCluster) -> Result<Cluster, ApiError> {
        let asked = self.io.now();
        match self.attempt(&Call::write(Method::Post, &["clusters"], Some(bytes(&json!(new))))).await {
            Err(failed) if failed.maybe_done => {
                self.look_for(failed, asked, async || {
                    let all = self.all_clusters().await?.into_iter();
                    Ok(all
                        .filter(|cluster| cluster.display_name == new.display_name.as_str())
                        .map(|cluster| (cluster.create_time.clone(), cluster))
                        .collect())
                })
                .await
            }
            answer => answer.map_err(|failed| failed.error),
        }
    }

    /// `PATCH /clusters/{clusterId}`. It is sent once; where no answer comes, the cluster is read again.
    pub async fn update_cluster(&self, id: &ClusterId, change: &ClusterChange) -> Result<Cluster, ApiError> {
        let (mask, cluster) = match change {
            ClusterChange::DisplayName(name) => ("displayName", json!({ "displayName": name })),
            ClusterChange::SpendingLimit(limit) => {
                ("spendingLimit.monthly", json!({ "spendingLimit": { "monthly": limit } }))
            }
            ClusterChange::Labels(labels) => ("labels", json!({ "labels": labels })),
        };
        let body = bytes(&json!({ "cluster": cluster, "updateMask": mask }));
        match self.attempt(&Call::write(Method::Patch, &["clusters", id.as_str()], Some(body))).await {
            Err(failed) if failed.maybe_done => match self.cluster(id).await {
                Ok(cluster) if change.shows_in(&cluster) => Ok(cluster),
                _ => Err(failed.unsettled()),
            },
            answer => answer.map_err(|failed| failed.error),
        }
    }

    /// `DELETE /clusters/{clusterId}`: the cluster as it goes. Repeated after a lost answer; where it is then gone,
    /// only id and state are known of it.
    pub async fn delete_cluster(&self, id: &ClusterId) -> Result<Cluster, ApiError> {
        let gone = self.delete(&Call::write(Method::Delete, &["clusters", id.as_str()], None)).await?;
        Ok(gone.unwrap_or_else(|| Cluster::gone(id)))
    }

    /// `GET /clusters/{clusterId}/branches`: one page. `page_size` is 10 by default and 100 at most.
    pub async fn branches(
        &self,
        id: &ClusterId,
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<BranchList, ApiError> {
        let page: BranchList = self.page(&["clusters", id.as_str(), "branches"], page_size, page_token).await?;
        page.branches.iter().try_for_each(|branch| branch.must_be_of(id))?;
        Ok(page)
    }

    /// `GET /clusters/{clusterId}/branches`: all pages.
    pub async fn all_branches(&self, id: &ClusterId) -> Result<Vec<Branch>, ApiError> {
        let segments = ["clusters", id.as_str(), "branches"];
        let all = self.all(&segments, |page: BranchList| (page.branches, page.next_page_token)).await?;
        all.iter().try_for_each(|branch| branch.must_be_of(id))?;
        Ok(all)
    }

    /// `GET /clusters/{clusterId}/branches/{branchId}`
    pub async fn branch(&self, id: &ClusterId, branch: &BranchId) -> Result<Branch, ApiError> {
        let segments = ["clusters", id.as_str(), "branches", branch.as_str()];
        let found: Branch = self.read(&Call::get(&segments, &[])).await?;
        found.must_be_of(id)?;
        Ok(found)
    }

    /// `POST /clusters/{clusterId}/branches`. It is sent once; where no answer comes, the branch is looked for by name
    /// and creation time.
    pub async fn create_branch(&self, id: &ClusterId, new: &NewBranch) -> Result<Branch, ApiError> {
        let asked = self.io.now();
        let segments = ["clusters", id.as_str(), "branches"];
        match self.attempt(&Call::write(Method::Post, &segments, Some(bytes(&json!(new))))).await {
            Err(failed) if failed.maybe_done => {
                self.look_for(failed, asked, async || {
                    let all = self.all_branches(id).await?.into_iter();
                    Ok(all
                        .filter(|branch| branch.display_name == new.display_name.as_str())
                        .map(|branch| (branch.create_time.clone(), branch))
                        .collect())
                })
                .await
            }
            answer => answer.map_err(|failed| failed.error),
        }
    }

    /// `DELETE /clusters/{clusterId}/branches/{branchId}`: the branch as it goes. Repeated after a lost answer; where
    /// it is then gone, only ids and state are known of it.
    pub async fn delete_branch(&self, id: &ClusterId, branch: &BranchId) -> Result<Branch, ApiError> {
        let segments = ["clusters", id.as_str(), "branches", branch.as_str()];
        let gone = self.delete(&Call::write(Method::Delete, &segments, None)).await?;
        Ok(gone.unwrap_or_else(|| Branch::gone(id, branch)))
    }

    /// `POST /clusters/{clusterId}/sqlUsers` of IAM: a user `<prefix>.<name>`; `name` is without the prefix, which the
    /// service puts before it. [`ApiError::Conflict`] where it exists.
    pub async fn create_sql_user(
        &self,
        id: &ClusterId,
        name: &str,
        role: SqlRole,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        let body = bytes(&json!({
            "userName": name, "password": password.expose(), "authMethod": "mysql_native_password",
            "autoPrefix": true, "builtinRole": role, "customRoles": [],
        }));
        let segments = ["clusters", id.as_str(), "sqlUsers"];
        let call = Call { host: Host::Iam, secret: Some(password), ..Call::write(Method::Post, &segments, Some(body)) };
        self.attempt(&call).await.map_err(Failed::unsettled)
    }

    /// `GET /clusters/{clusterId}/sqlUsers/{userName}` of IAM, by full name.
    pub async fn sql_user(&self, id: &ClusterId, full_name: &str) -> Result<SqlUser, ApiError> {
        let segments = ["clusters", id.as_str(), "sqlUsers", full_name];
        self.read(&Call { host: Host::Iam, ..Call::get(&segments, &[]) }).await
    }

    /// `PATCH /clusters/{clusterId}/sqlUsers/{userName}` of IAM, by full name: another password.
    pub async fn set_sql_password(
        &self,
        id: &ClusterId,
        full_name: &str,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        self.patch_sql_user(id, full_name, &json!({ "password": password.expose() }), password).await
    }

    /// `PATCH /clusters/{clusterId}/branches/{branchId}/sqlUsers/{username}`, by full name: another password.
    pub async fn set_branch_sql_password(
        &self,
        id: &ClusterId,
        branch: &BranchId,
        full_name: &str,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        let segments = ["clusters", id.as_str(), "branches", branch.as_str(), "sqlUsers", full_name];
        let body = bytes(&json!({ "password": password.expose() }));
        let call = Call { secret: Some(password), ..Call::write(Method::Patch, &segments, Some(body)) };
        self.attempt(&call).await.map_err(Failed::unsettled)
    }

    /// `DELETE /clusters/{clusterId}/sqlUsers/{userName}` of IAM, by full name. Repeated after a lost answer.
    pub async fn delete_sql_user(&self, id: &ClusterId, full_name: &str) -> Result<(), ApiError> {
        let segments = ["clusters", id.as_str(), "sqlUsers", full_name];
        let call = Call { host: Host::Iam, ..Call::write(Method::Delete, &segments, None) };
        self.delete::<IgnoredAny>(&call).await.map(drop)
    }

    /// SQL on this caller's instances, by managed users whose passwords are derived from `server_secret`, or by the
    /// caller's own user `fallback` where it belongs to the instance.
    ///
    /// `allowance` is what the HTTP request may spend that all of it is for.
    pub fn sql(
        &self,
        server_secret: &'a Secret,
        fallback: Option<&'a SqlLogin>,
        allowance: &'a Allowance,
    ) -> Databases<'a> {
        Databases::new(*self, server_secret, fallback, allowance)
    }

    /// `PATCH /clusters/{clusterId}/sqlUsers/{userName}` of IAM with a body that holds `password`.
    async fn patch_sql_user(
        &self,
        id: &ClusterId,
        full_name: &str,
        body: &Value,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        let segments = ["clusters", id.as_str(), "sqlUsers", full_name];
        let call = Call {
            host: Host::Iam,
            secret: Some(password),
            ..Call::write(Method::Patch, &segments, Some(bytes(body)))
        };
        self.attempt(&call).await.map_err(Failed::unsettled)
    }

    async fn page<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<T, ApiError> {
        let size = page_size.map(|size| size.to_string());
        let size = size.as_deref().map(|size| ("pageSize", size));
        let query: Vec<_> = size.into_iter().chain(page_token.map(|token| ("pageToken", token.as_str()))).collect();
        self.read(&Call::get(segments, &query)).await
    }

    /// All pages of a list. A list that does not end is an error, because a part of it would pass for the whole.
    async fn all<Page: DeserializeOwned, T>(
        &self,
        segments: &[&str],
        split: impl Fn(Page) -> (Vec<T>, Option<String>),
    ) -> Result<Vec<T>, ApiError> {
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        let mut query = vec![("pageSize", PAGE_SIZE_MAX.to_owned())];
        for _ in 0..PAGES_MAX {
            let borrowed: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (items, next) = split(self.read(&Call::get(segments, &borrowed)).await?);
            all.extend(items);
            let Some(next) = next else {
                return Ok(all);
            };
            if !seen.insert(next.clone()) {
                return Err(ApiError::Unexpected("a list that leads back to a page already read"));
            }
            query.truncate(1);
            query.push(("pageToken", next));
        }
        Err(ApiError::Unexpected("a list of more than 50 pages"))
    }

    /// Looks for what a lost request may have created: the only one of its name that is not older than the request.
    async fn look_for<T>(
        &self,
        lost: Failed,
        asked: UnixMillis,
        candidates: impl AsyncFn() -> Result<Vec<(Option<String>, T)>, ApiError>,
    ) -> Result<T, ApiError> {
        let since = UnixMillis(asked.0.saturating_sub(CLOCK_SKEW));
        for pause in LOOKS {
            if pause.saturating_add(retry::ATTEMPT_MIN) > self.remaining() {
                break;
            }
            if !pause.is_zero() {
                self.io.sleep(pause).await;
            }
            let Ok(candidates) = candidates().await else {
                break;
            };
            let mut found = candidates.into_iter().filter_map(|(created, candidate)| {
                let created = Timestamp::try_from(created?).ok()?.moment();
                (created >= since).then_some(candidate)
            });
            match (found.next(), found.next()) {
                (Some(only), None) => return Ok(only),
                (Some(_), Some(_)) => break,
                (None, _) => {}
            }
        }
        Err(lost.unsettled())
    }
}

impl ClusterChange {
    /// Whether the cluster is as the change was to make it.
    fn shows_in(&self, cluster: &Cluster) -> bool {
        match self {
            Self::DisplayName(name) => cluster.display_name == name.as_str(),
            Self::SpendingLimit(limit) => {
                let monthly = cluster.spending_limit.and_then(|limit| limit.monthly).unwrap_or(0);
                monthly == i64::from(limit.cents())
            }
            // TiDB Cloud keeps labels of its own beside these.
            Self::Labels(labels) => {
                let own = cluster.labels.iter().filter(|(name, _)| !name.starts_with(SYSTEM_LABEL_PREFIX));
                let asked = labels.iter().filter(|(name, _)| !name.starts_with(SYSTEM_LABEL_PREFIX));
                own.eq(asked)
            }
        }
    }
}

impl Cluster {
    /// What is left to say of a cluster that was deleted.
    fn gone(id: &ClusterId) -> Self {
        Self {
            name: None,
            cluster_id: id.clone(),
            display_name: String::new(),
            region: None,
            spending_limit: None,
            automated_backup_policy: None,
            endpoints: None,
            encryption_config: None,
            high_availability_type: None,
            version: None,
            created_by: None,
            user_prefix: None,
            state: Some(State::Deleted),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            create_time: None,
            update_time: None,
            auto_scaling: None,
            service_plan: None,
        }
    }
}

impl Branch {
    /// That it was asked for below one cluster is no proof that it belongs to it: page tokens and ids of branches are the
    /// caller's, and how TiDB Cloud looks them up is not published.
    fn must_be_of(&self, cluster: &ClusterId) -> Result<(), ApiError> {
        match &self.cluster_id {
            Some(of) if of != cluster.as_str() => Err(ApiError::Unexpected("a branch of another cluster")),
            _ => Ok(()),
        }
    }

    /// What is left to say of a branch that was deleted.
    fn gone(cluster: &ClusterId, id: &BranchId) -> Self {
        Self {
            name: None,
            branch_id: id.clone(),
            display_name: String::new(),
            cluster_id: Some(cluster.to_string()),
            parent_id: None,
            parent_display_name: None,
            parent_timestamp: None,
            created_by: None,
            state: Some(State::Deleted),
            endpoints: None,
            user_prefix: None,
            create_time: None,
            update_time: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// A body as sent.
fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
