//! Faults on request, by script or by seed.
//!
//! `POST /_sandbox/faults` takes `{"faults": [...]}`, or `{"seed": 7, "rate": 0.2}`, or both; they add to those that are there.
//! A scripted fault is `{"match": {...}, "do": ..., ...}`:
//!
//! | `do` | more | what happens |
//! | --- | --- | --- |
//! | `delay` | `millis` | the answer is held back |
//! | `drop` | `when`: `before` or `after` | the connection closes without an answer, before or after the effect |
//! | `half_close` | `when` | the server ends its direction of the connection without an answer, and goes on listening |
//! | `stall` | `when` | no answer ever comes, and the connection stays open |
//! | `reset` | `when`, or `bytes` | the connection is reset (RST): without an answer, or after so many bytes of its body |
//! | `status` | `status`, `body`, `headers`, `when` (default `before`) | this answer in place of the real one |
//! | `garbage` | | the body is not JSON |
//! | `truncate` | `bytes` | the connection closes after so many bytes of the body |
//! | `stall_body` | `bytes` | after so many bytes of the body nothing follows, and the connection stays open |
//! | `length` | `by` | `Content-Length` announces so many bytes more than there are, or fewer if negative; the connection stays open |
//! | `endless` | | blanks without end in place of the body's last byte |
//! | `slow` | `bytes` | so many bytes of the body at the start of each second |
//! | `bad_gzip` | | the body is compressed, with a wrong checksum and length |
//! | `bad_chunks` | | the body comes in chunks, the second of which has no size |
//! | `stale_nonce` | | 401 with `stale=true`, and the nonce ends; not for SQL |
//! | `rate_limit` | | 429, even below the limit; not for SQL |
//!
//! The effect happens, except where `when` is `before`, and with the last two.
//!
//! `match`: `method`, `host`, `path` (the start of path and query, or a regular expression where it begins with `^`), `times` (how
//! often the fault happens, default 1), `after` (how many matching requests pass first, default 0), `challenge` (`true`: it
//! strikes requests that end in a 401 challenge; by default only those with good credentials, so that a client's bodiless first
//! leg does not use a fault up). All are optional. The first fault that matches happens, alone.
//!
//! By seed: of the matching requests a share of `rate` (0 to 1) meets one of `kinds` (default: `delay`, `drop`, `status`,
//! `garbage`, `truncate` and `stale_nonce`), the same ones for the same seed.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::exchange::{Course, Delivery, Response, Stop};

/// Before or after the request took effect.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum When {
    Before,
    After,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Delay(u64),
    /// No answer at all.
    Unanswered(Stop, When),
    Status(Replacement, When),
    Garbage,
    /// An answer that does not arrive as it should.
    Spoiled(Course),
    StaleNonce,
    RateLimit,
}

/// An answer in place of the real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// The fate of an answer after the effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is sent.
    #[default]
    Plain,
    /// Another one is sent in its place.
    Replaced(Replacement),
    /// Its body is not JSON.
    Garbage,
    /// None is sent.
    Unsent,
}

/// A replacement for the effect.
pub(super) enum Instead {
    /// No answer.
    Nothing,
    Answer(Replacement),
    StaleNonce,
    RateLimit,
}

/// What a fault comes to.
#[derive(Default)]
pub(super) struct Plan {
    /// In place of the effect, where there is none.
    pub(super) instead: Option<Instead>,
    pub(super) delivery: Delivery,
    pub(super) ending: Ending,
}

impl Plan {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let mut plan = Self::default();
        match fault {
            None => {}
            Some(Fault::Delay(millis)) => plan.delivery.delay_millis = millis,
            Some(Fault::Spoiled(course)) => plan.delivery.course = course,
            Some(Fault::Garbage) => plan.ending = Ending::Garbage,
            Some(Fault::Status(replacement, When::After)) => plan.ending = Ending::Replaced(replacement),
            Some(Fault::Status(replacement, When::Before)) => plan.instead = Some(Instead::Answer(replacement)),
            Some(Fault::Unanswered(how, when)) => {
                plan.delivery.course = Course::Stops { after: None, how };
                match when {
                    When::Before => plan.instead = Some(Instead::Nothing),
                    When::After => plan.ending = Ending::Unsent,
                }
            }
            Some(Fault::StaleNonce) => plan.instead = Some(Instead::StaleNonce),
            Some(Fault::RateLimit) => plan.instead = Some(Instead::RateLimit),
        }
        plan
    }
}

impl From<Replacement> for Response {
    fn from(replacement: Replacement) -> Self {
        let Replacement { status, headers, body } = replacement;
        Self { status, headers: headers.into_iter().collect(), body }
    }
}

