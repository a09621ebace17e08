//! The body of a request: one message, or a batch.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, error::Category};

use crate::base::strict::Strict;

/// Messages in one batch: each is charged to the caller's limits, so ten are a tenth of the default minute.
pub(super) const BATCH_MAX: usize = 10;

/// The content of a body.
#[derive(Debug, PartialEq)]
pub(super) enum Document {
    /// One value that is not an array.
    One(Value),
    /// A JSON-RPC batch of at most [`BATCH_MAX`] values.
    Batch(Vec<Value>),
}

/// Why a body was not read. The text names a position and never quotes the body.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// It is not JSON (RFC 8259), or not UTF-8, or nested too deep.
    Syntax(String),
    /// It is JSON, with a duplicate key, too many keys or too many messages.
    Structure(String),
}

/// Reads a whole body.
pub(super) fn read(body: &[u8]) -> Result<Document, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let document = match body.iter().find(|byte| !b" \t\r\n".contains(byte)) {
        Some(b'[') => reader.deserialize_seq(Batch).map(Document::Batch),
        _ => Strict::deserialize(&mut reader).map(|Strict(value)| Document::One(value)),
    };
    let document = document.and_then(|document| reader.end().map(|()| document));
    document.map_err(|error| match error.classify() {
        // The visitors below take every type, so the only data errors are the ones they raise.
        Category::Data => Refusal::Structure(error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => Refusal::Syntax(error.to_string()),
    })
}

/// Builds an array at the top: there it is a batch.
struct Batch;

impl<'de> Visitor<'de> for Batch {
    type Value = Vec<Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON-RPC batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<Value>, A::Error> {
        let mut messages = Vec::new();
        while messages.len() < BATCH_MAX {
            match elements.next_element()? {
                Some(Strict(message)) => messages.push(message),
                None => return Ok(messages),
            }
        }
        // Further values are never built: a body of half a million empty arrays costs ten of them.
        match elements.next_element::<IgnoredAny>()? {
            Some(_) => Err(A::Error::custom("a batch has more than 10 messages")),
            None => Ok(messages),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{json::tests::values, strict::KEYS_MAX};

    fn is_structure(body: &str) -> bool {
        matches!(read(body.as_bytes()), Err(Refusal::Structure(_)))
    }

    fn is_syntax(body: impl AsRef<[u8]>) -> bool {
        matches!(read(body.as_ref()), Err(Refusal::Syntax(_)))
    }

    proptest! {
        #[test]
        fn reads_back_every_value(value in values(), pretty: bool) {
            let body = if pretty { format!("{value:#}") } else { value.to_string() };
            let expected = match value {
                Value::Array(values) => Document::Batch(values),
                value => Document::One(value),
            };
            prop_assert_eq!(read(body.as_bytes()), Ok(expected));
        }

        /// Bytes that resemble JSON, compared with the library's own reader.
        #[test]
        fn takes_nothing_that_is_not_json(body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            r#"[\[\]{}:,"\\ 0-9eE.+a-bnu-]{0,24}"#.prop_map(String::into_bytes),
        ]) {
            let reference = serde_json::from_slice::<Value>(&body);
            match read(&body) {
                Ok(Document::One(value)) => prop_assert_eq!(value, reference.unwrap()),
                Ok(Document::Batch(values)) => prop_assert_eq!(Value::from(values), reference.unwrap()),
                Err(Refusal::Syntax(_)) => prop_assert!(reference.is_err()),
                Err(Refusal::Structure(_)) => {}
            }
        }

        /// One key, twice, each time with some of its characters escaped.
        #[test]
        fn sees_equal_keys_through_escapes(key in "[a-zA-Z_/é\u{1f600}\"]{0,8}", escaped in any::<u32>(), depth in 0..20_usize) {
            let spell = |mask: u32| -> String {
                let spelled = |(index, char): (usize, char)| match char {
                    '"' => "\\\"".to_owned(),
                    _ if mask >> index & 1 == 0 => char.to_string(),
                    _ => char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
                };
                key.chars().enumerate().map(spelled).collect()
            };
            let object = format!(r#"{{"{}":1,"another":2,"{}":3}}"#, spell(escaped), spell(!escaped));
            prop_assert!(key == "another" || is_structure(&object));
            let nested = format!(r#"{{"a":{}{object}{}}}"#, "[".repeat(depth), "]".repeat(depth));
            prop_assert!(is_structure(&nested));
        }
    }

    #[test]
    fn limits() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(nested(127).as_bytes()).is_ok());
        assert!(is_syntax(nested(128)) && is_syntax("[".repeat(1_000_000)));

        let object = |keys: usize| {
            let entries: Vec<_> = (0..keys).map(|key| format!("\"{key}\":0")).collect();
            format!("{{\"a\":{{{}}}}}", entries.join(","))
        };
        assert!(read(object(KEYS_MAX).as_bytes()).is_ok());
        assert!(is_structure(&object(KEYS_MAX + 1)) && is_structure(&object(100_000)));

        let batch = |length: usize| format!(" [{}]", vec!["[]"; length].join(","));
        assert_eq!(read(b"[]"), Ok(Document::Batch(Vec::new())));
        assert!(read(batch(BATCH_MAX).as_bytes()).is_ok());
        assert!(is_structure(&batch(BATCH_MAX + 1)) && is_structure(&batch(340_000)));
    }

    #[test]
    fn encodings() {
        assert!(is_syntax(b"{\"a\":\"\xff\"}") && is_syntax(b"{\"a\":\"\xc0\xaf\"}") && is_syntax(b"{\"a\xff\":1}"));
        assert!(is_syntax(br#"{"a":"\ud800"}"#), "half a surrogate pair is no character");
        assert!(is_syntax("\u{feff}{}"), "RFC 8259 section 8.1: no byte order mark");
    }
}
