//! `db_describe`: definitions and sizes of tables.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    base::hash::{hex, hmac_sha256},
    base::schema::schema_of,
    catalogue::{
        BranchReference, ClusterReference, Context, Effect, SQL_TIME_MAX, Tool, ToolError, cut_text, text_size,
    },
    sql::{literal, shortest_name},
    statements::{
        definition::compact,
        judged::query,
        measures::{age, size},
        types::{LikePattern, SchemaName},
    },
    tidbcloud::{AccessClass, Cell, Replay, Rows, SqlFailure, Target},
};

/// More tables than this are listed, a line each. Each definition takes a request: with 8 of them, and 3 for what stands beside
/// them, a call takes 11 of the 45 of an HTTP request.
const DEFINITIONS_MAX: usize = 8;
/// Names of members, a hash, numbers, and a notice of four sentences.
const FRAME_BYTES: usize = 900;
/// Of a definition that is too long for an answer at least so much is shown.
const DEFINITION_BYTES_MIN: usize = 400;
/// What the digests of [`Server::tables`] leave out: TiDB and MariaDB have no common columns for all of it.
const NOT_LISTED: &str = "A list and its hash cover columns and indexes; only definitions show foreign keys, checks, TTL, partitions, \
    invisible indexes, statements of views, and which tables are temporary.";
/// Names of tables in the notice that none matches.
const NAMES_MAX: usize = 20;

/// Schema of the tables whose names match, as DDL: columns, keys, indexes, size.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DbDescribe {
    cluster: ClusterReference,
    branch: Option<BranchReference>,
    database: SchemaName,
    tables: TablePattern,
    if_changed: Option<SchemaHash>,
}

/// Which tables.
#[derive(Deserialize)]
#[serde(transparent)]
struct TablePattern(LikePattern);

/// A hash that an earlier answer had.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct SchemaHash(String);

impl SchemaHash {
    const LENGTH: usize = 12;

    /// Of a text that does not change with rows, counters and statistics.
    fn of(text: &str) -> String {
        let mut hash = hex(&hmac_sha256(b"schema v1", text.as_bytes()));
        hash.truncate(Self::LENGTH);
        hash
    }
}

impl TryFrom<String> for SchemaHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fine = text.len() == Self::LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if fine { Ok(Self(text)) } else { Err("must be the `schemaHash` of an earlier answer") }
    }
}

schema_of! {
    TablePattern => {"type": "string", "description": "LIKE pattern; % lists all"};
    SchemaHash => {"type": "string", "description": "Last `schemaHash`"};
}

#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described {
    /// Changes with definitions, and not with rows, counters or statistics. Of a list it covers columns and indexes (not whether these
    /// are visible, nor their expressions), but no foreign keys, checks, TTL, partitions or statements of views. Left out if there was
    /// too much to read all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_hash: Option<String>,
    /// Whether all is as it was when `ifChanged` was the hash; then nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
    /// Definitions, each with estimates in a comment after it, or a line for each table.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    /// How many tables, views and sequences are shown.
    returned: usize,
    /// How many match.
    total: usize,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl Tool for DbDescribe {
    const NAME: &'static str = "db_describe";
    const TITLE: &'static str = "Describe tables";
    const EFFECT: Effect = Effect::Read;
    const TIME_MAX: Duration = SQL_TIME_MAX;
    type Output = Described;

    async fn call(self, context: &Context<'_>) -> Result<Described, ToolError> {
        let target = context.target(&self.cluster, self.branch.as_ref()).await?;
        let server = Server { context, target: &target };
        let (listed, seen) = server.tables(&self.database, &self.tables.0).await?;
        let Some(first) = listed.first() else {
            return server.nothing(&self.database).await;
        };
        let schema = literal(&first.schema);
        let as_list = self.tables.0.is_everything() || seen > DEFINITIONS_MAX;
        let texts = if as_list {
            listed.iter().map(|table| (table.identity(), Shown::Whole)).collect()
        } else {
            server.definitions(&self.database, &listed).await?
        };
        let is_whole =
            listed.len() == seen && texts.len() == seen && texts.iter().all(|(_, shown)| *shown == Shown::Whole);
        let hash = SchemaHash::of(&texts.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join("\n"));
        let schema_hash = is_whole.then_some(hash);
        if schema_hash.is_some() && schema_hash == self.if_changed.map(|known| known.0) {
            let notice = as_list.then(|| NOT_LISTED.to_owned());
            return Ok(Described { schema_hash, unchanged: Some(true), total: seen, notice, ..Described::default() });
        }
        let statistics = server.statistics(&schema).await?;
        let replicas = server.replicas(&schema).await?;
        let lines = listed.iter().zip(texts).map(|(table, (text, shown))| {
            let estimates = table.estimates(statistics.get(&table.name), replicas.get(&table.name));
            let line = match shown {
                _ if as_list => table.line(&estimates),
                Shown::Whole => format!("{text};\n{estimates}"),
                Shown::Cut => format!("{text}…\n{estimates}"),
                Shown::Refused => format!("-- {} {}: {text}\n{estimates}", table.kind, shortest_name(&table.name)),
            };
            (line, shown != Shown::Cut)
        });
        let mut described = Described::within(lines, as_list, seen, context.result_bytes());
        described.schema_hash = schema_hash;
        context.notes_rows(described.returned, described.truncated);
        Ok(described)
    }
}

