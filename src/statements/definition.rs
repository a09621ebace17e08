//! Definitions of tables as `SHOW CREATE` gives them, without what says nothing to a model.

use crate::sql::shortest_name;

/// A word, name, string or symbol of a definition.
struct Piece<'d> {
    kind: Kind,
    text: &'d str,
    /// Where it ends.
    end: usize,
    /// How many parentheses are open around it.
    depth: usize,
    /// What stands before it: nothing, a blank or a line's end.
    before: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    /// In backticks, or in double quotes where the server's mode is `ANSI_QUOTES`.
    Name,
    /// In single quotes.
    Text,
    Symbol,
}

impl Piece<'_> {
    /// A name without its quotes.
    fn name(&self) -> String {
        let quote = self.text.get(..1).unwrap_or_default();
        let inner = self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default();
        inner.replace(&quote.repeat(2), quote)
    }
}

/// The definition with the same meaning in fewer characters.
///
/// Dropped: the engine, counters (`AUTO_INCREMENT=3`, `AUTO_RANDOM_BASE=3`), which change with the rows, a character set and
/// collation that are the table's or TiDB's default, `DEFAULT NULL`, display widths, who defined a view, and quotes and comment
/// marks around words that mean the same without. MariaDB's `longtext` with `CHECK (json_valid(...))` is what it calls JSON.
/// A view's statement stays as it is: hints and collations mean something there.
pub(crate) fn compact(definition: &str) -> String {
    let mut pieces = pieces(definition);
    let statement = Words(&pieces).statement();
    let statement = statement.map_or("", |(at, end)| {
        pieces.truncate(at + 1);
        definition.get(end..).unwrap_or_default()
    });
    let words = Words(&pieces);
    let charset = words.option("CHARSET").unwrap_or("utf8mb4");
    let collation = words.option("COLLATE").unwrap_or("utf8mb4_bin");
    let mut text = String::with_capacity(definition.len());
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        let dropped = words.dropped(at, charset, collation);
        if dropped > 0 {
            at += dropped;
            continue;
        }
        if piece.before == "\n" {
            text.truncate(text.trim_end().len());
        }
        let needless = text.is_empty() || piece.before == " " && text.ends_with(['\n', ' ']);
        if !needless {
            text.push_str(piece.before);
        }
        match piece.kind {
            Kind::Name => text.push_str(&shortest_name(&piece.name())),
            Kind::Word if piece.depth == 1 && words.is_json(at) => text.push_str("json"),
            _ => text.push_str(piece.text),
        }
        at += 1;
    }
    // What is dropped at the end of an item leaves its blank before the comma.
    let mut text = text.replace(" ,\n", ",\n").trim_end().to_owned();
    text.push_str(statement);
    text
}

/// What a definition says of the columns and indexes of a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) columns: Vec<Column>,
    pub(crate) indexes: Vec<Index>,
}

impl Outline {
    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// A column.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its type: `varchar`.
    pub(crate) kind: String,
    /// The number in parentheses after that.
    pub(crate) length: Option<u64>,
}

/// An index, or the primary key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: String,
    /// Columns from the first on; an expression, or the beginning of a column, ends them.
    pub(crate) columns: Vec<String>,
    /// Whether the optimizer may use it.
    pub(crate) visible: bool,
}

/// Reads what `SHOW CREATE TABLE` gives; `None` if there is no column in it, as in a view's.
pub(crate) fn outline(definition: &str) -> Option<Outline> {
    let pieces = pieces(definition);
    let words = Words(&pieces);
    let mut outline = Outline::default();
    for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| piece.depth == 1 && piece.before == "\n") {
        match (piece.kind, piece.text) {
            (Kind::Name, _) => outline.columns.push(Column {
                name: piece.name(),
                kind: words.text(at + 1).to_owned(),
                length: words.text(at + 3).parse().ok().filter(|_| words.is(at + 2, &["("])),
            }),
            (Kind::Word, "PRIMARY" | "UNIQUE" | "KEY") => outline.indexes.push(words.index(at)),
            _ => {}
        }
    }
    (!outline.columns.is_empty()).then_some(outline)
}

