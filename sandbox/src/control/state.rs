//! The state: organizations, keys, clusters, branches, SQL users. Times are milliseconds since 1970 of sandbox time.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    digest::hex,
    operations::{
        backups::Backups,
        dedicated::Dedicated,
        exports::Export,
        imports::{Import, Upload},
        integrations::Integration,
    },
    regions::Region,
    storage::Signed,
};
use crate::exchange::{Instance, Role, SqlEffect};
use crate::native_password;

/// How long a cluster or a branch is CREATING, in milliseconds.
pub const CREATING_MILLIS: u64 = 10_000;
/// How long a branch is RESTORING after `:reset`, in milliseconds.
pub const RESTORING_MILLIS: u64 = 10_000;
/// How long a new or changed SQL user waits before its new password works, in milliseconds.
pub const SQL_USER_MILLIS: u64 = 2_000;

/// Id of the cluster `shop`, which is there from the start with sample data.
pub const SHOP_CLUSTER_ID: &str = "1379661944646413143";
/// SQL user prefix of the cluster `shop`.
pub const SHOP_USER_PREFIX: &str = "SbxShop7Wq3Kd9e";
/// Host of the public endpoint of the cluster `shop`; its port is 4000.
pub const SHOP_HOST: &str = "gateway01.us-east-1.prod.aws.tidbcloud.com";

/// The role of an API key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyRole {
    /// `org:owner`
    Owner,
    /// `project:ctl_plane_viewer`: reads of the control plane only.
    Viewer,
}

impl KeyRole {
    /// Its name in the API (IAM `GET /apikeys/{accessKey}`).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Owner => "org:owner",
            Self::Viewer => "project:ctl_plane_viewer",
        }
    }
}

/// An API key of the sandbox. These never change and open nothing but a sandbox, so they are no secrets.
pub struct Key {
    /// Public key: the digest user name.
    pub public: &'static str,
    /// Private key: the digest password.
    pub private: &'static str,
    pub(super) role: KeyRole,
    /// Organization id.
    pub(super) organization: &'static str,
    /// Id of the key itself.
    pub(super) id: &'static str,
    pub(super) display_name: &'static str,
}

/// Organization of the owner and the viewer.
const ORGANIZATION: &str = "1372813089209061633";
/// The other organization, empty at first.
const OTHER_ORGANIZATION: &str = "1372813089209271044";

/// All keys: an owner, a viewer of the same organization, and the owner of another organization.
pub const KEYS: [Key; 3] = [
    Key {
        public: "SBXOWNER",
        private: "5b000000-0000-4000-8000-0000000000aa",
        role: KeyRole::Owner,
        organization: ORGANIZATION,
        id: "1001",
        display_name: "sandbox owner",
    },
    Key {
        public: "SBXVIEWR",
        private: "5b000000-0000-4000-8000-0000000000bb",
        role: KeyRole::Viewer,
        organization: ORGANIZATION,
        id: "1002",
        display_name: "sandbox viewer",
    },
    Key {
        public: "SBXOTHER",
        private: "5b000000-0000-4000-8000-0000000000cc",
        role: KeyRole::Owner,
        organization: OTHER_ORGANIZATION,
        id: "1003",
        display_name: "another organization",
    },
];

/// A project.
pub(super) struct Project {
    pub(super) id: &'static str,
    pub(super) organization: &'static str,
    pub(super) name: &'static str,
}

/// Projects. New clusters without a project label go to the first of their organization.
pub(super) const PROJECTS: [Project; 3] = [
    Project { id: "1372813089454525341", organization: ORGANIZATION, name: "tidbx_virtual" },
    Project { id: "1372813089454525346", organization: ORGANIZATION, name: "sandbox" },
    Project { id: "1372813089454525401", organization: OTHER_ORGANIZATION, name: "tidbx_virtual" },
];

/// A member of an organization, or somebody who is invited.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) organization: &'static str,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    /// Whether the invitation was accepted.
    pub(super) active: bool,
    pub(super) org_role: String,
    /// Roles, each with the id of its project.
    pub(super) project_roles: Vec<(String, String)>,
    /// Roles, each with the id of its cluster.
    pub(super) instance_roles: Vec<(String, String)>,
    pub(super) invited: u64,
    pub(super) last_login: Option<u64>,
}

