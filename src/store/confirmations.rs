//! What a principal was asked and has confirmed: one object for each principal, so that a confirmation is taken once, before
//! the first change is sent, whatever else runs at the same time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::seal::Sealed;
use crate::base::clock::UnixMillis;

/// Ten minutes from the question to the answer: a person has to be told, open a page and read it.
pub const ASKED_MILLIS: u64 = 600_000;
/// Five minutes from the answer to the call that makes use of it.
pub const CONFIRMED_MILLIS: u64 = 300_000;
/// Credentials that can be tried on one page.
pub const TRIES_MAX: u8 = 5;
/// Questions that one principal can have open. A sealed page has 44 KB at most (`SHOWN_BYTES_MAX` of `catalogue::stakes`),
/// and ten of them fit into the 2 MB of a stored value (<https://developers.cloudflare.com/durable-objects/platform/limits/>).
pub const OPEN_MAX: usize = 10;
/// Times that secrets can lie ready for one principal (`HandOut` of `catalogue::handed` has the arithmetic).
pub const HANDED_OUT_MAX: usize = 5;
/// Calls of one principal that can wait for a person at once.
pub const WAITING_MAX: usize = 3;
/// Two minutes for the answer of a client that shows a form while its call waits.
pub const WAIT_MILLIS: u64 = 120_000;
/// How long the object holds back the reply about a call that waits: six requests for the two minutes, and a sign of life to the
/// client after each. Cloudflare drops a connection on which nothing came for 100 s.
pub const HOLD: Duration = Duration::from_secs(20);
/// Used states are kept until they would have expired: 120 messages a minute, the limit of a credential, for five minutes.
pub const USED_MAX: usize = 600;

/// A question that is open, or that a person answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Fingerprint of its id.
    id: String,
    /// Fingerprint of all that the answer is bound to.
    call: String,
    /// What the page shows, sealed under a key in its link. It goes with the answer, so that a link opens nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<Sealed>,
    /// The data key of what the person hands in, if something is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Keys>,
    /// What they handed in, sealed under that data key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handed_in: Option<Sealed>,
    tries: u8,
    confirmed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    declined: bool,
    /// Milliseconds since 1970.
    ends: u64,
}

/// A data key that is kept wrapped only: for whoever has the link and proves to be the principal, and for the call that was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Under the key in the link. It goes with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Sealed>,
    /// Under the key of the caller's credential.
    pub caller: Sealed,
}

/// Secrets that a person can take from a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HandedOut {
    /// Fingerprint of the id of its link.
    id: String,
    /// What the page shows, sealed under a key in its link.
    page: Sealed,
    /// The secrets, each sealed under the same; those that were taken are gone.
    items: Vec<Option<Sealed>>,
    tries: u8,
    /// Milliseconds since 1970.
    ends: u64,
}

/// What a person said in a client's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// Yes, and what was typed.
    Yes {
        /// Fingerprint of the name, if one was typed: it can be of any length, and says what the question was about.
        name: Option<String>,
    },
    /// No; or the client showed nothing, which it need not say.
    No,
    /// The client gave up the call.
    Cancelled,
}

/// A call that waits while its client shows a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    /// Fingerprint of the question's id.
    id: String,
    /// Fingerprint of the request's.
    call: String,
    said: Option<Said>,
    /// Milliseconds since 1970.
    ends: u64,
}

/// The stored record of a principal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    /// The oldest first.
    questions: Vec<Question>,
    /// Fingerprints of the states that were used, and when they would have expired.
    used: Vec<(String, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
    /// The oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    handed_out: Vec<HandedOut>,
}

