//! The log: one JSON object a line.

use serde_json::{Map, Value};

/// Takes lines.
pub trait Log {
    /// Writes one line.
    fn write(&self, line: &str);
}

/// The log of one HTTP request, whose id is in every line.
#[derive(Clone, Copy)]
pub struct RequestLog<'a> {
    /// Where lines go.
    pub to: &'a dyn Log,
    /// Id of the HTTP request that is being answered.
    pub request_id: &'a str,
}

impl RequestLog<'_> {
    /// Writes an event with the members of `fields`, which must be an object.
    pub fn event(&self, event: &str, fields: Value) {
        let mut line = Map::new();
        line.insert("event".to_owned(), event.into());
        line.insert("request_id".to_owned(), self.request_id.into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        self.to.write(&Value::Object(line).to_string());
    }
}