/// An API key as IAM shows it.
pub(super) struct ApiKey {
    pub(super) public: String,
    pub(super) organization: &'static str,
    pub(super) id: String,
    pub(super) display_name: String,
    pub(super) role: &'static str,
    /// `0` for a role in the organization.
    pub(super) project: &'static str,
}

/// An event of the console's audit log.
pub(super) struct AuditEvent {
    pub(super) id: String,
    pub(super) organization: &'static str,
    pub(super) event: &'static str,
    pub(super) succeeded: bool,
    /// Display name of the key.
    pub(super) by: &'static str,
    /// Id and name of its cluster; empty without one.
    pub(super) cluster: (String, String),
    /// JSON.
    pub(super) details: String,
    pub(super) time: u64,
}

/// 2026-01-01, when everything that is there from the start began.
const BEGINNING: u64 = 1_767_225_600_000;

/// Who is there from the start: an owner, an analyst, somebody who has not accepted the invitation, and the owner of the other
/// organization.
fn first_members() -> Vec<Member> {
    let member = |id: &str, organization, email: &str, name: (&str, &str), active, org_role: &str| Member {
        id: id.to_owned(),
        organization,
        email: email.to_owned(),
        first_name: name.0.to_owned(),
        last_name: name.1.to_owned(),
        active,
        org_role: org_role.to_owned(),
        project_roles: Vec::new(),
        instance_roles: Vec::new(),
        invited: BEGINNING,
        last_login: active.then_some(BEGINNING + 86_400_000),
    };
    let mut analyst = member("300002", ORGANIZATION, "analyst@example.com", ("Sandbox", "Analyst"), true, "org:member");
    analyst.project_roles = vec![("project:readonly".to_owned(), PROJECTS[1].id.to_owned())];
    vec![
        member("300001", ORGANIZATION, "owner@example.com", ("Sandbox", "Owner"), true, "org:owner"),
        analyst,
        member("300003", ORGANIZATION, "books@example.com", ("", ""), false, "org:billing_viewer"),
        member("300101", OTHER_ORGANIZATION, "owner@other.example", ("Other", "Owner"), true, "org:owner"),
    ]
}

/// [`KEYS`], and one of a pipeline, whose private key nobody has.
fn first_api_keys() -> Vec<ApiKey> {
    let known = KEYS.iter().map(|key| ApiKey {
        public: key.public.to_owned(),
        organization: key.organization,
        id: key.id.to_owned(),
        display_name: key.display_name.to_owned(),
        role: key.role.name(),
        project: if key.role == KeyRole::Owner { "0" } else { PROJECTS[1].id },
    });
    let pipeline = ApiKey {
        public: "SBXPIPEL".to_owned(),
        organization: ORGANIZATION,
        id: "1004".to_owned(),
        display_name: "pipeline".to_owned(),
        role: "project:dev",
        project: PROJECTS[1].id,
    };
    known.chain([pipeline]).collect()
}

/// A password that can be compared and not read.
#[derive(Clone)]
pub(super) struct Password([u8; native_password::LENGTH]);

impl Password {
    pub(super) fn new(text: &str) -> Self {
        Self(native_password::stored(text))
    }

    /// Whether what a client sent shows that it knows this password.
    fn is_known_by(&self, proof: &Proof<'_>) -> bool {
        match proof {
            Proof::Text(text) => self.0 == native_password::stored(text),
            Proof::Native { nonce, answer } => native_password::proves(answer, nonce, &self.0),
        }
    }
}

/// What a client sent to show that it knows a password.
pub(super) enum Proof<'a> {
    /// The password itself.
    Text(&'a str),
    /// The answer to a nonce, by `mysql_native_password`.
    Native { nonce: &'a [u8], answer: &'a [u8] },
}

/// A SQL user of one instance.
#[derive(Clone)]
pub(super) struct SqlUser {
    pub(super) role: Role,
    pub(super) custom_roles: Vec<String>,
    /// `None`: nobody can log in.
    password: Option<Password>,
    /// Works until `since`; a change takes a moment to arrive everywhere.
    previous: Option<Password>,
    since: u64,
}

impl SqlUser {
    /// A user whose password works from [`SQL_USER_MILLIS`] after `now` on.
    pub(super) fn new(now: u64, role: Role, custom_roles: Vec<String>, password: Option<Password>) -> Self {
        Self { role, custom_roles, password, previous: None, since: now + SQL_USER_MILLIS }
    }

