//! A consent page's life: it ends by a decision, after five tries or after ten minutes. Its request travels sealed in the
//! page; only tries and the end are stored, and only once there is one.

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixMillis;

/// Ten minutes from showing the page to deciding.
pub const LIFE_MILLIS: u64 = 600_000;
/// Credentials that can be tried on one page.
pub const TRIES_MAX: u8 = 5;

/// The stored record of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    tries: u8,
    ended: bool,
    /// Milliseconds since 1970.
    ends: u64,
}

/// Commands to a transaction. `ends` is when it ends by itself, which its page knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Whether it goes on.
    Look {
        /// Milliseconds since 1970.
        ends: u64,
    },
    /// Count one try of credentials.
    Try {
        /// Milliseconds since 1970.
        ends: u64,
    },
    /// End it. Of several, only the first succeeds.
    End {
        /// Milliseconds since 1970.
        ends: u64,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It goes on (or, if asked to end, has just ended), with these tries left.
    Open {
        /// Tries after this one.
        tries_left: u8,
    },
    /// It had ended before.
    Ended,
}

impl Record {
    /// When it ends by itself.
    pub fn due(&self) -> UnixMillis {
        UnixMillis(self.ends)
    }

    /// What is left of it at this time.
    pub fn at(self, now: UnixMillis) -> Option<Self> {
        (self.ends > now.0).then_some(self)
    }
}

/// Takes one command.
pub fn step(stored: Option<Record>, now: UnixMillis, command: &Command) -> (Option<Record>, Reply) {
    let (Command::Look { ends } | Command::Try { ends } | Command::End { ends }) = command;
    if *ends <= now.0 {
        return (None, Reply::Ended);
    }
    let mut record = stored.clone().unwrap_or(Record { v: 1, tries: 0, ended: false, ends: *ends });
    if record.ended {
        return (stored, Reply::Ended);
    }
    match command {
        Command::Look { .. } => {
            let spent = record.tries >= TRIES_MAX;
            return (stored, if spent { Reply::Ended } else { Reply::Open { tries_left: TRIES_MAX - record.tries } });
        }
        Command::Try { .. } if record.tries >= TRIES_MAX => return (stored, Reply::Ended),
        Command::Try { .. } => record.tries += 1,
        Command::End { .. } => record.ended = true,
    }
    let tries_left = TRIES_MAX - record.tries;
    (Some(record), Reply::Open { tries_left })
}
