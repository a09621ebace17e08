//! Statements that only TiDB understands, answered from recordings of a real one.
//!
//! `data/recorded/*.jsonl` holds what TiDB release 8.5 answered to the statements of `statements*.sql` on the sample data: one
//! JSON object a line. Where the server is MariaDB, a statement that it refuses or would answer in a way of its own is looked up there.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::statement::{Statement, Token};
use super::{Refusal, tidb};
use crate::exchange::{Column, Role, SqlTask};

/// A recorded answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Recording {
    /// Its name in the statement file.
    pub name: String,
    /// The selected database; `None` if there was none, or it makes no difference.
    pub database: Option<String>,
    /// Statements next to each other with the same text here ran in one session.
    pub session: Option<String>,
    /// The statement.
    pub sql: String,
    /// Columns, where there was a result set.
    pub types: Option<Vec<Column>>,
    /// Rows, where there was a result set.
    pub rows: Option<Vec<Vec<Option<String>>>>,
    /// Rows affected, where there was none.
    #[serde(rename = "rowsAffected")]
    pub rows_affected: Option<u64>,
    /// Last insert id, where there was no result set.
    #[serde(rename = "lastInsertId")]
    pub last_insert_id: Option<String>,
    /// What was refused.
    pub error: Option<RecordedError>,
}

/// A recorded refusal.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedError {
    /// MySQL error number.
    pub code: u16,
    /// Its text.
    pub message: String,
}

/// A statement that is to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The selected database; empty for none.
    pub database: String,
    /// Statements next to each other with the same text here run in one session.
    pub session: Option<String>,
    /// The statement.
    pub sql: String,
}

/// The statements of a file. `-- name: N` begins one, `-- database: D` selects a database for it, and those between `-- session N`
/// and `-- end` run in one session.
pub fn wanted(file: &str) -> Vec<Wanted> {
    let (mut all, mut session) = (Vec::<Wanted>::new(), None::<String>);
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("-- name: ") {
            all.push(Wanted { name: name.trim().to_owned(), session: session.clone(), ..Wanted::default() });
        } else if let Some(name) = line.strip_prefix("-- session ") {
            session = Some(name.trim().to_owned());
        } else if line.trim_end() == "-- end" {
            session = None;
        } else if let Some(wanted) = all.last_mut() {
            match line.strip_prefix("-- database: ") {
                Some(database) => database.trim().clone_into(&mut wanted.database),
                None if line.starts_with("--") && wanted.sql.is_empty() => {}
                None => wanted.sql.extend([line, "\n"]),
            }
        }
    }
    for wanted in &mut all {
        wanted.sql = wanted.sql.trim().trim_end_matches(';').to_owned();
    }
    all
}