/// Commands to a principal's confirmations. Ids, calls and states are fingerprints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Opens a question in place of an earlier one about the same call, unless that was confirmed while this was on its way.
    Ask {
        /// Of its link.
        id: String,
        /// All that it is bound to.
        call: String,
        /// What is shown.
        page: Box<Sealed>,
        /// The data key of what is to be handed in, if something is asked for.
        #[serde(default)]
        keys: Option<Box<Keys>>,
    },
    /// What an open question, or secrets that lie ready, show.
    Look {
        /// Of its link.
        id: String,
    },
    /// The same, and counts one try of credentials.
    Try {
        /// Of its link.
        id: String,
    },
    /// Answers an open question.
    Answer {
        /// Of its link.
        id: String,
        /// Whether the person agreed.
        yes: bool,
        /// What they handed in, if something was asked for.
        #[serde(default)]
        handed_in: Option<Box<Sealed>>,
    },
    /// Lays secrets out for ten minutes.
    HandOut {
        /// Of their link.
        id: String,
        /// What is shown.
        page: Box<Sealed>,
        /// The secrets.
        items: Vec<Sealed>,
    },
    /// Takes one of them, once.
    Give {
        /// Of their link.
        id: String,
        /// Its place.
        item: usize,
    },
    /// Takes what a person said about a call, once: [`Reply::Done`] if they agreed.
    Take {
        /// All that it is bound to.
        call: String,
    },
    /// Uses a state that a client sent back, once.
    Use {
        /// The state.
        state: String,
        /// When it expires, in milliseconds since 1970.
        ends: u64,
    },
    /// Lets a call wait for an answer.
    Wait {
        /// The question's id.
        id: String,
        /// The request's.
        call: String,
    },
    /// The answer that a call waits for. The object holds its reply back while there is none, for [`HOLD`].
    Await {
        /// The question's id.
        id: String,
    },
    /// Answers a call that waits, once.
    Hear {
        /// The question's id, or the request's.
        id: String,
        /// What was said.
        said: Said,
    },
}

impl Command {
    /// How long a reply may be held back.
    pub fn hold(&self) -> Option<Duration> {
        matches!(self, Self::Await { .. }).then_some(HOLD)
    }
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was done, and for the first time.
    Done,
    /// An open question, or secrets that lie ready.
    Open {
        /// What is shown.
        page: Box<Sealed>,
        /// Tries after this one.
        tries_left: u8,
        /// The data key of what is to be handed in, under the key in the link.
        #[serde(default)]
        key: Option<Box<Sealed>>,
        /// Places of the secrets that were not taken.
        #[serde(default)]
        left: Vec<usize>,
    },
    /// The person agreed and handed something in, which is forgotten with this.
    HandedIn {
        /// Its data key, under the key of the caller's credential.
        key: Box<Sealed>,
        /// What it is.
        sealed: Box<Sealed>,
    },
    /// A secret, which is forgotten with this.
    Given(Box<Sealed>),
    /// There is no such question, it has been answered, or the tries are used up.
    None,
    /// The principal has too many open.
    Full,
    /// There is no answer yet.
    Waiting,
    /// The answer, which is forgotten with this.
    Heard(Said),
}

impl HandedOut {
    fn left(&self) -> Vec<usize> {
        let items = self.items.iter().enumerate();
        items.filter(|(_, item)| item.is_some()).map(|(at, _)| at).collect()
    }
}

impl Question {
    fn is_answered(&self) -> bool {
        self.confirmed || self.declined
    }
}

impl Record {
    /// When nothing of it counts any more.
    pub fn ends(&self) -> UnixMillis {
        let questions = self.questions.iter().map(|question| question.ends);
        let waiting = self.waiting.iter().map(|waiting| waiting.ends);
        let handed_out = self.handed_out.iter().map(|out| out.ends);
        let used = self.used.iter().map(|(_, ends)| *ends);
        UnixMillis(questions.chain(used).chain(waiting).chain(handed_out).max().unwrap_or(0))
    }

    fn open(&mut self, id: &str) -> Option<&mut Question> {
        self.questions
            .iter_mut()
            .find(|question| question.id == id && !question.is_answered() && question.tries < TRIES_MAX)
    }

    fn laid_out(&mut self, id: &str) -> Option<&mut HandedOut> {
        self.handed_out.iter_mut().find(|out| out.id == id && out.tries < TRIES_MAX)
    }

    /// What a link shows, after so many more tries.
    fn show(&mut self, id: &str, tries: u8) -> Reply {
        if let Some(question) = self.open(id) {
            question.tries += tries;
            let tries_left = TRIES_MAX.saturating_sub(question.tries);
            let Some(page) = question.page.clone().map(Box::new) else { return Reply::None };
            let key = question.keys.as_ref().and_then(|keys| keys.link.clone()).map(Box::new);
            return Reply::Open { page, tries_left, key, left: Vec::new() };
        }
        let Some(out) = self.laid_out(id) else { return Reply::None };
        out.tries += tries;
        let tries_left = TRIES_MAX.saturating_sub(out.tries);
        Reply::Open { page: Box::new(out.page.clone()), tries_left, key: None, left: out.left() }
    }
}

