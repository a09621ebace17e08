//! The limiter's object as a pure state machine: what is taken of one key, what is out on lease, and what is stored.
//!
//! **Leases.** An isolate may take permits ahead. Until such a lease is ended by its isolate, or by time, its permits count as
//! outstanding, used or not, and they do not come back:
//!
//! > tokens + outstanding <= burst, at every moment.
//!
//! So no interval of length `t` sees more than `burst + rate * t` requests, whatever isolates do with their leases. Let `s` be its
//! start. Each request in it has a permit that is (1) a token of `s`, or (2) one that came back since, or (3) one that was on lease
//! at `s`. There are at most `tokens(s)`, `rate * t` and `outstanding(s)` of them, and the first and the last are `burst` together. A
//! lease that ends turns unused permits into tokens if its isolate reports them, which moves them from (3) to (1) and adds none; if
//! nobody reports them they are void, and come back at the rate like used ones. In the form of [`Bucket`], where the time that a key
//! runs ahead of the clock stands for the tokens it lacks, the rule is `tat >= now + outstanding * interval`.
//!
//! **How much is leased.** A third of the burst at most for each lease, half of what is left after it, and half of the burst for all
//! together. A caller below the limit therefore finds half of the burst filling up at the full rate, from any isolate. The isolate
//! that uses a lease up asks for a greater one ([`super::lease`]).
//!
//! **A window.** For a policy that slides, a permit counts from when it is taken until the window has passed since the last moment
//! at which it can have been used. When a permit is taken, all that were used within a window before that moment are counted, so
//! they and the new one are `permits` at most: no window ever has more. That moment is 2 s after a permit was taken singly, or
//! after its lease ended: the time for its request to be sent.
//!
//! **Storage.** Answers come from memory. What is stored is at no time more generous than what is in memory: a theoretical arrival
//! time not before the real one, and all outstanding leases. Both only ever delay permits, so an object that starts again from
//! them admits at most what it would have admitted (what it forgets is that leases ended early). A write is needed when a lease is
//! given, when unused permits are given back, and when the arrival time passes the stored one. The stored one is then set ahead of the
//! real one by a reserve, of as many permits as were admitted since the object started, and a tenth of the burst at most: a key that
//! is in use writes for one of eleven single permits (of a burst of 100), a key that is asked for once writes the truth, and a
//! restart costs a key at most the reserve. Permits of a window are stored each time, as there are few: a hop for each lease.

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use crate::{
    base::{clock::UnixMillis, json},
    port::{Admission, Ask, Ended, Lease, Policy},
};

/// Of the burst for one lease.
const LEASE_DIVISOR: u32 = 3;
/// Of the burst for all leases, and of what is left for one.
const LEASES_DIVISOR: u32 = 2;
/// 64 leases of some 60 bytes of JSON are 4 KB of a write.
const LEASES_MAX: usize = 64;
/// Half a minute: somebody who works with an assistant makes several calls in it.
const LEASE_MILLIS: u64 = 30_000;
/// A lease lasts until its permits would have come back three times: a caller at half its limit uses them up in two thirds of it.
const LEASE_INTERVALS: u64 = 3;
/// Permits of a window count for as long as their lease, and the window besides, so these end sooner: 15 s.
const SLIDING_LEASE_MILLIS: u64 = 15_000;
/// How long after its permit was taken a request may arrive where it is counted. An isolate's clock stands still between its
/// requests, and the limiter's answer is waited for 300 ms.
const LAG_MILLIS: u64 = 2_000;
/// Of the burst that a restart may cost.
const RESERVE_DIVISOR: u32 = 10;

/// How many permits an isolate may take ahead of this policy.
pub(super) fn lease_max(policy: Policy) -> u32 {
    policy.burst / LEASE_DIVISOR
}

/// What is stored. Before leases it had the arrival time alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Theoretical arrival time in microseconds since the epoch.
    #[serde(default)]
    tat_micros: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leases: Vec<Out>,
    /// Permits of a window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spent: Vec<Spent>,
    /// How long after the last of these the key has all permits: the window, or the time in which the burst comes back.
    #[serde(default = "minute")]
    linger_millis: u64,
}

