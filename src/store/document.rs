//! A client's known document. Strangers can ask for any number of documents, so their fetches are limited, and those limits
//! must not keep out a client whose document is known. One object per document keeps its last copy and says which caller
//! fetches the next one, once in ten seconds while it exists, for all callers together.
//!
//! Where somebody connected with a document, no permit that strangers share is needed: connecting takes keys that TiDB Cloud
//! accepts, so nobody has many such documents. What was only seen takes the permits of strangers, because they can have any
//! number of those, and where there are none its copy of less than a day stands in.

use serde::{Deserialize, Serialize};

use super::grant::LIFE_MILLIS;
use crate::base::clock::UnixMillis;

/// One caller fetches, which ends after 3 seconds, and for so long no other one is told to.
pub const FETCHING_MILLIS: u64 = 10_000;
/// Meanwhile the copy stands in for so long after it was fresh. No longer, because a caller that goes away before it has
/// fetched takes its turn with it, and could do so each time.
const STANDS_IN_MILLIS: u64 = 60_000;
/// A document that was only seen is known for a day after it was fetched, and so long its copy stands in where strangers
/// have left no permit.
const SEEN_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// The stored record of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    /// Until when somebody may be connected with it; 0 if it was only seen. Times are milliseconds since 1970.
    pub connected: u64,
    /// When somebody was last told to fetch it.
    pub asked: u64,
    /// The last copy; `None` if the fetch failed.
    pub copy: Option<Fetched>,
}

/// The contents of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// What the client calls itself.
    pub name: String,
    /// Hashes of its redirect URIs.
    pub redirects: Vec<String>,
    /// When it was fetched.
    pub fetched: u64,
    /// Until when its server says that it is fresh.
    pub fresh: u64,
}

/// Commands to a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A client is about to be looked up.
    Look {
        /// Whether the document is known before anybody has seen it.
        well_known: bool,
    },
    /// It was fetched.
    Keep(Fetched),
    /// It could not be fetched, or is none any more: no copy stands in for it.
    Drop,
    /// Somebody connected with it, by a grant that can last as long as any.
    Remember,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is not known.
    Unknown,
    /// Its contents. If `fresh` has passed, they stand in while another caller fetches.
    Copy(Fetched),
    /// The caller fetches it.
    Fetch,
    /// It is somebody else's turn, and nothing stands in: the caller fetches it with a permit that strangers elsewhere do not
    /// share.
    Busy,
    /// The caller fetches it if strangers have left a permit; otherwise this stands in.
    Due(Fetched),
    /// It was done.
    Done,
}

impl Record {
    const NEW: Self = Self { v: 1, connected: 0, asked: 0, copy: None };

    /// When it is forgotten, as a whole: the copy is public, and stands in for one that cannot be fetched.
    pub fn due(&self) -> UnixMillis {
        let seen = self.copy.as_ref().map_or(self.asked.saturating_add(FETCHING_MILLIS), Fetched::ends);
        UnixMillis(self.connected.max(seen))
    }

    /// What is left of it at this time.
    pub fn at(self, now: UnixMillis) -> Option<Self> {
        (self.due() > now).then_some(self)
    }
}

impl Fetched {
    fn ends(&self) -> u64 {
        self.fetched.saturating_add(SEEN_MILLIS)
    }
}

/// Takes one command.
pub fn step(stored: Option<Record>, now: UnixMillis, command: Command) -> (Option<Record>, Reply) {
    let stored = stored.and_then(|record| record.at(now));
    let now = now.0;
    match command {
        Command::Remember => {
            let connected = now.saturating_add(LIFE_MILLIS);
            (Some(Record { connected, ..stored.unwrap_or(Record::NEW) }), Reply::Done)
        }
        Command::Keep(copy) => (Some(Record { copy: Some(copy), ..stored.unwrap_or(Record::NEW) }), Reply::Done),
        Command::Drop => (stored.map(|record| Record { copy: None, ..record }), Reply::Done),
        Command::Look { well_known: true } => look(stored.unwrap_or(Record::NEW), now, true),
        Command::Look { well_known } => stored.map_or((None, Reply::Unknown), |record| look(record, now, well_known)),
    }
}

