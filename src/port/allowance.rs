//! The allowance of one HTTP request, for all calls of a batch: requests to other hosts, time, and bytes of results.

use std::{cell::Cell, time::Duration};

use crate::base::clock::UnixMillis;

/// Requests that one HTTP request may send to other hosts.
const REQUESTS_MAX: u32 = 45;

/// Workers' free plan allows 50 subrequests, and a call to a Durable Object is one. Warm, a request makes three: the limits
/// of address and credential, and the grant. A pair of keys that was never used here makes up to seven, and so leaves
/// 41 for other hosts. <https://developers.cloudflare.com/workers/platform/limits/#subrequests>
const SUBREQUESTS_MAX: u32 = 50;

/// Calls to Durable Objects that may follow: TiDB Cloud's verdict on a key is noted, under the current and an earlier
/// server secret.
const OBJECTS_TO_COME: u32 = 2;

/// Calls to the limiter for the calls of one HTTP request, after the doors: one for changes and one for requests to TiDB Cloud, or two
/// for these, which bring six permits at least. They take the place of the calls to come: the verdict on a pair that is known is not
/// noted, and that on another is noted the next time if there is no room. What needs more is counted by the isolate alone: a call
/// that was promised its requests must not lose them to limits.
const LIMITS_MAX: u32 = OBJECTS_TO_COME;

/// Requests that a transaction needs besides its statements: BEGIN, and up to four Durable Objects if the key is new here.
pub const TO_BEGIN: u32 = 5;

/// A statement of 30 s, after 20 s in which a new SQL user begins to work, and 5 s for the control plane. Many clients
/// give up after 60 s.
pub const TIME_MAX: Duration = Duration::from_secs(55);

/// 18,000 bytes of minified JSON are some 6,000 tokens: identifiers and digits cost about three bytes each.
const RESULT_BYTES_MAX: usize = 18_000;

/// What a picture may have, beside the result, and all those of a batch together: as base64 some 11,000 bytes of the answer.
const PICTURE_BYTES_MAX: usize = 8_192;

/// 2 MiB beyond what is kept are read for the number of rows: the 10,000 rows that a query may have, at 200 bytes each.
const SCANNED_BYTES_MAX: usize = 2 << 20;

/// The remaining allowance.
pub struct Allowance {
    requests: Cell<u32>,
    requests_max: Cell<u32>,
    objects: Cell<u32>,
    limits: Cell<u32>,
    /// Whether the doors are passed.
    began: Cell<bool>,
    held: Cell<u32>,
    deadline: Cell<UnixMillis>,
    calls: Cell<usize>,
    result_bytes: Cell<usize>,
    picture_bytes: Cell<usize>,
    scanned_bytes: Cell<usize>,
    promised: Cell<u32>,
    waited: Cell<bool>,
}

impl Allowance {
    /// The whole of it, from `now` on, for one call.
    pub fn new(now: UnixMillis) -> Self {
        Self {
            requests: Cell::new(0),
            requests_max: Cell::new(REQUESTS_MAX),
            objects: Cell::new(0),
            limits: Cell::new(0),
            began: Cell::new(false),
            held: Cell::new(0),
            deadline: Cell::new(now.after(TIME_MAX)),
            calls: Cell::new(1),
            result_bytes: Cell::new(RESULT_BYTES_MAX),
            picture_bytes: Cell::new(PICTURE_BYTES_MAX),
            scanned_bytes: Cell::new(SCANNED_BYTES_MAX),
            promised: Cell::new(0),
            waited: Cell::new(false),
        }
    }

    /// When everything has to be answered.
    pub fn deadline(&self) -> UnixMillis {
        self.deadline.get()
    }

    /// Stops the clock for as long as a person was waited for.
    pub fn pause(&self, waited: Duration) {
        self.deadline.set(self.deadline.get().after(waited));
    }

    /// Requests that were sent.
    pub fn requests_sent(&self) -> u32 {
        self.requests.get()
    }

    /// Whether this many requests can be sent, besides those that are held back.
    pub fn fits(&self, requests: u32) -> bool {
        requests <= self.left()
    }

