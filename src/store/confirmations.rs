//! What a principal was asked and has confirmed: one object for each principal, so that a confirmation is taken once, before
//! the first change is sent, whatever else runs at the same time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::handed_out::HANDED_OUT_MAX;
use super::{
    handed_out::{HandedOut, KEPT_MILLIS, Kept},
    seal::Sealed,
};
use crate::base::clock::UnixMillis;

/// Ten minutes from the question to the answer: a person has to be told, open a page and read it.
pub const ASKED_MILLIS: u64 = 600_000;
/// Five minutes from the answer to the call that makes use of it.
pub const CONFIRMED_MILLIS: u64 = 300_000;
/// Wrong credentials that can be tried on one page.
pub const TRIES_MAX: u8 = 5;
/// Questions that one principal can have open. A sealed page has 44 KB at most (`SHOWN_BYTES_MAX` of `catalogue::stakes`),
/// and ten of them fit into the 2 MB of a stored value (<https://developers.cloudflare.com/durable-objects/platform/limits/>).
pub const OPEN_MAX: usize = 10;
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<Kept>,
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
    /// The same, and counts one try of credentials before they are looked at: of many at once no more than [`TRIES_MAX`] are.
    Try {
        /// Of its link.
        id: String,
    },
    /// Takes the last try back: it was none of somebody who guesses.
    TakeBack {
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
    /// Keeps a place for secrets, for `KEPT_MILLIS`.
    Keep {
        /// Of their link.
        id: String,
    },
    /// Lays secrets out for ten minutes, in the place that was kept for them, if one was.
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

impl Question {
    fn is_answered(&self) -> bool {
        self.confirmed || self.declined
    }
}

impl Record {
    /// When the next part of it ends, and is to be forgotten.
    pub fn due(&self) -> UnixMillis {
        let questions = self.questions.iter().map(|question| question.ends);
        let waiting = self.waiting.iter().map(|waiting| waiting.ends);
        let handed_out = self.handed_out.iter().map(|out| out.ends);
        let kept = self.kept.iter().map(|kept| kept.ends);
        let used = self.used.iter().map(|(_, ends)| *ends);
        UnixMillis(questions.chain(used).chain(waiting).chain(handed_out).chain(kept).min().unwrap_or(0))
    }

    /// What is left of it at this time.
    pub fn at(mut self, now: UnixMillis) -> Option<Self> {
        self.forget_ended(now.0);
        self.unless_empty()
    }

    fn forget_ended(&mut self, now: u64) {
        self.questions.retain(|question| question.ends > now);
        self.used.retain(|(_, ends)| *ends > now);
        self.waiting.retain(|waiting| waiting.ends > now);
        self.handed_out.retain(|out| out.ends > now);
        self.kept.retain(|kept| kept.ends > now);
    }

    /// Nothing, if there is nothing in it.
    fn unless_empty(self) -> Option<Self> {
        let is_empty = self.questions.is_empty()
            && self.used.is_empty()
            && self.waiting.is_empty()
            && self.handed_out.is_empty()
            && self.kept.is_empty();
        (!is_empty).then_some(self)
    }

    fn open(&mut self, id: &str) -> Option<&mut Question> {
        self.questions.iter_mut().find(|question| question.id == id && !question.is_answered())
    }

    fn laid_out(&mut self, id: &str) -> Option<&mut HandedOut> {
        self.handed_out.iter_mut().find(|out| out.id == id)
    }

    /// The tries of what a link leads to.
    fn tries(&mut self, id: &str) -> Option<&mut u8> {
        let open = self.questions.iter_mut().find(|question| question.id == id && !question.is_answered());
        let laid_out = self.handed_out.iter_mut().find(|out| out.id == id);
        open.map(|question| &mut question.tries).or(laid_out.map(|out| &mut out.tries))
    }

    /// What a link shows. Whoever has proved that it is theirs goes on, whatever strangers tried since.
    fn show(&mut self, id: &str) -> Reply {
        if let Some(question) = self.open(id) {
            let tries_left = TRIES_MAX.saturating_sub(question.tries);
            let Some(page) = question.page.clone().map(Box::new) else { return Reply::None };
            let key = question.keys.as_ref().and_then(|keys| keys.link.clone()).map(Box::new);
            return Reply::Open { page, tries_left, key, left: Vec::new() };
        }
        let Some(out) = self.laid_out(id) else { return Reply::None };
        let (page, tries_left) = (Box::new(out.page.clone()), out.tries_left());
        Reply::Open { page, tries_left, key: None, left: out.left() }
    }

    fn ask(&mut self, question: Question) -> Reply {
        // What was handed in goes with the next question about the same call.
        let stays = |before: &Question| before.confirmed && before.handed_in.is_none();
        self.questions.retain(|before| before.call != question.call || stays(before));
        // A decline that no call has heard of yet keeps no question out.
        if self.questions.len() >= OPEN_MAX
            && let Some(at) = self.questions.iter().position(|question| question.declined)
        {
            self.questions.remove(at);
        }
        if self.questions.len() >= OPEN_MAX {
            return Reply::Full;
        }
        self.questions.push(question);
        Reply::Done
    }

    fn answer(&mut self, now: UnixMillis, id: &str, yes: bool, handed_in: Option<Box<Sealed>>) -> Reply {
        let Some(question) = self.open(id) else { return Reply::None };
        // A yes has what was asked for, and nothing else.
        if yes && question.keys.is_some() != handed_in.is_some() {
            return Reply::None;
        }
        (question.confirmed, question.declined) = (yes, !yes);
        (question.page, question.handed_in) = (None, handed_in.filter(|_| yes).map(|sealed| *sealed));
        if let Some(keys) = &mut question.keys {
            keys.link = None;
        }
        question.ends = now.0.saturating_add(CONFIRMED_MILLIS);
        Reply::Done
    }

    fn take(&mut self, call: &str) -> Reply {
        let answered = |question: &Question| question.call == call && question.is_answered();
        let said = self.questions.iter().rev().find(|question| answered(question));
        let reply = match said.map(|question| (question.confirmed, &question.keys, &question.handed_in)) {
            Some((true, Some(keys), Some(sealed))) => {
                Reply::HandedIn { key: Box::new(keys.caller.clone()), sealed: Box::new(sealed.clone()) }
            }
            Some((true, None, None)) => Reply::Done,
            Some((false, ..)) => Reply::Heard(Said::No),
            Some((true, ..)) | None => Reply::None,
        };
        self.questions.retain(|question| !answered(question));
        reply
    }

    fn has_no_place(&self) -> bool {
        self.handed_out.len() + self.kept.len() >= HANDED_OUT_MAX
    }

    fn hand_out(&mut self, out: HandedOut) -> Reply {
        self.kept.retain(|kept| kept.id != out.id);
        if self.has_no_place() {
            return Reply::Full;
        }
        self.handed_out.push(out);
        Reply::Done
    }

    fn give(&mut self, id: &str, item: usize) -> Reply {
        let taken = self.laid_out(id).and_then(|out| out.give(item));
        self.handed_out.retain(|out| !out.is_empty());
        taken.map_or(Reply::None, |sealed| Reply::Given(Box::new(sealed)))
    }

    fn mark(&mut self, now: UnixMillis, state: String, ends: u64) -> Reply {
        if ends <= now.0 || self.used.iter().any(|(used, _)| *used == state) {
            return Reply::None;
        }
        if self.used.len() >= USED_MAX {
            return Reply::Full;
        }
        self.used.push((state, ends));
        Reply::Done
    }

    fn hear(&mut self, id: &str, said: Said) -> Reply {
        let of_it = |waiting: &&mut Waiting| (waiting.id == id || waiting.call == id) && waiting.said.is_none();
        let Some(waiting) = self.waiting.iter_mut().find(of_it) else { return Reply::None };
        waiting.said = Some(said);
        Reply::Done
    }

    fn listen(&mut self, id: &str) -> Reply {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id) else { return Reply::None };
        let Some(said) = self.waiting.get_mut(at).and_then(|waiting| waiting.said.take()) else {
            return Reply::Waiting;
        };
        self.waiting.remove(at);
        Reply::Heard(said)
    }
}

