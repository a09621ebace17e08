//! SQL over HTTP: `POST https://http-<public host>/v1beta/sql`, as the npm driver `@tidbcloud/serverless` speaks it.
//!
//! No description is published. Choices where the driver leaves it open: a failed login is 401, what the SQL server refuses
//! is 400, a result of more than 10,000 rows is refused as a whole, and a public endpoint that is disabled is 403.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    answers::{Failure, json_response},
    services::SQL_GATEWAY,
    state::{Proof, Server, SqlUser, World},
};
use crate::exchange::{Admission, NotAdmitted, Request, Response, SqlOutcome, SqlTask};

/// Rows of one result (documented limit of the serverless driver).
pub const ROWS_MAX: usize = 10_000;

/// The body; other fields, such as `database`, are ignored.
#[derive(Deserialize)]
struct Statement {
    query: String,
}

/// `{"message", "code"}` with the text of a MySQL error.
fn mysql_error(status: u16, code: u16, sqlstate: &str, message: &str) -> Response {
    let message = format!("Error {code} ({sqlstate}): {message}");
    json_response(status, &json!({ "message": message, "code": code.to_string() }))
}

/// User and password of `Authorization: Basic` (RFC 7617 section 2).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(())?;
    let text = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// An instance as the gateway sees it.
struct Target<'a> {
    server: &'a Server,
    host: String,
    state: &'static str,
    disabled: bool,
}

impl World {
    /// The instance with this SQL user prefix; one that is not ready has none yet.
    fn by_prefix(&self, prefix: &str, now: u64) -> Option<Target<'_>> {
        let cluster = self.clusters.iter().find(|cluster| cluster.server.prefix == prefix);
        let branch = self.branches.iter().find(|branch| branch.server.prefix == prefix);
        let (cluster, server, state) = match (cluster, branch) {
            (Some(cluster), _) => (cluster, &cluster.server, cluster.state(now)),
            (None, Some(branch)) => {
                let cluster = self.clusters.iter().find(|cluster| cluster.id == branch.cluster)?;
                (cluster, &branch.server, branch.state(now))
            }
            (None, None) => return None,
        };
        let (host, disabled) = (cluster.region.host(), cluster.settings.public_disabled);
        (state != "CREATING").then_some(Target { server, host, state, disabled })
    }
}

/// Lets a SQL user in, through the gateway of `host` where that is known.
pub(super) fn admit(
    world: &World,
    now: u64,
    host: Option<&str>,
    user: &str,
    proof: &Proof<'_>,
) -> Result<Admission, NotAdmitted> {
    let denied = || {
        let given = !matches!(proof, Proof::Native { answer: [], .. });
        NotAdmitted::Denied { user: user.to_owned(), password: given }
    };
    let (prefix, name) = user.split_once('.').ok_or_else(denied)?;
    let target = world.by_prefix(prefix, now).filter(|target| host.is_none_or(|host| host == target.host));
    let target = target.ok_or_else(denied)?;
    if target.disabled {
        return Err(NotAdmitted::Disabled);
    }
    let known = target.server.users.get(name).filter(|known: &&SqlUser| known.admits(now, proof));
    let known = known.ok_or_else(denied)?;
    if target.state != "ACTIVE" {
        return Err(NotAdmitted::NotReady(target.state));
    }
    Ok(Admission { instance: target.server.instance.clone(), role: known.role, user: user.to_owned() })
}