/// Takes one command.
pub fn step(stored: Option<Record>, now: UnixMillis, command: Command) -> (Option<Record>, Reply) {
    let mut record = stored.unwrap_or(Record { v: 1, ..Record::default() });
    record.questions.retain(|question| question.ends > now.0);
    record.used.retain(|(_, ends)| *ends > now.0);
    record.waiting.retain(|waiting| waiting.ends > now.0);
    record.handed_out.retain(|out| out.ends > now.0);
    let reply = match command {
        Command::Ask { id, call, page, keys } => {
            // What was handed in goes with the next question about the same call.
            let stays = |question: &Question| question.confirmed && question.handed_in.is_none();
            record.questions.retain(|question| question.call != call || stays(question));
            // A decline that no call has heard of yet keeps no question out.
            if record.questions.len() >= OPEN_MAX
                && let Some(at) = record.questions.iter().position(|question| question.declined)
            {
                record.questions.remove(at);
            }
            if record.questions.len() >= OPEN_MAX {
                Reply::Full
            } else {
                let ends = now.0.saturating_add(ASKED_MILLIS);
                record.questions.push(Question {
                    id,
                    call,
                    page: Some(*page),
                    keys: keys.map(|keys| *keys),
                    handed_in: None,
                    tries: 0,
                    confirmed: false,
                    declined: false,
                    ends,
                });
                Reply::Done
            }
        }
        Command::Look { id } => record.show(&id, 0),
        Command::Try { id } => record.show(&id, 1),
        Command::Answer { id, yes, handed_in } => match record.open(&id) {
            // A yes has what was asked for, and nothing else.
            Some(question) if yes && question.keys.is_some() != handed_in.is_some() => Reply::None,
            Some(question) => {
                (question.confirmed, question.declined) = (yes, !yes);
                (question.page, question.handed_in) = (None, handed_in.filter(|_| yes).map(|sealed| *sealed));
                if let Some(keys) = &mut question.keys {
                    keys.link = None;
                }
                question.ends = now.0.saturating_add(CONFIRMED_MILLIS);
                Reply::Done
            }
            None => Reply::None,
        },
        Command::HandOut { .. } if record.handed_out.len() >= HANDED_OUT_MAX => Reply::Full,
        Command::HandOut { id, page, items } => {
            let (items, ends) = (items.into_iter().map(Some).collect(), now.0.saturating_add(ASKED_MILLIS));
            record.handed_out.push(HandedOut { id, page: *page, items, tries: 0, ends });
            Reply::Done
        }
        Command::Give { id, item } => {
            let taken = record.laid_out(&id).and_then(|out| out.items.get_mut(item)?.take());
            record.handed_out.retain(|out| out.items.iter().any(Option::is_some));
            taken.map_or(Reply::None, |sealed| Reply::Given(Box::new(sealed)))
        }
        Command::Take { call } => {
            let answered = |question: &Question| question.call == call && question.is_answered();
            let said = record.questions.iter().rev().find(|question| answered(question));
            let reply = match said.map(|question| (question.confirmed, &question.keys, &question.handed_in)) {
                Some((true, Some(keys), Some(sealed))) => {
                    Reply::HandedIn { key: Box::new(keys.caller.clone()), sealed: Box::new(sealed.clone()) }
                }
                Some((true, None, None)) => Reply::Done,
                Some((false, ..)) => Reply::Heard(Said::No),
                Some((true, ..)) | None => Reply::None,
            };
            record.questions.retain(|question| !answered(question));
            reply
        }
        Command::Use { state, ends } => {
            if ends <= now.0 || record.used.iter().any(|(used, _)| *used == state) {
                Reply::None
            } else if record.used.len() >= USED_MAX {
                Reply::Full
            } else {
                record.used.push((state, ends));
                Reply::Done
            }
        }
        Command::Wait { .. } if record.waiting.len() >= WAITING_MAX => Reply::Full,
        Command::Wait { id, call } => {
            record.waiting.push(Waiting { id, call, said: None, ends: now.0.saturating_add(WAIT_MILLIS) });
            Reply::Done
        }
        Command::Hear { id, said } => {
            let of_it = |waiting: &&mut Waiting| (waiting.id == id || waiting.call == id) && waiting.said.is_none();
            match record.waiting.iter_mut().find(of_it) {
                Some(waiting) => {
                    waiting.said = Some(said);
                    Reply::Done
                }
                None => Reply::None,
            }
        }
        Command::Await { id } => match record.waiting.iter().position(|waiting| waiting.id == id) {
            Some(at) => match record.waiting.get_mut(at).and_then(|waiting| waiting.said.take()) {
                Some(said) => {
                    record.waiting.remove(at);
                    Reply::Heard(said)
                }
                None => Reply::Waiting,
            },
            None => Reply::None,
        },
    };
    let is_empty = record.questions.is_empty()
        && record.used.is_empty()
        && record.waiting.is_empty()
        && record.handed_out.is_empty();
    ((!is_empty).then_some(record), reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn page() -> Box<Sealed> {
        Box::new(serde_json::from_str(r#"{"k":"k","n":"n","c":"c"}"#).expect("a sealed text"))
    }

    fn ask(id: &str, call: &str) -> Command {
        Command::Ask { id: id.to_owned(), call: call.to_owned(), page: page(), keys: None }
    }

    fn take(call: &str) -> Command {
        Command::Take { call: call.to_owned() }
    }

    fn answer(id: &str, yes: bool) -> Command {
        Command::Answer { id: id.to_owned(), yes, handed_in: None }
    }

    /// The replies to commands at these seconds.
    fn replies(commands: Vec<(u64, Command)>) -> Vec<Reply> {
        let mut stored = None;
        let mut replies = Vec::new();
        for (second, command) in commands {
            let (next, reply) = step(stored, UnixMillis(NOW.0 + second * 1_000), command);
            stored = next;
            replies.push(reply);
        }
        replies
    }

    #[test]
    fn a_confirmation_is_taken_once_by_the_call_that_it_is_for() {
        let said = replies(vec![
            (0, ask("a", "drop")),
            (1, take("drop")),
            (2, answer("a", true)),
            (3, take("another")),
            (4, take("drop")),
            (5, take("drop")),
        ]);
        assert_eq!(said, [Reply::Done, Reply::None, Reply::Done, Reply::None, Reply::Done, Reply::None]);
    }

    #[test]
    fn a_decline_counts_and_is_told_once() {
        let said = replies(vec![
            (0, ask("a", "drop")),
            (1, answer("a", false)),
            (2, answer("a", true)),
            (3, take("another")),
            (4, take("drop")),
            (5, take("drop")),
        ]);
        let expected = [Reply::Done, Reply::Done, Reply::None, Reply::None, Reply::Heard(Said::No), Reply::None];
        assert_eq!(said, expected, "the first answer counts");
        let later = CONFIRMED_MILLIS / 1_000;
        let late = replies(vec![(0, ask("a", "drop")), (1, answer("a", false)), (1 + later, take("drop"))]);
        assert_eq!(late[2], Reply::None, "after five minutes it is a new question");
    }

    /// Two calls at once: one had looked for an agreement before the person agreed, and asks afterwards.
    #[test]
    fn a_question_that_comes_late_takes_no_agreement_away() {
        let late = |yes| {
            vec![
                (0, ask("a", "drop")),
                (1, take("drop")),
                (2, answer("a", yes)),
                (3, ask("b", "drop")),
                (4, take("drop")),
            ]
        };
        assert_eq!(replies(late(true))[4], Reply::Done, "the person agreed");
        assert_eq!(replies(late(false))[4], Reply::None, "and is asked again if not");
        let both = [late(true), vec![(5, answer("b", false)), (6, take("drop"))]].concat();
        assert_eq!(replies(both)[6], Reply::Heard(Said::No), "the later page has an answer of its own");
        let last = vec![
            (0, ask("a", "drop")),
            (1, answer("a", true)),
            (2, ask("b", "drop")),
            (3, answer("b", false)),
            (4, take("drop")),
        ];
        assert_eq!(replies(last)[4], Reply::Heard(Said::No), "what was said last counts");
    }

    #[test]
    fn a_question_and_a_confirmation_end_in_time() {
        let asked = ASKED_MILLIS / 1_000;
        let confirmed = CONFIRMED_MILLIS / 1_000;
        let in_time =
            replies(vec![(0, ask("a", "drop")), (asked - 1, answer("a", true)), (asked - 2 + confirmed, take("drop"))]);
        assert_eq!(in_time, [Reply::Done, Reply::Done, Reply::Done]);
        assert_eq!(replies(vec![(0, ask("a", "drop")), (asked, answer("a", true))]), [Reply::Done, Reply::None]);
        let late = replies(vec![(0, ask("a", "drop")), (1, answer("a", true)), (1 + confirmed, take("drop"))]);
        assert_eq!(late, [Reply::Done, Reply::Done, Reply::None]);
    }

    #[test]
    fn a_principal_has_ten_questions_open_and_the_same_call_one() {
        let mut commands: Vec<_> = (0..OPEN_MAX).map(|at| (0, ask(&at.to_string(), &at.to_string()))).collect();
        commands.extend([
            (1, ask("again", "0")),
            (1, ask("more", "more")),
            (1, answer("0", true)),
            (1, answer("again", true)),
        ]);
        let said = replies(commands);
        assert_eq!(
            said[OPEN_MAX..],
            [Reply::Done, Reply::Full, Reply::None, Reply::Done],
            "the newest question counts"
        );
    }

    #[test]
    fn credentials_are_tried_five_times_on_one_page() {
        let tried = |_| (1, Command::Try { id: "a".to_owned() });
        let mut commands = vec![(0, ask("a", "drop"))];
        commands.extend((0..=TRIES_MAX).map(tried));
        commands.push((2, answer("a", true)));
        let left: Vec<_> = replies(commands)
            .into_iter()
            .map(|reply| match reply {
                Reply::Open { tries_left, .. } => Some(tries_left),
                _ => None,
            })
            .collect();
        assert_eq!(left, [None, Some(4), Some(3), Some(2), Some(1), Some(0), None, None], "then the page is spent");
    }

    #[test]
    fn an_answer_reaches_the_call_that_waits_for_it_once_and_in_time() {
        let id = || "a".to_owned();
        let wait = |id: &str| Command::Wait { id: id.to_owned(), call: format!("call {id}") };
        let hear = |said: Said| Command::Hear { id: id(), said };
        let listen = || Command::Await { id: id() };
        let yes = || Said::Yes { name: Some("shop".to_owned()) };
        let said = replies(vec![
            (0, wait("a")),
            (1, listen()),
            (2, hear(yes())),
            (2, hear(Said::No)),
            (3, listen()),
            (4, listen()),
            (5, hear(yes())),
        ]);
        let expected =
            [Reply::Done, Reply::Waiting, Reply::Done, Reply::None, Reply::Heard(yes()), Reply::None, Reply::None];
        assert_eq!(said, expected, "the first answer counts, and is taken once");
        let cancelled = Command::Hear { id: "call a".to_owned(), said: Said::Cancelled };
        let said = replies(vec![(0, wait("a")), (1, cancelled), (2, hear(yes())), (3, listen())]);
        let expected = [Reply::Done, Reply::Done, Reply::None, Reply::Heard(Said::Cancelled)];
        assert_eq!(said, expected, "a call that was given up hears no answer");
        let waited = WAIT_MILLIS / 1_000;
        let late = replies(vec![(0, wait("a")), (waited, hear(yes())), (waited, listen())]);
        assert_eq!(late, [Reply::Done, Reply::None, Reply::None], "two minutes are over");
        let mut commands: Vec<_> = (0..WAITING_MAX).map(|at| (0, wait(&at.to_string()))).collect();
        commands.extend([(1, wait("more")), (waited, wait("more"))]);
        assert_eq!(
            replies(commands)[WAITING_MAX..],
            [Reply::Full, Reply::Done],
            "as many wait at once, and not for ever"
        );
    }

    #[test]
    fn a_state_is_used_once_before_it_expires() {
        let used = |second: u64, state: &str, ends: u64| {
            (second, Command::Use { state: state.to_owned(), ends: NOW.0 + ends * 1_000 })
        };
        let said = replies(vec![used(0, "a", 300), used(1, "a", 300), used(1, "b", 300), used(301, "c", 300)]);
        assert_eq!(said, [Reply::Done, Reply::None, Reply::Done, Reply::None]);
    }

    #[test]
    fn used_states_fill_the_record_until_they_expire() {
        let used = |second: u64, number: usize| {
            (second, Command::Use { state: number.to_string(), ends: NOW.0 + (second + 300) * 1_000 })
        };
        let mut commands: Vec<_> = (0..USED_MAX).map(|number| used(0, number)).collect();
        commands.extend([used(299, USED_MAX), used(300, USED_MAX)]);
        let mut said = replies(commands).split_off(USED_MAX - 1);
        assert_eq!(said.pop(), Some(Reply::Done), "there is room again once they have expired");
        assert_eq!(said, [Reply::Done, Reply::Full], "one more than there is room for is refused, not forgotten");
    }
}
