//! Circuit breakers: whether a part of TiDB Cloud is worth asking, as all isolates together know it. Pure.
//!
//! There is one [`Circuit`] for each API of the control plane, and for SQL one for each cluster. It counts failures to
//! answer: no connection, no answer in time, a 5xx, or a success that cannot be read. An answer with any other status is a
//! success, also 4xx and 429; a statement that runs too long says nothing.
//!
//! Failures are counted by caller and by kind, and a success of the same caller ends them:
//!
//! - Five of one kind open the circuit for their caller.
//! - Five of one kind from three callers open it for everybody: the trouble of one tenant opens nothing for others.
//!
//! An open circuit refuses for 10 s, the next time for 20 s, then for 30 s, each up to a fifth more or less. After that one
//! read is let through. Its success closes the circuit, its failure opens it again; if it is never heard of, another one
//! follows after 10 s. Whoever found nothing out leaves the next one to others for 10 s, so nobody can hold a circuit open for
//! all. So everybody goes on within 30 s * 1.2 + 10 s + 10 s = 56 s after TiDB Cloud answers again.
//!
//! The pattern is described by M. Nygard, "Release It!", and <https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixMillis;

/// Failures of one kind that open a circuit.
const FAILURES: u32 = 5;
/// Callers that they must come from to open it for everybody.
const CALLERS: usize = 3;
/// Failures count for 30 s after the last one of their caller: three attempts of 8 s are 24 s.
const WINDOW_MILLIS: u64 = 30_000;
/// How long a circuit is open: at first, and at most.
const OPEN_MILLIS: (u64, u64) = (10_000, 30_000);
/// A circuit that opens again within a minute after it was closed stays open for longer.
const CALM_MILLIS: u64 = 60_000;
/// How long the read that is let through may take: one attempt of 8 s.
const PROBE_MILLIS: u64 = 10_000;
/// When those who wait for that read ask again.
const ASK_AGAIN_MILLIS: u64 = 1_000;
/// The longest that a circuit is open. What would be longer was opened before the clock stepped back, and is over.
const OPEN_MILLIS_MAX: u64 = OPEN_MILLIS.1 * 6 / 5;
/// 64 callers of some 100 bytes are 6 KiB of an object's memory; those who failed longest ago are forgotten first.
const CALLERS_MAX: usize = 64;

/// How TiDB Cloud failed to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The connection failed.
    Connection,
    /// No answer in time.
    Timeout,
    /// A 5xx.
    Status,
    /// A success that cannot be read.
    Unreadable,
}

/// What an isolate saw, or wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Attempts failed since the last report.
    Failed {
        /// How the last one did.
        trouble: Trouble,
        /// How many.
        attempts: u32,
        /// It was the one that was let through.
        probed: bool,
    },
    /// An attempt had an answer.
    Worked {
        /// It was the one that was let through.
        probed: bool,
    },
    /// The one that was let through found nothing out.
    Released,
    /// The circuit was open: is it still?
    Asked,
    /// Somebody looks who sends nothing: is it open, for everybody or for anybody?
    Watched,
}

/// An event, as an isolate reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A hash of the caller's credentials.
    pub caller: String,
    /// What is reported.
    pub event: Event,
    /// Random.
    pub random: u8,
}

/// Whether TiDB Cloud is worth asking for this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is.
    Closed,
    /// Nobody knows: one read may find out, and its outcome is to be reported.
    Probe,
    /// It is not.
    Open {
        /// For how many milliseconds.
        millis: u64,
        /// For everybody.
        all: bool,
    },
}

/// What is known of one part of TiDB Cloud. Losing it costs requests that fail, nothing else, so it is kept in memory.
#[derive(Clone, Debug, Default)]
pub struct Circuit {
    everybody: Breaker,
    /// Who was let through last, and did not close it.
    prober: Option<String>,
    callers: BTreeMap<String, Failures>,
}

/// The latest failures of a caller, and the circuit for this caller alone.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    /// By kind.
    counts: [u32; 4],
    last: UnixMillis,
    own: Breaker,
}

/// Closed unless `until` says otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Breaker {
    /// The end of its time; after it, one read is let through.
    until: Option<UnixMillis>,
    probe_until: UnixMillis,
    /// How long it was open the last time.
    millis: u64,
    closed: UnixMillis,
}

/// Milliseconds until a moment, which are none if they would be more than `most`.
fn left(until: UnixMillis, now: UnixMillis, most: u64) -> u64 {
    Some(until.0.saturating_sub(now.0)).filter(|left| *left <= most).unwrap_or_default()
}

impl Verdict {
    /// How long a verdict of this moment is still to be believed.
    pub fn left(until: UnixMillis, now: UnixMillis) -> u64 {
        left(until, now, OPEN_MILLIS_MAX)
    }
}

impl Breaker {
    fn open(&mut self, now: UnixMillis, random: u8) {
        let again = self.until.is_some() || now.0.saturating_sub(self.closed.0) < CALM_MILLIS;
        let (first, most) = OPEN_MILLIS;
        self.millis = if again && self.millis > 0 { self.millis.saturating_mul(2).min(most) } else { first };
        // Four fifths to six fifths.
        let jittered = self.millis.saturating_mul(4 * 255 + 2 * u64::from(random)) / (5 * 255);
        self.until = Some(UnixMillis(now.0.saturating_add(jittered)));
        self.probe_until = UnixMillis(0);
    }

    /// Notes the failure of the read that was let through.
    fn failed(&mut self, now: UnixMillis, random: u8) {
        if self.until.is_some_and(|until| left(until, now, OPEN_MILLIS_MAX) == 0) {
            self.open(now, random);
        }
    }

