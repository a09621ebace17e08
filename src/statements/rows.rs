//! Results of statements for a model: rows of positional values, cut to a budget.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::base::schema::schema_of;
use crate::{
    catalogue::{Context, cap, cut_text, text_size},
    tidbcloud::{Cell, ColumnType, Rows},
};

/// Names of members, numbers and a notice of three sentences.
const FRAME_BYTES: usize = 400;
/// A name longer than this is the text of an expression.
const COLUMN_NAME_BYTES_MAX: usize = 128;
/// The least bytes for each value of the row that is always shown: a short number, or the beginning of a text.
const VALUE_BYTES_MIN: usize = 12;

/// A column of a result.
#[derive(Serialize, JsonSchema)]
struct ColumnView {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A row of text, numbers and null, for the schema: listing the types of each value would cost a model more than it is
/// worth.
struct Row;

schema_of! {
    Row => {"type": "array"};
}

/// The rows of a query, cut to what a model can read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowsView {
    columns: Vec<ColumnView>,
    #[schemars(with = "Vec<Row>")]
    rows: Vec<Vec<ValueView>>,
    returned: usize,
    /// Left out if the response was too long to count its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    truncated: bool,
    /// From sending the statement to the end of its answer.
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl RowsView {
    /// Notes for the log how many rows it has.
    pub(crate) fn noted(&self, context: &Context<'_>) {
        context.notes_rows(self.returned, self.truncated);
    }

    /// As much as fits into `bytes_max` of JSON: whole rows, and at least the beginning of the first.
    ///
    /// If the columns leave less than a third of it to rows, the last columns are left out. `whole_values` is whether values
    /// were kept whole, because no other statement can return their rest.
    pub(crate) fn within(answer: Rows, whole_values: bool, bytes_max: usize) -> Self {
        let room = bytes_max.saturating_sub(FRAME_BYTES);
        let column_count = answer.types.len();
        let mut left = room / 3 * 2;
        let mut columns = Vec::new();
        for kind in &answer.types {
            let column = ColumnView::of(kind);
            let bytes = column.size() + 1 + VALUE_BYTES_MIN + 1;
            if bytes > left {
                break;
            }
            left -= bytes;
            columns.push(column);
        }
        let mut left = room.saturating_sub(columns.iter().map(|column| column.size() + 1).sum());
        let (mut rows, mut cut_values) = (Vec::new(), 0);
        // Without a column there is nothing in a row.
        let shown = if columns.is_empty() { 0 } else { usize::MAX };
        for row in answer.rows.into_iter().take(shown) {
            let mut cut = 0;
            let mut row: Vec<ValueView> = row
                .into_iter()
                .zip(&answer.types)
                .take(columns.len())
                .map(|(cell, kind)| ValueView::of(cell, kind, &mut cut))
                .collect();
            if rows.is_empty() {
                cut = cut.max(cut_row(&mut row, left.saturating_sub(3)));
            }
            let bytes = row.iter().map(|value| value.size() + 1).sum::<usize>() + 2;
            if bytes > left {
                break;
            }
            left -= bytes;
            cut_values += cut;
            // `collect` may have taken over the room of a row with far more values.
            row.shrink_to_fit();
            rows.push(row);
        }
        let mut view = Self {
            returned: rows.len(),
            total: answer.complete.then_some(answer.seen),
            truncated: false,
            elapsed_ms: answer.elapsed_millis,
            notice: None,
            columns,
            rows,
        };
        view.explain(answer.seen, column_count, cut_values, whole_values);
        view
    }

    /// The notice of what was cut, and how to go on.
    fn explain(&mut self, seen: usize, column_count: usize, cut_values: usize, whole_values: bool) {
        let mut notice = Vec::new();
        if self.returned < seen || self.total.is_none() {
            let all = self.total.map_or_else(|| "many".to_owned(), |total| total.to_string());
            let go_on = if whole_values {
                "Ask for less, for example with LIKE or WHERE."
            } else {
                "To go on, use LIMIT and OFFSET with an ORDER BY, select fewer columns, or aggregate."
            };
            notice.push(format!("Showing the first {} of {all} rows. {go_on}", self.returned));
        }
        if self.columns.len() < column_count {
            notice.push(format!(
                "Showing the first {} of {column_count} columns: name those that matter.",
                self.columns.len()
            ));
        }
        if cut_values > 0 {
            let how = if whole_values { "more does not fit." } else { "read one in parts with SUBSTRING." };
            notice.push(format!("{cut_values} long values end in `…`; {how}"));
        }
        self.truncated = !notice.is_empty();
        self.notice = (!notice.is_empty()).then(|| notice.join(" "));
    }
}

impl ColumnView {
    fn of(kind: &ColumnType) -> Self {
        let mut view = Self { name: kind.name.clone(), kind: kind.kind.clone() };
        cut_text(&mut view.name, COLUMN_NAME_BYTES_MAX);
        cut_text(&mut view.kind, COLUMN_NAME_BYTES_MAX);
        view
    }

