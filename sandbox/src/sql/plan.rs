//! `EXPLAIN` where the server is MariaDB and no recording has the answer: a plan in TiDB's form, made from MariaDB's own plan of
//! the same statement. It says of itself that the sandbox made it.

mod build;
mod node;
mod shape;
mod tree;

use mysql::Conn;
use mysql::prelude::Queryable;

use super::recorded::{self, needs_tidb};
use super::server::Server;
use super::statement::{Statement, Token};
use super::wire::Answer;
use super::{Failure, Given, Ground, Refusal, run_on};
use crate::exchange::SqlTask;
use build::{Builder, Tables};
use node::{Part, Printed};
use shape::Table;
use tree::Tree;

/// What stands in the first operator's description.
const MARK: &str = "made by the sandbox from MariaDB's plan: TiDB may choose another";

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Operators with numbers: TiDB's default.
    Row,
    Brief,
    Verbose,
    Json,
}

/// Formats of TiDB 8.5 that are not made here. <https://docs.pingcap.com/tidb/stable/sql-statement-explain>
const OTHER_FORMATS: &[&str] = &["BINARY", "COST_TRACE", "DOT", "HINT", "TRUE_CARD_COST"];

/// The formats that TiDB 8.5 takes without quotes; another name there is an error of syntax, `plan_cache` included.
const UNQUOTED_FORMATS: &[&str] =
    &["BRIEF", "DOT", "JSON", "ROW", "TIDB_JSON", "TRADITIONAL", "TRUE_CARD_COST", "VERBOSE"];

/// A plan that is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The statement that is explained, as MariaDB is asked about it.
    statement: Statement,
    /// How the plan is printed, or why there is none, which comes second to tables that are missing or closed.
    format: Result<Format, Refusal>,
    /// The statement runs, and the plan says what it did.
    analyzed: bool,
}

impl Wanted {
    /// What `EXPLAIN` asks for; `None` if this is no explanation of a statement.
    ///
    /// # Errors
    /// What MariaDB has no plan for.
    pub(crate) fn read(statement: &Statement) -> Option<Result<Self, Refusal>> {
        let explained = statement.explained()?;
        let analyzed = statement.word(1) == "ANALYZE";
        let format = match format_name(statement) {
            Some(Token::Word(name) | Token::Quoted(name)) => named(name, analyzed),
            _ => Ok(Format::Row),
        };
        Some(Self::of(&explained, format, analyzed))
    }

    fn of(explained: &str, format: Result<Format, Refusal>, analyzed: bool) -> Result<Self, Refusal> {
        let mut statement = Statement::read(explained);
        let kind = statement.word(0).to_owned();
        let reads = statement.tokens.first() == Some(&Token::Symbol('('))
            || matches!(kind.as_str(), "SELECT" | "WITH" | "TABLE" | "VALUES");
        if !reads && !matches!(kind.as_str(), "INSERT" | "REPLACE" | "UPDATE" | "DELETE") {
            return Err(needs_tidb(&format!("EXPLAIN {kind}")));
        }
        let runs = || {
            let message = format!(
                "EXPLAIN ANALYZE {kind} would run the {kind}, and this practice server does not do that: use EXPLAIN {kind}"
            );
            Refusal::new(1235, message)
        };
        let format = format.and_then(|format| if !reads && analyzed { Err(runs()) } else { Ok(format) });
        let imagines = |token: &Token| matches!(token, Token::Hint(hint) if hint.to_uppercase().contains("HYPO_INDEX"));
        if statement.tokens.iter().any(imagines) {
            return Err(needs_tidb("the hint HYPO_INDEX"));
        }
        if kind == "TABLE" {
            // The same statement (MySQL manual, "TABLE Statement"), which MariaDB does not have.
            let rest = statement.canonical.get("TABLE".len()..).unwrap_or_default();
            statement = Statement::read(&format!("SELECT * FROM {rest}"));
        }
        Ok(Self { statement, format, analyzed })
    }

    /// What MariaDB is asked for its plan with.
    fn question(&self) -> String {
        let word = if self.analyzed { "ANALYZE" } else { "EXPLAIN" };
        format!("{word} FORMAT=JSON {}", self.statement.canonical)
    }

    /// MariaDB's answer to the question as TiDB would print it.
    ///
    /// # Errors
    /// Where the answer is no plan.
    fn answer(&self, connection: &mut Conn, format: Format, plan: &str) -> Result<Printed, Refusal> {
        self.print(&mut Catalogue(connection), format, plan)
    }

