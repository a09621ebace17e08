//! The codes of failed tool calls: one line each, from which the table of `docs/errors.md` follows.

use crate::mcp::outcome::ErrorCode;

/// When a code is given.
pub struct Meaning {
    /// What happened.
    pub when: &'static str,
    /// Whether the same call can succeed later.
    pub retryable: bool,
    /// What to do next.
    pub what_to_do: &'static str,
}

macro_rules! codes {
    ($($name:ident: $(($when:literal, $retryable:literal, $what_to_do:literal)),+;)*) => {
        $(
            #[doc = concat!($($when, " "),+)]
            pub const $name: ErrorCode = ErrorCode(stringify!($name));
        )*

        /// Every code, and when it is given.
        pub const ALL: &[(ErrorCode, &[Meaning])] = &[
            $(($name, &[$(Meaning { when: $when, retryable: $retryable, what_to_do: $what_to_do }),+]),)*
        ];
    };
}

// What happened, whether the same call can succeed later, and what to do next.
codes! {
    INVALID_ARGUMENT: ("An argument is missing, unknown or of the wrong form, or TiDB Cloud refused a value. Nothing was changed.", false, "Change the argument that the message names.");
    NOT_FOUND: ("The cluster, branch or user does not exist, or the key cannot see it.", false, "List what exists; use an id from the list.");
    AMBIGUOUS_NAME: ("Several have this name, as display name or as label `mcp-alias`.", false, "Use one of the ids in the message; if the URL fixes the name, put the id there.");
    UNAUTHENTICATED_UPSTREAM: ("TiDB Cloud does not accept the API key, or no longer accepts a sign-in through its own OAuth, or the database does not accept the SQL user of the headers.", false, "Check the key: both halves whole, not swapped, still in the TiDB Cloud console (Organization Settings, API Keys); beside a sandbox use the sandbox's keys; connect again; check the two SQL headers.");
    PERMISSION_DENIED: ("The role of the key does not allow this, or does not allow the server to make its SQL users.", false, "Use a key with a role that does, or send a SQL user in [headers](clients.md#bring-your-own-sql-user).");
    RATE_LIMITED: ("TiDB Cloud refused this API key too often in the last minute; nothing was sent.", true, "Check the key; wait `retryAfterSeconds`."), ("More calls with this credential change something than a sixth of its limit, or eight of its calls run SQL at this moment; nothing was sent.", true, "Wait `retryAfterSeconds`.");
    STORAGE_UNAVAILABLE: ("The server's own storage could not say whether this API key may be tried; nothing was sent.", true, "Call again.");
    RATE_LIMITED_UPSTREAM: ("The key made more requests than TiDB Cloud allows, or this server sent 80 for it within a minute and holds back before TiDB Cloud's limit of 100: then nothing was sent.", true, "Wait `retryAfterSeconds`.");
    UPSTREAM_TIMEOUT: ("TiDB Cloud did not answer in time.", true, "Call again in a minute.");
    UPSTREAM_UNAVAILABLE: ("TiDB Cloud failed, or could not be reached.", true, "Call again in a minute.");
    CIRCUIT_OPEN: ("TiDB Cloud, or SQL on this cluster, failed several times in a row. It is not asked for some seconds; nothing was sent.", true, "Wait `retryAfterSeconds`.");
    UPSTREAM_INVALID_RESPONSE: ("TiDB Cloud's answer could not be read.", true, "Call again; if it happens again, report the request id.");
    DEADLINE_EXCEEDED: ("The time of the call ran out before the last request was sent: 28 seconds, 55 for the tools that start with `db_` or `show_`.", true, "Call again.");
    CONFLICT: ("It exists already, or its state does not allow this.", false, "Look at its state.");
    FAILED_PRECONDITION: ("Not ready: being created, or its SQL user was made just now.", true, "Call again when `state` is ACTIVE, or in half a minute."), ("Not possible in its present state: the endpoint is switched off, the branch is older than the server's users, or TiDB Cloud does not offer the operation here.", false, "The hint says which, and how to go on."), ("`db_execute` affected another number of rows than its `expectedRows`. The transaction was rolled back: nothing took effect.", false, "Correct the condition or the number.");
    QUOTA_EXCEEDED: ("A quota of the organization is used up, or a payment is due.", false, "Delete what is not needed, or raise the quota in the console.");
    SQL_REJECTED: ("No tool runs this statement: several at once, files, locks, passwords, transaction control, things that end with the session (temporary tables, variables, prepared statements), lasting changes to something other than data and schema (`SET GLOBAL`, default roles), features that TiDB does not have, or text that two servers could read in two ways. Nothing was sent.", false, "The message names the word at fault and says what to do instead.");
    READ_ONLY_VIOLATION: ("`db_query` was given a statement that changes something. Nothing was sent.", false, "Use `db_execute`.");
    SQL_ERROR: ("The database refused the statement. `upstream.code` is its error code. `db_query` lets `EXPLAIN` of a change through, and the database refuses that to a user who may only read (1142, 8121).", false, "Correct the statement; send `EXPLAIN` of a change to `db_execute`, as the hint says.");
    RESULT_TOO_LARGE: ("The answer is longer than the server reads.", false, "Use LIMIT, name the columns that matter, or ask page by page.");
    REQUESTS_EXHAUSTED: ("The HTTP request has sent all 45 requests to TiDB Cloud that it may send; what this call needs was not sent.", true, "Send fewer calls at once, or fewer statements in one: each that is not obviously small is planned before it runs.");
    CONFIRMATION_REQUIRED: ("The call destroys, costs, lets somebody in, or would make the database read very much, and a person has to allow it first. Nothing was changed.", false, "Give the person the link, then make the same call again."), ("Five pages with secrets lie ready for the person, or ten questions are open.", false, "Ask them to take or answer what is there, or wait ten minutes.");
    CONFIRMATION_DECLINED: ("The person declined, or the client did so without asking. Nothing was changed.", false, "Leave it, or give the person the link in the hint.");
    CONFIRMATION_INVALID: ("A confirmation was used before, or what the call would do has changed since. Nothing was changed.", false, "Make the call again, and ask again.");
    OUTCOME_UNKNOWN: ("A change was sent and the answer was lost: it may have happened. The server does not repeat it.", false, "Look first, then decide.");
    INTERNAL: ("A fault of this server.", false, "Report the request id.");
}