    /// Bytes as JSON.
    fn size(&self) -> usize {
        r#"{"name":,"type":}"#.len() + text_size(&self.name) + text_size(&self.kind)
    }
}

/// Cuts the long texts of a row so that its values, with commas, fit into `bytes_max`. Returns how many were cut.
fn cut_row(row: &mut [ValueView], bytes_max: usize) -> usize {
    let cap = cap(row.iter().map(|value| value.size() + 1).collect(), bytes_max).saturating_sub(1);
    let texts = row.iter_mut().filter_map(|value| match value {
        ValueView::Text(text) => Some(text),
        _ => None,
    });
    texts.map(|text| cut_text(text, cap)).filter(|cut| *cut).count()
}

/// A value, as JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum ValueView {
    Null,
    Integer(i64),
    /// A number as the database wrote it, with all its digits.
    Number(Box<RawValue>),
    Text(String),
}

impl ValueView {
    /// The value of a cell. Integers of up to 32 bits and floating point become numbers; BIGINT and DECIMAL stay text,
    /// because a JSON reader may round them; binary is hexadecimal with `0x`; JSON stays text as the database wrote it.
    fn of(cell: Option<Cell>, kind: &ColumnType, cut_values: &mut usize) -> Self {
        let Some(Cell { mut text, cut }) = cell else { return Self::Null };
        if cut {
            *cut_values += 1;
            text.push('…');
        }
        match kind.kind.trim_start_matches("UNSIGNED ") {
            "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "YEAR" => {
                text.parse().map_or(Self::Text(text), Self::Integer)
            }
            "FLOAT" | "DOUBLE" if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                serde_json::from_str(&text).map_or(Self::Text(text), Self::Number)
            }
            kind => {
                let binary = matches!(kind, "BINARY" | "VARBINARY" | "BIT") || kind.ends_with("BLOB");
                Self::Text(if binary { format!("0x{text}") } else { text })
            }
        }
    }

    /// Bytes as JSON.
    fn size(&self) -> usize {
        match self {
            Self::Null => "null".len(),
            Self::Integer(number) => number.to_string().len(),
            Self::Number(number) => number.get().len(),
            Self::Text(text) => text_size(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = ColumnType> {
        let kind = prop::sample::select(vec!["INT", "BIGINT", "VARCHAR", "BLOB", "DOUBLE", "JSON", "UNSIGNED TINYINT"]);
        ("\\PC{0,20}|x{200}", kind).prop_map(|(name, kind)| ColumnType { name, kind: kind.to_owned(), nullable: true })
    }

    fn answers() -> impl Strategy<Value = Rows> {
        let cell = prop_oneof![
            Just(None),
            "[0-9]{1,9}".prop_map(Some),
            "(\\PC|[\u{0}-\u{20}\"\\\\]){0,30}".prop_map(Some),
            Just(Some("x".repeat(3_000))),
        ]
        .prop_map(|text| text.map(|text| Cell { text, cut: false }));
        (prop::collection::vec(kinds(), 1..60), 0..40_usize, any::<bool>()).prop_flat_map(
            move |(types, count, complete)| {
                let row = prop::collection::vec(cell.clone(), types.len());
                prop::collection::vec(row, count).prop_map(move |rows| Rows {
                    types: types.clone(),
                    seen: rows.len(),
                    rows,
                    complete,
                    ..Rows::default()
                })
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_a_statement_gave_fits_and_says_what_is_missing(answer in answers(), bytes_max in 900..18_000_usize) {
            let (columns, rows, complete) = (answer.types.len(), answer.rows.len(), answer.complete);
            let view = RowsView::within(answer, false, bytes_max);
            let text = serde_json::to_string(&view).unwrap();
            prop_assert!(text.len() <= bytes_max, "{} of {bytes_max}", text.len());
            prop_assert!(view.columns.len() == columns || view.truncated);
            prop_assert!(view.returned == rows && complete || view.truncated);
            prop_assert_eq!(view.truncated, view.notice.is_some());
            prop_assert!(rows == 0 || view.columns.is_empty() || view.returned > 0, "the first row is always there");
            prop_assert!(view.rows.iter().all(|row| row.len() == view.columns.len()));
            prop_assert_eq!(view.total, complete.then_some(rows));
        }
    }
}