    /// Changes the password; the former one works until the new one does.
    pub(super) fn set_password(&mut self, now: u64, password: Password) {
        self.previous = if now < self.since { self.previous.take() } else { self.password.take() };
        self.password = Some(password);
        self.since = now + SQL_USER_MILLIS;
    }

    /// Whether this shows the password of `now`.
    pub(super) fn admits(&self, now: u64, proof: &Proof<'_>) -> bool {
        let current = if now < self.since { &self.previous } else { &self.password };
        current.as_ref().is_some_and(|password| password.is_known_by(proof))
    }

    /// Whether a password is set at all.
    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

/// The common parts of a cluster and a branch: a SQL server, its users, and the prefix of their names.
pub(super) struct Server {
    pub(super) instance: Instance,
    pub(super) prefix: String,
    /// By name without prefix.
    pub(super) users: BTreeMap<String, SqlUser>,
}

/// The settings of a cluster that `PATCH` can change.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) display_name: String,
    /// US cents a month.
    pub(super) spending_limit: i64,
    /// `HH:mm` UTC.
    pub(super) backup_start: String,
    /// `None`: the default.
    pub(super) backup_days: Option<i64>,
    pub(super) public_disabled: bool,
    pub(super) authorized_networks: Vec<serde_json::Value>,
    /// Those that the user gave.
    pub(super) labels: BTreeMap<String, String>,
    /// Least and most request capacity units; `Some` makes it Essential.
    pub(super) auto_scaling: Option<(i64, i64)>,
}

/// A Starter or Essential instance.
pub(super) struct Cluster {
    /// Position in lists.
    pub(super) sequence: u64,
    pub(super) id: String,
    pub(super) organization: &'static str,
    pub(super) project: String,
    pub(super) settings: Settings,
    pub(super) region: &'static Region,
    pub(super) enhanced_encryption: bool,
    pub(super) high_availability: String,
    pub(super) created_by: String,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) ready: u64,
    /// Whether it was made of a backup.
    pub(super) is_restored: bool,
    pub(super) server: Server,
}

impl Cluster {
    /// `CREATING`, `RESTORING` or `ACTIVE`.
    pub(super) fn state(&self, now: u64) -> &'static str {
        match (now < self.ready, self.is_restored) {
            (true, true) => "RESTORING",
            (true, false) => "CREATING",
            (false, _) => "ACTIVE",
        }
    }

    /// Whether it is one of the instances that cost nothing.
    pub(super) fn is_free(&self) -> bool {
        self.settings.is_free()
    }
}

/// A branch.
pub(super) struct Branch {
    /// Position in lists.
    pub(super) sequence: u64,
    pub(super) id: String,
    pub(super) cluster: String,
    /// Cluster id or branch id.
    pub(super) parent: String,
    pub(super) parent_display_name: String,
    pub(super) parent_time: u64,
    pub(super) display_name: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) created_by: String,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) ready: u64,
    pub(super) restored: u64,
    pub(super) server: Server,
}

impl Branch {
    /// `CREATING`, `RESTORING` or `ACTIVE`.
    pub(super) fn state(&self, now: u64) -> &'static str {
        if now < self.ready {
            "CREATING"
        } else if now < self.restored {
            "RESTORING"
        } else {
            "ACTIVE"
        }
    }
}

/// How many effects `GET /_sandbox/state` remembers.
const EFFECTS_KEPT: usize = 1_000;

/// The whole state.
#[derive(Default)]
pub(super) struct World {
    seed: u64,
    /// How often each purpose drew, so that ids do not depend on how many nonces were needed on the way.
    drawn: BTreeMap<&'static str, u64>,
    pub(super) clusters: Vec<Cluster>,
    pub(super) branches: Vec<Branch>,
    pub(super) exports: Vec<Export>,
    pub(super) imports: Vec<Import>,
    pub(super) uploads: Vec<Upload>,
    /// What lies in the storage behind exports and imports, by key.
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    /// What addresses of that storage are for, by their signature.
    pub(super) signed: BTreeMap<String, Signed>,
    /// Clusters that were deleted, and when: bills still name them.
    pub(super) deleted: Vec<(Cluster, u64)>,
    /// Clusters, and the settings that they were billed by until a time, in the order of these times.
    pub(super) billed_before: Vec<(String, u64, Settings)>,
    pub(super) dedicated: Vec<Dedicated>,
    pub(super) members: Vec<Member>,
    pub(super) api_keys: Vec<ApiKey>,
    pub(super) audit: Vec<AuditEvent>,
    pub(super) integrations: Vec<Integration>,
    pub(super) backups: Backups,
    effects: Vec<SqlEffect>,
    /// The effects in words, oldest first.
    pub(super) effects_done: VecDeque<String>,
}

