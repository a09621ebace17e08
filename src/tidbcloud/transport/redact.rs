//! Makes text from others safe to show: no secrets, no control characters, one line at most.

use crate::base::{scrub::scrub_text, text::spelled_out};

/// `text` without secrets, on one line, and not longer than `chars_max`.
pub(crate) fn presentable(text: &str, chars_max: usize, secrets: &[&str]) -> String {
    // 4 KiB is eight times the longest line made of it, and bounds the work that a hostile answer can cause.
    let end = text.char_indices().nth(4096).map_or(text.len(), |(end, _)| end);
    let scrubbed = scrub_text(text.get(..end).unwrap_or_default(), secrets);
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