/// Takes one command.
pub fn step(stored: Option<Record>, now: UnixMillis, command: Command) -> (Option<Record>, Reply) {
    let mut record = stored.unwrap_or(Record { v: 1, ..Record::default() });
    record.forget_ended(now.0);
    let after = |millis: u64| now.0.saturating_add(millis);
    let reply = match command {
        Command::Ask { id, call, page, keys } => record.ask(Question {
            id,
            call,
            page: Some(*page),
            keys: keys.map(|keys| *keys),
            handed_in: None,
            tries: 0,
            confirmed: false,
            declined: false,
            ends: after(ASKED_MILLIS),
        }),
        Command::Look { id } => record.show(&id),
        Command::Try { id } => match record.tries(&id) {
            Some(tries) if *tries < TRIES_MAX => {
                *tries += 1;
                record.show(&id)
            }
            _ => Reply::None,
        },
        Command::TakeBack { id } => match record.tries(&id) {
            Some(tries) => {
                *tries = tries.saturating_sub(1);
                Reply::Done
            }
            None => Reply::None,
        },
        Command::Answer { id, yes, handed_in } => record.answer(now, &id, yes, handed_in),
        Command::Keep { .. } if record.has_no_place() => Reply::Full,
        Command::Keep { id } => {
            record.kept.push(Kept { id, ends: after(KEPT_MILLIS) });
            Reply::Done
        }
        Command::HandOut { id, page, items } => record.hand_out(HandedOut::new(id, *page, items, after(ASKED_MILLIS))),
        Command::Give { id, item } => record.give(&id, item),
        Command::Take { call } => record.take(&call),
        Command::Use { state, ends } => record.mark(now, state, ends),
        Command::Wait { .. } if record.waiting.len() >= WAITING_MAX => Reply::Full,
        Command::Wait { id, call } => {
            record.waiting.push(Waiting { id, call, said: None, ends: after(WAIT_MILLIS) });
            Reply::Done
        }
        Command::Hear { id, said } => record.hear(&id, said),
        Command::Await { id } => record.listen(&id),
    };
    (record.unless_empty(), reply)
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

    fn keys() -> Option<Box<Keys>> {
        Some(Box::new(Keys { link: Some(*page()), caller: *page() }))
    }

    #[test]
    fn what_is_handed_in_is_taken_once_by_the_call_that_it_is_for() {
        let ask = |id: &str| Command::Ask { id: id.to_owned(), call: "send".to_owned(), page: page(), keys: keys() };
        let hand_in = |yes| Command::Answer { id: "a".to_owned(), yes, handed_in: Some(page()) };
        let taken = || Reply::HandedIn { key: page(), sealed: page() };
        let said = replies(vec![
            (0, ask("a")),
            (1, hand_in(true)),
            (2, take("another")),
            (3, take("send")),
            (4, take("send")),
        ]);
        assert_eq!(said, [Reply::Done, Reply::Done, Reply::None, taken(), Reply::None]);
        let without = replies(vec![(0, ask("a")), (1, answer("a", true)), (2, take("send"))]);
        assert_eq!(without[1..], [Reply::None, Reply::None], "a yes has what was asked for");
        let unasked = replies(vec![(0, super::tests::ask("a", "send")), (1, hand_in(true)), (2, take("send"))]);
        assert_eq!(unasked[1..], [Reply::None, Reply::None], "and nothing that was not");
        let declined = replies(vec![(0, ask("a")), (1, hand_in(false)), (2, take("send"))]);
        assert_eq!(declined[1..], [Reply::Done, Reply::Heard(Said::No)]);
        let late = replies(vec![(0, ask("a")), (1, hand_in(true)), (1 + CONFIRMED_MILLIS / 1_000, take("send"))]);
        assert_eq!(late[2], Reply::None);
        let again = replies(vec![(0, ask("a")), (1, hand_in(true)), (2, ask("b")), (3, take("send"))]);
        assert_eq!(again[2..], [Reply::Done, Reply::None], "another question about the call takes it away");
    }

    /// Whoever gets hold of a link and of what is stored after the answer opens nothing.
    #[test]
    fn nothing_that_a_link_opens_is_kept_after_the_answer() {
        for yes in [true, false] {
            let asked = Command::Ask { id: "a".to_owned(), call: "send".to_owned(), page: page(), keys: keys() };
            let (stored, _) = step(None, NOW, asked);
            let answer = Command::Answer { id: "a".to_owned(), yes, handed_in: Some(page()) };
            let (stored, reply) = step(stored, NOW, answer);
            let question = stored.expect("a record").questions.pop().expect("a question");
            assert_eq!(reply, Reply::Done);
            assert!(question.page.is_none() && question.keys.expect("keys").link.is_none());
            assert_eq!(question.handed_in.is_some(), yes, "a decline keeps nothing");
        }
    }

    #[test]
    fn secrets_are_given_once_each_until_ten_minutes_are_over() {
        let out =
            |id: &str| Command::HandOut { id: id.to_owned(), page: page(), items: vec![*page(), *page(), *page()] };
        let give = |item| Command::Give { id: "a".to_owned(), item };
        let look = || Command::Look { id: "a".to_owned() };
        let open = |left: &[usize]| Reply::Open { page: page(), tries_left: TRIES_MAX, key: None, left: left.to_vec() };
        let given = || Reply::Given(page());
        let said = replies(vec![
            (0, out("a")),
            (1, give(1)),
            (2, give(1)),
            (2, give(3)),
            (3, look()),
            (4, give(0)),
            (5, give(2)),
            (6, look()),
        ]);
        let expected = [Reply::Done, given(), Reply::None, Reply::None, open(&[0, 2]), given(), given(), Reply::None];
        assert_eq!(said, expected);
        let ends = ASKED_MILLIS / 1_000;
        let late = replies(vec![(0, out("a")), (ends - 1, give(0)), (ends, give(1))]);
        assert_eq!(late[1..], [given(), Reply::None]);
        let mut commands: Vec<_> = (0..HANDED_OUT_MAX).map(|at| (0, out(&at.to_string()))).collect();
        commands.extend([(1, out("more")), (2, ask("a", "drop")), (ends, out("more"))]);
        assert_eq!(replies(commands)[HANDED_OUT_MAX..], [Reply::Full, Reply::Done, Reply::Done]);
    }

    /// A key of TiDB Cloud is shown once, when it is made: nothing is made whose key could not be handed out.
    #[test]
    fn a_place_for_secrets_is_kept_until_they_come_or_a_minute_is_over() {
        let out = |id: usize| Command::HandOut { id: id.to_string(), page: page(), items: vec![*page()] };
        let keep = |id: usize| Command::Keep { id: id.to_string() };
        let full: Vec<_> = (1..HANDED_OUT_MAX).map(|id| (0, out(id))).collect();
        let said = |more: Vec<(u64, Command)>| replies([full.clone(), more].concat()).split_off(full.len());
        let give = || Command::Give { id: "1".to_owned(), item: 0 };
        assert_eq!(
            said(vec![(1, keep(7)), (2, keep(8)), (2, out(9)), (3, out(7)), (4, out(9))]),
            [Reply::Done, Reply::Full, Reply::Full, Reply::Done, Reply::Full],
            "nobody else takes it, and it is one place"
        );
        assert_eq!(said(vec![(1, keep(7)), (2, give()), (3, keep(8)), (4, keep(9))])[2..], [Reply::Done, Reply::Full]);
        let over = 1 + KEPT_MILLIS / 1_000;
        assert_eq!(said(vec![(1, keep(7)), (over, out(9))]), [Reply::Done, Reply::Done]);
        let alone = step(None, NOW, keep(7)).0.expect("a place");
        let due = UnixMillis(NOW.0 + KEPT_MILLIS);
        assert_eq!((alone.due(), alone.at(due)), (due, None), "nothing is left of it");
    }

    /// The stored forms of each version: a question that was open before an update is answered after it.
    #[test]
    fn what_was_stored_before_is_still_read() {
        let sealed = r#"{"k":"k","n":"n","c":"c"}"#;
        let first = format!(
            r#"{{"v":1,"questions":[{{"id":"a","call":"drop","page":{sealed},"tries":1,"confirmed":false,"ends":1600000}},{{"id":"b","call":"send","page":{sealed},"tries":0,"confirmed":true,"declined":false,"ends":1300000}}],"used":[["u",1300000]]}}"#
        );
        let record: Record = crate::base::json::read(first.as_bytes()).expect("the first form");
        let (record, reply) = step(Some(record), NOW, Command::Look { id: "a".to_owned() });
        let left = TRIES_MAX - 1;
        assert_eq!(reply, Reply::Open { page: page(), tries_left: left, key: None, left: Vec::new() });
        let (record, reply) = step(record, NOW, answer("a", true));
        assert_eq!(reply, Reply::Done);
        let (record, reply) = step(record, NOW, take("send"));
        assert_eq!(reply, Reply::Done);
        assert_eq!(step(record, NOW, take("drop")).1, Reply::Done);

        let mut stored = None;
        for command in [
            Command::Ask { id: "a".to_owned(), call: "send".to_owned(), page: page(), keys: keys() },
            Command::Ask { id: "b".to_owned(), call: "load".to_owned(), page: page(), keys: keys() },
            Command::Answer { id: "b".to_owned(), yes: true, handed_in: Some(page()) },
            Command::HandOut { id: "c".to_owned(), page: page(), items: vec![*page(), *page()] },
            Command::Give { id: "c".to_owned(), item: 0 },
        ] {
            stored = step(stored, NOW, command).0;
        }
        let text = serde_json::to_string(&stored).expect("JSON");
        let now = format!(
            r#"{{"v":1,"questions":[{{"id":"a","call":"send","page":{sealed},"keys":{{"link":{sealed},"caller":{sealed}}},"tries":0,"confirmed":false,"ends":1600000}},{{"id":"b","call":"load","keys":{{"caller":{sealed}}},"handed_in":{sealed},"tries":0,"confirmed":true,"ends":1300000}}],"used":[],"handed_out":[{{"id":"c","page":{sealed},"items":[null,{sealed}],"tries":0,"ends":1600000}}]}}"#
        );
        assert_eq!(text, now, "the stored form changed: what is stored before must still be read");
        let read: Record = crate::base::json::read(now.as_bytes()).expect("this form");
        assert_eq!(Some(read), stored);
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
    fn five_wrong_credentials_are_tried_on_one_page() {
        let id = || "a".to_owned();
        let tried = || (1, Command::Try { id: id() });
        let right = || (1, Command::TakeBack { id: id() });
        let out = || Command::HandOut { id: id(), page: page(), items: vec![*page()] };
        let left = |commands: Vec<(u64, Command)>| -> Vec<_> {
            let left = |reply| match reply {
                Reply::Open { tries_left, .. } => Some(tries_left),
                _ => None,
            };
            replies(commands).into_iter().skip(1).map(left).collect()
        };
        for opened in [ask("a", "drop"), out()] {
            let begins = || vec![(0, opened.clone())];
            let wrong: Vec<_> = (0..=TRIES_MAX).map(|_| tried()).collect();
            let spent = [begins(), wrong.clone()].concat();
            assert_eq!(left(spent.clone()), [Some(4), Some(3), Some(2), Some(1), Some(0), None], "then no more are");
            let look = (2, Command::Look { id: id() });
            assert_eq!(left([spent, vec![look]].concat()).pop(), Some(Some(0)), "whoever has proved it goes on");
            let often: Vec<_> = (0..20).flat_map(|_| [tried(), right()]).collect();
            let often = left([begins(), wrong[..4].to_vec(), often].concat());
            assert_eq!(often[often.len() - 2..], [Some(0), None], "the right ones are no try, be it the fifth");
            assert_eq!(left([begins(), vec![right(), tried()]].concat()).pop(), Some(Some(4)), "nor one more");
        }
        let fifth = [vec![(0, ask("a", "drop"))], (0..TRIES_MAX).map(|_| tried()).collect()].concat();
        assert_eq!(replies([fifth, vec![(2, answer("a", true))]].concat()).pop(), Some(Reply::Done));
    }

    /// What was handed in goes in time, though a later question is open for longer.
    #[test]
    fn what_ends_first_is_forgotten_first() {
        let asked = |id: &str, call: &str| Command::Ask {
            id: id.to_owned(),
            call: call.to_owned(),
            page: page(),
            keys: keys(),
        };
        let (stored, _) = step(None, NOW, asked("a", "send"));
        let (stored, _) = step(stored, NOW, Command::Answer { id: "a".to_owned(), yes: true, handed_in: Some(page()) });
        let (stored, _) = step(stored, NOW, asked("b", "load"));
        let (stored, _) = step(stored, NOW, Command::Wait { id: "c".to_owned(), call: "c".to_owned() });
        let mut record = stored.expect("a record");
        let mut ends = Vec::new();
        loop {
            let due = record.due();
            ends.push((due.0 - NOW.0, record.questions.iter().any(|question| question.handed_in.is_some())));
            let just_before = UnixMillis(due.0 - 1);
            assert_eq!(record.clone().at(just_before).as_ref(), Some(&record), "nothing goes early");
            let Some(left) = record.at(due) else { break };
            record = left;
        }
        assert_eq!(ends, [(WAIT_MILLIS, true), (CONFIRMED_MILLIS, true), (ASKED_MILLIS, false)]);
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
