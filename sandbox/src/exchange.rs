//! Inputs and outputs of the core.

use std::fmt;

/// One request as it arrived.
#[derive(Clone)]
pub struct Request {
    /// Method, upper case.
    pub method: String,
    /// Request target as sent: path and query (RFC 9112 section 3.2.1). This is what a digest `uri` must equal.
    pub target: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// How an answer reaches the client; faults change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Milliseconds to hold the answer back.
    pub delay_millis: u64,
    /// What the client gets then.
    pub course: Course,
}

/// What a client gets of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Course {
    /// All of it.
    #[default]
    Whole,
    /// Not all of it.
    Stops {
        /// So many bytes of the body arrive; with `None` not even a status.
        after: Option<usize>,
        /// What happens after them.
        how: Stop,
    },
    /// The whole body, but `Content-Length` announces so many bytes more, or with a negative number fewer. The connection stays
    /// open, as that of a server that does not notice.
    Length(i64),
    /// Blanks without end in place of the last byte of the body.
    Endless,
    /// The whole body, so many bytes of it at the start of each second.
    Slow(usize),
    /// The body as gzip (RFC 1952), with a checksum and a length that are not its own.
    BadGzip,
    /// The first half of the body as one chunk (RFC 9112 section 7.1), then a chunk whose size is no number.
    BadChunks,
}

/// How an answer stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The connection closes in both directions.
    Close,
    /// The server says that it sends no more (FIN), and keeps its other direction open.
    HalfClose,
    /// The connection is reset (RST).
    Reset,
    /// Nothing follows, and the connection stays open.
    Stall,
}

/// The next step for a request.
pub enum Step {
    /// The answer.
    Answer(Response, Delivery),
    /// Run this on a SQL server, then call `Sandbox::sql_done`.
    Sql(SqlTask, Delivery),
}

/// A cluster or a branch, each with its own SQL server. The text is the cluster id, or `cluster/branch`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(pub String);

/// The role of a SQL user; each is a real user of the SQL server with just these rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `role_readonly`
    ReadOnly,
    /// `role_readwrite`
    ReadWrite,
    /// `role_admin`, and `root`
    Admin,
}

/// A SQL user who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// To which server.
    pub instance: Instance,
    /// With which rights.
    pub role: Role,
    /// Full SQL user name, prefix included.
    pub user: String,
}

/// Why a SQL user was not let in. Its text is the message of the MySQL error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Unknown prefix, unknown user or wrong password: which one is not said.
    Denied {
        /// The name as given.
        user: String,
        /// Whether a password was given.
        password: bool,
    },
    /// The public endpoint of the instance is disabled.
    Disabled,
    /// The instance is in this state.
    NotReady(&'static str),
}

impl NotAdmitted {
    /// MySQL error number.
    pub fn code(&self) -> u16 {
        if matches!(self, Self::Denied { .. }) { 1045 } else { 1105 }
    }

    /// SQLSTATE, five characters.
    pub fn sqlstate(&self) -> &'static str {
        if matches!(self, Self::Denied { .. }) { "28000" } else { "HY000" }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { user, password } => {
                let given = if *password { "YES" } else { "NO" };
                write!(out, "Access denied for user '{user}'@'%' (using password: {given})")
            }
            Self::Disabled => out.write_str("the public endpoint of this instance is disabled"),
            Self::NotReady(state) => write!(out, "the instance is {state}"),
        }
    }
}

/// One authenticated request to `POST /v1beta/sql`.
#[derive(Clone, Debug)]
pub struct SqlTask {
    /// Which server.
    pub instance: Instance,
    /// As whom.
    pub role: Role,
    /// Full SQL user name, prefix included: what `CURRENT_USER()` should be read as, and whose session it is.
    pub user: String,
    /// `TiDB-Database`; empty for none.
    pub database: String,
    /// `TiDB-Session` as the client sent it; empty for a new one.
    pub session: String,
    /// `TiDB-Isolation-Level`, where given.
    pub isolation: Option<String>,
    /// `TiDB-Stateful-Action` (`open` or `close`), where given.
    pub stateful: Option<String>,
    /// The `query` of the body.
    pub query: String,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// Name as the server gave it; names may repeat.
    pub name: String,
    /// One of the gateway's type names, such as `UNSIGNED BIGINT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether NULL can occur.
    pub nullable: bool,
}

/// The outcome of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlOutcome {
    /// Rows.
    Rows {
        /// Columns in order.
        types: Vec<Column>,
        /// Cells as text; binary ones as hex without `0x`.
        rows: Vec<Vec<Option<String>>>,
        /// Session to answer in `TiDB-Session`; never empty.
        session: String,
    },
    /// A statement without a result set.
    Done {
        /// Rows affected.
        rows_affected: u64,
        /// Last insert id, in decimal; `0` where none was generated.
        last_insert_id: String,
        /// Session to answer in `TiDB-Session`; never empty.
        session: String,
    },
    /// The SQL server refused.
    Refused {
        /// MySQL error number.
        code: u16,
        /// SQLSTATE, five characters.
        sqlstate: String,
        /// Its text.
        message: String,
    },
    /// There is no such session (it ended, or never was).
    NoSession,
    /// The server process is not available; the text says why and what to do.
    Unavailable(String),
}

/// Work that the control plane orders from the SQL servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlEffect {
    /// A server with the sample data of `shop.sql` belongs to this instance.
    Sample(Instance),
    /// `to` gets a copy of `from`'s data as it is now, in place of its own.
    Copy {
        /// The parent.
        from: Instance,
        /// The branch.
        to: Instance,
    },
    /// The instance is gone with its data.
    Drop(Instance),
    /// Everything is gone (reset of the sandbox).
    DropAll,
}