/// A definition in pieces.
struct Words<'p, 'd>(&'p [Piece<'d>]);

impl<'d> Words<'_, 'd> {
    /// The index whose definition begins here: `UNIQUE KEY `uk` (`a`,`b`) INVISIBLE`.
    fn index(&self, at: usize) -> Index {
        let item = self.0.get(at..).unwrap_or_default();
        let end = item.iter().skip(1).position(|piece| piece.depth <= 1 && piece.before == "\n");
        let item = item.get(..end.map_or(item.len(), |end| end + 1)).unwrap_or_default();
        let name = item.iter().find(|piece| piece.kind == Kind::Name && piece.depth == 1);
        let mut columns = Vec::new();
        // Between the parentheses: names with commas. What else stands there ends the columns that are whole.
        let mut inside = item.iter().filter(|piece| piece.depth > 1);
        while let Some(column) = inside.next().filter(|piece| piece.kind == Kind::Name) {
            match inside.next().map(|piece| piece.text) {
                None | Some(",") => columns.push(column.name()),
                Some(_) => break,
            }
        }
        let hidden = |piece: &Piece<'_>| piece.kind == Kind::Word && matches!(piece.text, "INVISIBLE" | "IGNORED");
        Index {
            name: name.map_or_else(|| "PRIMARY".to_owned(), Piece::name),
            columns,
            visible: !item.iter().any(hidden),
        }
    }

    /// The `AS` before the statement of a view: its place, and where it ends.
    fn statement(&self) -> Option<(usize, usize)> {
        let mut header = self.0.iter().enumerate().filter(|(_, piece)| piece.depth == 0 && piece.kind == Kind::Word);
        header
            .find(|(_, piece)| matches!(piece.text, "VIEW" | "TABLE" | "SEQUENCE"))
            .filter(|(_, piece)| piece.text == "VIEW")?;
        header.find(|(_, piece)| piece.text == "AS").map(|(at, piece)| (at, piece.end))
    }

    fn text(&self, at: usize) -> &'d str {
        self.0.get(at).map_or("", |piece| piece.text)
    }

    fn is(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(offset, word)| {
            self.0.get(at.saturating_add(offset)).is_some_and(|piece| {
                matches!(piece.kind, Kind::Word | Kind::Symbol) && piece.text.eq_ignore_ascii_case(word)
            })
        })
    }

    /// The value of an option of the table: `CHARSET=utf8mb4`.
    fn option(&self, name: &str) -> Option<&'d str> {
        let at = (0..self.0.len())
            .find(|at| self.0.get(*at).is_some_and(|piece| piece.depth == 0) && self.is(*at, &[name, "="]))?;
        Some(self.text(at + 2))
    }

    /// How many pieces from here on say nothing.
    fn dropped(&self, at: usize, charset: &str, collation: &str) -> usize {
        let depth = self.0.get(at).map_or(0, |piece| piece.depth);
        let is = |words: &[&str]| self.is(at, words);
        let of_table = depth == 0;
        let of_column = depth == 1;
        if is(&["ENGINE", "="])
            || of_table && (is(&["AUTO_INCREMENT", "="]) || is(&["AUTO_RANDOM_BASE", "="]) || is(&["ALGORITHM", "="]))
            || of_table && is(&["COLLATE", "="]) && self.text(at + 2) == "utf8mb4_bin"
        {
            3
        } else if of_table && is(&["DEFAULT", "CHARSET", "="]) && matches!(self.text(at + 3), "utf8mb4") {
            4
        } else if of_table && is(&["DEFINER", "="]) {
            // `root`@`%`
            5
        } else if of_table && is(&["SQL", "SECURITY", "DEFINER"]) {
            3
        } else if of_column && is(&["DEFAULT", "NULL"]) {
            2
        } else if of_column && is(&["CHARACTER", "SET"]) && self.text(at + 2) == charset {
            3
        } else if of_column && is(&["COLLATE"]) && self.text(at + 1) == collation {
            2
        } else if is(&["CHECK", "(", "json_valid", "("]) && of_column {
            // `name`))
            7
        } else if of_column.then(|| at.checked_sub(1)).flatten().is_some_and(|before| self.has_width(before)) {
            3
        } else {
            0
        }
    }

    /// Whether this is an integer's type with a display width that shows nothing.
    fn has_width(&self, at: usize) -> bool {
        const INTEGERS: [&str; 5] = ["tinyint", "smallint", "mediumint", "int", "bigint"];
        let integer = INTEGERS.iter().any(|kind| self.is(at, &[kind, "("]));
        // By convention a tinyint(1) is a truth value.
        let shows = self.is(at, &["tinyint", "(", "1"]) || (4..=5).any(|offset| self.is(at + offset, &["zerofill"]));
        integer && !shows
    }

    /// Whether this `longtext` is checked to be JSON before its column ends.
    fn is_json(&self, at: usize) -> bool {
        let ends = |piece: &&Piece<'_>| !(piece.depth == 1 && piece.text == "," && piece.kind == Kind::Symbol);
        let rest = self.0.get(at..).unwrap_or_default().iter().take_while(ends).count();
        self.is(at, &["longtext"]) && (at..at + rest).any(|at| self.is(at, &["CHECK", "(", "json_valid"]))
    }
}