fn read(lines: &str) -> Vec<Recording> {
    // A line that does not parse shows in the test below, which counts them.
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Everything recorded as `root`, in the order in which it ran.
pub static AS_ROOT: LazyLock<Vec<Recording>> = LazyLock::new(|| {
    let mut all = read(include_str!("../../data/recorded/answers.jsonl"));
    all.extend(read(include_str!("../../data/recorded/answers-advanced.jsonl")));
    all
});

/// Everything recorded as the user `reader`, whose only right is the role `role_readonly`.
pub static AS_READER: LazyLock<Vec<Recording>> =
    LazyLock::new(|| read(include_str!("../../data/recorded/answers-readonly.jsonl")));

/// What clients of the sandbox send by themselves, recorded as `root`: for a guard of expensive statements, for descriptions of
/// tables and plans, and around changes.
pub static OF_CLIENTS: LazyLock<Vec<Recording>> = LazyLock::new(|| {
    let mut all = read(include_str!("../../data/recorded/answers-guard.jsonl"));
    all.extend(read(include_str!("../../data/recorded/answers-insight.jsonl")));
    all.extend(read(include_str!("../../data/recorded/answers-execute.jsonl")));
    all
});

type Index = HashMap<String, Vec<&'static Recording>>;

fn index(recordings: impl Iterator<Item = &'static Recording>) -> Index {
    let mut index = Index::new();
    for recording in recordings.filter(|recording| !NEVER_REPLAYED.contains(&recording.name.as_str())) {
        index.entry(Statement::read(&recording.sql).canonical).or_default().push(recording);
    }
    index
}

static BY_ROOT: LazyLock<Index> = LazyLock::new(|| index(AS_ROOT.iter().chain(OF_CLIENTS.iter())));
static BY_READER: LazyLock<Index> = LazyLock::new(|| index(AS_READER.iter()));

/// Recordings that say more about the server they were made on than about TiDB: a table left over from an earlier run.
const NEVER_REPLAYED: &[&str] = &["vector_table"];

/// Where one statement was recorded twice: the second answer holds once this index exists on `shop.orders`.
const RECORDED_WITH_INDEX: &str = "idx_customer_placed";
const AFTER_INDEX: &str = "_after_index";

/// Error numbers by which MariaDB says that it does not know a word of a statement, rather than that the statement is wrong.
const NOT_UNDERSTOOD: &[u16] = &[
    1064, // syntax
    1109, // unknown table in information_schema
    1128, // function is not defined
    1148, // command not allowed
    1193, // unknown system variable
    1235, // not supported yet
    1286, // unknown storage engine
    1289, // feature is disabled
    1305, // function does not exist
    1630, // function does not exist, qualified
    1911, // unknown option
    4161, // unknown data type
    4166, // local infile is disabled
];

/// Whether MariaDB refused for want of understanding.
pub(crate) fn is_not_understood(refusal: &Refusal, statement: &Statement) -> bool {
    match refusal.code {
        // A table or column that is missing is TiDB's only in the schemas that servers bring along.
        1054 | 1146 => {
            ["INFORMATION_SCHEMA", "MYSQL", "SYS", "METRICS_SCHEMA"].iter().any(|schema| statement.has_word(schema))
        }
        code => NOT_UNDERSTOOD.contains(&code),
    }
}

/// What lookups ask of the server.
pub(crate) trait Ground {
    /// Whether the server has this schema.
    fn has_schema(&mut self, schema: &str) -> bool;
    /// Whether `shop.orders` has this index.
    fn orders_has_index(&mut self, index: &str) -> bool;
    /// The columns of all indexes of the schema `shop`, as `table.index.column`.
    fn shop_indexes(&mut self) -> Vec<String>;
}

/// The answer recorded for this statement, for a caller with this role, where it can hold on this server.
///
/// A recorded success that changed something is not given: nothing was changed here.
pub(crate) fn find(
    statement: &Statement,
    database: &str,
    role: Role,
    ground: &mut dyn Ground,
) -> Option<&'static Recording> {
    let kept = |text: &str| {
        let reader = BY_READER.get(text).filter(|_| role == Role::ReadOnly);
        reader.or_else(|| BY_ROOT.get(text))
    };
    let candidates = kept(&statement.canonical).or_else(|| kept(&without_plan_hint(statement)?))?;
    let suited = |recording: &&&Recording| {
        let selected = recording.database.as_deref().is_none_or(|of| of.eq_ignore_ascii_case(database));
        selected && (recording.rows.is_some() || recording.error.is_some())
    };
    let mut suited = candidates.iter().filter(suited);
    let first = suited.next()?;
    let later = suited.find(|recording| recording.name.ends_with(AFTER_INDEX));
    let found = match later {
        Some(later) if ground.orders_has_index(RECORDED_WITH_INDEX) => later,
        _ => first,
    };
    // Answers about a schema hold only where there is one.
    let schemas = ["shop", "kinds", "adv"];
    schemas.iter().all(|schema| !concerns(statement, database, schema) || ground.has_schema(schema)).then_some(found)
}

/// An `EXPLAIN` without the hint that keeps its subqueries from running, if it has none: then the plan is the same.
fn without_plan_hint(statement: &Statement) -> Option<String> {
    const HINT: &str = "/*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */";
    let queries = statement.words().filter(|word| matches!(*word, "SELECT" | "TABLE" | "VALUES")).count();
    let (before, after) = statement.canonical.split_once(HINT)?;
    (queries <= 1).then(|| format!("{} {}", before.trim_end(), after.trim_start()))
}

/// The indexes with which plans were recorded, and the one that was added later.
const RECORDED_INDEXES: &[&str] = &[
    "customers.PRIMARY.id",
    "customers.uk_email.email",
    "order_items.PRIMARY.line",
    "order_items.PRIMARY.order_id",
    "order_items.idx_product.product_id",
    "orders.PRIMARY.id",
    "orders.idx_placed.placed_at",
    "orders.idx_placed_status.placed_at",
    "orders.idx_placed_status.status",
    "products.PRIMARY.id",
    "products.idx_category.category",
    "products.uk_sku.sku",
];
const SAMPLE_TABLES: &[&str] = &["customers", "event_log", "order_items", "orders", "products"];
const INDEX_ADDED: &[&str] = &["orders.idx_customer_placed.customer_id", "orders.idx_customer_placed.placed_at"];