/// The default is that of every limit but one, and more is never wrong.
fn minute() -> u64 {
    60_000
}

/// A lease that is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Out {
    id: u64,
    permits: u32,
    /// Its last millisecond, and the lag.
    end: u64,
}

/// Permits that were taken and are on no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    permits: u32,
    /// The last millisecond at which they can have been used.
    until: u64,
}

/// The state of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    now: Kept,
    /// The arrival time that is stored.
    stored_micros: u64,
    /// Permits that were admitted since the object started.
    admitted: u32,
    last_lease: u64,
}

impl Ledger {
    /// The state that was stored; a key that was never seen has all permits.
    pub fn of_stored(text: Option<&str>) -> Self {
        let now: Kept = text.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or_default();
        let last_lease = now.leases.iter().map(|lease| lease.id).max().unwrap_or_default();
        Self { stored_micros: now.tat_micros, last_lease, now, admitted: 0 }
    }

    /// The state to store.
    pub fn to_stored(&self) -> String {
        let kept = Kept { tat_micros: self.stored_micros, ..self.now.clone() };
        serde_json::to_string(&kept).unwrap_or_default()
    }

    /// The verdict on what an isolate asks for, and whether the state has to be stored before it is answered.
    pub fn admit(&mut self, ask: &Ask, now: UnixMillis) -> (Admission, bool) {
        self.pass(ask.policy, now);
        let gave_back = ask.ended.is_some_and(|ended| self.end(ask.policy, now, ended));
        let mut admission = self.take(ask.policy, now, ask.cost);
        if admission.allowed {
            self.admitted = self.admitted.saturating_add(ask.cost);
            self.lend(ask, now, &mut admission);
        }
        let takes = if ask.policy.sliding { admission.allowed } else { self.now.tat_micros > self.stored_micros };
        let stores = gave_back || admission.lease.is_some() || takes && admission.allowed && ask.cost > 0;
        if stores {
            let reserve = self.admitted.saturating_sub(ask.cost).min(ask.policy.burst / RESERVE_DIVISOR);
            let reserve = ask.policy.interval().saturating_mul(u64::from(reserve));
            self.stored_micros = self.now.tat_micros.saturating_add(reserve);
        }
        (admission, stores)
    }

    /// When all permits are back and nothing needs to be kept.
    pub fn unused_at(&self) -> UnixMillis {
        let leases = self.now.leases.iter().map(|lease| lease.end);
        let spent = self.now.spent.iter().map(|spent| spent.until);
        let last = leases.chain(spent).max().map_or(0, |end| end.saturating_add(self.now.linger_millis));
        Bucket::at(self.now.tat_micros.max(self.stored_micros)).full_at().max(UnixMillis(last))
    }

    fn outstanding(&self) -> u32 {
        self.now.leases.iter().fold(0, |sum, lease| sum.saturating_add(lease.permits))
    }

    /// Ends the leases whose time is up, and lets permits come back except those that are outstanding.
    fn pass(&mut self, policy: Policy, now: UnixMillis) {
        let burst_millis = policy.capacity().div_ceil(1_000);
        self.now.linger_millis = if policy.sliding { window_millis(policy) } else { burst_millis };
        // A clock that was stepped back keeps nothing for longer than it could last.
        let latest = now.0.saturating_add(lease_millis(policy, lease_max(policy))).saturating_add(LAG_MILLIS);
        for lease in &mut self.now.leases {
            lease.end = lease.end.min(latest);
        }
        self.now.leases.sort_by_key(|lease| lease.end);
        while let Some(first) = self.now.leases.first().copied().filter(|lease| lease.end <= now.0) {
            self.hold_back(policy, first.end);
            self.now.leases.remove(0);
            if policy.sliding {
                self.now.spent.push(Spent { permits: first.permits, until: first.end });
            }
        }
        self.hold_back(policy, now.0);
        let window = window_millis(policy);
        self.now.spent.retain_mut(|spent| {
            spent.until = spent.until.min(latest);
            spent.until.saturating_add(window) > now.0
        });
    }

