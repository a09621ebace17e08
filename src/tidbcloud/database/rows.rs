//! Reads a statement's result while it arrives, and keeps no more of it than requested.
//!
//! The body is `{"types": [{"name", "type", "nullable"}], "rows": [["1", null]], "rowsAffected", "sLastInsertID"}`, as
//! TiDB Cloud's own driver `@tidbcloud/serverless` 0.3 reads it. A result may have 10,000 rows of any length, so nothing here
//! grows with it: see [`Limits`].

use serde::{Deserialize, Deserializer};

use crate::{
    port::{FetchError, Flow, Sink},
    sql::STATEMENT_BYTES_MAX,
    tidbcloud::tolerant::integer,
};

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ColumnType {
    /// Its name; not unique.
    pub name: String,
    /// Its type, for example `BIGINT` or `UNSIGNED INT`. `BINARY`, `BLOB` and `BIT` values come as hexadecimal digits.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it can be null, which is the default.
    #[serde(default, deserialize_with = "nullable")]
    pub nullable: bool,
}

/// One value that is not null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The text, or its beginning.
    pub text: String,
    /// Whether its end was cut.
    pub cut: bool,
}

/// A statement's result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The columns; none if the statement gives no rows.
    pub types: Vec<ColumnType>,
    /// The first rows; each has as many values as there are columns. `None` is SQL's NULL.
    pub rows: Vec<Vec<Option<Cell>>>,
    /// Rows before the first one that is kept.
    pub skipped: usize,
    /// Rows seen, including those that are not kept.
    pub seen: usize,
    /// Whether the answer was read to its end, so that `seen` are all rows.
    pub complete: bool,
    /// Rows that were changed; `None` if the statement gives rows.
    pub rows_affected: Option<u64>,
    /// The generated `AUTO_INCREMENT` value, if any.
    pub last_insert_id: Option<String>,
    /// From sending the statement to the end of its answer, in milliseconds.
    pub elapsed_millis: u64,
}

/// How much of an answer is kept and read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Values of rows, each with [`CELL_OVERHEAD`].
    pub(super) kept: usize,
    /// One value.
    pub(super) cell: usize,
    /// Bytes read beyond `kept`, to count the rows.
    pub(super) scanned: usize,
    /// Rows that are not kept, from the first on; not bytes.
    pub(super) skipped_rows: usize,
}

/// Quotes and comma of a value in JSON.
const CELL_OVERHEAD: usize = 3;
/// The first row is kept at any length, with shorter and shorter values: 64 KiB are 16 bytes for each of the 4,096
/// columns that a table of TiDB may have.
const FIRST_ROW_BYTES_MAX: usize = 64 << 10;
/// 16 times the columns that a table of TiDB may have.
const CELLS_MAX: usize = 65_536;
/// Everything but rows: 512 KiB are 1,017 columns (TiDB's default limit) of 64 four-byte characters, twice over.
const MEMBERS_BYTES_MAX: usize = 512 << 10;
/// The limit is checked once per this many bytes; it cannot grow in between.
const PART_BYTES: usize = 4 << 10;
/// Names of members are short; a longer one is none of those that are read.
const NAME_BYTES_MAX: usize = 32;
/// The body of a refusal: an error quotes a statement at most.
const REFUSAL_BYTES_MAX: usize = STATEMENT_BYTES_MAX;
/// What is read besides an array of rows.
const MEMBERS: [&str; 5] = ["types", "rows", "rowsAffected", "sLastInsertID", "lastInsertID"];

/// A problem with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is not as published, or broke off.
    Malformed(
        /// What was expected.
        &'static str,
    ),
    /// Its columns come after more rows than are read.
    TooLong,
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// Before a member, or the end where `first`.
    Member {
        first: bool,
    },
    Name {
        escaped: bool,
    },
    Colon,
    Value,
    /// In a value other than rows.
    Other {
        depth: u32,
        quoted: bool,
        escaped: bool,
    },
    AfterValue,
    /// Before a row, or the end where `first`.
    Row {
        first: bool,
    },
    AfterRow,
    /// Before a value of a row, or the end where `first`.
    Cell {
        first: bool,
    },
    Text,
    Escape,
    /// In `\uXXXX`.
    Unicode {
        digits: u8,
        unit: u16,
    },
    /// In `null`, after this many of its letters.
    Null(u8),
    AfterCell,
    /// In rows that are only counted: at depth 1 between them, at depth 2 in one.
    Skipped {
        depth: u32,
        quoted: bool,
        escaped: bool,
    },
    End,
}

