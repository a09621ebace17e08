//! A statement as it is sent: with a comment by which it is found in the database, and a limit after which TiDB ends it.

use std::{borrow::Cow, time::Duration};

use crate::sql;

/// 16 of the 32 characters of a request id: 64 random bits.
const REQUEST_ID_BYTES: usize = 16;

/// How much earlier than we give up TiDB ends a read, so that its refusal still arrives: it looks for late statements ten times
/// a second, and the rest is a round trip. Of less than a second it is half.
const EARLIER: Duration = Duration::from_millis(500);

/// A statement with the texts that were put into it.
pub(super) struct Sent<'s> {
    sql: &'s str,
    /// Places in the statement, in order, and what was put there.
    added: Vec<(usize, String)>,
}

/// The comment of a tool's statements. Nothing in it comes from a caller: the tool's name is one of ours, and so is the id.
pub(super) fn tag(tool: &str, request_id: &str) -> String {
    let request_id = request_id.get(..REQUEST_ID_BYTES).unwrap_or(request_id);
    format!("/* {} {tool} {request_id} */ ", env!("CARGO_PKG_NAME"))
}

impl<'s> Sent<'s> {
    /// The statement with this comment before it, and if it is a read whose answer is waited for so long, with its limit.
    pub(super) fn new(sql: &'s str, tag: Option<String>, wait: Duration) -> Self {
        let wait = wait.saturating_sub(EARLIER).max(wait / 2);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let tag = tag.map(|tag| (0, tag));
        Self { sql, added: tag.into_iter().chain(sql::time_limit(sql, millis)).collect() }
    }

    /// Whether it can name more than one thing.
    pub(super) fn names_several(&self) -> bool {
        self.sql.contains(',')
    }

    /// As it is sent.
    pub(super) fn text(&self) -> Cow<'s, str> {
        if self.added.is_empty() {
            return self.sql.into();
        }
        let (mut text, mut from) = (String::with_capacity(self.sql.len() + 128), 0);
        for (at, added) in &self.added {
            text.extend([self.sql.get(from..*at).unwrap_or_default(), added.as_str()]);
            from = *at;
        }
        text.push_str(self.sql.get(from..).unwrap_or_default());
        text.into()
    }

    /// A message of the database about the statement as its author wrote it: without the added texts, and with the columns in
    /// which TiDB places a syntax error, `line 1 column 8 near "FORM t"`, counted without them.
    pub(super) fn own(&self, message: &str) -> String {
        let mut own = message.to_owned();
        for (_, added) in &self.added {
            own = own.replace(added.as_str(), "");
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
        let line: usize = line.parse().ok()?;
        let sent: usize = column.parse().ok()?;
        let mut column = sent;
        for (at, added) in &self.added {
            let head = self.sql.get(..*at)?;
            let place = head.len() - head.rfind('\n').map_or(0, |end| end + 1);
            // What was put in has no line of its own. An error in the text before it is not moved.
            if head.matches('\n').count() + 1 == line && column > place {
                column = column.saturating_sub(added.len()).max(place);
            }
        }
        (column != sent).then(|| format!("{before}{LINE}{line}{COLUMN}{column}{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{STATEMENT_BYTES_MAX, classify, inspect, unescape};

    const WAIT: Duration = Duration::from_secs(30);

    fn tagged(sql: &str) -> Sent<'_> {
        Sent::new(sql, Some(tag("db_query", "1739fe899f51a6f20000000000000000")), WAIT)
    }

    #[test]
    fn a_statement_carries_its_tool_and_request_and_a_read_its_limit() {
        for (sql, expected) in [
            (
                "SELECT 1",
                "/* mcp-server-tidbcloud db_query 1739fe899f51a6f2 */ SELECT /*+ MAX_EXECUTION_TIME(29500) */ 1",
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
            "SELECT /*+ MAX_EXECUTION_TIME(29500) */ 1",
            "without tags"
        );
        let short = Sent::new("SELECT 1", None, Duration::from_millis(600));
        assert_eq!(short.text(), "SELECT /*+ MAX_EXECUTION_TIME(300) */ 1", "of a short time half is left");
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
            let sent = tagged(&sql).text().into_owned();
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
        let (tag, hint) = (tag("db_query", "1739fe899f51a6f2").len(), " /*+ MAX_EXECUTION_TIME(29500) */".len());
        assert_eq!(at("SELECT * FORM t", 1, 13 + tag + hint), 13, "after both");
        assert_eq!(at("SELEC * FORM t", 1, 5 + tag), 5, "after the comment");
        assert_eq!(at("SELECT *\nFORM t", 2, 4), 4, "in another line");
        assert_eq!(at("-- a\nSELECT * FORM t", 2, 13 + hint), 13, "after the limit alone");
        let quoted = tagged("(SELECT 1) FORM t").text().into_owned();
        let said = format!("near \"{quoted}\"");
        assert_eq!(tagged("(SELECT 1) FORM t").own(&said), "near \"(SELECT 1) FORM t\"", "a quotation has none of it");
        for other in
            ["Table 'shop.order' doesn't exist", "Duplicate entry ' line 1 column ' for key", " line x column 3 "]
        {
            assert_eq!(tagged("SELECT 1").own(other), other, "{other}");
        }
    }
}
