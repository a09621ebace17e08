//! How a `tidb-server` is configured and set up, so that it is what TiDB Cloud runs as far as one process can be.

use std::path::Path;

use super::Refusal;
use super::statement::Statement;

/// Where one process keeps everything that it writes.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its own directory, which is also its working directory: TiDB writes `oom_record` and the like there.
    pub directory: &'a Path,
    /// Its unix socket. There is no port for SQL.
    pub socket: &'a Path,
    /// A free port of loopback. TiDB answers its own queries of `CLUSTER_` tables over it, and waits for ever where it has none.
    pub status_port: u16,
}

/// Whether the system schemas are guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Not yet: the rights that go around the guard can be granted.
    Open,
    /// Security Enhanced Mode, as TiDB Cloud runs TiDB: nobody without the right `RESTRICTED_TABLES_ADMIN` writes to system
    /// schemas, whatever is granted on `*.*`, and nobody changes who has `RESTRICTED_USER_ADMIN`.
    Closed,
}

/// The configuration file ("TiDB Configuration File" in the manual). Tables get no regions of their own: one store gains nothing
/// by them, and unistore loses reads ("context canceled", a fifth of those of a new partitioned table) while it splits.
pub fn configuration(place: &Place<'_>, guard: Guard) -> String {
    // A JSON string is a basic string of TOML.
    let text = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    let below = |name: &str| text(&place.directory.join(name));
    format!(
        "host = \"127.0.0.1\"\n\
         port = 0\n\
         socket = {socket}\n\
         store = \"unistore\"\n\
         split-table = false\n\
         path = {data}\n\
         temp-dir = {temporary}\n\
         tmp-storage-path = {spilled}\n\
         [log]\n\
         level = \"error\"\n\
         slow-query-file = {slow}\n\
         [status]\n\
         status-host = \"127.0.0.1\"\n\
         status-port = {status_port}\n\
         [security]\n\
         enable-sem = {closed}\n",
        socket = text(place.socket),
        data = below("data"),
        temporary = below("tmp"),
        spilled = below("tmp/spilled"),
        slow = below("slow.log"),
        status_port = place.status_port,
        closed = guard == Guard::Closed,
    )
}

/// What its environment has besides: clocks in UTC whatever the machine's zone is, and Go's temporary files in its own directory.
pub fn environment(place: &Place<'_>) -> [(&'static str, String); 2] {
    [("TZ", "UTC".to_owned()), ("TMPDIR", place.directory.join("tmp").to_string_lossy().into_owned())]
}

/// Rights that Security Enhanced Mode asks for; `GRANT ALL` does not give them.
pub(crate) const UNGUARDED: &str = "RESTRICTED_TABLES_ADMIN, RESTRICTED_STATUS_ADMIN, RESTRICTED_VARIABLES_ADMIN, \
     RESTRICTED_USER_ADMIN, RESTRICTED_CONNECTION_ADMIN, RESTRICTED_REPLICA_WRITER_ADMIN";

/// What a new server is told once: the three roles with their rights, and how long a `SELECT` may take, in milliseconds.
pub const SETUP: &[&str] = &[
    "CREATE ROLE IF NOT EXISTS role_readonly, role_readwrite, role_admin",
    "GRANT SELECT, SHOW VIEW, SHOW DATABASES, PROCESS ON *.* TO role_readonly",
    "GRANT SELECT, SHOW VIEW, SHOW DATABASES, PROCESS, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE \
     ON *.* TO role_readwrite",
    "GRANT SELECT, SHOW VIEW, SHOW DATABASES, PROCESS, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, \
     CREATE VIEW, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE USER ON *.* TO role_admin WITH GRANT OPTION",
    "SET GLOBAL max_execution_time = 300000",
];

/// Refuses what a TiDB without TiKV answers wrongly: its storage deletes the rows of what is dropped at once, so a table that
/// comes back is empty.
pub(crate) fn refused(statement: &Statement) -> Option<Refusal> {
    let what = match (statement.word(0), statement.word(1)) {
        ("FLASHBACK", what @ ("TABLE" | "DATABASE" | "SCHEMA" | "CLUSTER")) => format!("FLASHBACK {what}"),
        ("RECOVER", "TABLE") => "RECOVER TABLE".to_owned(),
        _ => return None,
    };
    let why = "it needs TiKV, which keeps what was dropped for a while; the sandbox's storage deletes it at once";
    Some(Refusal::new(1235, format!("The sandbox does not have {what}: {why}")))
}

/// Why a statement is refused by its text: the message.
pub fn refusal(sql: &str) -> Option<String> {
    refused(&Statement::read(sql)).map(|refusal| refusal.message)
}
