//! Whether a part of TiDB Cloud is worth asking, and asking again: its circuit, and the tokens that repeats cost.

use super::{
    error::{Answer, ApiError},
    retry::ATTEMPT_MIN,
    send::Sender,
};
use crate::{
    base::{clock::UnixMillis, expiring::ExpiringMap},
    circuit::{Circuit, Event, Report, Trouble, Verdict},
    tidbcloud::{Caller, Memory},
};

/// A repeat costs ten tokens of a hundred, so that no isolate makes more than ten in a row. A repeat that helps gives back
/// what it cost, and any other success gives one: in the long run, one request in ten is a repeat at most. The numbers are
/// those of the standard retry mode of the AWS SDKs, made smaller because an isolate serves few callers:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>.
const TOKENS: u32 = 100;
/// What a repeat costs.
const REPEAT_COST: u32 = 10;
/// 256 parts of TiDB Cloud, and as many callers of them: of some 100 bytes each, 50 KiB of an isolate's 128 MiB.
const PARTS_MAX: usize = 256;
/// What is known is forgotten after ten minutes, when it no longer says anything.
const KNOWN_MILLIS: u64 = 600_000;

/// What an isolate knows of the health of TiDB Cloud.
pub(crate) struct Health {
    /// By part.
    tokens: ExpiringMap<str, u32>,
    /// By part and caller.
    standings: ExpiringMap<str, Standing>,
    /// Until when circuits are open, by part and caller, and by part for everybody.
    open: ExpiringMap<str, UnixMillis>,
    /// By part: what this isolate knows when nobody tells it more.
    circuits: ExpiringMap<str, Circuit>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            tokens: ExpiringMap::evicting(PARTS_MAX),
            standings: ExpiringMap::evicting(PARTS_MAX),
            open: ExpiringMap::evicting(PARTS_MAX),
            circuits: ExpiringMap::evicting(PARTS_MAX),
        }
    }
}

/// What this isolate saw of a part for one caller since the last success.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// One attempt failed, and nobody was told.
    failed_once: bool,
    reported: bool,
}

/// A part of TiDB Cloud that fails as a whole, for one caller.
#[derive(Clone)]
pub(crate) struct Part {
    /// The host of an API, or a cluster.
    name: String,
    caller: Caller,
}

impl Part {
    pub(crate) fn new(name: impl Into<String>, caller: Caller) -> Self {
        Self { name: name.into(), caller }
    }
}

/// The permission for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As always.
    Usual,
    /// The one read that finds out whether the circuit can be closed.
    Probe,
}

/// What an attempt says of the health of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered.
    Good,
    /// It failed to.
    Bad(Trouble),
    /// Nothing: no request was sent, or what was asked for took too long.
    None,
}

impl ApiError {
    /// What an attempt that failed in this way says.
    pub(crate) fn sign(&self) -> Sign {
        match self {
            Self::Unreachable => Sign::Bad(Trouble::Connection),
            Self::Timeout => Sign::Bad(Trouble::Timeout),
            Self::Failing { answer: Answer { status: 500.., .. }, .. } => Sign::Bad(Trouble::Status),
            Self::Unreadable { .. } => Sign::Bad(Trouble::Unreadable),
            Self::DeadlineExceeded | Self::Exhausted | Self::Malformed(_) | Self::KeyNotTried(_) => Sign::None,
            // Somebody in front of the service may have said so.
            Self::KeyRejected(_) | Self::TokenRejected(_) | Self::Forbidden(_) | Self::RateLimited { .. } => Sign::None,
            Self::CircuitOpen { .. } | Self::HeldBack { .. } => Sign::None,
            _ => Sign::Good,
        }
    }
}

/// The health of one part, during one call.
#[derive(Clone, Copy)]
pub(crate) struct Checkup<'a> {
    pub(crate) sender: Sender<'a>,
    pub(crate) memory: &'a Memory,
    pub(crate) part: &'a Part,
}

