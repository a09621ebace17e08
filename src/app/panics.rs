//! What is logged of a panic.

use serde_json::json;

use crate::{
    base::{clock::UnixMillis, scrub::scrub},
    port::{Level, line},
};

/// Long enough for the two values of a failed `assert_eq!` on one line each.
const MESSAGE_CHARS_MAX: usize = 300;

/// The line of a panic at a file and line of the source, with its message if that may be logged: it may hold data.
pub fn panic_line(now: UnixMillis, place: Option<(&str, u32)>, message: Option<&str>) -> String {
    let at = place.map_or_else(|| "unknown".to_owned(), |(file, number)| format!("{file}:{number}"));
    let message = message.map(|message| message.chars().take(MESSAGE_CHARS_MAX).collect::<String>());
    let fields = match message {
        Some(message) => json!({ "at": at, "message": message }),
        None => json!({ "at": at }),
    };
    scrub(&line(now, Level::Error, "panic", fields), &[]).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(place: Option<(&str, u32)>, message: Option<&str>) -> Value {
        serde_json::from_str(&panic_line(UnixMillis(7), place, message)).unwrap()
    }

    #[test]
    fn a_panic_is_a_line_that_says_where_and_hides_secrets() {
        assert_eq!(
            read(Some(("src/edge/mod.rs", 12)), None),
            json!({"ts": 7, "level": "error", "event": "panic", "at": "src/edge/mod.rs:12"}),
            "the place holds no data"
        );
        let quoted = "left: \"Bearer canary\"\n right: \"password='canary'\", at \u{1}";
        let shown = read(None, Some(quoted));
        assert_eq!(shown["at"], "unknown");
        assert_eq!(shown["message"], "left: \"Bearer [redacted]\"\n right: \"password=[redacted]\", at \u{1}");
        let long = read(None, Some(&"x".repeat(5_000)));
        assert_eq!(long["message"].as_str().map(str::len), Some(MESSAGE_CHARS_MAX), "a message is cut");
    }
}