    fn left(&self) -> u32 {
        let objects = self.objects.get().saturating_sub(self.limits.get());
        let beside_objects = SUBREQUESTS_MAX.saturating_sub(OBJECTS_TO_COME).saturating_sub(objects);
        let sent = self.requests.get().saturating_add(self.held.get());
        self.requests_max.get().min(beside_objects).saturating_sub(sent)
    }

    /// Takes one call to a Durable Object. Returns whether one was left.
    pub fn take_object(&self) -> bool {
        let fits = self.objects.get().saturating_add(self.requests.get()) < SUBREQUESTS_MAX;
        if fits {
            self.objects.set(self.objects.get().saturating_add(1));
        }
        fits
    }

    /// Takes one call to the limiter. Returns whether one was left.
    pub fn take_limit(&self) -> bool {
        let fits = self.fits_limit() && self.take_object();
        self.limits.set(self.limits.get().saturating_add(u32::from(self.began.get() && fits)));
        fits
    }

    /// Whether a call to the limiter can be made, as far as those are counted by themselves.
    fn fits_limit(&self) -> bool {
        !self.began.get() || self.limits.get() < LIMITS_MAX
    }

    /// Takes one request. Returns whether one was left.
    pub fn take_request(&self) -> bool {
        let fits = self.fits(1);
        if fits {
            self.requests.set(self.requests.get().saturating_add(1));
        }
        fits
    }

    /// Reserves requests for a later step. `None` if not enough are left.
    pub fn hold(&self, requests: u32) -> Option<Held<'_>> {
        self.fits(requests).then(|| {
            self.held.set(self.held.get().saturating_add(requests));
            Held { allowance: self, requests }
        })
    }

    /// Keeps to so many requests more, and to those that no later call needs, until this is dropped.
    pub fn keep_to(&self, requests: u32) -> Kept<'_> {
        let spare = self.left().saturating_sub(self.to_come());
        self.requests_max.set(self.requests.get().saturating_add(requests.min(spare)));
        Kept(self)
    }

    /// Sets the least number of requests that the calls to come take.
    pub fn promise(&self, requests: u32) {
        self.promised.set(requests);
        self.began.set(true);
    }

    /// Notes that a call begins that was promised this many requests.
    pub fn fulfil(&self, requests: u32) {
        self.promised.set(self.promised.get().saturating_sub(requests));
    }

    /// Whether so many requests can be sent that no later call needs.
    pub fn can_spare(&self, requests: u32) -> bool {
        self.fits(self.to_come().saturating_add(requests))
    }

    /// Requests that later calls need.
    fn to_come(&self) -> u32 {
        let promised = self.promised.get();
        if promised == 0 { 0 } else { promised.saturating_add(TO_BEGIN + OBJECTS_TO_COME) }
    }

    /// Takes the single wait for a state that all calls share. Returns whether it was left.
    pub fn take_wait(&self) -> bool {
        !self.waited.replace(true)
    }

    /// How many calls share the remaining bytes of results.
    pub fn share_among(&self, calls: usize) {
        self.calls.set(calls);
    }

    /// Bytes that the result of the current call may have.
    pub fn result_bytes(&self) -> usize {
        self.result_bytes.get() / self.calls.get().max(1)
    }

    /// Notes the size of the current call's result.
    pub fn answered(&self, bytes: usize) {
        self.result_bytes.set(self.result_bytes.get().saturating_sub(bytes));
        self.calls.set(self.calls.get().saturating_sub(1));
    }

    /// Takes the bytes of a picture. Returns whether they were left.
    pub fn take_picture(&self, bytes: usize) -> bool {
        let left = self.picture_bytes.get().checked_sub(bytes);
        self.picture_bytes.set(left.unwrap_or(self.picture_bytes.get()));
        left.is_some()
    }

    /// Bytes of answers that may still be read without being kept.
    pub fn scanned_bytes(&self) -> usize {
        self.scanned_bytes.get()
    }

    /// Notes bytes that were read and not kept.
    pub fn scanned(&self, bytes: usize) {
        self.scanned_bytes.set(self.scanned_bytes.get().saturating_sub(bytes));
    }
}

/// Requests that are reserved until they are released or this is dropped.
pub struct Held<'a> {
    allowance: &'a Allowance,
    requests: u32,
}

