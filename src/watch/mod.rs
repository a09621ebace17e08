//! Whether somebody has to be told that this deployment is in trouble. Pure: [`Watch`] takes what isolates counted and what a look
//! every five minutes sees, and says what to send.
//!
//! Two ratios are judged, each by itself: requests that failed by a fault of this server beside those that it served, and requests
//! to TiDB Cloud that failed beside those that were answered. Whatever a caller can cause is in neither: refusals are no failures,
//! and they are no successes that would hide one.
//!
//! Counts are kept in one bucket for each look, of which 12 are an hour. What is judged is the newest buckets that have 20 requests
//! together. So a busy deployment is judged by its last five minutes, and one that has 20 requests an hour is heard within the
//! hour. Something is wrong
//!
//! - if the newest bucket has a failure, at least two of the requests judged failed (one alone is an accident), and these are at
//!   least the percentage that is set;
//! - if a circuit of TiDB Cloud's API is open, or a check fails, at looks that are four minutes or more apart: looks come every five
//!   minutes, give or take some seconds, and a schedule can fire twice;
//! - if settings are wrong.
//!
//! An alert is sent at once, but not within 30 minutes after the one before. The all-clear needs no such wait: it follows an alert
//! at the first look at which the newest bucket is below the percentage, however few requests it has, no circuit is open, no check
//! fails and no setting is wrong. After it counting begins anew. A bucket without a single success proves that only if it was
//! open for four minutes: a second look right after the alert says nothing.
//!
//! What was decided counts once it is known to have arrived. Until then each look decides again, three times at most: a receiver may
//! have it and not say so. If what is known does not answer, checks that fail and wrong settings are told all the same, at
//! the first look of each half hour.
//!
//! A clock that steps back moves what then lies ahead to the present: nothing is silent for longer than 30 minutes, and no
//! two alerts are closer than that.

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixMillis;

/// Requests that are judged together at least.
const REQUESTS_MIN: u64 = 20;
/// Failures among them at least.
const FAILURES_MIN: u64 = 2;
/// Buckets that are kept: 12 looks of five minutes are an hour.
const BUCKETS_MAX: usize = 12;
/// The time between two looks.
const LOOK_MILLIS: u64 = 300_000;
/// A look of five minutes, less a minute for a schedule that comes late once and early the next time.
const LASTING_MILLIS: u64 = 240_000;
/// A pause in which nobody looked says nothing of what came before it: three looks.
const PAUSE_MILLIS: u64 = 900_000;
/// How often a decision is sent whose arrival nobody confirms.
const TRIES_MAX: u8 = 3;
/// The time from one alert to the next.
const COOL_DOWN_MILLIS: u64 = 1_800_000;

/// Requests that were answered, and requests that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many were answered.
    pub answered: u32,
    /// How many failed.
    pub failed: u32,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            answered: self.answered.saturating_add(other.answered),
            failed: self.failed.saturating_add(other.failed),
        }
    }

    /// How many there are.
    pub fn total(self) -> u64 {
        u64::from(self.answered) + u64::from(self.failed)
    }

    /// Of a hundred requests, how many failed.
    pub fn percent(self) -> u64 {
        (u64::from(self.failed) * 100).checked_div(self.total()).unwrap_or_default()
    }

    /// Whether at least this percentage failed. Of nothing, nothing failed.
    fn reaches(self, percent: u8) -> bool {
        self.failed > 0 && u64::from(self.failed) * 100 >= u64::from(percent) * self.total()
    }
}

/// What an isolate counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests to this server.
    pub requests: Tally,
    /// Requests to TiDB Cloud.
    pub upstream: Tally,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { requests: self.requests.plus(other.requests), upstream: self.upstream.plus(other.upstream) }
    }

    /// Whether nothing was counted.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What a look sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The percentage of failures that is trouble.
    pub percent: u8,
    /// Whether a circuit of TiDB Cloud's API is open.
    pub circuits_open: bool,
    /// Whether a check failed.
    pub checks_fail: bool,
    /// How many settings are wrong.
    pub wrong_settings: usize,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// An isolate counted this.
    Report(Counts),
    /// Somebody looks.
    Look(Seen),
    /// What the last look decided has arrived.
    Sent(Kind),
    /// It was sent, and nobody knows whether it has arrived.
    Tried(Kind),
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something is wrong.
    Alert,
    /// It no longer is.
    AllClear,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Settings.
    Settings,
    /// Too many requests fail by a fault of this server.
    Requests,
    /// Too many requests to TiDB Cloud fail.
    Upstream,
    /// A circuit of TiDB Cloud's API stays open.
    Circuits,
    /// A check keeps failing.
    Checks,
}

