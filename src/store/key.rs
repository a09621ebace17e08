//! The record of an API key that is tried here: how often it was refused lately, and which pair TiDB Cloud accepted last.
//! One object per public key, named by a keyed hash of it, so that all isolates count together.
//!
//! A try counts as refused from the moment it is allowed, and is taken back if it was not: of concurrent tries, no more are
//! allowed than may be refused. The accepted pair has one slot, because a public key has one private key; it may be tried
//! even if others are refused, so strangers who know the public key cannot keep its owner out.
//!
//! An object without an accepted pair ends a minute after the last try: made-up public keys leave nothing.

use serde::{Deserialize, Serialize};

use super::seal::same;
use crate::base::clock::UnixMillis;

/// Refusals of a public key within a minute from one client address. A private key has more than 100 random bits, so this is
/// about noise and about what TiDB Cloud thinks of this server.
pub const REFUSALS_PER_ADDRESS: u32 = 5;
/// Refusals of a public key within a minute over all addresses. 30 entries of some 60 bytes are 2 KB, of the 2 MB that a value
/// of a Durable Object may have.
pub const REFUSALS: u32 = 30;
const MINUTE_MILLIS: u64 = 60_000;
/// A pair is known for 30 days after TiDB Cloud took it, as long as an unused grant lives, and for the day by which what is
/// written may be older.
const KNOWN_MILLIS: u64 = 31 * DAY_MILLIS;
/// That it was taken is written again after 23 hours: a write costs more than the reading does. Isolates that need not ask
/// for ten minutes come to less than the hour that is left of the day.
const RENEWED_MILLIS: u64 = 23 * HOUR_MILLIS;
const DAY_MILLIS: u64 = 24 * HOUR_MILLIS;
const HOUR_MILLIS: u64 = 60 * 60 * 1_000;

/// The stored record of a key. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    /// Tries of the last minute that were refused or are under way, the oldest first.
    tries: Vec<Try>,
    /// The pair that TiDB Cloud accepted last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    taken: Option<TakenPair>,
}

/// A try: when, and for which address it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// Milliseconds since 1970.
    pub at: u64,
    /// Keyed hash of the client's address.
    pub from: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TakenPair {
    /// Keyed hash of both halves.
    pair: String,
    until: u64,
}

/// A pair that somebody wants to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guess {
    /// Keyed hash of both halves.
    pub pair: String,
    /// Keyed hash of the client's address.
    pub from: String,
    /// How many refusals a minute the address may have.
    pub refusals_max: u32,
}

/// TiDB Cloud's verdict on a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Keyed hash of both halves.
    pub pair: String,
    /// If it was not refused, the try that was counted for it. If it was, the try to count; `None` if it counts for nobody.
    pub tried: Option<Try>,
}

/// Commands to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Whether a pair may be tried.
    Look(Guess),
    /// The same, and if it may, count the try.
    Try(Guess),
    /// TiDB Cloud said nothing of the pair: take a counted try back.
    TakeBack(Try),
    /// TiDB Cloud accepted the pair and carried out the request.
    Taken(Said),
    /// TiDB Cloud answered as if it had accepted the pair. That replaces no other pair.
    Answered(Said),
    /// TiDB Cloud refused a pair that was not counted when it was tried, because it had been taken before.
    Refused(Said),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// TiDB Cloud accepted the pair lately; whether it is time to record it again.
    Known(bool),
    /// It may be tried; if it was to be counted, this is when, in milliseconds since 1970.
    Open(u64),
    /// There were too many refusals; milliseconds until the next try.
    Held(u64),
    /// It was noted.
    Done,
}

impl Record {
    /// When the next entry ends.
    pub fn due(&self) -> UnixMillis {
        let tries = self.tries.iter().map(|tried| tried.at.saturating_add(MINUTE_MILLIS));
        UnixMillis(tries.chain(self.taken.as_ref().map(|taken| taken.until)).min().unwrap_or(0))
    }

    /// What is left of it at this time.
    pub fn at(mut self, now: UnixMillis) -> Option<Self> {
        self.forget_ended(now.0);
        self.unless_empty()
    }

    fn forget_ended(&mut self, now: u64) {
        self.tries.retain(|tried| tried.at.saturating_add(MINUTE_MILLIS) > now);
        // A clock that was set back must not hold a key up for longer than a minute.
        self.tries.iter_mut().for_each(|tried| tried.at = tried.at.min(now));
        self.taken = self.taken.take().filter(|taken| taken.until > now);
    }

    fn unless_empty(self) -> Option<Self> {
        (!self.tries.is_empty() || self.taken.is_some()).then_some(self)
    }

    fn knows(&self, pair: &str) -> Option<&TakenPair> {
        self.taken.as_ref().filter(|taken| same(&taken.pair, pair))
    }

