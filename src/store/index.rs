//! Which grants hold a key: what `/grants` lists. One per key, named by a keyed hash of it.

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixMillis;

/// Showing a grant asks its object, and a request on the free plan of Workers may ask 50 times. The most that `/grants` asks
/// beside that is 14, when a key is proved that others hold up: server secret 1, limit 1, the key's own object 4 (one for each
/// of three server secrets, and that the pair was taken), TiDB Cloud 2, and an index of each of three server secrets twice. A
/// client that connects anew once a week comes to 13 in the 90 days that a grant lives.
pub const ENTRIES_MAX: usize = 36;

/// One grant that holds the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Id of the grant.
    pub grant: String,
    /// What the client called itself.
    pub client_name: String,
    /// Where its answers go, for people.
    pub client_host: String,
    /// What the person called the organization.
    pub organization: String,
    /// Milliseconds since 1970.
    pub created: u64,
    /// When the grant ends at the latest.
    pub ends: u64,
}

/// The stored record of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    /// The oldest first.
    pub entries: Vec<Entry>,
}

/// Commands to an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Add a grant.
    Add(Entry),
    /// All grants.
    List,
    /// Forget some grants.
    Remove {
        /// Their ids.
        grants: Vec<String>,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was done.
    Done,
    /// It was done, and this grant, the oldest, was removed to make room: it is to be ended.
    Evicted {
        /// Its id.
        grant: String,
    },
    /// All grants.
    Entries(Vec<Entry>),
}

impl Record {
    /// When the next entry ends.
    pub fn due(&self) -> UnixMillis {
        UnixMillis(self.entries.iter().map(|entry| entry.ends).min().unwrap_or(0))
    }

    /// What is left of it at this time.
    pub fn at(mut self, now: UnixMillis) -> Option<Self> {
        self.entries.retain(|entry| entry.ends > now.0);
        (!self.entries.is_empty()).then_some(self)
    }
}

/// Takes one command.
pub fn step(stored: Option<Record>, now: UnixMillis, command: Command) -> (Option<Record>, Reply) {
    let mut record = stored.unwrap_or(Record { v: 1, entries: Vec::new() });
    record.entries.retain(|entry| entry.ends > now.0);
    let reply = match command {
        Command::Add(entry) => {
            let evicted = (record.entries.len() >= ENTRIES_MAX).then(|| record.entries.remove(0).grant);
            record.entries.push(entry);
            evicted.map_or(Reply::Done, |grant| Reply::Evicted { grant })
        }
        Command::List => Reply::Entries(record.entries.clone()),
        Command::Remove { grants } => {
            record.entries.retain(|entry| !grants.contains(&entry.grant));
            Reply::Done
        }
    };
    ((!record.entries.is_empty()).then_some(record), reply)
}
