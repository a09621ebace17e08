//! Characters that are invisible or change how others are read, and their escapes.

use std::{borrow::Cow, fmt::Write};

/// The characters that are never shown as they are, ascending: `General_Category` Cc, Cf, Zl and Zp, and
/// `Default_Ignorable_Code_Point`, which holds zero-width characters, variation selectors and tags.
/// Unicode 17.0, `DerivedGeneralCategory.txt` and `DerivedCoreProperties.txt`.
const HIDDEN: &[(char, char)] = &[
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character is spelled out.
pub fn is_hidden(character: char) -> bool {
    // Most of any text lies between the first two ranges.
    !matches!(character, ' '..='~') && HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// The text with hidden characters as JSON spells them, `\u202e` (RFC 8259 section 7): within a string of a JSON document
/// they mean the same.
pub fn spelled_out(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut spelled = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        match character {
            '\n' => spelled.push_str("\\n"),
            '\r' => spelled.push_str("\\r"),
            '\t' => spelled.push_str("\\t"),
            hidden if is_hidden(hidden) => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(spelled, "\\u{unit:04x}");
                }
            }
            seen => spelled.push(seen),
        }
    }
    spelled.into()
}
