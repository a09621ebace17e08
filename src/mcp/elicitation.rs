//! Asking the person behind a client with a form, in both eras.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/client/elicitation>,
//! <https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation>

use serde_json::{Map, Value, json};

use super::response::event;

/// The method, in both eras.
const METHOD: &str = "elicitation/create";

/// A form.
pub struct Form {
    /// What the person reads.
    pub message: String,
    /// The schema of what they type: an object of primitive members.
    pub schema: Value,
}

/// What a person did with a form (schema `ElicitResult`).
#[derive(Clone, Debug, PartialEq)]
pub enum Elicited {
    /// They sent it, with this content.
    Accepted(Map<String, Value>),
    /// They did not, or the client did not show it.
    Declined,
}

impl Form {
    /// The member of `inputRequests` of 2026-07-28, where the client repeats its call with the answer.
    pub fn to_input_request(&self) -> Value {
        json!({"method": METHOD, "params": {"mode": "form", "message": self.message, "requestedSchema": self.schema}})
    }

    /// The request of earlier revisions, as an event of the stream that answers the call. Without a mode, which 2025-06-18 does not
    /// know, and which means a form later.
    pub fn to_event(&self, id: &str) -> String {
        let params = json!({"message": self.message, "requestedSchema": self.schema});
        event(&json!({"jsonrpc": "2.0", "id": id, "method": METHOD, "params": params}).to_string())
    }
}

impl Elicited {
    /// From the result that a client gave. `None`: it is none.
    pub fn read(result: &Value) -> Option<Self> {
        match result.get("action").and_then(Value::as_str)? {
            "accept" => Some(Self::Accepted(match result.get("content") {
                Some(Value::Object(content)) => content.clone(),
                _ => Map::new(),
            })),
            "decline" | "cancel" => Some(Self::Declined),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_in_both_eras() {
        let content = json!({"name": "shop"}).as_object().expect("an object").clone();
        for (result, expected) in [
            (json!({"action": "accept", "content": {"name": "shop"}}), Some(Elicited::Accepted(content))),
            (json!({"action": "accept"}), Some(Elicited::Accepted(Map::new()))),
            (json!({"action": "accept", "content": "shop"}), Some(Elicited::Accepted(Map::new()))),
            (json!({"action": "decline", "content": {"name": "shop"}}), Some(Elicited::Declined)),
            (json!({"action": "cancel"}), Some(Elicited::Declined)),
            (json!({"action": "yes"}), None),
            (json!({"action": 1}), None),
            (json!({}), None),
            (Value::Null, None),
            (json!("accept"), None),
        ] {
            assert_eq!(Elicited::read(&result), expected, "{result}");
        }
    }

    #[test]
    fn a_request_is_one_event() {
        let form = Form { message: "End it.\nId: 1".to_owned(), schema: json!({"type": "object", "properties": {}}) };
        let event = form.to_event("sealed");
        let data =
            event.strip_prefix("event: message\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("an event");
        assert!(!data.contains('\n'), "a line break would end the data: {data}");
        let request: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!((&request["id"], &request["method"]), (&json!("sealed"), &json!(METHOD)));
        assert_eq!(request["params"]["message"], json!(form.message));
        assert_eq!(request["params"].get("mode"), None, "2025-06-18 does not know it");
    }
}
