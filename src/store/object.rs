//! Stored objects, each of which takes one command after the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    confirmations, document, grant, index, key,
    seal::{base64url, fingerprint},
    token::GrantId,
    transaction,
};
use crate::base::clock::UnixMillis;

/// Name of a stored object: its kind and a random id or keyed hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    kind: &'static str,
    text: String,
}

impl ObjectName {
    fn new(kind: &'static str, id: &str) -> Self {
        Self { kind, text: format!("{kind}:{id}") }
    }

    /// A grant.
    pub fn grant(id: &GrantId) -> Self {
        Self::new("grant", id.as_str())
    }

    /// A consent page's transaction.
    pub fn transaction(id: &str) -> Self {
        Self::new("transaction", id)
    }

    /// The index of a key, by its keyed hash.
    pub fn index(hash: &[u8]) -> Self {
        Self::new("index", &base64url(hash))
    }

    /// A client's document, by the hash of its address.
    pub fn document(address: &str) -> Self {
        Self::new("document", &fingerprint(address.as_bytes()))
    }

    /// The record of an API key, by the keyed hash of its public half.
    pub fn key(hash: &[u8]) -> Self {
        Self::new("key", &base64url(hash))
    }

    /// The confirmations of a principal, by its keyed hash.
    pub fn confirmations(principal: &str) -> Self {
        Self::new("confirmations", principal)
    }

    /// Its kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Commands to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A grant.
    Grant(grant::Command),
    /// A transaction.
    Transaction(transaction::Command),
    /// An index.
    Index(index::Command),
    /// A client's document.
    Document(document::Command),
    /// An API key.
    Key(key::Command),
    /// A principal's confirmations.
    Confirmations(confirmations::Command),
}

impl Command {
    /// How long the object may hold its reply back, and while which reply.
    pub fn hold(&self) -> Option<(Duration, Reply)> {
        match self {
            Self::Confirmations(command) => {
                Some((command.hold()?, Reply::Confirmations(confirmations::Reply::Waiting)))
            }
            _ => None,
        }
    }
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// A grant.
    Grant(grant::Reply),
    /// A transaction.
    Transaction(transaction::Reply),
    /// An index.
    Index(index::Reply),
    /// A client's document.
    Document(document::Reply),
    /// An API key.
    Key(key::Reply),
    /// A principal's confirmations.
    Confirmations(confirmations::Reply),
}

/// The state of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// A grant.
    Grant(Box<grant::Record>),
    /// A transaction.
    Transaction(transaction::Record),
    /// An index.
    Index(index::Record),
    /// A client's document.
    Document(document::Record),
    /// An API key.
    Key(key::Record),
    /// A principal's confirmations.
    Confirmations(confirmations::Record),
}

impl Stored {
    /// When the next part of it has ended. What then is [`Self::at`] that time has a later one, or is nothing.
    pub fn due(&self) -> UnixMillis {
        match self {
            Self::Grant(record) => record.due(),
            Self::Transaction(record) => record.due(),
            Self::Index(record) => record.due(),
            Self::Document(record) => record.due(),
            Self::Key(record) => record.due(),
            Self::Confirmations(record) => record.due(),
        }
    }

    /// What is left of it at this time, though no command comes: secrets that have ended go when they end, and not with the last of them.
    pub fn at(self, now: UnixMillis) -> Option<Self> {
        Some(match self {
            Self::Grant(record) => Self::Grant(Box::new(record.at(now)?)),
            Self::Transaction(record) => Self::Transaction(record.at(now)?),
            Self::Index(record) => Self::Index(record.at(now)?),
            Self::Document(record) => Self::Document(record.at(now)?),
            Self::Key(record) => Self::Key(record.at(now)?),
            Self::Confirmations(record) => Self::Confirmations(record.at(now)?),
        })
    }
}

/// Takes one command. An object's name fixes its kind, so what is stored under it is of the command's kind; anything else
/// counts as nothing.
pub fn step(stored: Option<Stored>, now: UnixMillis, command: Command) -> (Option<Stored>, Reply) {
    match command {
        Command::Grant(command) => {
            let record = match stored {
                Some(Stored::Grant(record)) => Some(*record),
                _ => None,
            };
            let (record, reply) = grant::step(record, now, command);
            (record.map(|record| Stored::Grant(Box::new(record))), Reply::Grant(reply))
        }
        Command::Transaction(command) => {
            let record = match stored {
                Some(Stored::Transaction(record)) => Some(record),
                _ => None,
            };
            let (record, reply) = transaction::step(record, now, &command);
            (record.map(Stored::Transaction), Reply::Transaction(reply))
        }
        Command::Index(command) => {
            let record = match stored {
                Some(Stored::Index(record)) => Some(record),
                _ => None,
            };
            let (record, reply) = index::step(record, now, command);
            (record.map(Stored::Index), Reply::Index(reply))
        }
        Command::Document(command) => {
            let record = match stored {
                Some(Stored::Document(record)) => Some(record),
                _ => None,
            };
            let (record, reply) = document::step(record, now, command);
            (record.map(Stored::Document), Reply::Document(reply))
        }
        Command::Key(command) => {
            let record = match stored {
                Some(Stored::Key(record)) => Some(record),
                _ => None,
            };
            let (record, reply) = key::step(record, now, command);
            (record.map(Stored::Key), Reply::Key(reply))
        }
        Command::Confirmations(command) => {
            let record = match stored {
                Some(Stored::Confirmations(record)) => Some(record),
                _ => None,
            };
            let (record, reply) = confirmations::step(record, now, command);
            (record.map(Stored::Confirmations), Reply::Confirmations(reply))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments after the first at which something of it ends, in seconds, until nothing is left.
    fn ends(stored: &str) -> Vec<u64> {
        let mut stored: Stored = serde_json::from_str(stored).expect("a stored object");
        let mut ends = Vec::new();
        loop {
            let due = stored.due();
            ends.push(due.0 / 1_000);
            assert_eq!(stored.clone().at(UnixMillis(due.0 - 1)).as_ref(), Some(&stored), "nothing goes early");
            let Some(left) = stored.at(due) else { return ends };
            assert!(left.due() > due, "an alarm would ring for ever");
            stored = left;
        }
    }

    #[test]
    fn each_part_of_an_object_goes_when_it_ends() {
        let key = r#"{"key":{"v":1,"tries":[{"at":1000,"from":"a"},{"at":9000,"from":"b"}],"taken":{"pair":"p","until":200000}}}"#;
        assert_eq!(ends(key), [61, 69, 200]);
        let entry = |ends: u64| {
            format!(r#"{{"grant":"g","client_name":"","client_host":"","organization":"","created":0,"ends":{ends}}}"#)
        };
        let index = format!(r#"{{"index":{{"v":1,"entries":[{},{}]}}}}"#, entry(9_000), entry(4_000));
        assert_eq!(ends(&index), [4, 9]);
        assert_eq!(ends(r#"{"transaction":{"v":1,"tries":1,"ended":false,"ends":5000}}"#), [5]);
    }
}