    /// What is outstanding at this moment is no token then.
    fn hold_back(&mut self, policy: Policy, millis: u64) {
        if !policy.sliding {
            let outstanding = policy.interval().saturating_mul(u64::from(self.outstanding()));
            let least = millis.saturating_mul(1_000).saturating_add(outstanding);
            self.now.tat_micros = self.now.tat_micros.max(least);
        }
    }

    /// Ends a lease. Returns whether permits came back by that. One that is not known, or has ended, gives nothing back.
    fn end(&mut self, policy: Policy, now: UnixMillis, ended: Ended) -> bool {
        let Some(place) = self.now.leases.iter().position(|lease| lease.id == ended.lease) else { return false };
        let lease = self.now.leases.remove(place);
        let unused = ended.unused.min(lease.permits);
        if policy.sliding {
            self.spend(lease.permits - unused, now);
        } else {
            let back = policy.interval().saturating_mul(u64::from(unused));
            self.now.tat_micros = self.now.tat_micros.saturating_sub(back);
        }
        unused > 0
    }

    fn take(&mut self, policy: Policy, now: UnixMillis, cost: u32) -> Admission {
        if policy.sliding {
            return self.take_of_window(policy, now, cost);
        }
        let mut bucket = Bucket::at(self.now.tat_micros);
        let mut admission = bucket.take(policy, now, cost);
        self.now.tat_micros = bucket.tat_micros();
        let free = policy.burst.saturating_sub(self.outstanding());
        if !admission.allowed && cost > free {
            // Not before enough leases have ended.
            let last = self.now.leases.last().map_or(0, |lease| lease.end.saturating_sub(now.0));
            admission.retry_after_millis = admission.retry_after_millis.max(last);
        }
        admission
    }

    fn take_of_window(&mut self, policy: Policy, now: UnixMillis, cost: u32) -> Admission {
        let spent = self.now.spent.iter().map(|spent| (spent.until, spent.permits));
        let leased = self.now.leases.iter().map(|lease| (lease.end, lease.permits));
        let mut taken: Vec<(u64, u32)> = spent.chain(leased).collect();
        taken.sort_unstable();
        let used = taken.iter().fold(0_u32, |sum, (_, permits)| sum.saturating_add(*permits));
        let back_after = |until: u64| until.saturating_add(window_millis(policy)).saturating_sub(now.0);
        let reset_millis = taken.last().map_or(0, |(until, _)| back_after(*until));
        let allowed = used.saturating_add(cost) <= policy.permits;
        let (mut left, mut retry_after_millis) = (used, 0);
        for (until, permits) in &taken {
            if left.saturating_add(cost) <= policy.permits {
                break;
            }
            left = left.saturating_sub(*permits);
            retry_after_millis = back_after(*until);
        }
        let mut remaining = policy.permits.saturating_sub(used);
        if allowed {
            remaining -= cost;
            self.spend(cost, now);
        }
        Admission { allowed, remaining, reset_millis, retry_after_millis, lease: None }
    }

    /// Notes permits of a window that are used now. Those of one second are kept together, so there are no more than
    /// seconds in a window and its leases.
    fn spend(&mut self, permits: u32, now: UnixMillis) {
        let until = now.0.saturating_add(LAG_MILLIS).next_multiple_of(1_000);
        match self.now.spent.iter_mut().find(|spent| spent.until == until) {
            Some(spent) => spent.permits = spent.permits.saturating_add(permits),
            None if permits > 0 => self.now.spent.push(Spent { permits, until }),
            None => {}
        }
    }