/// Splits a definition. Comment marks are dropped, and what stands in them is read: there only features stand.
fn pieces(definition: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut depth, mut before) = (Vec::<Piece<'_>>::new(), definition, 0_usize, "");
    // The values of an ENUM or a SET are printed without escapes (TiDB 8.5): `enum('x\','y')` has two.
    let mut listed_in = None;
    while let Some(first) = rest.chars().next() {
        let marks = comment_mark(rest);
        if marks > 0 || first.is_whitespace() {
            let length = marks.max(first.len_utf8() * usize::from(marks == 0));
            before = if first == '\n' || before == "\n" { "\n" } else { " " };
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        let word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.' | '@' | '$');
        let (kind, length) = match first {
            '`' | '"' => (Kind::Name, quoted(rest, first, false)),
            '\'' => (Kind::Text, quoted(rest, first, listed_in.is_none())),
            _ if word(first) => (Kind::Word, rest.find(|next| !word(next)).unwrap_or(rest.len())),
            _ => (Kind::Symbol, first.len_utf8()),
        };
        let (text, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if first == ')' {
            depth = depth.saturating_sub(1);
            listed_in = listed_in.filter(|list| *list < depth);
        }
        let lists = pieces.last().is_some_and(|word| word.kind == Kind::Word && matches!(word.text, "enum" | "set"));
        let end = definition.len() - after.len();
        pieces.push(Piece { kind, text, end, depth, before });
        if first == '(' {
            listed_in = listed_in.or(lists.then_some(depth));
            depth += 1;
        }
        (rest, before) = (after, "");
    }
    pieces
}

/// The length of `/*T![ttl]`, `/*!80000`, `/*` or `*/` at the beginning of a text; 0 if there is none.
fn comment_mark(text: &str) -> usize {
    if text.starts_with("*/") {
        return 2;
    }
    let Some(after) = text.strip_prefix("/*") else { return 0 };
    let body = after.trim_start_matches(['T', 'M', '!']);
    let body = match body.strip_prefix('[').and_then(|feature| feature.split_once(']')) {
        Some((_, body)) => body,
        None if body.len() < after.len() => body.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => body,
    };
    text.len() - body.len()
}

/// The length of a quoted text at the beginning of another: doubled quotes stand for themselves, and so does what a backslash
/// comes before, if backslashes escape.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && escapes || character == quote && characters.peek().is_some_and(|next| next.1 == quote) {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{Index, compact, outline};

    /// What TiDB 8.5 answered to `SHOW CREATE` of this name.
    fn recorded(name: &str) -> String {
        let lines = include_str!("../../tests/cases/definitions.jsonl").lines();
        let mut recordings = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let recording = recordings.find(|recording| recording["name"] == format!("show.{name}")).unwrap();
        recording["rows"][0][1].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_definition_loses_nothing_that_means_something() {
        for (name, expected) in [
            (
                "hot",
                "CREATE TABLE hot (\nid bigint NOT NULL AUTO_RANDOM(5),\n\
                 v varchar(20) COMMENT 'it''s; a \"comment\" (with parens) and /*T![x] y */',\n\
                 PRIMARY KEY (id) CLUSTERED,\nKEY iv (v(5))\n)",
            ),
            (
                "nc",
                "CREATE TABLE nc (\nid bigint NOT NULL AUTO_INCREMENT,\nv int(10) unsigned zerofill,\n\
                 PRIMARY KEY (id) NONCLUSTERED,\nUNIQUE KEY uv (v)\n) AUTO_ID_CACHE=1 SHARD_ROW_ID_BITS=4 PRE_SPLIT_REGIONS=2",
            ),
            (
                "child",
                "CREATE TABLE child (\nid int NOT NULL,\nparent bigint,\nPRIMARY KEY (id) CLUSTERED,\nKEY fk_parent (parent),\n\
                 CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES hot (id) ON DELETE CASCADE\n)",
            ),
            (
                "gen",
                "CREATE TABLE gen (\nid int NOT NULL,\nj json,\n\
                 name varchar(50) GENERATED ALWAYS AS (json_unquote(json_extract(j, _utf8mb4'$.name'))) STORED,\n\
                 up varchar(50) GENERATED ALWAYS AS (upper(name)) VIRTUAL,\nPRIMARY KEY (id) CLUSTERED,\n\
                 KEY idx_name (name) INVISIBLE,\nKEY idx_expr ((lower(name)))\n)",
            ),
            (
                "part",
                "CREATE TABLE part (\nid int NOT NULL,\nat date NOT NULL,\nPRIMARY KEY (id,at) CLUSTERED\n)\n\
                 PARTITION BY RANGE COLUMNS(at)\n(PARTITION p2025 VALUES LESS THAN ('2026-01-01'),\n\
                 PARTITION p2026 VALUES LESS THAN ('2027-01-01'))",
            ),
            (
                "ttl",
                "CREATE TABLE ttl (\nid int NOT NULL,\nat datetime,\nPRIMARY KEY (id) CLUSTERED\n) \
                 TTL=at + INTERVAL 3 MONTH TTL_ENABLE='OFF' TTL_JOB_INTERVAL='1h'",
            ),
            ("vec", "CREATE TABLE vec (\nid int NOT NULL,\ne vector(3) COMMENT 'hnsw',\nPRIMARY KEY (id) CLUSTERED\n)"),
            (
                "latin",
                "CREATE TABLE latin (\na varchar(5) CHARACTER SET latin1 COLLATE latin1_bin,\n\
                 b varchar(5) COLLATE utf8mb4_general_ci,\nc varchar(5)\n) COMMENT='tbl'",
            ),
            (
                "gci",
                "CREATE TABLE gci (\na varchar(5),\nc varchar(5) COLLATE utf8mb4_bin\n) COLLATE=utf8mb4_general_ci",
            ),
            (
                "odd",
                "CREATE TABLE `od``d (x) \"q\" 'y'` (\n`we``ird, col` int,\n`select` int,\nKEY `k``1` (`we``ird, col`)\n)",
            ),
            ("cached", "CREATE TABLE cached (\na int\n) CACHED ON"),
            ("vw", "CREATE VIEW vw (id, at) AS SELECT `id` AS `id`,`at` AS `at` FROM `scratch`.`part` WHERE `id`>0"),
            (
                "hinted",
                "CREATE VIEW hinted (v) AS SELECT /*+ USE_INDEX(`nc` `uv`)*/ `v` AS `v` FROM `scratch`.`nc` \
                 WHERE _UTF8MB4'a' COLLATE utf8mb4_bin=_UTF8MB4'A'",
            ),
            ("lists", "CREATE TABLE lists (\na enum('x\\','y'),\nb int COMMENT 'it\\\\''s',\nc set('q''','r\\')\n)"),
            ("ansi", "CREATE TABLE `an\"si` (\n`a\"b` int COMMENT 'x\"y',\nKEY k (`a\"b`)\n)"),
            (
                "sequence",
                "CREATE SEQUENCE sq start with 5 minvalue 1 maxvalue 9223372036854775806 increment by 1 cache 1000 nocycle",
            ),
            ("gt", "CREATE GLOBAL TEMPORARY TABLE gt (\na int\n) ON COMMIT DELETE ROWS"),
        ] {
            assert_eq!(compact(&recorded(name)), expected, "the definition of {name}");
        }
    }

    #[test]
    fn an_outline_has_types_and_indexes() {
        let index = |name: &str, columns: &[&str], visible| Index {
            name: name.to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            visible,
        };
        let of = |name| outline(&recorded(name)).expect("columns").indexes;
        assert_eq!(
            of("gen"),
            [index("PRIMARY", &["id"], true), index("idx_name", &["name"], false), index("idx_expr", &[], true)],
            "an expression is no column"
        );
        assert_eq!(of("hot")[1], index("iv", &[], true), "the beginning of a column is not the column");
        assert_eq!(of("part"), [index("PRIMARY", &["id", "at"], true)]);
        assert_eq!(of("odd"), [index("k`1", &["we`ird, col"], true)]);
        assert_eq!(of("ansi"), [index("k", &["a\"b"], true)], "names are in double quotes in one mode");
        assert_eq!(
            outline(&recorded("lists")).expect("columns").columns.len(),
            3,
            "a backslash does not escape in a list"
        );
        for view in ["vw", "hinted", "sequence"] {
            assert_eq!(outline(&recorded(view)), None, "{view} has no columns of its own");
        }
        let columns = |name: &str| -> Vec<(String, Option<u64>)> {
            let columns = outline(&recorded(name)).expect("columns").columns;
            columns.into_iter().map(|column| (column.kind, column.length)).collect()
        };
        let types: Vec<String> = columns("chk").into_iter().map(|column| column.0).collect();
        assert_eq!(types, ["int", "int", "tinyint", "enum", "timestamp", "bit", "json"]);
        assert_eq!(columns("hot"), [("bigint".to_owned(), None), ("varchar".to_owned(), Some(20))]);
    }

    #[test]
    fn counters_are_not_part_of_a_definition() {
        let counted = recorded("nc");
        assert!(counted.contains("AUTO_INCREMENT=3"), "the table has had rows: {counted}");
        assert_eq!(compact(&counted), compact(&counted.replace("AUTO_INCREMENT=3", "AUTO_INCREMENT=30001")));
        let random = "CREATE TABLE `t` (\n  `id` bigint NOT NULL\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 /*T![auto_rand_base] AUTO_RANDOM_BASE=7 */";
        assert_eq!(compact(random), "CREATE TABLE t (\nid bigint NOT NULL\n)");
        let said = "CREATE TABLE `t` (\n  `id` int COMMENT 'AUTO_INCREMENT=3 DEFAULT NULL'\n)";
        assert_eq!(
            compact(said),
            "CREATE TABLE t (\nid int COMMENT 'AUTO_INCREMENT=3 DEFAULT NULL'\n)",
            "a comment is kept"
        );
    }

    #[test]
    fn mariadb_has_json_as_checked_text() {
        let definition = "CREATE TABLE `t` (\n  `n` int(11) NOT NULL,\n  `l` longtext DEFAULT NULL,\n  `j` longtext CHARACTER SET utf8mb4 \
                          COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`j`)),\n  PRIMARY KEY (`n`)\n) ENGINE=InnoDB";
        assert_eq!(compact(definition), "CREATE TABLE t (\nn int NOT NULL,\nl longtext,\nj json,\nPRIMARY KEY (n)\n)");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "([`\"'()/*T!\\[\\] ,a1=\n\\\\é]|CHECK|json_valid|DEFAULT|NULL|int|COLLATE|VIEW|AS|enum){0,60}") {
            prop_assert!(compact(&text).len() <= 3 * text.len() + 2);
        }
    }
}