/// Who has logged in, and where: the task without what the body says.
pub(super) fn login(world: &World, now: u64, host: &str, request: &Request) -> Result<SqlTask, Response> {
    let (user, password) = request.header("authorization").and_then(basic).unwrap_or_default();
    // No instance has a host without a name.
    let host = host.strip_prefix("http-").unwrap_or_default();
    let admitted = admit(world, now, Some(host), &user, &Proof::Text(&password));
    let Admission { instance, role, user } = admitted.map_err(|refused| {
        let status = match refused {
            NotAdmitted::Denied { .. } => 401,
            NotAdmitted::Disabled => 403,
            NotAdmitted::NotReady(_) => 503,
        };
        mysql_error(status, refused.code(), refused.sqlstate(), &refused.to_string())
    })?;
    let header = |name| request.header(name).map(str::to_owned);
    Ok(SqlTask {
        instance,
        role,
        user,
        database: header("tidb-database").unwrap_or_default(),
        session: header("tidb-session").unwrap_or_default(),
        isolation: header("tidb-isolation-level"),
        stateful: header("tidb-stateful-action"),
        query: String::new(),
    })
}

/// Checks what was asked of a task and fills in the statement.
pub(super) fn complete(mut task: SqlTask, method: &str, path: &str, body: &[u8]) -> Result<SqlTask, Failure> {
    if path.strip_prefix(SQL_GATEWAY.base) != Some("/sql") {
        return Err(Failure::new(404, "there is only /v1beta/sql"));
    }
    if method != "POST" {
        return Err(Failure::new(405, "there is only POST"));
    }
    let one_of = |value: &Option<String>, allowed: [&str; 2]| {
        value.as_deref().is_none_or(|value| value.is_empty() || allowed.contains(&value))
    };
    if !one_of(&task.isolation, ["READ COMMITTED", "REPEATABLE READ"]) {
        return Err(Failure::new(400, "TiDB-Isolation-Level is READ COMMITTED or REPEATABLE READ"));
    }
    if !one_of(&task.stateful, ["open", "close"]) {
        return Err(Failure::new(400, "TiDB-Stateful-Action is open or close"));
    }
    task.isolation = task.isolation.filter(|value| !value.is_empty());
    task.stateful = task.stateful.filter(|value| !value.is_empty());
    let statement: Statement = serde_json::from_slice(body)
        .map_err(|error| Failure::new(400, format!("the body is not {{query}}: {error}")))?;
    if statement.query.trim().is_empty() && task.stateful.is_none() {
        return Err(Failure::new(400, "Error 1065 (42000): Query was empty"));
    }
    task.query = statement.query;
    Ok(task)
}

/// A success, with its members in the gateway's order: a client that reads a result while it arrives knows its columns
/// first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Success {
    types: Option<Value>,
    rows: Option<Value>,
    rows_affected: Option<u64>,
    #[serde(rename = "sLastInsertID")]
    last_insert_id: Option<String>,
}

/// Translates the SQL server's outcome into the gateway's form.
pub(super) fn render(outcome: SqlOutcome) -> Response {
    let with_session = |success: Success, session| {
        let mut response = json_response(200, &Value::Null);
        response.body = serde_json::to_vec(&success).unwrap_or_default();
        response.headers.push(("TiDB-Session".to_owned(), session));
        response
    };
    match outcome {
        SqlOutcome::Rows { rows, .. } if rows.len() > ROWS_MAX => {
            mysql_error(400, 1105, "HY000", "the result has more than 10000 rows; add LIMIT")
        }
        SqlOutcome::Rows { types, rows, session } => {
            let (types, rows) = (Some(json!(types)), Some(json!(rows)));
            with_session(Success { types, rows, rows_affected: None, last_insert_id: None }, session)
        }
        SqlOutcome::Done { rows_affected, last_insert_id, session } => with_session(
            Success {
                types: None,
                rows: None,
                rows_affected: Some(rows_affected),
                last_insert_id: Some(last_insert_id),
            },
            session,
        ),
        SqlOutcome::Refused { code, sqlstate, message } => mysql_error(400, code, &sqlstate, &message),
        SqlOutcome::NoSession => mysql_error(400, 1105, "HY000", "there is no such session; it may have ended"),
        SqlOutcome::Unavailable(reason) => json_response(503, &json!({ "message": reason, "code": "503" })),
    }
}