    /// Adds a lease to an admission, if there is enough.
    fn lend(&mut self, ask: &Ask, now: UnixMillis, admission: &mut Admission) {
        let policy = ask.policy;
        let all = (policy.burst / LEASES_DIVISOR).saturating_sub(self.outstanding());
        // Permits of a window come back late: what leases waste of it must leave enough for single ones.
        let kept = if policy.sliding { policy.permits - policy.permits / LEASE_DIVISOR } else { 0 };
        let free = admission.remaining.saturating_sub(kept);
        let most = lease_max(policy).min(all).min(free / LEASES_DIVISOR);
        let permits = ask.ahead.min(most);
        if permits == 0 || self.now.leases.len() >= LEASES_MAX {
            return;
        }
        let id = now.0.max(self.last_lease.saturating_add(1));
        let millis = lease_millis(policy, permits);
        if !policy.sliding {
            let mut bucket = Bucket::at(self.now.tat_micros);
            admission.reset_millis = bucket.take(policy, now, permits).reset_millis;
            self.now.tat_micros = bucket.tat_micros();
        }
        admission.remaining -= permits;
        admission.lease = Some(Lease { id, permits, millis });
        self.last_lease = id;
        let end = now.0.saturating_add(millis).saturating_add(LAG_MILLIS);
        self.now.leases.push(Out { id, permits, end });
    }
}

/// The length of a policy's window.
fn window_millis(policy: Policy) -> u64 {
    u64::from(policy.seconds).saturating_mul(1_000)
}