/// Whether a recorded plan of this statement can hold: with other indexes, it is a plan of other tables.
pub(crate) fn plans_hold(statement: &Statement, database: &str, ground: &mut dyn Ground) -> bool {
    if !concerns(statement, database, "shop") {
        return true;
    }
    let mut found = ground.shop_indexes();
    let of_sample = |index: &str| SAMPLE_TABLES.iter().any(|table| index.split('.').next() == Some(table));
    found.retain(|index| of_sample(index) && !INDEX_ADDED.contains(&index.as_str()));
    found.sort_unstable();
    found == RECORDED_INDEXES
}

/// Whether a statement may be about this schema: it names it, or has selected it.
fn concerns(statement: &Statement, database: &str, schema: &str) -> bool {
    database.eq_ignore_ascii_case(schema) || statement.tokens.iter().any(|token| is_named(token, schema))
}

fn is_named(token: &Token, schema: &str) -> bool {
    match token {
        Token::Word(text) | Token::Quoted(text) => text.eq_ignore_ascii_case(schema),
        Token::Hint(_) | Token::Symbol(_) => false,
    }
}

/// Beginnings of words that only TiDB knows.
const ONLY_TIDB_PREFIXES: &[&str] =
    &["TIDB_", "@@TIDB_", "TIFLASH", "VEC_", "CLUSTER_", "STATS_", "STATEMENTS_SUMMARY", "_TIDB_"];

/// Words that only TiDB knows, wherever they stand.
const ONLY_TIDB_WORDS: &[&str] = &[
    "ADMIN",
    "AUTO_ID_CACHE",
    "AUTO_RANDOM",
    "BINDING",
    "BINDINGS",
    "CLUSTERED",
    "DDL_JOBS",
    "DEADLOCKS",
    "FLASHBACK",
    "MAX_EXECUTION_TIME",
    "@@MAX_EXECUTION_TIME",
    "MEMORY_QUOTA",
    "METRICS_SCHEMA",
    "NONCLUSTERED",
    "OPTIMISTIC",
    "PLACEMENT",
    "PRE_SPLIT_REGIONS",
    "REGIONS",
    "SCHEMA_UNUSED_INDEXES",
    "SHARD_ROW_ID_BITS",
    "SLOW_QUERY",
    "SPLIT",
    "STALENESS",
    "TABLE_STORAGE_STATS",
    "TRACE",
    "TTL",
    "VECTOR",
];

/// Phrases that only TiDB knows.
const ONLY_TIDB_PHRASES: &[&[&str]] = &[
    &["AS", "OF", "TIMESTAMP"],
    &["PLAN", "REPLAYER"],
    &["RECOMMEND", "INDEX"],
    &["IMPORT", "INTO"],
    &["BATCH", "ON"],
];

/// The part of this statement that only TiDB understands.
fn only_tidb(statement: &Statement) -> Option<String> {
    let arrow = |pair: &[Token]| pair == [Token::Symbol('-'), Token::Symbol('>')];
    if statement.tokens.windows(2).any(arrow) {
        return Some("the operator ->".to_owned());
    }
    if let Some(phrase) = ONLY_TIDB_PHRASES.iter().find(|phrase| statement.has_phrase(phrase)) {
        return Some(phrase.join(" "));
    }
    let known = |word: &&str| {
        ONLY_TIDB_WORDS.contains(word) || ONLY_TIDB_PREFIXES.iter().any(|prefix| word.starts_with(prefix))
    };
    statement.words().find(known).map(str::to_owned)
}

/// The refusal of a statement without an answer here. How to get TiDB is for the person who starts the sandbox, not for a model:
/// the line that names the engine says it.
pub(crate) fn needs_tidb(what: &str) -> Refusal {
    Refusal {
        code: 1235,
        sqlstate: "42000".to_owned(),
        message: format!("only TiDB understands {what}, and this practice server is not TiDB"),
    }
}