/// Takes an answer as it arrives.
pub(super) struct Reader {
    limits: Limits,
    status: u16,
    refusal: Vec<u8>,
    state: State,
    malformed: Option<&'static str>,
    name: String,
    /// The members read besides rows: `"name":value,` for each.
    members: Vec<u8>,
    reads_member: bool,
    /// Whether it has a member that answers have.
    is_answer: bool,
    /// Where in `members` the member at hand begins.
    member_start: usize,
    taken: usize,
    kept: usize,
    seen: usize,
    stopped: bool,
    keeps: bool,
    rows: Vec<Vec<Option<Cell>>>,
    row: Vec<Option<Cell>>,
    row_bytes: usize,
    cell_max: usize,
    text: Vec<u8>,
    text_cut: bool,
    /// The first half of a surrogate pair.
    surrogate: Option<u16>,
}

impl Reader {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            status: 0,
            refusal: Vec::new(),
            state: State::Start,
            malformed: None,
            name: String::new(),
            members: Vec::new(),
            reads_member: false,
            is_answer: false,
            member_start: 0,
            taken: 0,
            kept: 0,
            seen: 0,
            stopped: false,
            keeps: true,
            rows: Vec::new(),
            row: Vec::new(),
            row_bytes: 0,
            cell_max: limits.cell,
            text: Vec::new(),
            text_cut: false,
            surrogate: None,
        }
    }

    /// The body of an answer that is no success; cut to 64 KiB.
    pub(super) fn into_refusal(self) -> Vec<u8> {
        self.refusal
    }

    /// Bytes that were read and not kept.
    pub(super) fn scanned(&self) -> usize {
        self.taken.saturating_sub(self.limits.kept)
    }

    /// What the statement gave.
    pub(super) fn finish(mut self) -> Result<Rows, Unread> {
        if let Some(expected) = self.malformed {
            return Err(Unread::Malformed(expected));
        }
        if self.stopped {
            self.complete_cut_row();
            if matches!(self.state, State::Other { .. }) {
                self.members.truncate(self.member_start);
            }
        } else if self.state != State::End {
            return Err(Unread::Malformed("an answer that does not break off"));
        } else if !self.is_answer {
            return Err(Unread::Malformed("rows or rowsAffected"));
        }
        let mut members = vec![b'{'];
        members.append(&mut self.members);
        if members.last() == Some(&b',') {
            members.pop();
        }
        members.push(b'}');
        // Straight from the text: 512 KiB of columns would be 2.5 MB of values.
        let members: Members =
            serde_json::from_slice(&members).map_err(|_| Unread::Malformed("types, rowsAffected and sLastInsertID"))?;
        let types = match members.types {
            Some(types) => types,
            None if self.stopped => return Err(Unread::TooLong),
            None => Vec::new(),
        };
        if let Some(last) = self.rows.last_mut().filter(|_| self.stopped) {
            // Values that were not reached.
            last.resize_with(types.len().max(last.len()), || Some(Cell { text: String::new(), cut: true }));
        }
        if self.rows.iter().any(|row| row.len() != types.len()) {
            return Err(Unread::Malformed("as many values in a row as there are columns"));
        }
        let last_insert_id = members.last_insert_id.or(members.old_last_insert_id);
        Ok(Rows {
            elapsed_millis: 0,
            types,
            skipped: self.limits.skipped_rows.min(self.seen),
            seen: self.seen,
            complete: !self.stopped,
            rows: self.rows,
            rows_affected: members.rows_affected,
            // MySQL, `LAST_INSERT_ID()`: 0 if none was generated.
            last_insert_id: last_insert_id.filter(|id| *id != 0).map(|id| id.to_string()),
        })
    }

    /// If reading stopped within the only row, its beginning counts as the row.
    fn complete_cut_row(&mut self) {
        let in_row = matches!(
            self.state,
            State::Cell { .. }
                | State::Text
                | State::Escape
                | State::Unicode { .. }
                | State::Null(_)
                | State::AfterCell
        );
        if in_row && self.keeps && self.rows.is_empty() {
            if matches!(self.state, State::Text | State::Escape | State::Unicode { .. }) {
                self.text_cut = true;
                let _ = self.end_text();
            }
            self.end_row();
        }
    }

    /// Takes one byte. `Err` is what was expected in its place.
    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match (self.state, byte) {
            (
                State::Start
                | State::Member { .. }
                | State::Colon
                | State::Value
                | State::AfterValue
                | State::Row { .. }
                | State::AfterRow
                | State::Cell { .. }
                | State::AfterCell
                | State::End,
                _,
            ) if blank => return Ok(()),
            (State::Start, b'{') => State::Member { first: true },
            (State::Member { .. }, b'"') => {
                self.name.clear();
                State::Name { escaped: false }
            }
            (State::Member { first: true } | State::AfterValue, b'}') => State::End,
            (State::Name { escaped: false }, b'"') => State::Colon,
            (State::Name { escaped }, _) => {
                if self.name.len() < NAME_BYTES_MAX {
                    self.name.push(char::from(byte));
                }
                State::Name { escaped: !escaped && byte == b'\\' }
            }
            (State::Colon, b':') => State::Value,
            (State::Value, b'[') if self.name == "rows" => {
                self.is_answer = true;
                State::Row { first: true }
            }
            (State::Value, _) => return self.begin_other(byte),
            (State::Other { .. }, _) => return self.continue_other(byte),
            (State::AfterValue, b',') => State::Member { first: false },
            (State::Row { .. }, b'[') => State::Cell { first: true },
            (State::Row { first: true } | State::AfterRow, b']') => State::AfterValue,
            (State::AfterRow, b',') => State::Row { first: false },
            (State::Cell { .. }, b'"') => State::Text,
            (State::Cell { .. }, b'n') => State::Null(1),
            (State::Cell { first: true } | State::AfterCell, b']') => {
                self.end_row();
                State::AfterRow
            }
            (State::AfterCell, b',') => State::Cell { first: false },
            (State::Null(_) | State::Text | State::Escape | State::Unicode { .. }, _) => {
                return self.step_in_cell(byte);
            }
            (State::Start, _) => return Err("an object"),
            (State::Member { .. } | State::AfterValue | State::Colon | State::End, _) => {
                return Err("a member of the object, or its end");
            }
            (State::Row { .. } | State::AfterRow, _) => return Err("an array of rows"),
            (State::Cell { .. } | State::AfterCell | State::Skipped { .. }, _) => return Err("text or null in a row"),
        };
        Ok(())
    }

    /// Takes one byte of a value.
    fn step_in_cell(&mut self, byte: u8) -> Result<(), &'static str> {
        self.state = match (self.state, byte) {
            (State::Null(read), _) if b"null".get(usize::from(read)) == Some(&byte) => {
                if read == 3 {
                    self.push_cell(None)?;
                    State::AfterCell
                } else {
                    State::Null(read + 1)
                }
            }
            (State::Text, b'"') => {
                self.end_text()?;
                State::AfterCell
            }
            (State::Text, b'\\') => State::Escape,
            (State::Text, 0x20..) => {
                self.push_text(&[byte])?;
                State::Text
            }
            (State::Escape, b'u') => State::Unicode { digits: 0, unit: 0 },
            (State::Escape, _) => {
                self.push_text(&[unescaped(byte).ok_or("an escape of JSON")?])?;
                State::Text
            }
            (State::Unicode { digits, unit }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or("four hexadecimal digits")?;
                let unit = unit << 4 | u16::try_from(digit).unwrap_or_default();
                if digits == 3 {
                    self.push_unit(unit)?;
                    State::Text
                } else {
                    State::Unicode { digits: digits + 1, unit }
                }
            }
            _ => return Err("text or null in a row"),
        };
        Ok(())
    }

    fn begin_other(&mut self, byte: u8) -> Result<(), &'static str> {
        self.reads_member = MEMBERS.contains(&self.name.as_str());
        self.member_start = self.members.len();
        self.is_answer |= self.reads_member;
        if self.reads_member {
            self.members.extend_from_slice(format!("\"{}\":", self.name).as_bytes());
        }
        self.state = State::Other { depth: 0, quoted: false, escaped: false };
        self.continue_other(byte)
    }

    /// Follows a value by its brackets and quotes alone; the kept text is parsed at the end.
    fn continue_other(&mut self, byte: u8) -> Result<(), &'static str> {
        let State::Other { depth, quoted, escaped } = self.state else { return Ok(()) };
        let scalar_ends = depth == 0 && !quoted && matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
        if scalar_ends {
            self.end_other();
            return self.step(byte);
        }
        self.keep_of_member(byte)?;
        let (depth, quoted, escaped) = match byte {
            _ if escaped => (depth, quoted, false),
            b'\\' if quoted => (depth, quoted, true),
            b'"' => (depth, !quoted, false),
            b'[' | b'{' if !quoted => (depth.saturating_add(1), false, false),
            b']' | b'}' if !quoted => (depth.checked_sub(1).ok_or("brackets that match")?, false, false),
            _ => (depth, quoted, false),
        };
        let ends = depth == 0 && !quoted && matches!(byte, b'"' | b']' | b'}');
        if ends {
            self.end_other();
        } else {
            self.state = State::Other { depth, quoted, escaped };
        }
        Ok(())
    }

    fn end_other(&mut self) {
        if self.reads_member {
            self.members.push(b',');
        }
        self.state = State::AfterValue;
    }

    fn keep_of_member(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.reads_member {
            if self.members.len() >= MEMBERS_BYTES_MAX {
                return Err("columns of less than 512 KiB");
            }
            self.members.push(byte);
        }
        Ok(())
    }

    /// Decoded bytes of a value.
    fn push_text(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if self.surrogate.is_some() {
            return Err("the second half of a surrogate pair");
        }
        let room = self.cell_max.saturating_sub(self.text.len());
        self.text_cut |= bytes.len() > room;
        self.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        Ok(())
    }

    /// One UTF-16 code unit of `\uXXXX` (RFC 8259 section 7).
    fn push_unit(&mut self, unit: u16) -> Result<(), &'static str> {
        let decoded = match self.surrogate.take() {
            None if (0xd800..0xdc00).contains(&unit) => {
                self.surrogate = Some(unit);
                return Ok(());
            }
            None => char::decode_utf16([unit]).next(),
            Some(first) => char::decode_utf16([first, unit]).next(),
        };
        let character = decoded.and_then(Result::ok).ok_or("a whole surrogate pair")?;
        self.push_text(character.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn end_text(&mut self) -> Result<(), &'static str> {
        if self.surrogate.take().is_some() && !self.text_cut {
            return Err("the second half of a surrogate pair");
        }
        let cut = std::mem::take(&mut self.text_cut);
        let mut bytes = std::mem::take(&mut self.text);
        if cut {
            let whole = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
            bytes.truncate(whole);
        }
        bytes.shrink_to_fit();
        let text = String::from_utf8(bytes).map_err(|_| "UTF-8")?;
        self.push_cell(Some(Cell { text, cut }))
    }

    fn push_cell(&mut self, cell: Option<Cell>) -> Result<(), &'static str> {
        if self.row.len() >= CELLS_MAX {
            return Err("a row of at most 65,536 values");
        }
        self.row_bytes += length(cell.as_ref());
        self.row.push(cell);
        if !self.rows.is_empty() {
            if self.kept.saturating_add(self.row_bytes) > self.limits.kept {
                self.keeps = false;
                self.row = Vec::new();
            }
            return Ok(());
        }
        while self.row_bytes > FIRST_ROW_BYTES_MAX && self.cell_max > 1 {
            self.cell_max /= 2;
            self.row_bytes = 0;
            for cell in &mut self.row {
                if let Some(cell) = cell {
                    cell.cut_to(self.cell_max);
                }
                self.row_bytes += length(cell.as_ref());
            }
        }
        Ok(())
    }

    fn end_row(&mut self) {
        self.seen = self.seen.saturating_add(1);
        if self.seen <= self.limits.skipped_rows {
            self.row.clear();
            self.row_bytes = 0;
            self.cell_max = self.limits.cell;
            return;
        }
        self.row.shrink_to_fit();
        self.rows.push(std::mem::take(&mut self.row));
        self.kept = self.kept.saturating_add(std::mem::take(&mut self.row_bytes));
        self.keeps = self.kept < self.limits.kept;
        self.cell_max = self.limits.cell;
    }

    /// The beginning of `piece` that is plain text of a value, for which no byte has to be looked at by itself.
    fn take_plain_text(&mut self, piece: &[u8]) -> Result<usize, &'static str> {
        let plain = |byte: &u8| *byte >= 0x20 && !matches!(byte, b'"' | b'\\');
        let length = piece.iter().position(|byte| !plain(byte)).unwrap_or(piece.len());
        if length > 0 {
            self.push_text(piece.get(..length).unwrap_or_default())?;
        }
        Ok(length)
    }

    /// Counts rows by their brackets and quotes alone, which is cheap even for a long result. Returns how many bytes belong to
    /// rows.
    fn skip_rows(&mut self, piece: &[u8], mut depth: u32, mut quoted: bool, mut escaped: bool) -> usize {
        for (at, byte) in piece.iter().enumerate() {
            if quoted {
                quoted = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
                continue;
            }
            match byte {
                b'"' => quoted = true,
                b'[' => depth = depth.saturating_add(1),
                b']' => {
                    depth = depth.saturating_sub(1);
                    self.seen += usize::from(depth == 1);
                    if depth == 0 {
                        self.state = State::AfterValue;
                        return at + 1;
                    }
                }
                _ => {}
            }
        }
        self.state = State::Skipped { depth, quoted, escaped };
        piece.len()
    }

    fn take_all(&mut self, mut piece: &[u8]) -> Result<(), &'static str> {
        while let Some((first, rest)) = piece.split_first() {
            let taken = match self.state {
                State::Text => self.take_plain_text(piece)?,
                State::Skipped { depth, quoted, escaped } => self.skip_rows(piece, depth, quoted, escaped),
                _ => 0,
            };
            if taken > 0 {
                piece = piece.get(taken..).unwrap_or_default();
                continue;
            }
            self.step(*first)?;
            piece = rest;
            self.state = match self.state {
                State::AfterCell if !self.keeps => State::Skipped { depth: 2, quoted: false, escaped: false },
                State::AfterRow if !self.keeps => State::Skipped { depth: 1, quoted: false, escaped: false },
                state => state,
            };
        }
        Ok(())
    }
}

