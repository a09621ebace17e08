//! A branch gets its parent's data: a logical copy over the MySQL protocol.

use std::collections::VecDeque;

use mysql::prelude::Queryable;
use mysql::{Conn, Params, Row, Value};

/// Schemas that belong to the server. `test` is TiDB's own and holds whatever its users put there, so it is copied.
const SYSTEM_SCHEMAS: &[&str] = &["information_schema", "performance_schema", "metrics_schema", "mysql", "sys"];

/// Bytes of rows in one INSERT: far below `max_allowed_packet` (64 MiB), far above the cost of a round trip.
const BATCH_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Object {
    schema: String,
    name: String,
    kind: String,
}

/// The parent's data as they were at one moment: an open transaction that has touched every table, so that nobody changes a
/// definition before they are copied.
pub(crate) struct Snapshot {
    connection: Conn,
    schemas: Vec<String>,
    objects: Vec<Object>,
    tidb: bool,
}

fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

fn full_name(object: &Object) -> String {
    format!("{}.{}", name(&object.schema), name(&object.name))
}

fn literal(text: &str) -> String {
    Value::from(text).as_sql(false)
}

/// The second column of SHOW CREATE, whatever else there is.
fn definition(connection: &mut Conn, what: &str, of: &str) -> mysql::Result<String> {
    let row: Option<Row> = connection.query_first(format!("SHOW CREATE {what} {of}"))?;
    Ok(row.and_then(|mut row| row.take::<String, _>(1)).unwrap_or_default())
}

impl Snapshot {
    pub(crate) fn take(mut connection: Conn, tidb: bool) -> mysql::Result<Self> {
        connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        connection.query_drop("SET time_zone = '+00:00'")?;
        if !tidb {
            connection.query_drop("SET max_statement_time = 0")?;
        }
        connection.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT")?;
        let mut schemas: Vec<String> = connection.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")?;
        schemas.retain(|schema| !SYSTEM_SCHEMAS.contains(&schema.to_lowercase().as_str()));
        let mut objects = Vec::new();
        for schema in &schemas {
            let tables: Vec<(String, String)> = connection.query(format!(
                "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
                literal(schema)
            ))?;
            objects.extend(tables.into_iter().map(|(name, kind)| Object { schema: schema.clone(), name, kind }));
        }
        for table in objects.iter().filter(|object| object.kind == "BASE TABLE") {
            connection.query_drop(format!("SELECT 1 FROM {} LIMIT 0", full_name(table)))?;
        }
        Ok(Self { connection, schemas, objects, tidb })
    }

    /// Puts everything into an empty server.
    pub(crate) fn write(mut self, target: &mut Conn) -> mysql::Result<()> {
        target.query_drop("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")?;
        target.query_drop("SET foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00'")?;
        if self.tidb {
            target.query_drop("SET allow_auto_random_explicit_insert = 1")?;
        } else {
            target.query_drop("SET max_statement_time = 0")?;
        }
        for schema in std::mem::take(&mut self.schemas) {
            let create = definition(&mut self.connection, "DATABASE", &name(&schema))?;
            target.query_drop(create.replacen("CREATE DATABASE", "CREATE DATABASE IF NOT EXISTS", 1))?;
        }
        let (views, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.objects).into_iter().partition(|object| object.kind == "VIEW");
        for object in &rest {
            self.table(object, target)?;
        }
        self.views(views.into(), target)
    }

    fn table(&mut self, object: &Object, target: &mut Conn) -> mysql::Result<()> {
        let sequence = object.kind == "SEQUENCE";
        let create = definition(&mut self.connection, if sequence { "SEQUENCE" } else { "TABLE" }, &full_name(object))?;
        target.select_db(&object.schema)?;
        target.query_drop(create)?;
        if !sequence {
            return self.rows(object, target);
        }
        if !self.tidb {
            let next: Option<i64> =
                self.connection.query_first(format!("SELECT next_not_cached_value FROM {}", full_name(object)))?;
            if let Some(next) = next {
                target.query_drop(format!("SELECT SETVAL({}, {next}, 0)", full_name(object)))?;
            }
        }
        Ok(())
    }

    fn rows(&mut self, object: &Object, target: &mut Conn) -> mysql::Result<()> {
        let columns: Vec<String> = self.connection.query(format!(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
             AND EXTRA NOT LIKE '%GENERATED%' ORDER BY ORDINAL_POSITION",
            literal(&object.schema),
            literal(&object.name)
        ))?;
        let columns: Vec<String> = columns.iter().map(|column| name(column)).collect();
        let columns = columns.join(", ");
        let table = full_name(object);
        // The binary protocol, because the text of a FLOAT is shorter than its value.
        let rows = self.connection.exec_iter(format!("SELECT {columns} FROM {table}"), Params::Empty)?;
        let start = format!("INSERT INTO {table} ({columns}) VALUES ");
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

    /// Views may stand on others: those that cannot be made yet are tried again after the rest.
    fn views(&mut self, mut waiting: VecDeque<Object>, target: &mut Conn) -> mysql::Result<()> {
        let mut failures = 0;
        while let Some(view) = waiting.pop_front() {
            let create = definition(&mut self.connection, "VIEW", &full_name(&view))?;
            target.select_db(&view.schema)?;
            match target.query_drop(self.redefined(&create)) {
                Ok(()) => failures = 0,
                Err(error) if failures > waiting.len() => return Err(error),
                Err(_) => {
                    failures += 1;
                    waiting.push_back(view);
                }
            }
        }
        Ok(())
    }

    /// The definer may not exist in the branch, whose users have another prefix: the role takes its place, which holds no more
    /// than the definer did.
    fn redefined(&self, create: &str) -> String {
        let definer = if self.tidb { "" } else { "DEFINER=`role_admin` " };
        let Some((before, after)) = create.split_once("DEFINER=") else { return create.to_owned() };
        let Some((_, after)) = after.split_once(" SQL SECURITY ") else { return create.to_owned() };
        format!("{before}{definer}SQL SECURITY {after}")
    }
}
