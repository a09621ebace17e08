//! Lists of names from SQL: a page of them, and the start of the next.

use serde::Deserialize;

use crate::base::schema::schema_of;
use crate::{catalogue::text_size, tidbcloud::Rows};

/// Names of members, a database, a token, numbers and a notice.
const FRAME_BYTES: usize = 520;

/// A page of names.
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    /// Whether there are names after these.
    pub(crate) more: bool,
}

impl Names {
    /// The first column of as many rows as fit.
    pub(crate) fn within(rows: Rows, count_max: usize, bytes_max: usize) -> Self {
        let kept = rows.rows.len();
        let more_rows = rows.skipped.saturating_add(kept) < rows.seen || !rows.complete;
        let mut left = bytes_max.saturating_sub(FRAME_BYTES);
        let mut names: Vec<String> = Vec::new();
        for cell in rows.rows.into_iter().map(|row| row.into_iter().next().flatten()) {
            let name = cell.map(|cell| cell.text).unwrap_or_default();
            let bytes = text_size(&name) + 1;
            // A page has at least one name, so that the list ends.
            if names.len() >= count_max || bytes > left && !names.is_empty() {
                break;
            }
            left = left.saturating_sub(bytes);
            names.push(name);
        }
        Self { more: names.len() < kept || more_rows, names }
    }
}

/// The offset of a page: how many names come before it. A name created or dropped between two pages shifts the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Place(usize);

impl Place {
    pub(crate) fn get(self) -> usize {
        self.0
    }

    /// The token of the page that begins this many names later.
    pub(crate) fn after(self, names: usize) -> String {
        self.0.saturating_add(names).to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = &'static str;

    fn try_from(token: String) -> Result<Self, Self::Error> {
        let digits = (1..=9).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| token.parse().ok().map(Self)).flatten().ok_or("must be a `nextPageToken` of this list")
    }
}

schema_of! {
    Place => {"type": "string", "description": "Last `nextPageToken`"};
}
