//! A statement as it is sent: with a comment by which it is found in the database, and a limit after which TiDB ends it.

use std::{borrow::Cow, time::Duration};

use crate::sql::{self, Edits};

/// 16 of the 32 characters of a request id: 64 random bits.
const REQUEST_ID_BYTES: usize = 16;

/// How much earlier than we give up TiDB ends a read, so that its refusal still arrives: it looks for late statements ten times
/// a second, and the rest is a round trip. Of less than a second it is half.
const EARLIER: Duration = Duration::from_millis(500);

/// A statement with the texts that were put into it.
pub(super) struct Sent<'s> {
    sql: &'s str,
    /// Parts of the statement, in order, and what stands in their place.
    edits: Edits,
}

/// The comment of a tool's statements. Nothing in it comes from a caller: the tool's name is one of ours, and so is the id.
pub(super) fn tag(tool: &str, request_id: &str) -> String {
    let request_id = request_id.get(..REQUEST_ID_BYTES).unwrap_or(request_id);
    format!("/* {} {tool} {request_id} */ ", env!("CARGO_PKG_NAME"))
}

impl<'s> Sent<'s> {
    /// The statement with this comment before it, and if it is a read whose answer is waited for so long, with its limits.
    pub(super) fn new(sql: &'s str, tag: Option<String>, wait: Duration) -> Self {
        let wait = wait.saturating_sub(EARLIER).max(wait / 2);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self::edited(sql, tag, sql::limited(sql, millis))
    }

    /// The `EXPLAIN` of what this statement runs.
    pub(super) fn plan(sql: &'s str, tag: Option<String>) -> Self {
        Self::edited(sql, tag, sql::planned(sql).unwrap_or_default())
    }

    fn edited(sql: &'s str, tag: Option<String>, edits: Edits) -> Self {
        Self { sql, edits: tag.map(|tag| (0..0, tag)).into_iter().chain(edits).collect() }
    }

    /// Whether it can name more than one thing.
    pub(super) fn names_several(&self) -> bool {
        self.sql.contains(',')
    }