    fn print(&self, tables: &mut dyn Tables, format: Format, plan: &str) -> Result<Printed, Refusal> {
        let unreadable =
            |error| Refusal::new(1105, format!("the sandbox cannot read MariaDB's plan of this statement: {error}"));
        // MariaDB escapes a quote within a text, which JSON does not (RFC 8259, section 7).
        let plan = plan.replace(r"\\", "\u{1}").replace(r"\'", "'").replace('\u{1}', r"\\");
        let plan: Tree = serde_json::from_str(&plan).map_err(unreadable)?;
        let mut node = Builder::new(&self.statement, tables).statement(&plan);
        node.info.push(Part::Text(MARK.to_owned()));
        Ok(node::print(&node, format, self.analyzed))
    }
}

/// The recorded plan, or one that is made from MariaDB's.
pub(super) fn explain(
    server: &Server,
    connection: &mut Conn,
    task: &SqlTask,
    statement: &Statement,
    wanted: &Wanted,
) -> Result<Given, Failure> {
    let instead = |refusal: Refusal| {
        recorded::instead_of(refusal, statement, task, &mut Ground(server))
            .map(Given::Recorded)
            .map_err(Failure::Refused)
    };
    // Even for a recorded plan, MariaDB checks that the tables exist and may be read.
    match run_on(server, connection, statement, &format!("EXPLAIN {}", wanted.statement.canonical)) {
        Err(Failure::Refused(refusal)) => return instead(refusal),
        Err(lost) => return Err(lost),
        Ok(_) => {}
    }
    let ground = &mut Ground(server);
    let found = recorded::find(statement, &task.database, task.role, ground).is_some();
    let format = match &wanted.format {
        Ok(format) => *format,
        Err(refusal) if found => return instead(refusal.clone()),
        Err(refusal) => return Err(Failure::Refused(refusal.clone())),
    };
    if found && recorded::plans_hold(statement, &task.database, ground) {
        return instead(recorded::needs_tidb("EXPLAIN"));
    }
    let plan = match run_on(server, connection, statement, &wanted.question()) {
        Err(Failure::Refused(refusal)) => return instead(refusal),
        Err(lost) => return Err(lost),
        Ok(Answer::Rows { rows, .. }) => rows.into_iter().flatten().flatten().next(),
        Ok(_) => None,
    };
    let (types, rows) = wanted.answer(connection, format, &plan.unwrap_or_default()).map_err(Failure::Refused)?;
    Ok(Given::Live(Answer::Rows { types, rows, origins: Vec::new() }))
}

/// What stands after `FORMAT =`.
fn format_name(statement: &Statement) -> Option<&Token> {
    let at = if statement.word(1) == "ANALYZE" { 2 } else { 1 };
    statement.tokens.get(at + 2).filter(|_| statement.word(at) == "FORMAT")
}

/// TiDB's refusal of a format that it takes in quotes only, or not at all.
pub(super) fn refused_by_tidb(statement: &Statement) -> Option<Refusal> {
    statement.explained()?;
    match format_name(statement) {
        Some(Token::Word(name)) if !UNQUOTED_FORMATS.contains(&name.as_str()) => {
            Some(recorded::syntax_error(&statement.text, name, false))
        }
        _ => None,
    }
}

/// The format of this name, or how TiDB 8.5 refuses it.
fn named(name: &str, analyzed: bool) -> Result<Format, Refusal> {
    match name.to_uppercase().as_str() {
        "ROW" | "TRADITIONAL" | "PLAN_CACHE" => Ok(Format::Row),
        "BRIEF" => Ok(Format::Brief),
        "VERBOSE" => Ok(Format::Verbose),
        "TIDB_JSON" => Ok(Format::Json),
        // TiDB knows the name, and has no such format.
        "JSON" => Err(Refusal::new(1105, "explain format 'json' is not supported now")),
        "TRUE_CARD_COST" if !analyzed => Err(Refusal::new(
            1105,
            "'explain format=true_card_cost' cannot work without 'analyze', please use 'explain analyze format=true_card_cost'",
        )),
        other if OTHER_FORMATS.contains(&other) => {
            Err(needs_tidb(&format!("EXPLAIN FORMAT = '{}'", name.to_lowercase())))
        }
        _ => Err(Refusal::new(1791, format!("Unknown EXPLAIN format name: '{name}'"))),
    }
}

