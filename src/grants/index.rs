//! Which grants hold a key: what `/grants` lists. One per key, named by a keyed hash of it.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// 200 grants of some 300 bytes are 60 KiB, of the 2 MiB that a stored value may have.
pub const ENTRIES_MAX: usize = 200;

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

/// What is kept for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    /// The oldest first.
    pub entries: Vec<Entry>,
}

/// What an index can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Add a grant.
    Add(Entry),
    /// All grants.
    List,
    /// Forget a grant.
    Remove {
        /// Its id.
        grant: String,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was done.
    Done,
    /// It has as many as it takes.
    Full,
    /// All grants.
    Entries(Vec<Entry>),
}

impl Record {
    /// When nothing in it is left.
    pub fn ends(&self) -> UnixMillis {
        UnixMillis(self.entries.iter().map(|entry| entry.ends).max().unwrap_or(0))
    }
}

/// Takes one command.
pub fn step(stored: Option<Record>, now: UnixMillis, command: Command) -> (Option<Record>, Reply) {
    let mut record = stored.unwrap_or(Record { v: 1, entries: Vec::new() });
    record.entries.retain(|entry| entry.ends > now.0);
    let reply = match command {
        Command::Add(_) if record.entries.len() >= ENTRIES_MAX => Reply::Full,
        Command::Add(entry) => {
            record.entries.push(entry);
            Reply::Done
        }
        Command::List => Reply::Entries(record.entries.clone()),
        Command::Remove { grant } => {
            record.entries.retain(|entry| entry.grant != grant);
            Reply::Done
        }
    };
    ((!record.entries.is_empty()).then_some(record), reply)
}