impl Ending {
    /// The answer that is sent, and the status to note: 0 if nothing arrives.
    pub(super) fn apply(self, response: Response) -> (Response, u16) {
        let response = match self {
            Self::Plain => response,
            Self::Unsent => return (response, 0),
            Self::Replaced(replacement) => replacement.into(),
            Self::Garbage => Response { body: b"{\"garbage\": \x00\xff<html>".to_vec(), ..response },
        };
        let status = response.status;
        (response, status)
    }
}

/// The parts of a request that faults match.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// It would be answered with a challenge.
    pub(super) challenge: bool,
    /// It is for a service that speaks digest, whose faults pass others by.
    pub(super) digest: bool,
}

/// The body of `POST /_sandbox/faults`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default)]
    faults: Vec<Scripted>,
    seed: Option<u64>,
    rate: Option<f64>,
    #[serde(default)]
    kinds: Vec<Kind>,
    #[serde(default, rename = "match")]
    matching: Match,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripted {
    #[serde(default, rename = "match")]
    matching: Match,
    #[serde(rename = "do")]
    kind: Kind,
    millis: Option<u64>,
    when: Option<When>,
    status: Option<u16>,
    body: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    bytes: Option<usize>,
    by: Option<i64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Delay,
    Drop,
    HalfClose,
    Stall,
    Reset,
    Status,
    Garbage,
    Truncate,
    StallBody,
    Length,
    Endless,
    Slow,
    BadGzip,
    BadChunks,
    StaleNonce,
    RateLimit,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    times: Option<u32>,
    after: Option<u32>,
    #[serde(default)]
    challenge: bool,
}

/// What happens when a rule matches.
enum Effect {
    One(Fault),
    Drawn { seed: u64, rate: f64, kinds: Vec<Kind> },
}

/// A fault that waits for its request.
struct Rule {
    matching: Match,
    pattern: Option<Regex>,
    effect: Effect,
    /// Matching requests so far.
    seen: u32,
    /// How often it happens still; `None` without end.
    left: Option<u32>,
}

/// Faults that wait.
#[derive(Default)]
pub(super) struct Faults(Vec<Rule>);

impl Scripted {
    fn fault(&self) -> Result<Fault, String> {
        let unanswered = |how| -> Result<Fault, String> {
            Ok(Fault::Unanswered(how, self.when.ok_or("this fault needs `when`: before or after")?))
        };
        let bytes = || self.bytes.ok_or("this fault needs `bytes`");
        let stops = |after, how| Fault::Spoiled(Course::Stops { after: Some(after), how });
        Ok(match self.kind {
            Kind::Delay => Fault::Delay(self.millis.ok_or("`delay` needs `millis`")?),
            Kind::Drop => unanswered(Stop::Close)?,
            Kind::HalfClose => unanswered(Stop::HalfClose)?,
            Kind::Stall => unanswered(Stop::Stall)?,
            Kind::Reset => match self.bytes {
                None => unanswered(Stop::Reset)?,
                Some(after) => stops(after, Stop::Reset),
            },
            Kind::Status => {
                let status = self.status.filter(|status| (200..600).contains(status));
                let body = match &self.body {
                    None => Vec::new(),
                    Some(Value::String(text)) => text.clone().into_bytes(),
                    Some(json) => json.to_string().into_bytes(),
                };
                let status = status.ok_or("`status` needs `status`: 200 to 599")?;
                let replacement = Replacement { status, headers: self.headers.clone(), body };
                Fault::Status(replacement, self.when.unwrap_or(When::Before))
            }
            Kind::Garbage => Fault::Garbage,
            Kind::Truncate => stops(bytes()?, Stop::Close),
            Kind::StallBody => stops(bytes()?, Stop::Stall),
            Kind::Length => Fault::Spoiled(Course::Length(self.by.ok_or("`length` needs `by`")?)),
            Kind::Endless => Fault::Spoiled(Course::Endless),
            Kind::Slow => match bytes()? {
                0 => return Err("`slow` needs `bytes` of 1 or more".to_owned()),
                bytes => Fault::Spoiled(Course::Slow(bytes)),
            },
            Kind::BadGzip => Fault::Spoiled(Course::BadGzip),
            Kind::BadChunks => Fault::Spoiled(Course::BadChunks),
            Kind::StaleNonce => Fault::StaleNonce,
            Kind::RateLimit => Fault::RateLimit,
        })
    }
}