/// Statements that TiDB refuses although MariaDB would run them.
pub(crate) fn refused_by_tidb(statement: &Statement) -> Option<Refusal> {
    let refuse =
        |code, message: &str| Some(Refusal { code, sqlstate: sqlstate(code).to_owned(), message: message.to_owned() });
    if statement.word(0) == "START" && statement.has_phrase(&["READ", "ONLY"]) && !statement.has_word("OF") {
        return refuse(
            1235,
            "function READ ONLY has only noop implementation in tidb now, use tidb_enable_noop_functions to enable these functions",
        );
    }
    if statement.word(0) == "CREATE" {
        // The object's kind comes before the first parenthesis, dot or name that could hold these words otherwise.
        let head: Vec<&str> = statement.words().skip(1).take(8).collect();
        let kinds = ["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE", "SERVER"];
        let leads = |word: &&&str| kinds.contains(word);
        let before = |word: &&str| {
            ["OR", "REPLACE", "DEFINER", "AGGREGATE", "CURRENT_USER"].contains(word) || word.contains('@')
        };
        let kind = head.iter().find(leads).filter(|kind| head.iter().take_while(|word| word != kind).all(before));
        if let Some(kind) = kind {
            if *kind == "PROCEDURE" {
                return refuse(8108, "Unsupported type *resolve.NodeW");
            }
            return Some(syntax_error(&statement.text, kind, false));
        }
    }
    None
}

/// TiDB's form of a syntax error: where the offending word ends, and the text from there on.
pub(crate) fn syntax_error(text: &str, near: &str, doubtful: bool) -> Refusal {
    let (upper, wanted) = (text.to_uppercase(), near.to_uppercase());
    // Servers quote the rest of the statement, if it is short. A comment before it is none of it.
    let start = if text.starts_with("/* ") { text.find("*/").unwrap_or_default() } else { 0 };
    let rest = upper.strip_suffix(&wanted).map(str::len);
    let at = rest.or_else(|| Some(start + upper.get(start..)?.find(&wanted)?));
    let at = at.filter(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let word = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len()).max(1);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().len() + word;
    let near: String = after.chars().take(2048).collect();
    let note = if doubtful { "[the SQL server of this sandbox is MariaDB: TiDB may understand it]" } else { "" };
    Refusal {
        code: 1064,
        sqlstate: "42000".to_owned(),
        message: format!(
            "You have an error in your SQL syntax; check the manual that corresponds to your TiDB version for the right syntax to \
             use line {line} column {column} near \"{near}\" {note}"
        ),
    }
}

/// MariaDB's refusal in TiDB's words.
fn in_tidbs_words(statement: &Statement, refusal: Refusal) -> Refusal {
    let Refusal { code, sqlstate: state, message } = refusal;
    match code {
        1064 => {
            let near = message.split_once("near '").and_then(|(_, near)| near.rsplit_once("' at line"));
            syntax_error(&statement.text, near.map_or("", |(near, _)| near), true)
        }
        1969 => Refusal {
            code: 3024,
            sqlstate: "HY000".to_owned(),
            message: "Query execution was interrupted, maximum statement execution time exceeded".to_owned(),
        },
        _ => {
            // Users are made for every host; MariaDB names the one they came from.
            let message = message.replace("'@'localhost'", "'@'%'");
            // TiDB names the table alone: "INSERT command denied to user 'u'@'%' for table 't'".
            let message = match (code, message.split_once(" for table `")) {
                (1142, Some((head, table))) => {
                    let table = table.trim_end_matches('`').rsplit("`.`").next().unwrap_or(table);
                    format!("{head} for table '{table}'")
                }
                _ => message,
            };
            Refusal { code, sqlstate: state, message }
        }
    }
}

/// What to answer in place of MariaDB's refusal: the recording, that TiDB is needed, or the refusal in TiDB's words.
pub(crate) fn instead_of(
    refusal: Refusal,
    statement: &Statement,
    task: &SqlTask,
    ground: &mut dyn Ground,
) -> Result<&'static Recording, Refusal> {
    let not_understood = is_not_understood(&refusal, statement);
    if let Some(recording) = find(statement, &task.database, task.role, ground) {
        match &recording.error {
            None if not_understood => return Ok(recording),
            Some(error)
                if not_understood || error.code == refusal.code || is_same_refusal(error.code, refusal.code) =>
            {
                // Recorded as this user; told to the one who asks.
                let message = error.message.replace("'reader'@'%'", &format!("'{}'@'%'", task.user));
                return Err(Refusal { code: error.code, sqlstate: sqlstate(error.code).to_owned(), message });
            }
            _ => {}
        }
    }
    match only_tidb(statement) {
        // What a TiDB here refuses too is refused in the same words.
        Some(what) if not_understood => Err(tidb::refused(statement).unwrap_or_else(|| needs_tidb(&what))),
        _ => Err(in_tidbs_words(statement, refusal)),
    }
}

