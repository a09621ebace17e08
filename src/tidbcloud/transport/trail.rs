//! What one call changes, noted where its requests are sent.

use std::cell::{Cell, RefCell};

use serde_json::json;

use crate::{base::http::Headers, port::RequestLog};

/// TiDB Cloud's id of a request, which its support asks for. The field is not published; the API gateway and the SQL gateway
/// both send it.
const TRACE_ID: &str = "x-debug-trace-id";

/// 64 characters: those seen are 32 hexadecimal digits; a UUID has 36.
const TRACE_ID_BYTES_MAX: usize = 64;

/// What one call changes.
///
/// The first request that may change something writes the line `change` with `phase` `begun` to the log, before it is sent, and
/// [`Trail::end`] writes the one with `ended`. An isolate that is killed between them leaves a change that has begun and not ended.
/// Lines have named fields only: no argument, no name of a resource and no SQL.
pub struct Trail<'a> {
    log: &'a RequestLog<'a>,
    /// What is called and as whom; `None` for a call that only reads.
    change: Option<(&'static str, &'a str)>,
    begun: Cell<bool>,
    /// Trace ids of the last change and of the last request of any kind: what its answer had, or `None` before an answer.
    of_change: RefCell<Option<String>>,
    of_any: RefCell<Option<String>>,
}

impl<'a> Trail<'a> {
    /// The trail of a call. `change` is the tool and the fingerprint of the credential, for a call that changes something.
    pub fn new(log: &'a RequestLog<'a>, change: Option<(&'static str, &'a str)>) -> Self {
        Self { log, change, begun: Cell::new(false), of_change: RefCell::default(), of_any: RefCell::default() }
    }

    /// Notes a request that is sent now.
    pub(super) fn sends(&self, changes: bool) {
        self.of_any.take();
        if !changes {
            return;
        }
        self.of_change.take();
        if let Some((tool, caller)) = self.change
            && !self.begun.replace(true)
        {
            self.log.event("change", json!({ "phase": "begun", "tool": tool, "as": caller }));
        }
    }

    /// Notes an answer.
    pub(super) fn answered(&self, changes: bool, headers: &Headers) {
        let id = trace_id_of(headers);
        if changes {
            self.of_change.replace(id.clone());
        }
        self.of_any.replace(id);
    }

    /// Whether a request that may change something was sent.
    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// TiDB Cloud's id of the last change, or of the last request of a call that has changed nothing. `None` if no answer
    /// to it came, or one without an id.
    pub fn trace_id(&self) -> Option<String> {
        let id = if self.has_begun() { &self.of_change } else { &self.of_any };
        id.borrow().clone()
    }

    /// Notes how a change ended, if one has begun.
    pub fn end(&self, outcome: &'static str) {
        if let Some((tool, caller)) = self.change.filter(|_| self.has_begun()) {
            let mut fields = json!({ "phase": "ended", "tool": tool, "as": caller, "outcome": outcome });
            if let (Some(id), Some(fields)) = (self.trace_id(), fields.as_object_mut()) {
                fields.insert("upstream_trace_id".to_owned(), id.into());
            }
            let write = if outcome == "unknown" { RequestLog::warn } else { RequestLog::event };
            write(self.log, "change", fields);
        }
    }
}

/// TiDB Cloud's id of a request, in its answer.
pub(super) fn trace_id_of(headers: &Headers) -> Option<String> {
    headers.get(TRACE_ID).and_then(|id| trace_id(&id))
}

/// An id as it can be shown and logged. It is text of others: anything but letters, digits and `-` is no id.
fn trace_id(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_one = (1..=TRACE_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
    is_one.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::Value;

    use super::*;
    use crate::{port::Log, tidbcloud::fake::Fake};

    #[derive(Default)]
    struct Lines(RefCell<Vec<String>>);

    impl Log for Lines {
        fn write(&self, line: &str) {
            self.0.borrow_mut().push(line.to_owned());
        }
    }

    #[test]
    fn a_change_begins_once_before_it_is_sent_and_ends_with_the_id_of_its_answer() {
        let lines = Lines::default();
        let fake = Fake::new(Vec::new());
        let log = RequestLog::new(&lines, &fake, 0);
        let trail = Trail::new(&log, Some(("db_execute", "SBXO…:1a2b3c4d")));
        let answer = |id: &str| Headers::from_iter([("X-Debug-Trace-Id", id)]);
        trail.sends(false);
        trail.answered(false, &answer("read"));
        assert!(!trail.has_begun() && lines.0.borrow().is_empty(), "a read begins no change");
        assert_eq!(
            trail.trace_id().as_deref(),
            Some("read"),
            "a call that changed nothing has the id of its last answer"
        );
        trail.sends(true);
        assert_eq!(lines.0.borrow().len(), 1, "the line is written before the answer comes");
        assert_eq!(trail.trace_id(), None, "the id of a read is not that of a change without an answer");
        trail.sends(true);
        trail.answered(true, &answer("write"));
        trail.sends(false);
        trail.answered(false, &answer("look"));
        assert_eq!(trail.trace_id().as_deref(), Some("write"), "a later read does not replace the id of the change");
        trail.end("done");
        let all = ["ts", "level", "request_id", "trace_id"];
        let mut lines: Vec<Value> = lines.0.take().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            let members = line.as_object_mut().unwrap();
            assert!(all.iter().all(|name| members.remove(*name).is_some()), "every line has these: {all:?}");
        }
        assert_eq!(
            lines,
            [
                json!({"event": "change", "phase": "begun", "tool": "db_execute", "as": "SBXO…:1a2b3c4d"}),
                json!({"event": "change", "phase": "ended", "tool": "db_execute", "as": "SBXO…:1a2b3c4d",
                    "outcome": "done", "upstream_trace_id": "write"}),
            ]
        );
    }

    #[test]
    fn a_trace_id_is_short_and_plain() {
        for (text, is_one) in [
            ("0af7651916cd43dd8448eb211c80319c", true),
            ("123e4567-e89b-12d3-a456-426614174000", true),
            (&*"a".repeat(64), true),
            (&*"a".repeat(65), false),
            ("", false),
            ("a b", false),
            ("<script>", false),
            ("\u{1b}[31m", false),
        ] {
            assert_eq!(trace_id(text).is_some(), is_one, "{text:?}");
        }
    }
}
