//! How limits are said to a client.

use super::codes;
use crate::{
    base::http::Response,
    limits::{lease::Taken, wait_seconds},
    mcp::Rejection,
};

/// 429 of a limit with the time to wait.
pub(super) fn refused(taken: &Taken, request_id: &str) -> Response {
    let message = match taken.name {
        "ip" => "Too many requests from this address.",
        _ => "Too many requests with this credential.",
    };
    refusal(message, taken.admission.retry_after_millis, request_id)
}

/// 429 with the time to wait.
pub(super) fn refusal(message: &str, retry_after_millis: u64, request_id: &str) -> Response {
    let seconds = wait_seconds(retry_after_millis);
    Rejection::new(&codes::RATE_LIMITED, message).retry_after(seconds).response(request_id)
}

/// Adds what draft-ietf-httpapi-ratelimit-headers-11 defines: each policy, and what is left of it. Windows are whole
/// seconds; a policy's is the minute in which `q` permits come back.
pub(super) fn describe(response: Response, limits: &[&Taken]) -> Response {
    let join = |items: Vec<String>| items.join(", ");
    let policies = limits.iter().map(|Taken { name, policy, .. }| format!("\"{name}\";q={};w=60", policy.permits));
    let left = limits.iter().map(|Taken { name, admission, .. }| {
        format!("\"{name}\";r={};t={}", admission.remaining, admission.reset_millis.div_ceil(1_000))
    });
    response.with("ratelimit-policy", join(policies.collect())).with("ratelimit", join(left.collect()))
}