/// What the server says of its tables, as far as the caller may see it.
struct Catalogue<'a>(&'a mut Conn);

impl Tables for Catalogue<'_> {
    fn index_columns(&mut self, table: &Table, index: &str) -> Vec<String> {
        let query = "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) \
                     AND TABLE_NAME = ? AND INDEX_NAME = ? ORDER BY SEQ_IN_INDEX";
        // Where it fails, the plan shows the columns that it uses.
        self.0.exec(query, (&table.schema, &table.name, index)).unwrap_or_default()
    }

    fn row_count(&mut self, schema: Option<&str>, name: &str) -> Option<f64> {
        let query = "SELECT CAST(TABLE_ROWS AS DOUBLE) FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) \
                     AND TABLE_NAME = ?";
        self.0.exec_first::<Option<f64>, _, _>(query, (schema, name)).ok().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Statement, Table, Tables, Wanted};

    struct Nothing;

    impl Tables for Nothing {
        fn index_columns(&mut self, _: &Table, _: &str) -> Vec<String> {
            Vec::new()
        }

        fn row_count(&mut self, _: Option<&str>, _: &str) -> Option<f64> {
            None
        }
    }

    /// Names, access objects and descriptions of the plan that MariaDB's answer becomes.
    fn made(sql: &str, plan: &str) -> Vec<String> {
        let wanted = Wanted::read(&Statement::read(sql)).unwrap().unwrap();
        let (_, rows) = wanted.print(&mut Nothing, Format::Brief, plan).unwrap();
        let line = |row: Vec<Option<String>>| {
            let cells = [0, 3, 4].map(|at| row.get(at).cloned().flatten().unwrap_or_default());
            cells.join(" | ").replace(", made by the sandbox from MariaDB's plan: TiDB may choose another", "")
        };
        rows.into_iter().map(line).collect()
    }

    #[test]
    fn an_older_server_has_its_tables_side_by_side() {
        let plan = r#"{"query_block": {"select_id": 1,
            "table": {"table_name": "a", "access_type": "ALL", "rows": 5, "filtered": 100},
            "table": {"table_name": "b", "access_type": "ref", "key": "i", "used_key_parts": ["x"], "ref": ["d.a.y"], "rows": 2,
                      "filtered": 100}}}"#;
        let made = made("EXPLAIN FORMAT = 'brief' SELECT * FROM d.a JOIN d.b ON b.x = a.y", plan);
        assert_eq!(
            made,
            [
                "IndexJoin |  | inner join, inner:IndexLookUp, equal:[eq(d.a.y, d.b.x)]",
                "├─TableReader(Build) |  | data:TableFullScan",
                "│ └─TableFullScan | table:a | keep order:false",
                "└─IndexLookUp(Probe) |  | ",
                "  ├─IndexRangeScan(Build) | table:b, index:i(x) | range: decided by [eq(d.b.x, d.a.y)], keep order:false",
                "  └─TableRowIDScan(Probe) | table:b | keep order:false",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_looked_through() {
        let inner = r#""table": {"table_name": "a", "access_type": "of the future", "key": "k", "rows": "many"}"#;
        for wrapped in [
            format!(r#"{{"query_block": {{{inner}}}}}"#),
            format!(r#"{{"query_block": {{"select_id": -1, "a_new_step": [{{"another": {{{inner}}}}}]}}}}"#),
            format!(r#"{{"query_block": {{"select_id": 1e30, "filesort": {{"sort_key": 7, {inner}}}}}}}"#),
        ] {
            let made = made("EXPLAIN SELECT * FROM a", &wrapped);
            assert!(made.iter().any(|row| row.contains("table:a")), "{wrapped}: {made:?}");
        }
        for empty in ["{}", "[]", "7", "null", r#"{"query_block": []}"#, r#"{"query_block": {"nested_loop": [{}]}}"#] {
            assert_eq!(made("EXPLAIN SELECT 1", empty).len(), 1, "{empty}");
        }
        let wanted = Wanted::read(&Statement::read("EXPLAIN SELECT 1")).unwrap().unwrap();
        for broken in ["", "{", "\u{0}", &"[".repeat(1_000)] {
            assert_eq!(wanted.print(&mut Nothing, Format::Brief, broken).unwrap_err().code, 1105, "{broken:.9}");
        }
    }
}