    fn judge(&self, guess: &Guess, now: u64) -> Reply {
        if let Some(taken) = self.knows(&guess.pair) {
            return Reply::Known(taken.is_old(now));
        }
        let own = self.tries.iter().filter(|tried| tried.from == guess.from);
        let wait = wait(own, guess.refusals_max, now).max(wait(self.tries.iter(), REFUSALS, now));
        if wait > 0 { Reply::Held(wait) } else { Reply::Open(now) }
    }

    fn count(&mut self, from: String, now: u64) {
        if u32::try_from(self.tries.len()).is_ok_and(|tries| tries < REFUSALS) {
            self.tries.push(Try { at: now, from });
        }
    }

    fn take_back(&mut self, counted: &Try) {
        if let Some(counted) = self.tries.iter().position(|tried| tried == counted) {
            self.tries.remove(counted);
        }
    }

    /// Notes that a pair was taken; whether it is known then.
    fn keep(&mut self, said: Said, replaces: bool, now: u64) -> Reply {
        if let Some(counted) = &said.tried {
            self.take_back(counted);
        }
        let renew = match (self.knows(&said.pair), &self.taken) {
            (Some(taken), _) => taken.is_old(now),
            // A gateway may answer before the credentials are checked; such an answer must not replace the right pair.
            (None, Some(_)) if !replaces => return Reply::Done,
            _ => true,
        };
        if renew {
            self.taken = Some(TakenPair { pair: said.pair, until: now.saturating_add(KNOWN_MILLIS) });
        }
        Reply::Known(false)
    }
}

impl TakenPair {
    /// Whether it is time to write down that it is still taken.
    fn is_old(&self, now: u64) -> bool {
        self.until.saturating_sub(now) < KNOWN_MILLIS - RENEWED_MILLIS
    }
}

/// How long until there are fewer than `most` tries; 0 if there are.
fn wait<'t>(tries: impl Iterator<Item = &'t Try>, most: u32, now: u64) -> u64 {
    let mut times: Vec<u64> = tries.map(|tried| tried.at).collect();
    times.sort_unstable();
    let too_many = (times.len() + 1).saturating_sub(usize::try_from(most.max(1)).unwrap_or(usize::MAX));
    let last = too_many.checked_sub(1).and_then(|last| times.get(last));
    last.map_or(0, |at| at.saturating_add(MINUTE_MILLIS).saturating_sub(now))
}