    /// As it is sent.
    pub(super) fn text(&self) -> Cow<'s, str> {
        if self.edits.is_empty() {
            return self.sql.into();
        }
        let (mut text, mut from) = (String::with_capacity(self.sql.len() + 128), 0);
        for (part, added) in &self.edits {
            text.extend([self.sql.get(from..part.start).unwrap_or_default(), added.as_str()]);
            from = part.end;
        }
        text.push_str(self.sql.get(from..).unwrap_or_default());
        text.into()
    }

    /// A message of the database about the statement as its author wrote it: without the added texts, and with the columns in
    /// which TiDB places a syntax error, `line 1 column 8 near "FORM t"`, counted without them.
    pub(super) fn own(&self, message: &str) -> String {
        let mut own = message.to_owned();
        for (part, added) in &self.edits {
            own = own.replace(added.as_str(), self.sql.get(part.clone()).unwrap_or_default());
        }
        self.with_own_column(&own).unwrap_or(own)
    }

    fn with_own_column(&self, message: &str) -> Option<String> {
        const LINE: &str = " line ";
        const COLUMN: &str = " column ";
        let (before, after_line) = message.split_once(LINE)?;
        let (line, after_column) = after_line.split_once(COLUMN)?;
        let digits = after_column.find(|character: char| !character.is_ascii_digit())?;
        let (column, rest) = after_column.split_at_checked(digits)?;
        let (row, sent): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
        let text = self.text();
        let line_start = match row.checked_sub(2) {
            Some(ends) => text.match_indices('\n').nth(ends)?.0 + 1,
            None => 0,
        };
        let head = self.sql.get(..self.own_place(line_start.saturating_add(sent)))?;
        let column = head.len() - head.rfind('\n').map_or(0, |end| end + 1);
        (column != sent).then(|| format!("{before}{LINE}{line}{COLUMN}{column}{rest}"))
    }

    /// The place in the author's text of one in what is sent. What was put in lies where it begins, and so does its end.
    fn own_place(&self, place: usize) -> usize {
        let (mut own, mut sent) = (0, 0);
        for (part, added) in &self.edits {
            let begins = sent + (part.start - own);
            if place <= begins {
                break;
            }
            if place <= begins + added.len() {
                return part.start;
            }
            (own, sent) = (part.end, begins + added.len());
        }
        own + (place - sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{STATEMENT_BYTES_MAX, classify, inspect, limits_tests::with_plain_hints, unescape};

    const WAIT: Duration = Duration::from_secs(30);

    fn tagged(sql: &str) -> Sent<'_> {
        Sent::new(sql, Some(tag("db_query", "1739fe899f51a6f20000000000000000")), WAIT)
    }

    #[test]
    fn a_statement_carries_its_tool_and_request_and_a_read_its_limit() {
        for (sql, expected) in [
            (
                "SELECT 1",
                "/* mcp-server-tidbcloud db_query 1739fe899f51a6f2 */ SELECT /*+ MAX_EXECUTION_TIME(29500) MEMORY_QUOTA(512 MB) */ 1",
            ),
            (
                "INSERT INTO t VALUES (1)",
                "/* mcp-server-tidbcloud db_query 1739fe899f51a6f2 */ INSERT INTO t VALUES (1)",
            ),
            ("COMMIT", "/* mcp-server-tidbcloud db_query 1739fe899f51a6f2 */ COMMIT"),
        ] {
            assert_eq!(tagged(sql).text(), expected);
        }
        assert_eq!(
            Sent::new("SELECT 1", None, WAIT).text(),
            "SELECT /*+ MAX_EXECUTION_TIME(29500) MEMORY_QUOTA(512 MB) */ 1",
            "without tags"
        );
        let short = Sent::new("SELECT 1", None, Duration::from_millis(600));
        assert_eq!(
            short.text(),
            "SELECT /*+ MAX_EXECUTION_TIME(300) MEMORY_QUOTA(512 MB) */ 1",
            "of a short time half is left"
        );
    }

    /// The gate would let through what is sent just as it let through what was written, and refuses what it refused.
    #[test]
    fn the_gate_judges_what_is_sent_as_it_judged_what_was_written() {
        let of =
            |file: &'static str| file.lines().skip(1).map(|line| unescape(line.split('\t').next().unwrap_or_default()));
        let cases = of(include_str!("../../../tests/cases/sql-gate.tsv"))
            .chain(of(include_str!("../../../tests/cases/sql-writes.tsv")))
            .chain(of(include_str!("../../../tests/cases/destructive.tsv")));
        let mut judged = 0;
        for sql in cases {
            let sent = with_plain_hints(&tagged(&sql).text(), 29_500);
            let longer = sent.len() > STATEMENT_BYTES_MAX;
            assert!(longer || classify(&sent) == classify(&sql), "{sent}");
            assert!(longer || inspect(&sent) == inspect(&sql), "{sent}");
            judged += 1;
        }
        assert!(judged > 600, "only {judged} statements were judged");
    }

    #[test]
    fn a_message_is_about_the_statement_as_it_was_written() {
        let at = |sql: &str, line: usize, sent: usize| {
            let said = format!("use line {line} column {sent} near \"FORM t\" ");
            let own = tagged(sql).own(&said);
            own.split_once(" column ").and_then(|(_, rest)| rest.split_once(' ')?.0.parse::<usize>().ok()).unwrap()
        };
        let (tag, hint) =
            (tag("db_query", "1739fe899f51a6f2").len(), " /*+ MAX_EXECUTION_TIME(29500) MEMORY_QUOTA(512 MB) */".len());
        assert_eq!(at("SELECT * FORM t", 1, 13 + tag + hint), 13, "after both");
        assert_eq!(at("SELEC * FORM t", 1, 5 + tag), 5, "after the comment");
        assert_eq!(at("SELECT *\nFORM t", 2, 4), 4, "in another line");
        assert_eq!(at("-- a\nSELECT * FORM t", 2, 13 + hint), 13, "after the limit alone");
        let quoted = tagged("(SELECT 1) FORM t").text().into_owned();
        let said = format!("near \"{quoted}\"");
        assert_eq!(tagged("(SELECT 1) FORM t").own(&said), "near \"(SELECT 1) FORM t\"", "a quotation has none of it");
        let (wraps, plan) = (
            "SELECT /*+ MAX_EXECUTION_TIME(29500) MEMORY_QUOTA(512 MB) */ * FROM (".len(),
            "EXPLAIN FORMAT = 'brief' ".len(),
        );
        let parts = "(SELECT 1) UNION (SELECT 2) FORM t";
        assert_eq!(at(parts, 1, 32 + tag + wraps), 32, "inside a wrapped query");
        let tail = "(SELECT 1) UNION (SELECT 2) LIMIT x";
        assert_eq!(at(tail, 1, 35 + tag + wraps + ") AS whole_statement".len()), 35, "after a wrapped query");
        for (sql, line, sent, own) in [
            ("SELECT * FORM t", 1, 13 + plan, 13),
            ("EXPLAIN\nANALYZE SELECT * FORM t", 2, 13, 21),
            ("BATCH LIMIT 1 DELETE FORM t", 1, 11 + plan, 25),
        ] {
            let planned = Sent::plan(sql, None);
            let hint = if sql.contains("FORM t") {
                " /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */".len()
            } else {
                0
            };
            let said = planned.own(&format!("use line {line} column {} near", sent + hint));
            assert_eq!(said, format!("use line {line} column {own} near"), "of a plan: {}", planned.text());
        }
        for other in
            ["Table 'shop.order' doesn't exist", "Duplicate entry ' line 1 column ' for key", " line x column 3 "]
        {
            assert_eq!(tagged("SELECT 1").own(other), other, "{other}");
        }
    }
}
