//! From a failure of TiDB Cloud to an error for the model: what happened, what to do next.

use super::code;
use crate::{
    mcp::outcome::{ErrorCode, ToolError, UpstreamAnswer},
    tidbcloud::{ApiError, NotTried, SqlFailure},
};

impl ToolError {
    /// A fault of this server: the cause goes to the log only, not to the caller.
    pub fn fault(cause: impl Into<Box<str>>) -> Self {
        let error = Self::new(code::INTERNAL, "This server failed.");
        Self { cause: Some(cause.into()), ..error.hint("Report the request id to its operator.") }
    }
}

/// The hint after a change whose outcome is unknown, until the tool's own takes its place ([`Receipt::look`](super::Receipt)).
pub(super) const LOOK_AROUND: &str = "Look at what there is before trying again.";

/// What to do about keys that a sandbox refuses, in place of a hint that leads to the console.
pub(super) const IN_A_SANDBOX: &str = "A sandbox stands here for TiDB Cloud. Ask the person to use its keys, which `cargo xtask dev` prints; others do not open it.";

/// Code, message, hint, and whether the same call can succeed later.
type Words = (ErrorCode, &'static str, &'static str, bool);

/// Longer than a function should be, because it is a table: a row for each failure.
fn words(error: &ApiError) -> Words {
    match error {
        ApiError::KeyRejected(_) => (
            code::UNAUTHENTICATED_UPSTREAM,
            "TiDB Cloud does not accept this API key.",
            "Ask the person to check the key pair: both keys whole, not swapped, and still in the TiDB Cloud console (Organization Settings, API Keys).",
            false,
        ),
        ApiError::TokenRejected(_) => (
            code::UNAUTHENTICATED_UPSTREAM,
            "TiDB Cloud no longer accepts this connection's access token.",
            "Ask the person to connect this server again in the client; the permission has expired or was revoked.",
            false,
        ),
        ApiError::Forbidden(_) => (
            code::PERMISSION_DENIED,
            "The role of these TiDB Cloud credentials does not allow this.",
            "Ask the person to connect with credentials whose role allows it.",
            false,
        ),
        ApiError::NotFound(_) => (
            code::NOT_FOUND,
            "It does not exist, or these TiDB Cloud credentials cannot see it.",
            "List what exists and use an id from the list.",
            false,
        ),
        ApiError::Conflict(_) => (
            code::CONFLICT,
            "It exists already, or its state does not allow this.",
            "List what exists, and choose another name or wait for its state to change.",
            false,
        ),
        ApiError::QuotaExceeded(_) => (
            code::QUOTA_EXCEEDED,
            "A quota of the organization is used up, or a payment is due.",
            "Delete what is not needed, or ask the person to raise the quota or add a payment method.",
            false,
        ),
        ApiError::NotOffered(_) => (
            code::FAILED_PRECONDITION,
            "TiDB Cloud does not offer this operation for this cluster.",
            "Ask the person to do it in the TiDB Cloud console.",
            false,
        ),
        ApiError::Refused(_) => {
            (code::INVALID_ARGUMENT, "TiDB Cloud refused the request.", "Change the argument that it names.", false)
        }
        ApiError::RateLimited { .. } => (
            code::RATE_LIMITED_UPSTREAM,
            "TiDB Cloud had too many requests with these credentials.",
            "Wait, then call again.",
            true,
        ),
        ApiError::Failing { .. } => {
            (code::UPSTREAM_UNAVAILABLE, "TiDB Cloud failed to answer.", "Call again in a minute.", true)
        }
        ApiError::Unreachable => {
            (code::UPSTREAM_UNAVAILABLE, "TiDB Cloud could not be reached.", "Call again in a minute.", true)
        }
        ApiError::Timeout => {
            (code::UPSTREAM_TIMEOUT, "TiDB Cloud did not answer in time.", "Call again in a minute.", true)
        }
        ApiError::TooLarge => (
            code::RESULT_TOO_LARGE,
            "The answer is longer than this server reads.",
            "Ask for less: use LIMIT, name the columns that matter, or ask page by page.",
            false,
        ),
        ApiError::Exhausted => (
            code::REQUESTS_EXHAUSTED,
            "This HTTP request may send no more requests to TiDB Cloud; this part of it was not sent.",
            "Send fewer calls at once.",
            true,
        ),
        ApiError::Unreadable { .. } | ApiError::Unexpected(_) => (
            code::UPSTREAM_INVALID_RESPONSE,
            "TiDB Cloud's answer could not be read.",
            "Call again; if it happens again, report the request id.",
            true,
        ),
        ApiError::DeadlineExceeded => {
            (code::DEADLINE_EXCEEDED, "The call ran out of time before the last request was sent.", "Call again.", true)
        }
        ApiError::Malformed(_) => {
            (code::INVALID_ARGUMENT, "A value cannot be sent.", "Change the argument that it comes from.", false)
        }
        ApiError::CircuitOpen { .. } => (
            code::CIRCUIT_OPEN,
            "TiDB Cloud failed several times in a row, so it was not asked now; nothing was sent.",
            "Wait, then call again.",
            true,
        ),
        ApiError::KeyNotTried(NotTried::Limited { .. }) => (
            code::RATE_LIMITED,
            "TiDB Cloud refused this API key too often, so it is not tried again now.",
            "Ask the person to check the key pair in the TiDB Cloud console, and wait.",
            true,
        ),
        ApiError::KeyNotTried(NotTried::Unavailable) => (
            code::STORAGE_UNAVAILABLE,
            "The server's own storage did not answer, so this API key was not tried.",
            "Call again in a few seconds.",
            true,
        ),
        ApiError::HeldBack { .. } => (
            code::RATE_LIMITED_UPSTREAM,
            "This server held the request back, before TiDB Cloud's own limit of 100 a minute for an API key is reached; it was not sent.",
            "Wait, then call again.",
            true,
        ),
        ApiError::OutcomeUnknown { .. } => (
            code::OUTCOME_UNKNOWN,
            "TiDB Cloud did not confirm the change: it may or may not have happened.",
            LOOK_AROUND,
            false,
        ),
    }
}