impl Held<'_> {
    /// Releases one of them to the next request.
    pub fn release_one(&mut self) {
        self.release(1);
    }

    /// Releases this many of them to the next requests.
    pub fn release(&mut self, requests: u32) {
        let released = requests.min(self.requests);
        self.requests -= released;
        self.allowance.held.set(self.allowance.held.get().saturating_sub(released));
    }

    /// Releases all.
    pub fn release_all(&mut self) {
        self.release(self.requests);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.release_all();
    }
}

/// Fewer requests than the HTTP request may send.
pub struct Kept<'a>(&'a Allowance);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.requests_max.set(REQUESTS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Take,
        Hold(u32),
        ReleaseOne,
        Drop,
    }

    proptest! {
        /// Requests and objects together stay within what the platform allows.
        #[test]
        fn subrequests_never_exceed_what_the_platform_allows(steps in prop::collection::vec(0..4_u8, 0..200)) {
            let allowance = Allowance::new(UnixMillis(0));
            let taken = steps.into_iter().filter(|step| match step {
                0 => allowance.take_object(),
                1 => allowance.take_limit(),
                2 => allowance.take_request(),
                _ => {
                    allowance.promise(0);
                    false
                }
            });
            prop_assert!(taken.count() <= SUBREQUESTS_MAX as usize);
        }

        /// Reserved requests can be sent later, and the maximum is never exceeded.
        #[test]
        fn what_is_held_is_there_when_it_is_needed(steps in prop::collection::vec(
            prop_oneof![4 => Just(Step::Take), 1 => (0..30_u32).prop_map(Step::Hold), 1 => Just(Step::ReleaseOne), 1 => Just(Step::Drop)], 0..200,
        )) {
            let allowance = Allowance::new(UnixMillis(0));
            let mut held: Vec<Held<'_>> = Vec::new();
            for step in steps {
                match step {
                    Step::Take => drop(allowance.take_request()),
                    Step::Hold(requests) => held.extend(allowance.hold(requests)),
                    Step::ReleaseOne => if let Some(last) = held.last_mut() { last.release_one() },
                    Step::Drop => drop(held.pop()),
                }
                let promised: u32 = held.iter().map(|held| held.requests).sum();
                prop_assert!(allowance.requests_sent() + promised <= REQUESTS_MAX);
            }
            let promised: u32 = held.iter().map(|held| held.requests).sum();
            drop(held);
            prop_assert!((0..promised).all(|_| allowance.take_request()));
        }

        /// A call that keeps to so many requests sends no more, leaves those that were promised, and takes nothing from what follows.
        #[test]
        fn a_call_keeps_to_its_requests(sent in 0..50_u32, promised in 0..45_u32, requests in 0..50_u32) {
            let allowance = Allowance::new(UnixMillis(0));
            let taken = (0..sent).filter(|_| allowance.take_request()).count();
            allowance.promise(promised);
            let kept = allowance.keep_to(requests);
            let within = (0..REQUESTS_MAX).filter(|_| allowance.take_request()).count();
            drop(kept);
            let later = (0..REQUESTS_MAX).filter(|_| allowance.take_request()).count();
            prop_assert!(within <= requests as usize);
            prop_assert!(within == 0 || later >= promised as usize);
            prop_assert_eq!(taken + within + later, REQUESTS_MAX as usize);
        }

        #[test]
        fn pictures_of_a_batch_share_the_bytes_of_one(pictures in prop::collection::vec(0..10_000_usize, 1..20)) {
            let allowance = Allowance::new(UnixMillis(0));
            let first = pictures[0];
            let taken: Vec<_> = pictures.into_iter().filter(|bytes| allowance.take_picture(*bytes)).collect();
            prop_assert!(taken.iter().sum::<usize>() <= PICTURE_BYTES_MAX);
            prop_assert_eq!(first <= PICTURE_BYTES_MAX, taken.first() == Some(&first));
        }

        #[test]
        fn calls_share_the_bytes_of_results(answers in prop::collection::vec(0..30_000_usize, 1..10)) {
            let allowance = Allowance::new(UnixMillis(0));
            allowance.share_among(answers.len());
            let mut all = 0;
            for answer in answers {
                let share = allowance.result_bytes();
                all += answer.min(share);
                allowance.answered(answer.min(share));
            }
            prop_assert!(all <= RESULT_BYTES_MAX);
        }
    }
}