/// How much of a definition was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Whole,
    Cut,
    /// The server says why not.
    Refused,
}

impl Described {
    /// As many tables as fit, and at least the beginning of the first.
    fn within(lines: impl Iterator<Item = (String, bool)>, as_list: bool, total: usize, bytes_max: usize) -> Self {
        const HEAD: &str = "-- name | kind | rows | size | statistics | primary key | columns | comment\n";
        let mut left = bytes_max.saturating_sub(FRAME_BYTES);
        let mut schema = if as_list { HEAD.to_owned() } else { String::new() };
        left = left.saturating_sub(text_size(&schema));
        let (mut returned, mut is_cut) = (0, false);
        for (mut line, whole) in lines {
            let fits = returned > 0 || !cut_text(&mut line, left.max(DEFINITION_BYTES_MIN));
            let bytes = text_size(&line);
            if bytes > left && returned > 0 {
                break;
            }
            is_cut |= !fits || !whole;
            left = left.saturating_sub(bytes);
            schema.push_str(&line);
            schema.push('\n');
            returned += 1;
        }
        schema.truncate(schema.trim_end().len());
        let mut notice = Vec::new();
        if returned < total {
            notice.push(format!(
                "The first {returned} of {total} by name. For the others, call again with narrower patterns in `tables`."
            ));
        }
        if is_cut {
            notice.push(
                "The definition is longer than one answer: select from information_schema.COLUMNS for the rest."
                    .to_owned(),
            );
        }
        if as_list {
            notice.push(format!("For definitions, name a table or a pattern of up to 8 in `tables`. {NOT_LISTED}"));
        }
        Self {
            schema: Some(schema),
            returned,
            total,
            truncated: is_cut || returned < total,
            notice: (!notice.is_empty()).then(|| notice.join(" ")),
            ..Self::default()
        }
    }
}

/// A table, view or sequence, as `information_schema` lists it.
#[derive(Default)]
struct Listed {
    schema: String,
    name: String,
    kind: String,
    rows: Option<u64>,
    bytes: Option<u64>,
    comment: String,
    options: String,
    key: String,
    columns: String,
    /// Of the definitions of its columns and indexes.
    digests: String,
    /// The server's time, as its session writes it.
    now: String,
}

impl Listed {
    /// From a row of [`Server::tables`].
    fn of(row: Vec<Option<Cell>>) -> Self {
        let mut cells = row.into_iter().map(|cell| cell.map(|cell| cell.text).unwrap_or_default());
        let mut next = || cells.next().unwrap_or_default();
        let (schema, name, kind) = (next(), next(), kind_word(&next()).to_owned());
        let (rows, bytes) = (next().parse().ok(), next().parse().ok());
        let (comment, options, key, columns, digests, now) = (next(), next(), next(), next(), next(), next());
        Self { schema, name, kind, rows, bytes, comment, options, key, columns, digests, now }
    }

    /// What its definition decides.
    fn identity(&self) -> String {
        [&self.name, &self.kind, &self.comment, &self.options, &self.key, &self.digests].map(String::as_str).join("\t")
    }

    fn is_stored(&self) -> bool {
        self.kind == "table"
    }

