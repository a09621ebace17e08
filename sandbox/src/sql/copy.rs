//! A branch gets its parent's data: a logical copy over the MySQL protocol.
//!
//! It copies the stored values: columns whose values the server makes (`DEFAULT UUID()`, `DEFAULT NEXTVAL(...)`,
//! `ON UPDATE CURRENT_TIMESTAMP`) get the values that are there, hidden row ids stay, and counters go on where the parent's
//! storage has them, which is after the numbers that the parent's server keeps in memory for its next rows.

use std::collections::VecDeque;

use mysql::prelude::Queryable;
use mysql::{Conn, Params, Row, Value};

/// Schemas that belong to the server. `test` is TiDB's own but holds users' tables, so it is copied.
const SYSTEM_SCHEMAS: &[&str] = &["information_schema", "performance_schema", "metrics_schema", "mysql", "sys"];

/// Bytes of rows in one INSERT: far below `max_allowed_packet` (64 MiB), far above the cost of a round trip.
const BATCH_BYTES: usize = 1 << 20;

/// TiDB's hidden column that identifies the rows of a table whose primary key does not.
const ROW_ID: &str = "_tidb_rowid";

/// What a database is made of, in the order in which it can be made: sequences before the tables whose columns take their
/// defaults from them, whatever database they lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Numbers on demand.
    Sequence,
    /// Rows.
    Table,
    /// A query.
    View,
}

impl Kind {
    /// Of a `TABLE_TYPE` of `information_schema.TABLES`; `None` for what no user makes.
    pub fn of(table_type: &str) -> Option<Self> {
        match table_type {
            "SEQUENCE" => Some(Self::Sequence),
            // As MariaDB says it of tables that keep their history.
            "BASE TABLE" | "SYSTEM VERSIONED" => Some(Self::Table),
            "VIEW" => Some(Self::View),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Sequence => "SEQUENCE",
            Self::Table => "TABLE",
            Self::View => "VIEW",
        }
    }
}

/// What counts, where a copy has to be told: what MariaDB says of a table with `SHOW CREATE` stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A sequence of MariaDB.
    MariaDbSequence,
    /// A sequence of TiDB. The number is one more than the last one in storage, also where it counts down.
    Sequence,
    /// `AUTO_INCREMENT`, with which TiDB's hidden row ids share a counter, or these alone.
    AutoIncrement,
    /// `AUTO_RANDOM`.
    AutoRandom,
}

impl Counter {
    /// Of an `ID_TYPE` of TiDB's `SHOW TABLE ... NEXT_ROW_ID`.
    fn of(id_type: &str) -> Option<Self> {
        match id_type {
            "SEQUENCE" => Some(Self::Sequence),
            "AUTO_INCREMENT" | "_TIDB_ROWID" => Some(Self::AutoIncrement),
            "AUTO_RANDOM" => Some(Self::AutoRandom),
            _ => None,
        }
    }
}

/// A sequence, table or view as it was at one moment.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its database.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What `SHOW CREATE` says.
    pub definition: String,
    /// What it counts, with the first number that storage has not given away.
    pub next: Option<(Counter, i64)>,
    /// Columns that hold values of their own, in their order.
    pub columns: Vec<String>,
}

/// A name in backticks.
pub fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

fn literal(text: &str) -> String {
    Value::from(text).as_sql(false)
}

/// Which columns of a table hold values of their own: all but generated ones. `EXTRA` would not tell, because it says
/// `DEFAULT_GENERATED` of a default that is an expression.
pub fn columns_query(schema: &str, table: &str) -> String {
    format!(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
         AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION",
        literal(schema),
        literal(table)
    )
}

impl Object {
    /// With its database before it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", name(&self.schema), name(&self.name))
    }

    /// Makes it: statements in their order. `SHOW CREATE` names the object without its database.
    pub fn create(&self) -> Vec<String> {
        vec![format!("USE {}", name(&self.schema)), self.definition.clone()]
    }

    /// Sets what it counts, once its rows are there: TiDB moves a counter on by a whole cache when it meets a row with an id
    /// of its own, and FORCE takes it back.
    pub fn count(&self) -> Option<String> {
        let (counter, next) = self.next?;
        let full_name = self.full_name();
        Some(match counter {
            Counter::MariaDbSequence => format!("SELECT SETVAL({full_name}, {next}, 0)"),
            Counter::Sequence => {
                // A restart names the number to begin with, which lies on the other side of the last one in storage.
                let down = self.definition.contains("increment by -");
                let restart = if down { next.saturating_sub(2) } else { next };
                format!("ALTER SEQUENCE {full_name} RESTART WITH {restart}")
            }
            Counter::AutoIncrement => format!("ALTER TABLE {full_name} FORCE AUTO_INCREMENT = {next}"),
            Counter::AutoRandom => format!("ALTER TABLE {full_name} FORCE AUTO_RANDOM_BASE = {next}"),
        })
    }

    /// Columns to copy, in the form in which they stand in a statement.
    fn column_list(&self) -> String {
        self.columns.iter().map(|column| name(column)).collect::<Vec<_>>().join(", ")
    }

    /// Reads all rows.
    pub fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.column_list(), self.full_name())
    }

    /// Begins to write rows.
    pub fn insert(&self) -> String {
        format!("INSERT INTO {} ({}) VALUES ", self.full_name(), self.column_list())
    }
}