impl From<ApiError> for ToolError {
    fn from(error: ApiError) -> Self {
        let (code, message, hint, retryable) = words(&error);
        let mut text = message.to_owned();
        if let Some(answer) = error.answer()
            && !answer.message.is_empty()
        {
            text.push_str(&format!(" TiDB Cloud says: {}", answer.message));
        }
        if let ApiError::Malformed(malformed) = &error {
            text = malformed.to_string();
        }
        let mut tool_error = Self::new(code, text).hint(hint);
        tool_error.retryable = retryable;
        tool_error.cause = Some(error.chain().into());
        tool_error.retry_after_seconds = error.retry_after_seconds();
        tool_error.upstream = error.answer().map(|answer| {
            Box::new(UpstreamAnswer { status: Some(answer.status), code: answer.code.clone(), trace_id: None })
        });
        tool_error
    }
}

/// The error for the model, with a tool's own advice where `applies`.
pub(crate) fn advised(error: ApiError, applies: fn(&ApiError) -> bool, hint: &str) -> ToolError {
    let applies = applies(&error);
    let mut error = ToolError::from(error);
    if applies {
        error.hint = hint.to_owned();
    }
    error
}

/// What to do after a refusal of the database with this number.
/// <https://docs.pingcap.com/tidb/stable/error-codes>, and those of MySQL that it shares.
fn after_refusal(code: Option<u16>) -> &'static str {
    match code {
        Some(1046) => "Give `database`, or write names as database.table.",
        Some(1049) => "Call show_databases to see the names.",
        Some(1146) => "Call show_tables to see the names.",
        Some(1054) => "Run DESCRIBE on the table with db_query to see its columns.",
        Some(1060) => "Give each column a name of its own: SELECT a.id, b.id AS b_id.",
        Some(1062) => "Use another value, or change the row that has it.",
        Some(3024) => {
            "Read less: a condition on an indexed column, fewer tables, or LIMIT without ORDER BY. EXPLAIN shows what is slow."
        }
        Some(1064) => "Correct the syntax where the message points to.",
        Some(1044 | 1142 | 1143 | 1227 | 8121) => "Ask the person for a SQL user that may do this.",
        Some(1235 | 8108) => "This database does not support it: do it another way.",
        _ => "Change the statement.",
    }
}