    /// As a comment of SQL: rows, size, statistics and replicas. Empty for what has none.
    fn estimates(&self, statistics: Option<&Statistics>, replicas: Option<&String>) -> Estimates {
        if !self.is_stored() {
            return Estimates::default();
        }
        Estimates {
            rows: self.rows.map(|rows| format!("~{rows}")).unwrap_or_default(),
            size: self.bytes.map(size).unwrap_or_default(),
            statistics: statistics.map(|statistics| statistics.words(&self.now)).unwrap_or_default(),
            replicas: replicas.cloned().unwrap_or_default(),
        }
    }

    fn line(&self, estimates: &Estimates) -> String {
        let options = [self.options.as_str(), &estimates.replicas].join(" ");
        let kind = format!("{} {}", self.kind, options.trim());
        let Estimates { rows, size, statistics, .. } = estimates;
        // MySQL's servers say so of every view.
        let comment = if self.comment == "VIEW" { "" } else { &self.comment };
        let line =
            [&*shortest_name(&self.name), kind.trim(), rows, size, statistics, &self.key, &self.columns, comment];
        line.join(" | ").replace(['\n', '\r'], " ").trim_end_matches([' ', '|']).to_owned()
    }
}

/// What stands beside a definition.
#[derive(Default)]
struct Estimates {
    rows: String,
    size: String,
    statistics: String,
    replicas: String,
}

impl std::fmt::Display for Estimates {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = if self.rows.is_empty() { String::new() } else { format!("{} rows", self.rows) };
        let parts = [&rows, &self.size, &self.statistics, &self.replicas];
        let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { Ok(()) } else { writeln!(to, "-- {}", parts.join(", ")) }
    }
}

/// How much of a table has changed since it was analyzed, and when that was.
struct Statistics {
    analyzed: String,
    changed: u64,
}

impl Statistics {
    fn words(&self, now: &str) -> String {
        if self.analyzed.is_empty() {
            return "never analyzed".to_owned();
        }
        let mut words = match age(&self.analyzed, now) {
            Some(age) => format!("statistics {age} old"),
            None => format!("statistics of {}", self.analyzed),
        };
        if self.changed > 0 {
            let _ = write!(words, " and {} rows changed since", self.changed);
        }
        words
    }
}

fn kind_word(table_type: &str) -> &'static str {
    match table_type {
        "VIEW" => "view",
        "SEQUENCE" => "sequence",
        "SYSTEM VIEW" => "system view",
        _ => "table",
    }
}

/// The server that is asked, as the user that only reads.
struct Server<'s> {
    context: &'s Context<'s>,
    target: &'s Target,
}

