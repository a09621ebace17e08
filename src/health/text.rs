//! Commands and replies on their way to the Durable Object and back: words with blanks between them. Reading them as JSON would take
//! more of the Worker's size than all rules here.

use std::str::SplitAsciiWhitespace;

use super::{Checks, Command, Reply, State};

type Words<'t> = SplitAsciiWhitespace<'t>;

impl State {
    fn read(words: &mut Words<'_>) -> Option<Self> {
        let word = words.next()?;
        [Self::Ok, Self::Failing, Self::Unknown].into_iter().find(|state| state.name() == word)
    }
}

impl Checks {
    fn to_text(self) -> String {
        self.each().map(|(_, state)| state.name()).join(" ")
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        let mut next = || State::read(words);
        Some(Self { settings: next()?, limiter: next()?, grants: next()?, circuits: next()?, tidb_cloud: next()? })
    }
}

impl Command {
    /// As the object reads it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Ask => "ask".to_owned(),
            Self::Report { turn, checks } => format!("report {turn} {}", checks.to_text()),
            Self::Release { turn } => format!("release {turn}"),
        }
    }

    /// Reads what [`Self::to_text`] writes.
    pub fn of_text(text: &str) -> Option<Self> {
        whole(text, |name, words| match name {
            "ask" => Some(Self::Ask),
            "report" => Some(Self::Report { turn: words.next()?.parse().ok()?, checks: Checks::read(words)? }),
            "release" => Some(Self::Release { turn: words.next()?.parse().ok()? }),
            _ => None,
        })
    }
}

impl Reply {
    /// As the asker reads it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Known(checks) => format!("known {}", checks.to_text()),
            Self::Examine { turn } => format!("examine {turn}"),
            Self::Wait => "wait".to_owned(),
            Self::Noted => "noted".to_owned(),
        }
    }

    /// Reads what [`Self::to_text`] writes.
    pub fn of_text(text: &str) -> Option<Self> {
        whole(text, |name, words| match name {
            "known" => Some(Self::Known(Checks::read(words)?)),
            "examine" => Some(Self::Examine { turn: words.next()?.parse().ok()? }),
            "wait" => Some(Self::Wait),
            "noted" => Some(Self::Noted),
            _ => None,
        })
    }
}

/// Reads a first word and what belongs to it, after which nothing may follow.
fn whole<T>(text: &str, read: impl Fn(&str, &mut Words<'_>) -> Option<T>) -> Option<T> {
    let mut words = text.split_ascii_whitespace();
    let read = read(words.next()?, &mut words)?;
    words.next().is_none().then_some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checks() -> impl Strategy<Value = Checks> {
        let state = || prop::sample::select(vec![State::Ok, State::Failing, State::Unknown]);
        (state(), state(), state(), state(), state()).prop_map(|(settings, limiter, grants, circuits, tidb_cloud)| {
            Checks { settings, limiter, grants, circuits, tidb_cloud }
        })
    }

    proptest! {
        #[test]
        fn what_is_said_arrives_as_it_was_sent(turn in any::<u64>(), checks in checks()) {
            for command in [Command::Ask, Command::Report { turn, checks }, Command::Release { turn }] {
                prop_assert_eq!(Command::of_text(&command.to_text()), Some(command));
            }
            for reply in [Reply::Known(checks), Reply::Examine { turn }, Reply::Wait, Reply::Noted] {
                prop_assert_eq!(Reply::of_text(&reply.to_text()), Some(reply));
            }
        }

        #[test]
        fn what_is_nothing_of_it_is_refused(text in "(ask|report|release|known|examine|wait|noted|ok|failing|[0-9x ]){0,8}") {
            let words = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            let read = [Command::of_text(&text).map(|it| it.to_text()), Reply::of_text(&text).map(|it| it.to_text())];
            for again in read.into_iter().flatten() {
                prop_assert!(again.len() <= words.len(), "{} was read as {}", text, again);
            }
        }
    }
}