/// Takes one command.
pub fn step(stored: Option<Record>, now: UnixMillis, command: Command) -> (Option<Record>, Reply) {
    let now = now.0;
    let mut record = stored.clone().unwrap_or(Record { v: 1, tries: Vec::new(), taken: None });
    record.forget_ended(now);
    let reply = match command {
        // Nothing is written for having looked.
        Command::Look(guess) => return (stored, record.judge(&guess, now)),
        Command::Try(guess) => match record.judge(&guess, now) {
            Reply::Open(at) => {
                record.count(guess.from, now);
                Reply::Open(at)
            }
            other => return (stored, other),
        },
        Command::TakeBack(counted) => {
            record.take_back(&counted);
            Reply::Done
        }
        Command::Taken(said) => record.keep(said, true, now),
        Command::Answered(said) => record.keep(said, false, now),
        Command::Refused(said) => {
            if record.knows(&said.pair).is_some() {
                record.taken = None;
            }
            if let Some(tried) = said.tried {
                record.count(tried.from, now);
            }
            Reply::Done
        }
    };
    (record.unless_empty(), reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_767_225_600_000;

    fn guess(pair: &str, from: &str) -> Guess {
        Guess { pair: pair.to_owned(), from: from.to_owned(), refusals_max: REFUSALS_PER_ADDRESS }
    }

    struct Key(Option<Record>);

    impl Key {
        fn ask(&mut self, now: u64, command: Command) -> Reply {
            let (record, reply) = step(self.0.take(), UnixMillis(now), command);
            self.0 = record;
            reply
        }

        fn attempt(&mut self, now: u64, pair: &str, from: &str) -> Reply {
            self.ask(now, Command::Try(guess(pair, from)))
        }

        fn taken(&mut self, now: u64, pair: &str, proven: bool) -> Reply {
            let said = Said { pair: pair.to_owned(), tried: None };
            self.ask(now, if proven { Command::Taken(said) } else { Command::Answered(said) })
        }

        fn refused(&mut self, now: u64, pair: &str) {
            self.ask(now, Command::Refused(Said { pair: pair.to_owned(), tried: None }));
        }
    }

    #[test]
    fn five_a_minute_for_an_address_and_thirty_for_all() {
        let mut key = Key(None);
        for number in 0..5 {
            assert_eq!(key.attempt(START + number, "wrong", "one"), Reply::Open(START + number));
        }
        assert_eq!(key.attempt(START + 10, "wrong", "one"), Reply::Held(59_990));
        for number in 0..25 {
            let from = format!("other {}", number / 5);
            assert_eq!(key.attempt(START + 20, "wrong", &from), Reply::Open(START + 20));
        }
        assert_eq!(key.attempt(START + 20, "wrong", "fresh"), Reply::Held(59_980));
        assert_eq!(key.attempt(START + 60_000, "wrong", "fresh"), Reply::Open(START + 60_000));
        assert_eq!(key.attempt(START + 60_000, "wrong", "fresh"), Reply::Held(1));
    }

    #[test]
    fn what_was_not_refused_counts_for_nothing_and_an_object_without_a_pair_ends() {
        let mut key = Key(None);
        for number in 0..100 {
            assert_eq!(key.attempt(START, "unsettled", "one"), Reply::Open(START), "{number}");
            key.ask(START, Command::TakeBack(Try { at: START, from: "one".to_owned() }));
        }
        assert_eq!(key.0, None);
        let look = Command::Look(guess("wrong", "one"));
        assert_eq!(key.ask(START, look), Reply::Open(START));
        assert_eq!(key.0, None, "looking leaves nothing");
        key.attempt(START, "wrong", "one");
        assert_eq!(key.0.as_ref().map(Record::due), Some(UnixMillis(START + 60_000)));
    }

    #[test]
    fn the_pair_that_was_taken_is_known_for_31_days_and_put_out_by_its_own_refusal_only() {
        let mut key = Key(None);
        assert_eq!(key.taken(START, "right", true), Reply::Known(false));
        for number in 0..40 {
            key.attempt(START, &format!("wrong {number}"), &format!("{number}"));
            key.refused(START, &format!("wrong {number}"));
        }
        assert_eq!(key.attempt(START, "wrong", "fresh"), Reply::Held(60_000));
        assert_eq!(key.attempt(START, "right", "fresh"), Reply::Known(false));
        assert_eq!(key.attempt(START + RENEWED_MILLIS + 1, "right", "fresh"), Reply::Known(true));
        assert_eq!(key.attempt(START + KNOWN_MILLIS - 1, "right", "fresh"), Reply::Known(true));
        key.refused(START + 1, "right");
        assert_eq!(key.attempt(START + 1, "right", "fresh"), Reply::Held(59_999));

        key.taken(START, "right", true);
        assert!(matches!(key.attempt(START + KNOWN_MILLIS, "right", "fresh"), Reply::Open(_)), "31 days are over");
    }

    #[test]
    fn only_what_was_done_puts_out_another_pair() {
        let mut key = Key(None);
        assert_eq!(key.taken(START, "first", false), Reply::Known(false), "an empty slot takes any");
        assert_eq!(key.taken(START, "second", false), Reply::Done);
        assert_eq!(key.attempt(START, "first", "one"), Reply::Known(false));
        assert_eq!(key.taken(START, "second", true), Reply::Known(false));
        assert!(matches!(key.attempt(START, "first", "one"), Reply::Open(_)));
    }

    /// Earlier objects must still be read.
    #[test]
    fn stored_form() {
        let mut key = Key(None);
        key.attempt(START, "wrong", "one");
        key.taken(START, "right", true);
        let stored =
            r#"{"v":1,"tries":[{"at":1767225600000,"from":"one"}],"taken":{"pair":"right","until":1769904000000}}"#;
        assert_eq!(serde_json::to_string(&key.0).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Option<Record>>(stored).unwrap(), key.0);
    }

    proptest! {
        /// Also where the clock is set back, no minute of it has more than the limit, and nobody waits longer than a minute.
        #[test]
        fn no_more_than_the_limits_within_a_minute(
            steps in prop::collection::vec((prop_oneof![0..500_i64, 0..20_000_i64], 0..9_u8), 1..200),
            back in 0..120_000_u64,
        ) {
            let (mut key, mut now) = (Key(None), START);
            let mut allowed: Vec<(u64, u8)> = Vec::new();
            for (gap, from) in steps {
                now = now.saturating_add_signed(gap);
                match key.attempt(now, "wrong", &from.to_string()) {
                    Reply::Open(_) => allowed.push((now, from)),
                    Reply::Held(millis) => {
                        let mut later = Key(key.0.clone());
                        let (before, after) = (now + millis - 1, now + millis);
                        let early = later.attempt(before, "wrong", &from.to_string());
                        prop_assert!(matches!(&early, Reply::Held(_)), "{:?}", early);
                        let in_time = later.attempt(after, "wrong", &from.to_string());
                        prop_assert!(matches!(&in_time, Reply::Open(_)), "{:?}", in_time);
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                let lately = || allowed.iter().filter(|(at, _)| at + 60_000 > now);
                prop_assert!(lately().count() <= 30);
                prop_assert!(lately().filter(|(_, other)| *other == from).count() <= 5);
            }
            if let Reply::Held(millis) = key.attempt(now - back, "wrong", "0") {
                prop_assert!(millis <= 60_000);
            }
        }
    }
}