impl Server<'_> {
    async fn rows(&self, sql: &str) -> Result<Rows, SqlFailure> {
        let sql = query(sql);
        self.context.sql().run(self.target, AccessClass::ReadOnly, None, sql, Replay::Safe).await
    }

    /// The same, of what this server or this user may lack: nothing then.
    async fn rows_if_given(&self, sql: &str) -> Result<Vec<Vec<String>>, SqlFailure> {
        match self.rows(sql).await {
            Ok(rows) => Ok(rows.rows.into_iter().map(texts).collect()),
            Err(SqlFailure::Sql { .. }) => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    /// The tables that match, by name, as many as are kept; and how many there are.
    ///
    /// Digests stand for definitions that are not read: a checksum over the columns, and one over the indexes.
    async fn tables(&self, database: &SchemaName, tables: &LikePattern) -> Result<(Vec<Listed>, usize), SqlFailure> {
        let (schema, tables) = (literal(database.as_str()), tables.literal());
        let sql = format!(
            "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.TABLE_ROWS, t.DATA_LENGTH + t.INDEX_LENGTH, t.TABLE_COMMENT, \
             t.CREATE_OPTIONS, i.names, c.columns, CONCAT_WS(' ', c.digest, i.digest), NOW() \
             FROM information_schema.TABLES t \
             LEFT JOIN (SELECT TABLE_NAME, COUNT(*) columns, BIT_XOR(CRC32(CONCAT_WS('|', ORDINAL_POSITION, COLUMN_NAME, \
             COLUMN_TYPE, IS_NULLABLE, QUOTE(COLUMN_DEFAULT), EXTRA, GENERATION_EXPRESSION, COLUMN_COMMENT, COLLATION_NAME))) digest \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME LIKE {tables} GROUP BY TABLE_NAME) c \
             ON c.TABLE_NAME = t.TABLE_NAME \
             LEFT JOIN (SELECT TABLE_NAME, GROUP_CONCAT(IF(INDEX_NAME = 'PRIMARY', COLUMN_NAME, NULL) ORDER BY SEQ_IN_INDEX) names, \
             BIT_XOR(CRC32(CONCAT_WS('|', INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE, SUB_PART))) digest \
             FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME LIKE {tables} GROUP BY TABLE_NAME) i \
             ON i.TABLE_NAME = t.TABLE_NAME \
             WHERE t.TABLE_SCHEMA = {schema} AND t.TABLE_NAME LIKE {tables} ORDER BY t.TABLE_NAME"
        );
        let rows = self.rows(&sql).await?;
        let seen = rows.seen;
        Ok((rows.rows.into_iter().map(Listed::of).collect(), seen))
    }

    /// The definitions of these tables. What a user may list may be refused: a view without the right to show views.
    async fn definitions(&self, database: &SchemaName, listed: &[Listed]) -> Result<Vec<(String, Shown)>, ToolError> {
        let mut texts = Vec::with_capacity(listed.len());
        for table in listed {
            let what = if table.kind == "sequence" { "SEQUENCE" } else { "TABLE" };
            let name = table.name.replace('`', "``");
            let rows = match self.rows(&format!("SHOW CREATE {what} {}.`{name}`", database.quoted())).await {
                Ok(rows) => rows,
                Err(SqlFailure::Sql { message, .. }) => {
                    texts.push((message, Shown::Refused));
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            };
            let cell = rows.rows.into_iter().next().and_then(|row| row.into_iter().nth(1).flatten());
            let cell = cell.ok_or_else(|| ToolError::fault("SHOW CREATE was answered without a definition"))?;
            texts.push((compact(&cell.text), if cell.cut { Shown::Cut } else { Shown::Whole }));
        }
        Ok(texts)
    }

    /// When tables were analyzed. A user needs the right to read `mysql.stats_meta`.
    async fn statistics(&self, schema: &str) -> Result<BTreeMap<String, Statistics>, SqlFailure> {
        let rows = self.rows_if_given(&format!("SHOW STATS_META WHERE Db_name = {schema}")).await?;
        // Database, table, partition, time of update, rows changed, rows, time of analysis.
        let read = |row: Vec<String>| match row.as_slice() {
            [_, table, partition, _, changed, _, analyzed] if matches!(partition.as_str(), "" | "global") => {
                let analyzed = analyzed.clone();
                Some((table.clone(), Statistics { analyzed, changed: changed.parse().unwrap_or_default() }))
            }
            _ => None,
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// TiFlash replicas of tables, in words.
    async fn replicas(&self, schema: &str) -> Result<BTreeMap<String, String>, SqlFailure> {
        let sql = format!(
            "SELECT TABLE_NAME, REPLICA_COUNT, AVAILABLE, PROGRESS FROM information_schema.TIFLASH_REPLICA \
             WHERE TABLE_SCHEMA = {schema}"
        );
        let read = |row: Vec<String>| match row.as_slice() {
            [table, count, available, progress] => {
                let state = if available == "1" { "available".to_owned() } else { format!("progress {progress}") };
                Some((table.clone(), format!("TiFlash replicas: {count} ({state})")))
            }
            _ => None,
        };
        Ok(self.rows_if_given(&sql).await?.into_iter().filter_map(read).collect())
    }

    /// No table matches: which ones there are. A database that does not exist is the server's own error.
    async fn nothing(&self, database: &SchemaName) -> Result<Described, ToolError> {
        let rows = self.rows(&format!("SHOW TABLES FROM {}", database.quoted())).await?;
        let count = rows.seen;
        let names: Vec<String> =
            rows.rows.into_iter().take(NAMES_MAX).filter_map(|row| texts(row).into_iter().next()).collect();
        let notice = match (count, names.len()) {
            (0, _) => "The database has no tables.".to_owned(),
            (_, shown) if shown < count => {
                format!("No table matches. The database has {count}, among them {}.", names.join(", "))
            }
            _ => format!("No table matches. The database has {}.", names.join(", ")),
        };
        Ok(Described { notice: Some(notice), ..Described::default() })
    }
}

/// The values of a row, null as an empty text.
fn texts(row: Vec<Option<Cell>>) -> Vec<String> {
    row.into_iter().map(|cell| cell.map(|cell| cell.text).unwrap_or_default()).collect()
}
