//! Whether the service can do its work: who finds out, and how long a verdict is believed. Pure.
//!
//! Whoever finds out asks the limiter, the authorization store, the circuits and TiDB Cloud. However many people want to know, one
//! examination in 15 s is enough, so [`Examinations`] gives the turn to one of them at a time. Everybody else gets the last verdict,
//! or waits. One instance stands in a Durable Object, for all isolates together; an isolate has one in front of it, which lets one
//! request at a time ask that object, and one that stands in for it while it does not answer.

mod text;

use serde::Serialize;

use crate::base::clock::UnixMillis;

/// Monitors ask every minute or half minute: of two that follow each other, the second sees a verdict of its own.
const BELIEVED_MILLIS: u64 = 15_000;
/// A third of that: somebody who reloads a page asks nobody else each time.
const BELIEVED_HERE_MILLIS: u64 = 5_000;
/// An examination takes 16 s at most: 3 s for TiDB Cloud, twice 1 s for the limiter, 3 s for the keeper of the server secret, 5 s for
/// the authorization store, 1 s for each of the two circuits, and 1 s to report. A turn that lasts longer was given to somebody who is
/// gone.
const TURN_MILLIS: u64 = 20_000;
/// While somebody examines, the last verdict counts for as long as a verdict and a turn together.
const RENEWED_MILLIS: u64 = BELIEVED_MILLIS + TURN_MILLIS;

/// What is known of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works.
    Ok,
    /// It does not.
    Failing,
    /// Nobody could find out.
    Unknown,
}

impl State {
    /// As answers spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
        }
    }
}

/// The verdict of an examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Checks {
    /// The settings fit together.
    pub settings: State,
    /// A Durable Object of the limiter answers in time.
    pub limiter: State,
    /// A Durable Object of the authorization store answers.
    pub grants: State,
    /// The circuit of no API is open for everybody.
    pub circuits: State,
    /// TiDB Cloud asks who we are, as it does when it works.
    pub tidb_cloud: State,
}

impl Checks {
    /// Nothing is known but whether the settings fit together.
    pub fn unknown(settings: State) -> Self {
        let state = State::Unknown;
        Self { settings, limiter: state, grants: state, circuits: state, tidb_cloud: state }
    }

    /// All of them by name, in the order of answers.
    pub fn each(&self) -> [(&'static str, State); 5] {
        [
            ("settings", self.settings),
            ("limiter", self.limiter),
            ("grants", self.grants),
            ("circuits", self.circuits),
            ("tidb_cloud", self.tidb_cloud),
        ]
    }

    /// Whether something does not work, as far as anybody could find out.
    pub fn have_failed(&self) -> bool {
        self.each().iter().any(|(_, state)| *state == State::Failing)
    }

    /// Whether everything works.
    pub fn are_ok(&self) -> bool {
        self.each().iter().all(|(_, state)| *state == State::Ok)
    }
}

/// What an asker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Does everything work?
    Ask,
    /// What came of a turn.
    Report {
        /// Of [`Reply::Examine`].
        turn: u64,
        /// What was found.
        checks: Checks,
    },
    /// A turn ended without a verdict.
    Release {
        /// Of [`Reply::Examine`].
        turn: u64,
    },
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The last verdict.
    Known(Checks),
    /// It is the asker's turn to find out, and to report.
    Examine {
        /// Names the turn: the millisecond in which it began.
        turn: u64,
    },
    /// Somebody is finding out: ask again in a moment.
    Wait,
    /// It was noted.
    Noted,
}

/// The last examination, and whose turn it is. Losing it costs one examination, so it is kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Examinations {
    believed_millis: u64,
    /// When the turn that is under way began.
    turn: Option<UnixMillis>,
    /// When the turn of the last verdict began: nothing in it is older.
    last: Option<(UnixMillis, Checks)>,
}

impl Default for Examinations {
    fn default() -> Self {
        Self { believed_millis: BELIEVED_MILLIS, turn: None, last: None }
    }
}

/// Whether `since` is less than `millis` ago. What is still to come was noted before the clock stepped back, and counts no more.
fn is_within(since: UnixMillis, now: UnixMillis, millis: u64) -> bool {
    now.0.checked_sub(since.0).is_some_and(|age| age < millis)
}

impl Examinations {
    /// Those of an isolate, in front of those of all.
    pub fn of_isolate() -> Self {
        Self { believed_millis: BELIEVED_HERE_MILLIS, ..Self::default() }
    }

    /// Takes one command.
    pub fn step(&mut self, now: UnixMillis, command: &Command) -> Reply {
        match *command {
            Command::Ask => return self.ask(now),
            // A later turn knows better.
            Command::Report { turn, .. } | Command::Release { turn } if self.turn != Some(UnixMillis(turn)) => {}
            Command::Report { turn, checks } => self.note(UnixMillis(turn), checks),
            Command::Release { .. } => self.turn = None,
        }
        Reply::Noted
    }

    /// Notes an examination that began at `since`, whoever gave the turn.
    pub fn note(&mut self, since: UnixMillis, checks: Checks) {
        (self.turn, self.last) = (None, Some((since, checks)));
    }

    fn ask(&mut self, now: UnixMillis) -> Reply {
        let last = |millis| self.last.filter(|(since, _)| is_within(*since, now, millis)).map(|(_, checks)| checks);
        if let Some(checks) = last(self.believed_millis) {
            return Reply::Known(checks);
        }
        if self.turn.is_some_and(|turn| is_within(turn, now, TURN_MILLIS)) {
            return last(RENEWED_MILLIS).map_or(Reply::Wait, Reply::Known);
        }
        self.turn = Some(now);
        // One of the future would be believed later than it should.
        self.last = self.last.filter(|(since, _)| *since <= now);
        Reply::Examine { turn: now.0 }
    }
}

#[cfg(test)]
mod tests;
