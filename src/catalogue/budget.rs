//! Results within a budget of bytes, as JSON: lists are cut at their end, texts between characters, and the result says
//! that it was cut and how to go on.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    base::text::{is_hidden, spelled_out},
    mcp::outcome::ToolError,
};

/// Replaces the end of a text that was cut.
const ELLIPSIS: char = '…';
/// A notice of [`list`], with its member names.
const NOTICE_BYTES: usize = 256;
/// An error says what happened and what to do next: 1,200 bytes are some 200 words for each.
const ERROR_TEXT_BYTES_MAX: usize = 1_200;

/// Bytes of a value as JSON, in its longer form: that of the text, where hidden characters are spelled out.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text_size(text),
        value => serialized_size(value),
    }
}

/// Bytes of a JSON document with its hidden characters spelled out.
fn document_size(document: &str) -> usize {
    spelled_out(document).len()
}

/// Bytes of a text as JSON, quotes included.
pub(crate) fn text_size(text: &str) -> usize {
    text.chars().map(character_size).sum::<usize>() + 2
}

/// As `serde_json` writes it (RFC 8259 section 7), or spelled out.
fn character_size(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        hidden if is_hidden(hidden) => 6 * hidden.len_utf16(),
        character => character.len_utf8(),
    }
}

/// Cuts a text to at most `bytes_max` bytes as JSON, quotes and ellipsis included. Returns whether it was cut.
pub(crate) fn cut_text(text: &mut String, bytes_max: usize) -> bool {
    if text_size(text) <= bytes_max {
        return false;
    }
    let mut room = bytes_max.saturating_sub(2 + ELLIPSIS.len_utf8());
    let fits = |character: &char| {
        let size = character_size(*character);
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    };
    let end = text.chars().take_while(fits).map(char::len_utf8).sum();
    text.truncate(end);
    text.push(ELLIPSIS);
    true
}

/// The largest size per text at which all together have at most `bytes_max`.
pub(crate) fn cap(mut sizes: Vec<usize>, bytes_max: usize) -> usize {
    sizes.sort_unstable();
    let mut left = bytes_max;
    let mut count = sizes.len();
    for size in sizes {
        let share = left / count.max(1);
        if size > share {
            return share;
        }
        left -= size;
        count -= 1;
    }
    bytes_max
}

/// An output of limited size, and that size: as it is, or with its longest list cut.
pub(super) fn output(output: String, bytes_max: usize, takes_page_size: bool) -> (String, usize) {
    let bytes = document_size(&output);
    let Some(mut value) = (bytes > bytes_max).then(|| serde_json::from_str(&output).ok()).flatten() else {
        return (output, bytes);
    };
    list(&mut value, bytes_max, takes_page_size);
    let cut = value.to_string();
    let bytes = document_size(&cut);
    (cut, bytes)
}

/// Bytes of what is serialized, in its longer form.
pub(super) fn serialized_size(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| document_size(&text))
}

/// Cuts the longest list of an output, or the longest map. A page that was cut has no next page: `page_size` says how many
/// entries fit.
fn list(output: &mut Value, bytes_max: usize, takes_page_size: bool) {
    let whole = size(output);
    if whole <= bytes_max {
        return;
    }
    let Some(members) = output.as_object_mut() else { return };
    let longest = members.iter().max_by_key(|(_, value)| size(value));
    let Some(name) = longest.map(|(name, _)| name.clone()) else { return };
    let Some(entries) = members.get_mut(&name) else { return };
    let (count, mut excess) = (length(entries), whole.saturating_add(NOTICE_BYTES).saturating_sub(bytes_max));
    while excess > 0
        && let Some(bytes) = drop_last(entries)
    {
        excess = excess.saturating_sub(bytes);
    }
    let shown = length(entries);
    let mut notice = format!("Showing the first {shown} of {count} entries: more do not fit into one result.");
    if takes_page_size && shown > 0 {
        notice.push_str(&format!(" Call again with `pageSize` {shown} or less to get all of them page by page."));
    } else {
        notice.push_str(" If other calls ran beside it, call it alone to get more.");
    }
    members.remove("nextPageToken");
    // A page does not know the total, unless the output says it.
    let total = members.get("totalSize").cloned().or_else(|| (!takes_page_size).then(|| count.into()));
    members.extend(total.map(|total| ("total".to_owned(), total)));
    members.insert("returned".to_owned(), shown.into());
    members.insert("truncated".to_owned(), true.into());
    members.insert("notice".to_owned(), notice.into());
}