impl Sink for Reader {
    fn begin(&mut self, status: u16) {
        self.status = status;
    }

    fn take(&mut self, piece: &[u8]) -> Result<Flow, FetchError> {
        if !(200..=299).contains(&self.status) {
            let room = REFUSAL_BYTES_MAX.saturating_sub(self.refusal.len());
            self.refusal.extend_from_slice(piece.get(..room).unwrap_or(piece));
            return Ok(if piece.len() > room { Flow::Enough } else { Flow::More });
        }
        for part in piece.chunks(PART_BYTES) {
            if self.take_part(part) == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }
}

impl Reader {
    /// Takes a part of the body up to the limit. Members besides rows do not count.
    fn take_part(&mut self, part: &[u8]) -> Flow {
        let limit = self.limits.kept.saturating_add(self.limits.scanned).saturating_add(self.members.len());
        let left = limit.saturating_sub(self.taken);
        let readable = part.get(..left).unwrap_or(part);
        self.taken = self.taken.saturating_add(readable.len());
        if let Err(expected) = self.take_all(readable) {
            self.malformed = Some(expected);
            return Flow::Enough;
        }
        self.stopped = readable.len() < part.len() && self.state != State::End;
        if self.stopped { Flow::Enough } else { Flow::More }
    }
}

impl Cell {
    /// Cuts the text to this many bytes at most, in whole characters.
    pub fn cut_to(&mut self, bytes_max: usize) {
        if self.text.len() > bytes_max {
            self.text.truncate(self.text.floor_char_boundary(bytes_max));
            self.text.shrink_to_fit();
            self.cut = true;
        }
    }
}

fn length(cell: Option<&Cell>) -> usize {
    cell.map_or(4, |cell| cell.text.len()).saturating_add(CELL_OVERHEAD)
}

/// The byte that a short escape stands for (RFC 8259 section 7).
fn unescaped(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// What there is beside rows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    types: Option<Vec<ColumnType>>,
    /// If it is no array, it is null.
    #[serde(default, rename = "rows")]
    _rows: (),
    #[serde(default, deserialize_with = "integer")]
    rows_affected: Option<u64>,
    #[serde(default, rename = "sLastInsertID", deserialize_with = "integer")]
    last_insert_id: Option<u64>,
    /// What older gateways send in its place.
    #[serde(default, rename = "lastInsertID", deserialize_with = "integer")]
    old_last_insert_id: Option<u64>,
}

fn nullable<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const AMPLE: Limits = Limits { kept: 1 << 20, cell: 1 << 20, scanned: 1 << 20, skipped_rows: 0 };

