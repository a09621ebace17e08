//! From the arguments of a call to a tool's struct, with errors that name the argument.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    json::{self, Unread},
    mcp::tools::{ToolError, ToolErrorCode},
    scope::Scope,
};

/// What callers of other servers are used to send, and what to do here instead.
const NOT_TAKEN: &[(&[&str], &str)] = &[
    (&["host", "port"], "The host comes from TiDB Cloud: name the `cluster` and, if need be, the `branch`."),
    (
        &["username", "user", "adminUsername", "adminUser", "sqlUser"],
        "The server logs in with SQL users of its own: name the `cluster` and, if need be, the `branch`.",
    ),
    (
        &["password", "adminPassword", "rootPassword", "newPassword", "sqlPassword"],
        "No password ever passes through a tool. A person sets it in the TiDB Cloud console, under SQL Users of the cluster.",
    ),
];

/// Reads the arguments of a call.
///
/// `known` are the arguments that the tool has.
///
/// # Errors
/// `INVALID_ARGUMENT` that names the argument and what is wrong with it.
pub(super) fn read<T: DeserializeOwned>(mut arguments: Map<String, Value>, known: &[&str]) -> Result<T, ToolError> {
    if let Some(name) = arguments.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown(name, known));
    }
    // Clients send null for what they leave out.
    arguments.retain(|_, value| !value.is_null());
    json::from_value(Value::Object(arguments)).map_err(unread)
}

/// What is wrong with the arguments, and with which of them.
fn unread(error: Unread) -> ToolError {
    match error {
        Unread::Shape { path, problem } if !path.is_empty() => {
            invalid(format!("`{path}`: {}.", problem.trim_end_matches('.')))
        }
        Unread::Shape { problem, .. } => invalid(format!("{}.", sentence(&problem))),
        Unread::Syntax(error) => invalid(format!("{}.", sentence(&error.to_string()))),
    }
}

/// What a caller must be allowed for the money that a call gives away: the argument `spendingLimitUsdCents`, unless it
/// is missing, null or zero. It is judged before TiDB Cloud is asked, so a limit that is lowered counts like one that is
/// raised, and so does whatever cannot be read.
pub(super) fn spending_scope(arguments: &Map<String, Value>) -> Scope {
    // Nothing but zeros, because a reader of numbers rounds: 1e-400 would be one.
    let is_zero = |text: &str| text.parse::<f64>().is_ok() && text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let free = match arguments.get("spendingLimitUsdCents") {
        None | Some(Value::Null) => true,
        Some(Value::Number(number)) => is_zero(&number.to_string()),
        Some(Value::String(text)) => is_zero(text.trim()),
        Some(_) => false,
    };
    if free { Scope::Read } else { Scope::Destroy }
}

fn invalid(message: impl Into<String>) -> ToolError {
    ToolError::new(ToolErrorCode::InvalidArgument, message)
}

fn unknown(name: &str, known: &[&str]) -> ToolError {
    let shown: String = name.chars().filter(|character| !character.is_control()).take(64).collect();
    let error = invalid(format!("This tool has no argument `{shown}`."));
    match NOT_TAKEN.iter().find(|(names, _)| names.contains(&name)) {
        Some((_, instead)) => error.hint(*instead),
        None if known.is_empty() => error.hint("It takes no arguments."),
        None => error.hint(format!("It takes: {}.", known.join(", "))),
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.trim_end_matches('.').chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