fn look(mut record: Record, now: u64, well_known: bool) -> (Option<Record>, Reply) {
    let is_free = well_known || record.connected > now;
    let is_asked = now.saturating_sub(record.asked) < FETCHING_MILLIS;
    let reply = match &record.copy {
        Some(copy) if copy.fresh > now => Reply::Copy(copy.clone()),
        Some(copy) if is_free && is_asked && copy.fresh.saturating_add(STANDS_IN_MILLIS) > now => {
            Reply::Copy(copy.clone())
        }
        _ if is_free && is_asked => Reply::Busy,
        _ if is_free => Reply::Fetch,
        Some(copy) if is_asked => Reply::Copy(copy.clone()),
        Some(copy) => Reply::Due(copy.clone()),
        None => Reply::Unknown,
    };
    if matches!(reply, Reply::Fetch | Reply::Due(_)) {
        record.asked = now;
    }
    (Some(record), reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_795_428_000_000;

    /// A document that always says the same, for as long as it is asked to be kept.
    fn said(fetched: u64, kept_millis: u64) -> Fetched {
        Fetched { name: "Canary".to_owned(), redirects: Vec::new(), fetched, fresh: fetched + kept_millis }
    }

    #[test]
    fn a_document_is_known_for_a_day_and_for_as_long_as_a_grant_can_last() {
        let look = || Command::Look { well_known: false };
        assert_eq!(step(None, UnixMillis(NOW), look()), (None, Reply::Unknown), "asking leaves nothing");
        assert_eq!(step(None, UnixMillis(NOW), Command::Drop), (None, Reply::Done));
        let (seen, connected) = (Command::Keep(said(NOW, 0)), Command::Remember);
        for (command, lasts, reply) in
            [(seen, SEEN_MILLIS, Reply::Due(said(NOW, 0))), (connected, LIFE_MILLIS, Reply::Fetch)]
        {
            let (known, _) = step(None, UnixMillis(NOW), command);
            assert_eq!(step(known.clone(), UnixMillis(NOW + lasts - 1), look()).1, reply);
            assert_eq!(step(known, UnixMillis(NOW + lasts), look()), (None, Reply::Unknown));
        }
    }

    #[test]
    fn what_was_only_seen_is_forgotten_once_it_is_not_there() {
        let (seen, _) = step(None, UnixMillis(NOW), Command::Keep(said(NOW, 0)));
        let (asked, _) = step(seen, UnixMillis(NOW + 20_000), Command::Look { well_known: false });
        let (dropped, _) = step(asked, UnixMillis(NOW + 20_000), Command::Drop);
        let now = UnixMillis(NOW + 20_000 + FETCHING_MILLIS);
        assert_eq!(step(dropped, now, Command::Look { well_known: false }), (None, Reply::Unknown));
    }

    proptest! {
        /// However often a known document is asked for: its host is asked once in ten seconds. As long as that answers nobody
        /// gets less than a copy that was true ten seconds ago; when it no longer does, nobody gets one.
        #[test]
        fn a_document_that_is_there_is_had_by_all_and_fetched_by_few(
            steps in prop::collection::vec(
                (prop_oneof![Just(0), 0..2_000_u64, 0..400_000_u64, Just(SEEN_MILLIS)], prop::bool::weighted(0.8)), 1..80,
            ),
            kept in prop_oneof![Just(0), 0..20_000_u64, Just(300_000)],
        ) {
            let (mut stored, _) = step(None, UnixMillis(NOW), Command::Remember);
            let (mut now, mut fetched, mut was_there) = (NOW, Vec::<u64>::new(), true);
            for (gap, is_there) in steps {
                now += gap;
                let (after, reply) = step(stored, UnixMillis(now), Command::Look { well_known: false });
                stored = after;
                match reply {
                    Reply::Fetch => {
                        prop_assert!(fetched.last().is_none_or(|last| now >= last + FETCHING_MILLIS));
                        fetched.push(now);
                        was_there = is_there;
                        let command = if is_there { Command::Keep(said(now, kept)) } else { Command::Drop };
                        (stored, _) = step(stored, UnixMillis(now), command);
                    }
                    Reply::Copy(copy) => {
                        prop_assert!(was_there && now < copy.fresh.max(copy.fetched + FETCHING_MILLIS));
                    }
                    Reply::Busy => prop_assert!(!was_there && now < fetched.last().map_or(0, |last| last + FETCHING_MILLIS)),
                    Reply::Unknown | Reply::Due(_) => prop_assert!(now >= NOW + LIFE_MILLIS),
                    Reply::Done => prop_assert!(false),
                }
            }
        }
    }
}
