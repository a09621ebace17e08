//! The requests that the sandbox saw, for `GET /_sandbox/requests`: method, host, path with query, and status. No header and no
//! body, so no secret.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::faults::Ending;
use crate::exchange::{Instance, SqlTask};

/// How many requests are remembered; older ones are forgotten first.
const KEPT: usize = 10_000;

/// A request. Status 0: the connection was closed without an answer.
struct Entry {
    number: u64,
    method: String,
    host: String,
    path: String,
    status: u16,
    given_up: bool,
}

/// A statement that runs, and what becomes of its answer. Two that are alike in everything are interchangeable.
struct Running {
    number: u64,
    instance: Instance,
    user: String,
    session: String,
    query: String,
    ending: Ending,
}

/// The requests so far.
#[derive(Default)]
pub(super) struct Journal {
    next: u64,
    entries: VecDeque<Entry>,
    running: VecDeque<Running>,
}

impl Journal {
    /// Notes a request; gives its number.
    pub(super) fn note(&mut self, method: &str, host: &str, path: &str, status: u16) -> u64 {
        self.next += 1;
        let (method, host, path) = (method.to_owned(), host.to_owned(), path.to_owned());
        self.entries.push_back(Entry { number: self.next, method, host, path, status, given_up: false });
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
        self.next
    }

    /// Notes that the statement of request `number` runs.
    pub(super) fn start(&mut self, number: u64, task: &SqlTask, ending: Ending) {
        let SqlTask { instance, user, session, query, .. } = task.clone();
        self.running.push_back(Running { number, instance, user, session, query, ending });
        if self.running.len() > KEPT {
            self.running.pop_front();
        }
    }

    /// The number of the request that `task` came from, and what becomes of its answer. A statement from before a reset has
    /// neither number nor ending.
    pub(super) fn finish(&mut self, task: &SqlTask) -> (Option<u64>, Ending) {
        let same = |running: &Running| {
            running.instance == task.instance
                && running.user == task.user
                && running.session == task.session
                && running.query == task.query
        };
        let position = self.running.iter().position(same);
        match position.and_then(|position| self.running.remove(position)) {
            Some(running) => (Some(running.number), running.ending),
            None => (None, Ending::Plain),
        }
    }

    /// Fills in the status of request `number`, if it is still remembered.
    pub(super) fn settle(&mut self, number: u64, status: u16) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.number == number) {
            entry.status = status;
        }
    }

    /// The number of the last request.
    pub(super) fn last(&self) -> u64 {
        self.next
    }

    /// Notes that the client of request `number` left before its answer was sent, if it is still remembered.
    pub(super) fn give_up(&mut self, number: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.number == number) {
            entry.given_up = true;
        }
    }

    /// Forgets the requests that were answered.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// `{"requests": [{method, host, path, status}]}`, oldest first, with `"givenUp": true` where the client left.
    pub(super) fn show(&self) -> Value {
        let entry = |entry: &Entry| {
            let Entry { method, host, path, status, given_up, .. } = entry;
            let mut shown = json!({ "method": method, "host": host, "path": path, "status": status });
            if *given_up && let Some(members) = shown.as_object_mut() {
                members.insert("givenUp".to_owned(), true.into());
            }
            shown
        };
        json!({ "requests": self.entries.iter().map(entry).collect::<Vec<_>>() })
    }
}
