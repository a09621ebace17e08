//! Makes text from others safe to show: no secrets, no control characters, one line at most.

use crate::base::text::spelled_out;

/// `text` without secrets, on one line, and not longer than `chars_max`.
pub(crate) fn presentable(text: &str, chars_max: usize, secrets: &[&str]) -> String {
    // 4 KiB is eight times the longest line made of it, and bounds the work that a hostile answer can cause.
    let scrubbed = scrub(&text.chars().take(4096).collect::<String>(), secrets);
    let mut line = String::new();
    for (at, c) in spelled_out(&scrubbed).chars().enumerate() {
        if at == chars_max {
            line.push('\u{2026}');
            break;
        }
        line.push(c);
    }
    line
}

/// Replaces a secret.
const REDACTED: &str = "[redacted]";

/// Removes the secrets of this call, and text that looks like one: the words after `Digest`, `Basic`, `Bearer`,
/// `password=` or `IDENTIFIED BY`, and runs of 32 or more hexadecimal digits.
fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret, REDACTED);
    }
    for (introduction, ends) in
        [("digest ", ""), ("basic ", " ,"), ("bearer ", " ,"), ("password=", " &,"), ("identified by ", " ,;")]
    {
        text = redact_after(&text, introduction, ends);
    }
    redact_hex(&text)
}

/// Replaces what follows each `introduction` (lower case), up to one of `ends`; with none, up to the end of the text.
/// A quoted value goes up to its closing quote.
fn redact_after(text: &str, introduction: &str, ends: &str) -> String {
    let mut left = text;
    let mut clean = String::new();
    // Lower-casing ASCII only keeps byte positions.
    while let Some(at) = left.to_ascii_lowercase().find(introduction) {
        let (before, after) = left.split_at(at + introduction.len());
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let length = match quote {
            Some(quote) => after.get(1..).and_then(|rest| rest.find(quote)).map_or(after.len(), |end| end + 2),
            None => after.find(|c| ends.contains(c)).unwrap_or(after.len()),
        };
        clean.push_str(before);
        clean.push_str(REDACTED);
        left = after.get(length..).unwrap_or_default();
    }
    clean.push_str(left);
    clean
}

fn redact_hex(text: &str) -> String {
    let mut clean = String::new();
    let mut left = text;
    while !left.is_empty() {
        let run = left.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(left.len());
        let step = run.max(left.chars().next().map_or(0, char::len_utf8));
        let (head, tail) = left.split_at(step);
        clean.push_str(if run >= 32 { REDACTED } else { head });
        left = tail;
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_scrubbing_panic_or_keep_a_secret(
            before in "\\PC{0,40}",
            after in "(é|'|\"|digest |basic |\\PC){0,20}",
        ) {
            let text = format!("{before}canary-private-key{after}");
            prop_assert!(!presentable(&text, 200, &["canary-private-key"]).contains("canary"));
        }
    }
}