/// The fault of a kind where only a seed was given. Kinds come twice where they differ by `when`.
fn plain(kind: Kind, odd: bool) -> Fault {
    let when = if odd { When::After } else { When::Before };
    let stops = |how| Fault::Spoiled(Course::Stops { after: Some(10), how });
    match kind {
        Kind::Delay => Fault::Delay(1_000),
        Kind::Drop => Fault::Unanswered(Stop::Close, when),
        Kind::HalfClose => Fault::Unanswered(Stop::HalfClose, when),
        Kind::Stall => Fault::Unanswered(Stop::Stall, when),
        Kind::Reset => stops(Stop::Reset),
        Kind::Status => Fault::Status(
            Replacement { status: 503, headers: BTreeMap::new(), body: b"upstream unavailable".to_vec() },
            when,
        ),
        Kind::Garbage => Fault::Garbage,
        Kind::Truncate => stops(Stop::Close),
        Kind::StallBody => stops(Stop::Stall),
        Kind::Length => Fault::Spoiled(Course::Length(if odd { 10 } else { -10 })),
        Kind::Endless => Fault::Spoiled(Course::Endless),
        Kind::Slow => Fault::Spoiled(Course::Slow(100)),
        Kind::BadGzip => Fault::Spoiled(Course::BadGzip),
        Kind::BadChunks => Fault::Spoiled(Course::BadChunks),
        Kind::StaleNonce => Fault::StaleNonce,
        Kind::RateLimit => Fault::RateLimit,
    }
}

impl Rule {
    fn new(matching: Match, effect: Effect, times: Option<u32>) -> Result<Self, String> {
        let pattern = matching.path.as_deref().filter(|path| path.starts_with('^')).map(Regex::new);
        let pattern = pattern.transpose().map_err(|error| format!("`path`: {error}"))?;
        Ok(Self { matching, pattern, effect, seen: 0, left: times })
    }

    fn matches(&self, subject: Subject<'_>) -> bool {
        let Match { method, host, path, challenge, .. } = &self.matching;
        let path_matches = match (&self.pattern, path) {
            (Some(pattern), _) => pattern.is_match(subject.target),
            (None, Some(start)) => subject.target.starts_with(start.as_str()),
            (None, None) => true,
        };
        path_matches
            && *challenge == subject.challenge
            && method.as_deref().is_none_or(|method| method == subject.method)
            && host.as_deref().is_none_or(|host| host == subject.host)
    }

    /// The fault for a matching request, if it is one's turn.
    fn strike(&mut self, digest: bool) -> Option<Fault> {
        let fault = match &self.effect {
            Effect::One(fault) => Some(fault.clone()),
            Effect::Drawn { seed, rate, kinds } => drawn(*seed, self.seen, *rate, kinds),
        };
        let fault = fault.filter(|fault| digest || !matches!(fault, Fault::StaleNonce | Fault::RateLimit));
        self.seen += 1;
        if self.seen <= self.matching.after.unwrap_or_default() || self.left == Some(0) {
            return None;
        }
        if fault.is_some() {
            self.left = self.left.map(|left| left - 1);
        }
        fault
    }
}

/// Whether request number `seen` meets a fault, and which: the same for the same seed.
fn drawn(seed: u64, seen: u32, rate: f64, kinds: &[Kind]) -> Option<Fault> {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(seen.to_be_bytes());
    let [a, b, c, d, pick, odd, ..]: [u8; 32] = hash.finalize().into();
    let share = f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0);
    let kind = kinds.get(usize::from(pick) % kinds.len().max(1))?;
    (share < rate).then(|| plain(*kind, odd % 2 == 1))
}

impl Faults {
    /// Adds what a body asks for. Nothing is added where something is wrong with it.
    pub(super) fn add(&mut self, body: &[u8]) -> Result<usize, String> {
        let order: Order = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let mut rules = Vec::new();
        for scripted in order.faults {
            let fault = scripted.fault()?;
            let times = Some(scripted.matching.times.unwrap_or(1));
            rules.push(Rule::new(scripted.matching, Effect::One(fault), times)?);
        }
        match (order.seed, order.rate) {
            (Some(seed), Some(rate)) if (0.0..=1.0).contains(&rate) => {
                let all = [Kind::Delay, Kind::Drop, Kind::Status, Kind::Garbage, Kind::Truncate, Kind::StaleNonce];
                let kinds = if order.kinds.is_empty() { all.to_vec() } else { order.kinds };
                let times = order.matching.times;
                rules.push(Rule::new(order.matching, Effect::Drawn { seed, rate, kinds }, times)?);
            }
            (None, None) if !rules.is_empty() => {}
            _ => return Err("give `faults`, or `seed` and `rate` (0 to 1)".to_owned()),
        }
        self.0.append(&mut rules);
        Ok(self.0.len())
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that this request meets.
    pub(super) fn strike(&mut self, subject: Subject<'_>) -> Option<Fault> {
        self.0.iter_mut().filter(|rule| rule.matches(subject)).find_map(|rule| rule.strike(subject.digest))
    }
}