/// Whether both numbers say that a right is missing, or that time is up.
fn is_same_refusal(tidb: u16, mariadb: u16) -> bool {
    let denied = [1044, 1045, 1142, 1143, 1227, 1370, 1698, 8121];
    (denied.contains(&tidb) && denied.contains(&mariadb)) || (tidb == 3024 && mariadb == 1969)
}

/// The SQLSTATE that goes with an error number (MySQL 8.0 Error Message Reference); TiDB's own have `HY000`.
pub(crate) fn sqlstate(code: u16) -> &'static str {
    match code {
        1044 | 1055 | 1064 | 1065 | 1142 | 1143 | 1148 | 1227 | 1235 | 1305 => "42000",
        1045 => "28000",
        1046 => "3D000",
        1050 => "42S01",
        1051 | 1109 | 1146 => "42S02",
        1054 => "42S22",
        1062 | 1451 | 1452 => "23000",
        1292 => "22007",
        1406 => "22001",
        3140 => "22032",
        _ => "HY000",
    }
}

#[cfg(test)]
mod tests {
    use super::{AS_READER, AS_ROOT, Recording, Wanted, refused_by_tidb, syntax_error, wanted};
    use crate::sql::statement::Statement;

    #[test]
    fn every_line_of_the_recordings_is_read() {
        let lines = |text: &str| text.lines().count();
        let root = lines(include_str!("../../data/recorded/answers.jsonl"));
        assert_eq!(AS_ROOT.len(), root + lines(include_str!("../../data/recorded/answers-advanced.jsonl")));
        assert_eq!(AS_READER.len(), lines(include_str!("../../data/recorded/answers-readonly.jsonl")));
        let of_clients = [
            (
                include_str!("../../data/recorded/statements-guard.sql"),
                include_str!("../../data/recorded/answers-guard.jsonl"),
            ),
            (
                include_str!("../../data/recorded/statements-insight.sql"),
                include_str!("../../data/recorded/answers-insight.jsonl"),
            ),
            (
                include_str!("../../data/recorded/statements-execute.sql"),
                include_str!("../../data/recorded/answers-execute.jsonl"),
            ),
        ];
        for (statements, answers) in of_clients {
            let recorded: Vec<_> = super::read(answers)
                .into_iter()
                .map(|Recording { name, database, session, sql, .. }| Wanted {
                    name,
                    database: database.unwrap_or_default(),
                    session,
                    sql,
                })
                .collect();
            assert_eq!(recorded, wanted(statements), "each file of statements was recorded as it is");
            assert_eq!(lines(answers), recorded.len());
        }
    }

    /// The recorded syntax errors are the test vectors: their place and text are computed here.
    #[test]
    fn syntax_errors_are_put_as_tidb_puts_them() {
        for (name, near) in
            [("error_syntax", "SELEC"), ("adv.trigger", "TRIGGER"), ("adv.event", "EVENT"), ("adv.spatial", "POINT)")]
        {
            let recording = AS_ROOT.iter().find(|recording| recording.name == name).unwrap();
            assert_eq!(
                syntax_error(&recording.sql, near, false).message,
                recording.error.as_ref().unwrap().message,
                "{name}"
            );
        }
    }

    #[test]
    fn stored_programs_are_refused_and_tables_named_after_them_are_not() {
        for (text, refused) in [
            ("CREATE PROCEDURE p() BEGIN END", true),
            ("create or replace definer = `a`@`%` trigger t before insert on x for each row set @a = 1", true),
            ("CREATE EVENT IF NOT EXISTS e ON SCHEDULE EVERY 1 DAY DO SELECT 1", true),
            ("CREATE TABLE event (id INT)", false),
            ("CREATE TABLE t (function INT)", false),
            ("CREATE VIEW v AS SELECT event FROM t", false),
            ("START TRANSACTION READ ONLY", true),
            ("START TRANSACTION", false),
        ] {
            assert_eq!(refused_by_tidb(&Statement::read(text)).is_some(), refused, "{text}");
        }
    }
}
