//! Notes about a request for the log and for the headers of its answer, also if it is refused.

use super::Refusal;
use crate::{
    app::log,
    base::http::Response,
    limits::{lease::Taken, spread},
};

/// The notes about one request.
pub(super) struct Passage<'l> {
    /// Its line of the log.
    pub(super) line: &'l mut log::Line,
    taken: Vec<Taken>,
    /// What spreads the waits of clients.
    random: u16,
}

impl<'l> Passage<'l> {
    pub(super) fn new(line: &'l mut log::Line, request_id: &str) -> Self {
        let random = request_id.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        Self { line, taken: Vec::new(), random: random.unwrap_or_default() }
    }

    /// Notes the verdict of a limit that the answer describes.
    pub(super) fn note_limit(&mut self, taken: Taken) {
        self.line.limited(&taken);
        self.taken.push(taken);
    }

    /// Whether the request goes on after permits were taken.
    pub(super) fn allowed(&self, taken: &Taken) -> Result<(), Refusal> {
        if taken.allowed() {
            return Ok(());
        }
        let message = match taken.name {
            "ip" => "Too many requests from this address.",
            _ => "Too many requests with this credential.",
        };
        Err(Refusal::limited(message, spread(taken.admission.retry_after_millis, self.random)))
    }

    /// Adds what draft-ietf-httpapi-ratelimit-headers-11 defines: each policy, and what is left of it. Windows are whole
    /// seconds; a policy's is the one in which `q` permits come back. What is left is what the limiter had left when it answered
    /// last, and what this isolate has on lease.
    pub(super) fn describe_limits(&self, response: Response) -> Response {
        if self.taken.is_empty() {
            return response;
        }
        let policies = self
            .taken
            .iter()
            .map(|Taken { name, policy, .. }| format!("\"{name}\";q={};w={}", policy.permits, policy.seconds));
        let left = self.taken.iter().map(|Taken { name, admission, .. }| {
            // Of what is used up, when more is there.
            let millis = if admission.allowed { admission.reset_millis } else { admission.retry_after_millis };
            let millis = spread(millis, self.random);
            format!("\"{name}\";r={};t={}", admission.remaining, millis.div_ceil(1_000))
        });
        let join = |items: Vec<String>| items.join(", ");
        response.with("ratelimit-policy", join(policies.collect())).with("ratelimit", join(left.collect()))
    }
}