    fn read(limits: Limits, body: &[u8], piece: usize) -> Result<Rows, Unread> {
        let mut reader = Reader::new(limits);
        reader.begin(200);
        for piece in body.chunks(piece.max(1)) {
            if reader.take(piece).unwrap() == Flow::Enough {
                break;
            }
        }
        reader.finish()
    }

    fn texts(rows: &Rows) -> Vec<Vec<Option<&str>>> {
        rows.rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.as_ref().map(|cell| cell.text.as_str())).collect())
            .collect()
    }

    fn tables() -> impl Strategy<Value = Vec<Vec<Option<String>>>> {
        let cell = prop::option::of("(\\PC|[\u{0}-\u{20}\"\\\\\u{1f600}]){0,12}");
        (0..6_usize)
            .prop_flat_map(move |columns| prop::collection::vec(prop::collection::vec(cell.clone(), columns), 0..12))
    }

    /// A body with its members in any order, among others that mean nothing here; `ascii` writes all else as `\uXXXX`.
    fn body(table: &[Vec<Option<String>>], order: usize, ascii: bool) -> Vec<u8> {
        let columns = table.first().map_or(0, Vec::len);
        let types: Vec<_> = (0..columns).map(|at| json!({"name": format!("c{at}"), "type": "TEXT"})).collect();
        let mut members = [
            ("types", json!(types)),
            ("rows", json!(table)),
            ("rowsAffected", Value::Null),
            ("sLastInsertID", Value::Null),
            ("other", json!({"a": ["]}\"\\", {}], "rows": [[1]]})),
        ];
        members.rotate_left(order % 5);
        let text: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\" :\n{value} ")).collect();
        let text = format!("{{{}}}\n", text.join(",\t"));
        if !ascii {
            return text.into_bytes();
        }
        let mut escaped = String::new();
        for unit in text.encode_utf16() {
            match u8::try_from(unit).ok().filter(u8::is_ascii) {
                Some(byte) => escaped.push(char::from(byte)),
                None => escaped.push_str(&format!("\\u{unit:04X}")),
            }
        }
        escaped.into_bytes()
    }

    proptest! {
        #[test]
        fn an_answer_is_read_as_it_was_written(table in tables(), order in 0..5_usize, piece in 1..40_usize, ascii: bool) {
            let rows = read(AMPLE, &body(&table, order, ascii), piece).unwrap();
            let expected: Vec<Vec<Option<&str>>> =
                table.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
            prop_assert_eq!(texts(&rows), expected);
            prop_assert!(rows.complete && rows.seen == table.len());
        }

        /// With a small limit the beginning is kept, and all rows are counted.
        #[test]
        fn what_is_kept_is_the_beginning(
            table in tables(), kept in 0..200_usize, cell in 1..8_usize, skipped_rows in 0..5_usize, piece in 1..40_usize,
        ) {
            let limits = Limits { kept, cell, skipped_rows, ..AMPLE };
            let rows = read(limits, &body(&table, 0, false), piece).unwrap();
            prop_assert!(rows.complete && rows.seen == table.len());
            let rest = table.get(skipped_rows..).unwrap_or_default();
            prop_assert!(rest.is_empty() || !rows.rows.is_empty(), "the first row is always kept");
            for (row, whole) in rows.rows.iter().zip(rest) {
                for (cell, whole) in row.iter().zip(whole) {
                    match (cell, whole) {
                        (Some(cell), Some(whole)) => {
                            prop_assert!(whole.starts_with(&cell.text) && cell.text.len() <= limits.cell);
                            prop_assert_eq!(cell.cut, cell.text.len() < whole.len());
                        }
                        (None, None) => {}
                        _ => prop_assert!(false),
                    }
                }
            }
            let bytes: usize = rows.rows.iter().skip(1).flatten().map(|cell| length(cell.as_ref())).sum();
            prop_assert!(bytes <= kept);
        }

        /// Reading that stops early shows what was there.
        #[test]
        fn a_read_that_is_given_up_keeps_its_rows(table in tables(), kept in 0..60_usize, scanned in 200..400_usize, piece in 1..40_usize) {
            let rows = read(Limits { kept, scanned, ..AMPLE }, &body(&table, 0, false), piece).unwrap();
            prop_assert!(rows.complete || rows.seen <= table.len());
            prop_assert!(rows.rows.iter().all(|row| row.len() == rows.types.len()));
        }

        #[test]
        fn what_breaks_off_is_not_read(table in tables(), order in 0..5_usize, at in any::<prop::sample::Index>(), piece in 1..40_usize) {
            let whole = body(&table, order, false);
            let end = at.index(whole.trim_ascii_end().len());
            prop_assert!(read(AMPLE, &whole[..end], piece).is_err());
        }

        #[test]
        fn whatever_comes_is_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in "[\\[\\]{},:\"\\\\nul0-9a-dtyperows ]{0,80}",
            piece in 1..20_usize,
        ) {
            let _ = read(Limits { kept: 20, cell: 3, scanned: 40, skipped_rows: 1 }, &bytes, piece);
            for body in [text.clone(), format!("{{\"rows\":[[{text}"), format!("{{\"types\":[],\"rows\":{text}}}")] {
                if let Ok(rows) = read(AMPLE, body.as_bytes(), piece) {
                    prop_assert!(serde_json::from_str::<Value>(&body).is_ok(), "{body} is no JSON, and was read as {rows:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_row_is_kept_whatever_its_length() {
        let table = vec![vec![Some("x".repeat(2_000)); 4_000]; 3];
        let limits = Limits { kept: 36_000, cell: 2_048, scanned: 64 << 20, skipped_rows: 0 };
        let rows = read(limits, &body(&table, 0, false), 65_536).unwrap();
        assert_eq!((rows.rows.len(), rows.seen, rows.types.len()), (1, 3, 4_000));
        let bytes: usize = rows.rows[0].iter().map(|cell| length(cell.as_ref())).sum();
        assert!((FIRST_ROW_BYTES_MAX / 4..=FIRST_ROW_BYTES_MAX).contains(&bytes), "{bytes}");
        assert!(rows.rows[0].iter().flatten().all(|cell| cell.cut && cell.text.len() >= 8));
    }

    #[test]
    fn a_value_that_never_ends_is_given_up_and_its_beginning_shown() {
        let table = vec![vec![Some("a".to_owned()), Some("y".repeat(1 << 20)), Some("z".to_owned())]];
        let limits = Limits { kept: 1_000, cell: 100, scanned: 5_000, skipped_rows: 0 };
        let rows = read(limits, &body(&table, 0, false), 512).unwrap();
        let cells: Vec<_> = rows.rows[0].iter().flatten().map(|cell| (cell.text.len(), cell.cut)).collect();
        assert_eq!(cells, [(1, false), (100, true), (0, true)]);
        assert!(!rows.complete);
        // Without its columns it is worth nothing.
        assert_eq!(read(limits, &body(&table, 1, false), 512), Err(Unread::TooLong));
    }

    #[test]
    fn an_error_is_no_answer() {
        let mut reader = Reader::new(AMPLE);
        reader.begin(400);
        assert_eq!(reader.take(br#"{"message":"no"}"#), Ok(Flow::More));
        assert_eq!(reader.take(&vec![b' '; REFUSAL_BYTES_MAX]), Ok(Flow::Enough));
        assert_eq!(reader.into_refusal().len(), REFUSAL_BYTES_MAX);
    }
}