impl World {
    /// One without clusters.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, members: first_members(), api_keys: first_api_keys(), ..Self::default() }
    }

    /// The next 32 bytes that follow from the seed for this purpose.
    pub(super) fn draw(&mut self, purpose: &'static str) -> [u8; 32] {
        let drawn = self.drawn.entry(purpose).or_default();
        *drawn += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(drawn.to_be_bytes());
        hash.update(purpose.as_bytes());
        hash.finalize().into()
    }

    /// A text of `length` characters (32 at most) out of `alphabet`.
    pub(super) fn draw_text(&mut self, purpose: &'static str, alphabet: &[u8], length: usize) -> String {
        let bytes = self.draw(purpose);
        let letter = |byte: &u8| alphabet.get(usize::from(*byte) % alphabet.len().max(1)).copied().map(char::from);
        bytes.iter().take(length).filter_map(letter).collect()
    }

    /// An id for a request, in the form that error details carry: time, then hex.
    pub(super) fn draw_request_id(&mut self, now: u64) -> String {
        let digits: String = timestamp(now).chars().filter(char::is_ascii_digit).take(14).collect();
        let hex = hex(&self.draw("request"));
        format!("{digits}{}", hex.get(..18).unwrap_or_default())
    }

    /// Asks something of the SQL servers.
    pub(super) fn effect(&mut self, effect: SqlEffect) {
        self.effects_done.push_back(match &effect {
            SqlEffect::Sample(instance) => format!("sample {}", instance.0),
            SqlEffect::Copy { from, to } => format!("copy {} to {}", from.0, to.0),
            SqlEffect::Drop(instance) => format!("drop {}", instance.0),
            SqlEffect::DropAll => "drop all".to_owned(),
        });
        if self.effects_done.len() > EFFECTS_KEPT {
            self.effects_done.pop_front();
        }
        self.effects.push(effect);
    }

    pub(super) fn take_effects(&mut self) -> Vec<SqlEffect> {
        std::mem::take(&mut self.effects)
    }

    /// Starts over without clusters, after what was already asked of the SQL servers.
    pub(super) fn reset(&mut self) {
        let mut asked = self.take_effects();
        asked.push(SqlEffect::DropAll);
        *self = Self { effects: asked, ..Self::new(self.seed) };
    }

    /// Position after every other one.
    pub(super) fn next_sequence(&self) -> u64 {
        let clusters = self.clusters.iter().map(|cluster| cluster.sequence);
        clusters.chain(self.branches.iter().map(|branch| branch.sequence)).max().unwrap_or_default() + 1
    }

    /// A cluster of this organization.
    pub(super) fn cluster(&self, organization: &str, id: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.organization == organization && cluster.id == id)
    }

    /// A cluster of this organization, to change.
    pub(super) fn cluster_mut(&mut self, organization: &str, id: &str) -> Option<&mut Cluster> {
        self.clusters.iter_mut().find(|cluster| cluster.organization == organization && cluster.id == id)
    }
}

/// RFC 3339 in UTC, whole seconds.
pub(super) fn timestamp(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1_000).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

/// Reads RFC 3339 and cuts it to whole seconds, in milliseconds; `None` if it is malformed or before 1970.
pub(super) fn read_timestamp(text: &str) -> Option<u64> {
    let seconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
    u64::try_from(seconds).ok()?.checked_mul(1_000)
}

/// The name of a role in the API.
pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::ReadOnly => "role_readonly",
        Role::ReadWrite => "role_readwrite",
        Role::Admin => "role_admin",
    }
}

/// Reads the name of a role.
pub(super) fn read_role(name: &str) -> Option<Role> {
    [Role::ReadOnly, Role::ReadWrite, Role::Admin].into_iter().find(|role| role_name(*role) == name)
}