impl Checkup<'_> {
    /// Whether to send a request.
    ///
    /// # Errors
    /// [`ApiError::CircuitOpen`]: it would probably fail.
    pub(crate) async fn enter(self) -> Result<Pass, ApiError> {
        let (place, now) = (self.place(), self.sender.io.now());
        let open_until = [self.part.name.as_str(), &place].map(|key| self.health().open.get(key, now));
        let Some(until) = open_until.into_iter().flatten().max() else { return Ok(Pass::Usual) };
        let left = Verdict::left(until, now);
        if left > 0 {
            return Err(open(left));
        }
        match self.report(Event::Asked).await {
            Verdict::Closed => {
                self.forget();
                Ok(Pass::Usual)
            }
            Verdict::Probe => Ok(Pass::Probe),
            Verdict::Open { millis, .. } => Err(open(millis)),
        }
    }

    /// Notes what came of it.
    pub(crate) async fn leave(self, pass: Pass, sign: Sign) {
        let standing = self.standing();
        match sign {
            // The time of the call was up, which says little.
            Sign::Bad(Trouble::Timeout) if pass == Pass::Usual && self.sender.remaining() < ATTEMPT_MIN => {}
            Sign::None if pass == Pass::Probe => drop(self.report(Event::Released).await),
            Sign::None => {}
            Sign::Good => {
                if pass == Pass::Probe || standing.reported {
                    self.report(Event::Worked { probed: pass == Pass::Probe }).await;
                }
                self.health().standings.remove(&self.place());
                if pass == Pass::Probe {
                    self.forget();
                }
            }
            Sign::Bad(trouble) => {
                if !standing.failed_once && !standing.reported && pass == Pass::Usual {
                    // It is told with the next one, if that comes before a success.
                    self.keep(Standing { failed_once: true, ..standing });
                    return;
                }
                self.keep(Standing { failed_once: false, reported: true });
                let (attempts, probed) = (1 + u32::from(standing.failed_once), pass == Pass::Probe);
                self.report(Event::Failed { trouble, attempts, probed }).await;
            }
        }
    }

    /// Takes the tokens for a repeat. Returns whether they were there.
    pub(crate) fn may_repeat(self) -> bool {
        self.spend(|tokens| tokens.checked_sub(REPEAT_COST))
    }

    /// Gives tokens back after a success; whether it took a repeat.
    pub(crate) fn succeeded(self, repeated: bool) {
        self.spend(|tokens| Some(tokens.saturating_add(if repeated { REPEAT_COST } else { 1 }).min(TOKENS)));
    }

    fn spend(self, change: impl FnOnce(u32) -> Option<u32>) -> bool {
        let (tokens, now) = (&self.health().tokens, self.sender.io.now());
        let left = tokens.get(&self.part.name, now).unwrap_or(TOKENS);
        let changed = change(left);
        if let Some(changed) = changed.filter(|changed| *changed != left) {
            tokens.insert(&self.part.name, changed, later(now), now);
        }
        changed.is_some()
    }

    /// Reports to the circuit that all isolates share; without its verdict, to this isolate's own.
    async fn report(self, event: Event) -> Verdict {
        let mut random = [0];
        self.sender.io.random(&mut random);
        let [random] = random;
        let report = Report { caller: self.part.caller.to_string(), event, random };
        let shared = self.sender.io.circuit(&self.part.name, &report).await;
        let now = self.sender.io.now();
        let verdict = shared.or_else(|| {
            self.health().circuits.update(&self.part.name, now, |circuit| {
                let mut circuit = circuit.unwrap_or_default();
                let verdict = circuit.step(now, &report);
                (circuit, later(now), verdict)
            })
        });
        let verdict = verdict.unwrap_or(Verdict::Closed);
        if let Verdict::Open { millis, all } = verdict {
            let key = if all { self.part.name.clone() } else { self.place() };
            self.health().open.insert(&key, UnixMillis(now.0.saturating_add(millis)), later(now), now);
        }
        verdict
    }

    /// Forgets that the circuit was open.
    fn forget(self) {
        self.health().open.remove(&self.part.name);
        self.health().open.remove(&self.place());
    }

    fn health(&self) -> &Health {
        &self.memory.health
    }

    fn place(&self) -> String {
        format!("{} {}", self.part.caller, self.part.name)
    }

    fn standing(&self) -> Standing {
        self.health().standings.get(&self.place(), self.sender.io.now()).unwrap_or_default()
    }

    fn keep(&self, standing: Standing) {
        let now = self.sender.io.now();
        self.health().standings.insert(&self.place(), standing, later(now), now);
    }
}

fn later(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_add(KNOWN_MILLIS))
}

/// Not asked again for this long.
fn open(millis: u64) -> ApiError {
    ApiError::CircuitOpen { retry_after_seconds: millis.div_ceil(1_000).max(1) }
}