/// How many entries a list or an object has.
fn length(entries: &Value) -> usize {
    entries.as_array().map(Vec::len).or_else(|| entries.as_object().map(Map::len)).unwrap_or_default()
}

/// Drops the last entry of a list or an object and returns its size in bytes.
fn drop_last(entries: &mut Value) -> Option<usize> {
    match entries {
        Value::Array(entries) => entries.pop().map(|last| size(&last) + 1),
        Value::Object(entries) => {
            let name = entries.keys().next_back().cloned()?;
            entries.remove(&name).map(|last| text_size(&name) + size(&last) + 2)
        }
        _ => None,
    }
}

/// Cuts an error: first its texts, then its details.
pub(super) fn error(error: &mut ToolError, bytes_max: usize) {
    let bytes_max = bytes_max.saturating_sub(error.receipt.as_ref().map_or(0, serialized_size));
    let texts = ERROR_TEXT_BYTES_MAX.min(bytes_max / 3);
    cut_text(&mut error.message, texts);
    cut_text(&mut error.hint, texts);
    if let Some(Value::Object(details)) = error.details.as_deref_mut()
        && serialized_size(details) > bytes_max / 3
        && details.remove("results").is_some()
    {
        details.insert("notice".to_owned(), json!("The results of the statements that ran do not fit."));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::{Done, code};

    proptest! {
        #[test]
        fn sizes_are_those_of_the_text_form(text in "(\\PC|[\u{0}-\u{20}\"\\\\\u{7f}\u{2028}\u{e0041}]){0,40}") {
            prop_assert_eq!(text_size(&text), spelled_out(&serde_json::to_string(&text).unwrap()).len());
        }

        #[test]
        fn a_cut_text_is_a_beginning_and_fits(text in "(\\PC|[\u{0}-\u{20}\"\\\\]){0,60}", bytes_max in 5..80_usize) {
            let mut cut = text.clone();
            let was_cut = cut_text(&mut cut, bytes_max);
            prop_assert!(text_size(&cut) <= bytes_max);
            prop_assert_eq!(was_cut, cut != text);
            prop_assert!(!was_cut || text.starts_with(cut.strip_suffix(ELLIPSIS).unwrap()));
        }

        #[test]
        fn what_is_cut_to_the_cap_fits_and_uses_the_room(sizes in prop::collection::vec(0..500_usize, 1..50), bytes_max in 0..10_000_usize) {
            let cap = cap(sizes.clone(), bytes_max);
            let cut: usize = sizes.iter().map(|size| (*size).min(cap)).sum();
            prop_assert!(cut <= bytes_max);
            let larger: usize = sizes.iter().map(|size| (*size).min(cap + 1)).sum();
            prop_assert!(larger > bytes_max || cut == sizes.iter().sum::<usize>());
        }

        #[test]
        fn a_list_of_anything_fits(entries in prop::collection::vec("\\PC{0,200}", 0..100), bytes_max in 400..4_000_usize) {
            let mut output = json!({"others": [1], "entries": entries, "nextPageToken": "7"});
            let whole = size(&output);
            list(&mut output, bytes_max, true);
            prop_assert!(size(&output) <= bytes_max, "{} of {bytes_max}", size(&output));
            prop_assert_eq!(whole > bytes_max, output["truncated"] == true);
            prop_assert_eq!(whole > bytes_max, output.get("nextPageToken").is_none());
        }

        #[test]
        fn a_map_of_anything_fits(labels in prop::collection::btree_map("\\PC{1,60}", "\\PC{0,60}", 0..100), bytes_max in 400..4_000_usize) {
            let mut output = json!({"clusterId": "7", "labels": labels});
            list(&mut output, bytes_max, false);
            prop_assert!(size(&output) <= bytes_max, "{} of {bytes_max}", size(&output));
        }

        #[test]
        fn an_error_of_anything_fits(message in "\\PC{0,3000}", hint in "\\PC{0,3000}", result in "\\PC{0,3000}") {
            let mut long = ToolError::new(code::SQL_ERROR, message).hint(hint);
            long.details = Some(json!({"tookEffect": 1, "results": [result]}).into());
            long.receipt = Done::of("x".repeat(320)).undone_by("y".repeat(200)).in_part();
            error(&mut long, 1_800);
            prop_assert!(serde_json::to_string(&long).unwrap().len() <= 2_000);
            prop_assert_eq!(&long.details.unwrap()["tookEffect"], 1);
        }
    }
}