    /// Notes that the read that was let through found nothing out.
    fn release(&mut self, now: UnixMillis) {
        if left(self.probe_until, now, PROBE_MILLIS) > 0 {
            self.probe_until = now;
        }
    }

    /// For how long another read could have been let through.
    fn idle_millis(&self, now: UnixMillis) -> u64 {
        let since = self.until.unwrap_or_default().max(self.probe_until);
        // Otherwise the clock stepped back.
        now.0.checked_sub(since.0).unwrap_or(u64::MAX)
    }

    fn close(&mut self, now: UnixMillis) {
        if self.until.take().is_some() {
            self.closed = now;
        }
    }

    /// `None` if it is closed. `takes` is whether the asker takes the read that may be let through.
    fn verdict(&mut self, now: UnixMillis, takes: bool, all: bool) -> Option<Verdict> {
        let wait = left(self.until?, now, OPEN_MILLIS_MAX);
        let probe = left(self.probe_until, now, PROBE_MILLIS);
        Some(match () {
            () if wait > 0 => Verdict::Open { millis: wait, all },
            () if probe > 0 => Verdict::Open { millis: probe.min(ASK_AGAIN_MILLIS), all },
            () if takes => {
                self.probe_until = UnixMillis(now.0.saturating_add(PROBE_MILLIS));
                Verdict::Probe
            }
            () => Verdict::Open { millis: ASK_AGAIN_MILLIS, all },
        })
    }
}

impl Circuit {
    /// Takes what an isolate saw. Returns the verdict for its caller.
    pub fn step(&mut self, now: UnixMillis, Report { caller, event, random }: &Report) -> Verdict {
        match *event {
            Event::Failed { trouble, attempts, probed } => {
                if probed {
                    self.everybody.failed(now, *random);
                }
                self.failed(now, caller, (trouble, attempts), probed, *random);
            }
            Event::Released => {
                let own = self.callers.get_mut(caller).map(|failures| &mut failures.own);
                own.into_iter().chain([&mut self.everybody]).for_each(|breaker| breaker.release(now));
            }
            Event::Worked { probed: true } if self.everybody.until.is_some() => {
                self.everybody.close(now);
                self.prober = None;
                // Nobody has to find out again.
                self.callers.clear();
            }
            Event::Worked { probed } => {
                if let Some(failures) = self.callers.get_mut(caller) {
                    failures.counts = [0; 4];
                    if probed {
                        failures.own.close(now);
                    }
                }
            }
            Event::Asked => {}
            Event::Watched => return self.watched(now),
        }
        let takes = *event == Event::Asked;
        let leaves_it = self.prober.as_ref() == Some(caller) && self.everybody.idle_millis(now) < PROBE_MILLIS;
        if let Some(verdict) = self.everybody.verdict(now, takes && !leaves_it, true) {
            if verdict == Verdict::Probe {
                self.prober = Some(caller.clone());
            }
            return verdict;
        }
        let own = self.callers.get_mut(caller).map(|failures| &mut failures.own);
        own.and_then(|own| own.verdict(now, takes, false)).unwrap_or(Verdict::Closed)
    }

    /// What somebody sees who is no caller. Nothing changes. A circuit that nobody tried for a minute counts as closed: callers who
    /// meet trouble try at once, so nobody had any.
    fn watched(&self, now: UnixMillis) -> Verdict {
        let open = |mut breaker: Breaker, all| {
            let verdict = breaker.verdict(now, false, all)?;
            let is_tried = breaker.until.is_some_and(|until| left(until, now, OPEN_MILLIS_MAX) > 0)
                || breaker.idle_millis(now) < CALM_MILLIS;
            is_tried.then_some(verdict)
        };
        let of_anybody = || self.callers.values().find_map(|failures| open(failures.own, false));
        open(self.everybody, true).or_else(of_anybody).unwrap_or(Verdict::Closed)
    }

    fn failed(&mut self, now: UnixMillis, caller: &str, (trouble, attempts): (Trouble, u32), probed: bool, random: u8) {
        self.forget(now);
        let failures = self.callers.entry(caller.to_owned()).or_default();
        failures.last = now;
        if probed {
            failures.own.failed(now, random);
        }
        let count = failures.count(trouble);
        *count = count.saturating_add(attempts);
        if *count >= FAILURES && failures.own.until.is_none() {
            failures.own.open(now, random);
        }
        let counts = self.callers.values_mut().map(|failures| *failures.count(trouble)).filter(|count| *count > 0);
        let (callers, total) =
            counts.fold((0, 0_u32), |(callers, total), count| (callers + 1, total.saturating_add(count)));
        if callers >= CALLERS && total >= FAILURES && self.everybody.until.is_none() {
            self.everybody.open(now, random);
        }
    }

    /// Forgets the failures that no longer count, and makes room for one more caller.
    fn forget(&mut self, now: UnixMillis) {
        for failures in self.callers.values_mut() {
            if now.0.saturating_sub(failures.last.0) >= WINDOW_MILLIS {
                failures.counts = [0; 4];
            }
        }
        // Those whose circuit opened are kept for as long as that matters.
        self.callers.retain(|_, failures| failures.last.0.saturating_add(2 * CALM_MILLIS) > now.0);
        if self.callers.len() >= CALLERS_MAX {
            let oldest =
                self.callers.iter().min_by_key(|(_, failures)| failures.last).map(|(caller, _)| caller.clone());
            oldest.and_then(|caller| self.callers.remove(&caller));
        }
    }
}

impl Failures {
    fn count(&mut self, trouble: Trouble) -> &mut u32 {
        let [connection, timeout, status, unreadable] = &mut self.counts;
        match trouble {
            Trouble::Connection => connection,
            Trouble::Timeout => timeout,
            Trouble::Status => status,
            Trouble::Unreadable => unreadable,
        }
    }
}

#[cfg(test)]
mod tests;