/// How long a lease of so many permits lasts.
fn lease_millis(policy: Policy, permits: u32) -> u64 {
    if policy.sliding {
        return SLIDING_LEASE_MILLIS;
    }
    let filled = policy.interval().saturating_mul(u64::from(permits)) / 1_000;
    filled.saturating_mul(LEASE_INTERVALS).max(LEASE_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy::per_minute(60, 30);
    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

    fn ask(cost: u32, ahead: u32, ended: Option<Ended>) -> Ask {
        Ask { policy: POLICY, cost, ahead, ended }
    }

    #[test]
    fn what_was_stored_before_there_were_leases_is_read() {
        let stored = r#"{"tat_micros":1767225610000000}"#;
        let mut ledger = Ledger::of_stored(Some(stored));
        let (admission, _) = ledger.admit(&ask(1, 0, None), NOW);
        assert_eq!(admission.remaining, 30 - 10 - 1, "ten seconds ahead are ten permits");
        for damaged in ["", "null", "{}", "{\"tat_micros\":-1}", "{\"leases\":7}"] {
            assert!(Ledger::of_stored(Some(damaged)).admit(&ask(1, 0, None), NOW).0.allowed, "{damaged}");
        }
    }

    #[test]
    fn a_lease_comes_back_once_by_its_id_and_never_after_its_end() {
        let mut ledger = Ledger::default();
        let lease = ledger.admit(&ask(1, 8, None), NOW).0.lease.expect("a lease");
        assert_eq!(lease.permits, 8);
        let back = |lease: u64, unused| Some(Ended { lease, unused });
        let left = |ledger: &mut Ledger, ended| ledger.admit(&ask(0, 0, ended), NOW).0.remaining;
        assert_eq!(left(&mut ledger, None), 21);
        assert_eq!(left(&mut ledger, back(lease.id + 1, 8)), 21, "an id that was not given out returns nothing");
        let mut restarted = Ledger::of_stored(Some(&ledger.to_stored()));
        assert_eq!(left(&mut restarted, back(lease.id, 5)), 26, "a restart knows the lease");
        let mut restarted = Ledger::of_stored(Some(&restarted.to_stored()));
        assert_eq!(left(&mut restarted, back(lease.id, 5)), 26, "and that it came back");
        assert_eq!(left(&mut ledger, back(lease.id, 100)), 29, "no more comes back than was given");
        assert_eq!(left(&mut ledger, back(lease.id, 8)), 29, "and it comes back once");
        let mut ledger = Ledger::default();
        let lease = ledger.admit(&ask(30, 0, None), NOW).0;
        assert_eq!((lease.remaining, lease.lease), (0, None), "nothing is taken ahead of what is not there");
        let later = UnixMillis(NOW.0 + 30_000);
        let lease = ledger.admit(&ask(1, 8, None), later).0.lease.expect("a lease");
        let ended = UnixMillis(later.0 + lease.millis + LAG_MILLIS);
        let before = ledger.clone().admit(&ask(0, 0, None), ended).0.remaining;
        let after = ledger.admit(&ask(0, 0, back(lease.id, 8)), ended).0.remaining;
        assert_eq!(after, before, "after its end nothing comes back");
    }

    /// The arithmetic of the reserve: what is stored is ahead by as many permits as were admitted, and three of thirty at most.
    #[test]
    fn a_restart_costs_a_key_its_reserve_at_most_and_most_admissions_write_nothing() {
        let (mut ledger, mut stored, mut writes) = (Ledger::default(), String::new(), 0);
        for admitted in 1..=24_u32 {
            let (admission, stores) = ledger.admit(&ask(1, 0, None), NOW);
            assert!(admission.allowed);
            if stores {
                writes += 1;
                stored = ledger.to_stored();
            }
            let restarted = Ledger::of_stored(Some(&stored)).admit(&ask(0, 0, None), NOW).0.remaining;
            let left = 30 - admitted;
            assert!(restarted <= left, "a restart never gives back: {restarted} of {left}");
            assert!(restarted + 3.min(admitted) >= left, "and takes three at most: {restarted} of {left}");
        }
        assert!(writes <= 8, "{writes} writes for 24 admissions");
        let (admission, stores) = ledger.admit(&ask(30, 0, None), NOW);
        assert!(!admission.allowed && !stores, "a refusal writes nothing");
    }

    /// An hour's permits that are asked for once a minute, from an object that starts anew each time.
    #[test]
    fn an_object_that_is_asked_once_stores_the_truth() {
        let policy = Policy::per_hour(100);
        let mut stored = None;
        for minute in 0..100 {
            let mut ledger = Ledger::of_stored(stored.as_deref());
            let now = UnixMillis(NOW.0 + minute * 60_000);
            assert!(ledger.admit(&Ask::of(policy, 1), now).0.allowed, "minute {minute}");
            stored = Some(ledger.to_stored());
        }
    }

    #[test]
    fn who_only_looks_takes_and_stores_nothing() {
        for policy in [POLICY, Policy::in_any_minute(30)] {
            let look = Ask::of(policy, 0);
            let mut ledger = Ledger::default();
            for admitted in 0..=30 {
                for _ in 0..3 {
                    let (seen, stores) = ledger.admit(&look, NOW);
                    assert_eq!((seen.remaining, stores), (30 - admitted, false), "{policy:?}: looking changes nothing");
                }
                assert_eq!(ledger.admit(&Ask::of(policy, 1), NOW).0.allowed, admitted < 30, "{policy:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_was_stepped_back_holds_nothing_up_for_longer_than_it_could_last() {
        for policy in [POLICY, Policy::in_any_minute(30)] {
            let mut ledger = Ledger::default();
            while ledger.admit(&Ask { policy, cost: 1, ahead: 4, ended: None }, NOW).0.allowed {}
            let back = UnixMillis(NOW.0 - 3_600_000);
            ledger.admit(&Ask::of(policy, 1), back);
            let later = UnixMillis(back.0 + 120_000);
            assert!(ledger.admit(&Ask::of(policy, 30), later).0.allowed, "{policy:?}");
        }
    }

    #[test]
    fn a_window_says_exactly_when_it_admits_again() {
        let policy = Policy::in_any_minute(3);
        let mut ledger = Ledger::default();
        for second in 0..3 {
            assert!(ledger.admit(&Ask::of(policy, 1), UnixMillis(NOW.0 + second * 1_000)).0.allowed);
        }
        let now = UnixMillis(NOW.0 + 5_000);
        for cost in 1..=3 {
            let refused = ledger.clone().admit(&Ask::of(policy, cost), now).0;
            assert!(!refused.allowed);
            let at = |wait| UnixMillis(now.0 + wait);
            let again = |wait| ledger.clone().admit(&Ask::of(policy, cost), at(wait)).0.allowed;
            assert!(!again(refused.retry_after_millis - 1) && again(refused.retry_after_millis), "{cost}: {refused:?}");
        }
    }
}