/// Requests of some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The requests.
    pub tally: Tally,
    /// When the first of them may have come, in Unix milliseconds.
    pub since: u64,
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which.
    pub kind: Kind,
    /// What is wrong; nothing in an all-clear.
    pub wrong: Vec<Trouble>,
    /// Requests to this server.
    pub requests: Judged,
    /// Requests to TiDB Cloud.
    pub upstream: Judged,
    /// What the look saw.
    pub seen: Seen,
    /// Since when something is or was wrong, in Unix milliseconds.
    pub since: u64,
    /// When it was decided, in Unix milliseconds.
    pub at: u64,
}

impl Notice {
    /// The alert of a look while nobody remembers anything, if it sees something wrong.
    pub fn without_memory(now: UnixMillis, seen: Seen) -> Option<Self> {
        let is_wrong = seen.wrong_settings > 0 || seen.checks_fail;
        let is_first = now.0 % COOL_DOWN_MILLIS < LOOK_MILLIS;
        let wrong = if seen.wrong_settings > 0 { Trouble::Settings } else { Trouble::Checks };
        let nothing = Judged { tally: Tally::default(), since: now.0 };
        (is_wrong && is_first).then(|| Self {
            kind: Kind::Alert,
            wrong: vec![wrong],
            requests: nothing,
            upstream: nothing,
            seen,
            since: now.0,
            at: now.0,
        })
    }
}

/// The counts of the time from one look to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    since: u64,
    counts: Counts,
}

/// What is known of a deployment. It is stored as JSON; moments are Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// What was counted since the last look.
    open: Counts,
    /// The last look.
    looked: Option<u64>,
    /// What was counted before, the oldest first.
    buckets: Vec<Bucket>,
    circuits_open_since: Option<u64>,
    checks_fail_since: Option<u64>,
    wrong_since: Option<u64>,
    /// The last alert.
    alerted: Option<u64>,
    /// Whether no all-clear followed it.
    is_alarmed: bool,
    /// What was sent in vain since something else was decided, and how often.
    #[serde(default)]
    tried: Option<(Kind, u8)>,
}