/// Statements for a new server before it takes a copy.
pub fn preparations(tidb: bool) -> &'static [&'static str] {
    const COMMON: &str = "SET foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00'";
    const MODE: &str = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'";
    if tidb {
        &[MODE, COMMON, "SET allow_auto_random_explicit_insert = 1", "SET tidb_opt_write_row_id = 1"]
    } else {
        &[MODE, COMMON, "SET max_statement_time = 0"]
    }
}

/// A view's definition for another server. The definer may not exist in the branch, whose users have another prefix: the
/// role takes its place, which holds no more than the definer did.
pub fn redefined(create: &str, tidb: bool) -> String {
    let definer = if tidb { "DEFINER=`role_admin`@`%` " } else { "DEFINER=`role_admin` " };
    let Some((before, after)) = create.split_once("DEFINER=") else { return create.to_owned() };
    let Some((_, after)) = after.split_once(" SQL SECURITY ") else { return create.to_owned() };
    format!("{before}{definer}SQL SECURITY {after}")
}

/// The parent's data as they were at one moment: definitions and counters, and an open transaction for the rows. It has
/// touched every table, so that nobody changes a definition before they are copied.
pub(crate) struct Snapshot {
    connection: Conn,
    /// What `SHOW CREATE` says of databases.
    schemas: Vec<String>,
    objects: Vec<Object>,
    tidb: bool,
}

/// The second column of SHOW CREATE.
fn definition(connection: &mut Conn, what: &str, of: &str) -> mysql::Result<String> {
    let row: Option<Row> = connection.query_first(format!("SHOW CREATE {what} {of}"))?;
    Ok(row.and_then(|mut row| row.take::<String, _>(1)).unwrap_or_default())
}

/// As [`Object::next`] has it.
fn next_number(connection: &mut Conn, object: &Object, tidb: bool) -> mysql::Result<Option<(Counter, i64)>> {
    let full_name = object.full_name();
    if !tidb {
        if object.kind != Kind::Sequence {
            return Ok(None);
        }
        let next: Option<i64> = connection.query_first(format!("SELECT next_not_cached_value FROM {full_name}"))?;
        return Ok(next.map(|next| (Counter::MariaDbSequence, next)));
    }
    if object.kind == Kind::View {
        return Ok(None);
    }
    // DB_NAME, TABLE_NAME, COLUMN_NAME, NEXT_GLOBAL_ROW_ID, ID_TYPE. A sequence has a line for row ids that it does not have;
    // of a table that counts for a column, that column's line is the one.
    let mut rows: Vec<Row> = connection.query(format!("SHOW TABLE {full_name} NEXT_ROW_ID"))?;
    rows.sort_by_key(|row| row.get::<String, _>(4).is_some_and(|id_type| id_type == "_TIDB_ROWID"));
    let first = rows.first().and_then(|row| Some((Counter::of(&row.get::<String, _>(4)?)?, row.get::<i64, _>(3)?)));
    Ok(first.filter(|(_, next)| object.kind == Kind::Sequence || *next > 1))
}

fn own_schemas(connection: &mut Conn) -> mysql::Result<Vec<String>> {
    let mut names: Vec<String> = connection.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")?;
    names.retain(|schema| !SYSTEM_SCHEMAS.contains(&schema.to_lowercase().as_str()));
    Ok(names)
}

fn columns(connection: &mut Conn, object: &Object, tidb: bool) -> mysql::Result<Vec<String>> {
    let mut columns: Vec<String> = connection.query(columns_query(&object.schema, &object.name))?;
    // Touches the table. The hidden column is there where it can be asked for, and no column of the user's is called so.
    let row_ids = format!("SELECT {ROW_ID} FROM {} LIMIT 0", object.full_name());
    if tidb && connection.query_drop(row_ids).is_ok() {
        columns.push(ROW_ID.to_owned());
    } else {
        connection.query_drop(format!("SELECT 1 FROM {} LIMIT 0", object.full_name()))?;
    }
    Ok(columns)
}