/// The workaround if the server's own SQL users do not work.
const OWN_USER: &str = "send a SQL user in the headers X-TiDB-SQL-User and X-TiDB-SQL-Secret";

impl From<SqlFailure> for ToolError {
    fn from(failure: SqlFailure) -> Self {
        let cause = failure.chain();
        Self { cause: Some(cause.into()), ..of_sql(failure) }
    }
}

fn of_sql(failure: SqlFailure) -> ToolError {
    match failure {
            SqlFailure::Api(error) => error.into(),
            SqlFailure::Sql { code, message } => {
                let error = ToolError::new(code::SQL_ERROR, format!("The database refused the statement: {message}"));
                let mut error = error.hint(after_refusal(code));
                let code = code.map(|code| code.to_string());
                error.upstream = Some(Box::new(UpstreamAnswer { status: None, code, trace_id: None }));
                error
            }
            SqlFailure::NotReady { state, lacks } => {
                let lacks = lacks.map(|lacks| format!(" and does not have {lacks} yet")).unwrap_or_default();
                ToolError::new(code::FAILED_PRECONDITION, format!("It does not accept SQL while it is {state}{lacks}."))
                    .hint("Call tidbcloud_get_cluster, or tidbcloud_get_branch for a branch, with `waitSeconds` until `state` is ACTIVE.")
                    .retryable()
            }
            SqlFailure::EndpointDisabled => {
                ToolError::new(code::FAILED_PRECONDITION, "The public endpoint of this cluster or branch is switched off.")
                    .hint("tidbcloud_set_public_access switches it on for a cluster; for a branch, the person in the TiDB Cloud console, under Networking.")
            }
            SqlFailure::NoManagedUser { cause } => {
                ToolError::new(code::PERMISSION_DENIED, format!("The server cannot make its SQL users here: {cause}"))
                    .hint(format!("Ask the person for an API key whose role may manage SQL users, or to {OWN_USER}."))
            }
            SqlFailure::BranchOlderThanItsUsers => ToolError::new(
                code::FAILED_PRECONDITION,
                "This branch was made before the server's SQL users existed on its parent, and none can be made on a branch.",
            )
            .hint(format!("tidbcloud_reset_branch copies them from the parent, and discards what was changed on the branch; or ask the person to {OWN_USER}.")),
            SqlFailure::OwnLoginRefused => ToolError::new(
                code::UNAUTHENTICATED_UPSTREAM,
                "The database refused the SQL user of X-TiDB-SQL-User and X-TiDB-SQL-Secret.",
            )
            .hint("Ask the person to check both headers; the user name includes the prefix of the cluster or branch."),
            SqlFailure::LoginNotYet => {
                let mut error = ToolError::new(
                    code::FAILED_PRECONDITION,
                    "The server's SQL user was made just now and does not work yet; that can take minutes.",
                )
                .hint("Call again in half a minute.")
                .retryable();
                error.retry_after_seconds = Some(30);
                error
            }
            SqlFailure::OutcomeUnknown { cause } => {
                let mut error = ToolError::new(
                    code::OUTCOME_UNKNOWN,
                    match &*cause {
                        SqlFailure::Sql { message, .. } => {
                            format!("The statement failed, and all or a part of it may have taken effect: {message}")
                        }
                        _ => "The answer was lost: the statement may or may not have taken effect.".to_owned(),
                    },
                )
                .hint("Look with db_query before trying again.");
                error.upstream = ToolError::from(*cause).upstream;
                error
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidbcloud::Answer;

    /// Wrong keys list tools like right ones: the first call is where a person learns of them.
    #[test]
    fn a_refused_key_pair_is_looked_for_in_the_console() {
        let answer = Answer { status: 401, code: None, message: String::new() };
        let error = ToolError::from(ApiError::KeyRejected(answer));
        for part in ["the key pair", "not swapped", "Organization Settings, API Keys"] {
            assert!(error.hint.contains(part), "{part} is missing in: {}", error.hint);
        }
    }
}