impl Watch {
    /// What was stored; if it cannot be read, watching begins anew.
    pub fn of_stored(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// What to store.
    pub fn to_stored(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes what happened. Returns what to send.
    pub fn step(&mut self, now: UnixMillis, event: &Event) -> Option<Notice> {
        self.step_back(now.0);
        match *event {
            Event::Report(counts) => self.open = self.open.plus(counts),
            Event::Look(seen) => return self.look(now.0, seen),
            Event::Tried(kind) if self.tries(kind).saturating_add(1) < TRIES_MAX => {
                self.tried = Some((kind, self.tries(kind).saturating_add(1)));
            }
            Event::Sent(Kind::Alert) | Event::Tried(Kind::Alert) => {
                // From the look on that decided: the next one that may ring is six looks later.
                self.alerted = self.looked.or(Some(now.0));
                self.is_alarmed = true;
                self.tried = None;
            }
            Event::Sent(Kind::AllClear) | Event::Tried(Kind::AllClear) => {
                // Of what came before only the last alert matters still.
                *self = Self { open: self.open, looked: self.looked, alerted: self.alerted, ..Self::default() };
            }
        }
        None
    }

    /// How often a decision of this kind was sent in vain.
    fn tries(&self, kind: Kind) -> u8 {
        self.tried.filter(|(tried, _)| *tried == kind).map_or(0, |(_, times)| times)
    }

    /// What lies ahead was noted before the clock stepped back.
    fn step_back(&mut self, now: u64) {
        let moments = [
            &mut self.looked,
            &mut self.circuits_open_since,
            &mut self.checks_fail_since,
            &mut self.wrong_since,
            &mut self.alerted,
        ];
        let buckets = self.buckets.iter_mut().map(|bucket| &mut bucket.since);
        for moment in moments.into_iter().flatten().chain(buckets) {
            *moment = now.min(*moment);
        }
    }

    fn look(&mut self, now: u64, seen: Seen) -> Option<Notice> {
        let since = self.looked.unwrap_or(now.saturating_sub(LOOK_MILLIS));
        if now.saturating_sub(since) >= PAUSE_MILLIS {
            self.buckets.clear();
            (self.circuits_open_since, self.checks_fail_since) = (None, None);
            if !self.is_alarmed {
                self.wrong_since = None;
            }
        }
        let newest = Bucket { since, counts: std::mem::take(&mut self.open) };
        self.looked = Some(now);
        self.buckets.push(newest);
        if self.buckets.len() > BUCKETS_MAX {
            self.buckets.remove(0);
        }
        let lasts = |since: &mut Option<u64>, is_seen: bool| {
            *since = is_seen.then(|| since.unwrap_or(now));
            since.is_some_and(|since| now.saturating_sub(since) >= LASTING_MILLIS)
        };
        let circuits_last = lasts(&mut self.circuits_open_since, seen.circuits_open);
        let checks_last = lasts(&mut self.checks_fail_since, seen.checks_fail);
        let (requests, requests_since) = self.judged(|counts| counts.requests);
        let (upstream, upstream_since) = self.judged(|counts| counts.upstream);
        let fails = |newest: Tally, judged: Judged| {
            let enough = judged.tally.total() >= REQUESTS_MIN && u64::from(judged.tally.failed) >= FAILURES_MIN;
            newest.failed > 0 && enough && judged.tally.reaches(seen.percent)
        };
        let all = [
            (Trouble::Settings, seen.wrong_settings > 0, now),
            (Trouble::Requests, fails(newest.counts.requests, requests), requests_since),
            (Trouble::Upstream, fails(newest.counts.upstream, upstream), upstream_since),
            (Trouble::Circuits, circuits_last, self.circuits_open_since.unwrap_or(now)),
            (Trouble::Checks, checks_last, self.checks_fail_since.unwrap_or(now)),
        ];
        let began = all.iter().filter(|(_, is_wrong, _)| *is_wrong).map(|(.., since)| *since).min();
        let wrong: Vec<_> = all.into_iter().filter(|(_, is_wrong, _)| *is_wrong).map(|(trouble, ..)| trouble).collect();
        if wrong.is_empty() && !self.is_alarmed {
            self.wrong_since = None;
            self.tried = None;
            return None;
        }
        let since = *self.wrong_since.get_or_insert(began.unwrap_or(now));
        let notice = |kind, wrong, [requests, upstream]: [Judged; 2]| {
            Some(Notice { kind, wrong, requests, upstream, seen, since, at: now })
        };
        if wrong.is_empty() {
            let last = |tally| Judged { tally, since: newest.since };
            return is_over(newest, now, seen)
                .then(|| notice(Kind::AllClear, wrong, [last(newest.counts.requests), last(newest.counts.upstream)]))
                .flatten();
        }
        let is_silent = self.alerted.is_some_and(|alerted| now.saturating_sub(alerted) < COOL_DOWN_MILLIS);
        if is_silent { None } else { notice(Kind::Alert, wrong, [requests, upstream]) }
    }

    /// The newest requests that are enough to judge, or all that there are, and since when some of them failed.
    fn judged(&self, of: fn(Counts) -> Tally) -> (Judged, u64) {
        let now = self.looked.unwrap_or_default();
        let (mut judged, mut failed_since) = (Judged { tally: Tally::default(), since: now }, now);
        for bucket in self.buckets.iter().rev() {
            let tally = of(bucket.counts);
            judged = Judged { tally: judged.tally.plus(tally), since: bucket.since };
            if tally.failed > 0 {
                failed_since = bucket.since;
            }
            if judged.tally.total() >= REQUESTS_MIN {
                break;
            }
        }
        (judged, failed_since)
    }
}

/// Whether a look without trouble shows that all is well.
fn is_over(Bucket { since, counts }: Bucket, now: u64, seen: Seen) -> bool {
    let Counts { requests, upstream } = counts;
    let proves = requests.answered > 0 || upstream.answered > 0 || now.saturating_sub(since) >= LASTING_MILLIS;
    let fails = requests.reaches(seen.percent) || upstream.reaches(seen.percent);
    proves && !fails && !seen.circuits_open && !seen.checks_fail
}

#[cfg(test)]
mod tests;