fn objects(connection: &mut Conn, schema: &str, tidb: bool) -> mysql::Result<Vec<Object>> {
    let found: Vec<(String, String)> = connection.query(format!(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
        literal(schema)
    ))?;
    let mut objects = Vec::new();
    for (name, table_type) in found {
        let Some(kind) = Kind::of(&table_type) else { continue };
        let schema = schema.to_owned();
        let mut object = Object { schema, name, kind, definition: String::new(), next: None, columns: Vec::new() };
        if kind == Kind::Table {
            object.columns = columns(connection, &object, tidb)?;
        }
        object.definition = definition(connection, kind.word(), &object.full_name())?;
        object.next = next_number(connection, &object, tidb)?;
        objects.push(object);
    }
    Ok(objects)
}

impl Snapshot {
    pub(crate) fn take(mut connection: Conn, tidb: bool) -> mysql::Result<Self> {
        connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        connection.query_drop("SET time_zone = '+00:00'")?;
        if !tidb {
            connection.query_drop("SET max_statement_time = 0")?;
        }
        connection.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT")?;
        let (mut schemas, mut all) = (Vec::new(), Vec::new());
        for schema in own_schemas(&mut connection)? {
            all.extend(objects(&mut connection, &schema, tidb)?);
            schemas.push(definition(&mut connection, "DATABASE", &name(&schema))?);
        }
        all.sort_by_key(|object| object.kind);
        Ok(Self { connection, schemas, objects: all, tidb })
    }

    /// Puts everything into an empty server.
    pub(crate) fn write(mut self, target: &mut Conn) -> mysql::Result<()> {
        for statement in preparations(self.tidb) {
            target.query_drop(statement)?;
        }
        // TiDB makes one by itself, which the parent may have altered or dropped.
        for schema in own_schemas(target)? {
            target.query_drop(format!("DROP DATABASE {}", name(&schema)))?;
        }
        for create in &self.schemas {
            target.query_drop(create)?;
        }
        let (views, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.objects).into_iter().partition(|object| object.kind == Kind::View);
        for object in &rest {
            for statement in object.create() {
                target.query_drop(statement)?;
            }
            if object.kind == Kind::Table && !object.columns.is_empty() {
                self.rows(object, target)?;
            }
            if let Some(count) = object.count() {
                target.query_drop(count)?;
            }
        }
        self.views(views.into(), target)
    }

    fn rows(&mut self, object: &Object, target: &mut Conn) -> mysql::Result<()> {
        // The binary protocol, because the text of a FLOAT is shorter than its value.
        let rows = self.connection.exec_iter(object.select(), Params::Empty)?;
        let start = object.insert();
        let mut batch = start.clone();
        for row in rows {
            let mut separator = if batch.len() == start.len() { "(" } else { ",(" };
            for value in row?.unwrap() {
                batch.push_str(separator);
                separator = ",";
                match value {
                    // With an exponent, because digits alone are read as DECIMAL, which has 65 of them.
                    Value::Float(number) => batch.push_str(&format!("{number:e}")),
                    Value::Double(number) => batch.push_str(&format!("{number:e}")),
                    other => batch.push_str(&other.as_sql(false)),
                }
            }
            batch.push(')');
            if batch.len() > BATCH_BYTES {
                target.query_drop(&batch)?;
                batch.truncate(start.len());
            }
        }
        if batch.len() > start.len() {
            target.query_drop(&batch)?;
        }
        Ok(())
    }

    /// Views may stand on others: those that cannot be made yet are tried again after the rest. One that cannot be made at all
    /// stands on something that the parent has dropped.
    fn views(&mut self, mut waiting: VecDeque<Object>, target: &mut Conn) -> mysql::Result<()> {
        let mut failures = 0;
        while let Some(mut view) = waiting.pop_front() {
            view.definition = redefined(&view.definition, self.tidb);
            match view.create().iter().try_for_each(|statement| target.query_drop(statement)) {
                Ok(()) => failures = 0,
                Err(mysql::Error::MySqlError(_)) if failures > waiting.len() => break,
                Err(mysql::Error::MySqlError(_)) => {
                    failures += 1;
                    waiting.push_back(view);
                }
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }
}
