//! Differences in wording between MariaDB and TiDB.

use std::sync::LazyLock;

use mysql::prelude::Queryable;
use regex::Regex;

use super::server::{Server, role_name};
use super::statement::Statement;
use super::wire::{Answer, Origin};
use crate::exchange::{Column, Role};

type Rows = [Vec<Option<String>>];

/// TiDB's wording of what MariaDB does too, in MariaDB's.
pub(crate) fn translated(statement: &Statement, role: Role) -> Option<String> {
    match statement.canonical.to_uppercase().as_str() {
        "BEGIN PESSIMISTIC" => Some("BEGIN".to_owned()),
        // A MariaDB session has one active role; users here were granted one.
        "SET ROLE ALL" | "SET ROLE DEFAULT" => Some(format!("SET ROLE {}", role_name(role))),
        sql if sql.contains(SESSIONS_OF_ALL_NODES) => {
            // Here is one node, so that its own list is the whole one.
            Some(replaced(&SESSIONS, &statement.text, "information_schema.PROCESSLIST"))
        }
        _ => None,
    }
}

/// The sessions on all nodes, which MariaDB has not.
const SESSIONS_OF_ALL_NODES: &str = "INFORMATION_SCHEMA.CLUSTER_PROCESSLIST";
static SESSIONS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\binformation_schema\.cluster_processlist\b").ok());

/// MariaDB's answer as TiDB would give it.
pub(crate) fn as_tidb_would(server: &Server, statement: &Statement, answer: Answer) -> Answer {
    match answer {
        Answer::Done { .. } if statement.is_ddl() => Answer::Done { rows_affected: 0, last_insert_id: 0 },
        Answer::Rows { mut types, mut rows, origins } => {
            without_hashes(&types, &mut rows);
            if matches!(statement.word(0), "SHOW" | "DESC" | "DESCRIBE" | "EXPLAIN") {
                shown(statement, &mut types, &mut rows);
            } else {
                queried(server, &mut types, &mut rows, &origins);
            }
            Answer::Rows { types, rows, origins }
        }
        other => other,
    }
}

fn each(rows: &mut Rows, at: usize, mut change: impl FnMut(&mut Option<String>)) {
    rows.iter_mut().filter_map(|row| row.get_mut(at)).for_each(&mut change);
}

fn each_text(rows: &mut Rows, at: usize, change: impl Fn(&str) -> String) {
    each(rows, at, |cell| *cell = cell.as_deref().map(&change));
}

/// Takes out of accounts and grants what MariaDB says of their passwords. They are known by the heading, because a statement that
/// was prepared or stands in an executable comment does not begin with `SHOW`.
fn without_hashes(types: &[Column], rows: &mut Rows) {
    for (at, column) in types.iter().enumerate() {
        if column.name.starts_with("Grants for ") || column.name.starts_with("CREATE USER for ") {
            each_text(rows, at, |text| replaced(&AUTHENTICATION, text, ""));
        }
    }
}

fn shown(statement: &Statement, types: &mut [Column], rows: &mut Rows) {
    for column in types.iter_mut() {
        column.nullable = true;
    }
    if matches!(statement.word(1), "DATABASES" | "SCHEMAS") {
        each_text(rows, 0, |name| match name {
            "information_schema" | "performance_schema" => name.to_uppercase(),
            name => name.to_owned(),
        });
        rows.sort_unstable();
    }
    for (at, column) in types.iter().enumerate() {
        match column.name.as_str() {
            "Create Table" => each_text(rows, at, create_table),
            "Type" => each_text(rows, at, without_width),
            _ => {}
        }
    }
}

fn queried(server: &Server, types: &mut [Column], rows: &mut Rows, origins: &[Origin]) {
    let json = json_columns(server, origins);
    for (at, (column, origin)) in types.iter_mut().zip(origins).enumerate() {
        if json.get(at).copied().unwrap_or(false) {
            "JSON".clone_into(&mut column.kind);
            each_text(rows, at, |text| {
                serde_json::from_str(text).map_or_else(|_| text.to_owned(), |value| json_text(&value))
            });
        }
        let unsigned = column.kind.starts_with("UNSIGNED ");
        let width = column.kind.trim_start_matches("UNSIGNED ");
        if origin.table.is_empty() && matches!(width, "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT") {
            // TiDB computes with 64 bits; MariaDB names the width that the digits of a literal need.
            if unsigned { "UNSIGNED BIGINT" } else { "BIGINT" }.clone_into(&mut column.kind);
        }
        if matches!(column.kind.as_str(), "FLOAT" | "DOUBLE") {
            each_text(rows, at, |text| if text == "-0" { "0".to_owned() } else { text.to_owned() });
        }
        let described = ["COLUMNS", "PARTITIONS"].iter().any(|table| origin.table.eq_ignore_ascii_case(table));
        if described && origin.schema.eq_ignore_ascii_case("information_schema") {
            column.nullable = true;
            match origin.column.to_uppercase().as_str() {
                "COLUMN_TYPE" => each_text(rows, at, without_width),
                "COLUMN_DEFAULT" => each(rows, at, |cell| *cell = cell.take().and_then(|text| default_value(&text))),
                "ORDINAL_POSITION" | "TABLE_ROWS" => "BIGINT".clone_into(&mut column.kind),
                _ => {}
            }
        }
    }
}

/// MariaDB shows defaults as expressions: `NULL`, `'new'`.
fn default_value(expression: &str) -> Option<String> {
    let quoted = expression.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    (expression != "NULL").then(|| quoted.map_or_else(|| expression.to_owned(), |text| text.replace("''", "'")))
}

// A pattern that does not compile shows in the test below.
static WIDTH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(smallint|mediumint|int|bigint|year)\(\d+\)").ok());
static TINY_WIDTH: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\btinyint\((?:[02-9]|\d\d+)\)").ok());
static JSON_COLUMN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^(  `(?:[^`]|``)+`) longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin(.*) CHECK \(json_valid\(`.*`\)\)",
    )
    .ok()
});
static PRIMARY_KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^  PRIMARY KEY \([^()\n]+\)").ok());
static AUTO_INCREMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)^\) ENGINE=InnoDB( AUTO_INCREMENT=\d+)( DEFAULT CHARSET=\S+ COLLATE=\S+)").ok());
// MariaDB quotes names with backticks here, so a name that holds the same words does not reach into the clause after it.
static AUTHENTICATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let method = r"\w+(?: (?:USING|AS) '[^'`]*')?";
    Regex::new(&format!(r" IDENTIFIED (?:BY PASSWORD '[^'`]*'|VIA {method}(?: OR {method})*)")).ok()
});

fn replaced(pattern: &LazyLock<Option<Regex>>, text: &str, with: &str) -> String {
    pattern.as_ref().map_or_else(|| text.to_owned(), |pattern| pattern.replace_all(text, with).into_owned())
}

/// TiDB shows no display width, except that of BOOL: `tinyint(1)`.
fn without_width(text: &str) -> String {
    let text = replaced(&WIDTH, text, "$1");
    replaced(&TINY_WIDTH, &text, "tinyint")
}

fn create_table(text: &str) -> String {
    // Line by line, so that a comment or default that looks like a type stays: types come right after the column's name.
    let lines = text.lines().map(|line| match line.strip_prefix("  `").and_then(|rest| rest.split_once("` ")) {
        Some((name, rest)) => {
            let (kind, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            let gap = if tail.is_empty() { "" } else { " " };
            format!("  `{name}` {}{gap}{tail}", without_width(kind))
        }
        None => line.to_owned(),
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = replaced(&JSON_COLUMN, &text, "$1 json$2");
    let text = replaced(&PRIMARY_KEY, &text, "$0 /*T![clustered_index] CLUSTERED */");
    replaced(&AUTO_INCREMENT, &text, ") ENGINE=InnoDB$2$1")
}

/// Which columns were declared JSON: MariaDB keeps them as text with the check `json_valid`.
fn json_columns(server: &Server, origins: &[Origin]) -> Vec<bool> {
    let named = origins.iter().filter(|origin| !origin.table.is_empty());
    let mut tables: Vec<(&str, &str)> = named.map(|origin| (&*origin.schema, &*origin.table)).collect();
    tables.sort_unstable();
    tables.dedup();
    tables.retain(|(schema, _)| !schema.eq_ignore_ascii_case("information_schema"));
    if tables.is_empty() {
        return Vec::new();
    }
    let quote = |text: &str| mysql::Value::from(text).as_sql(false);
    let conditions: Vec<String> = tables
        .iter()
        .map(|(schema, table)| format!("(CONSTRAINT_SCHEMA = {} AND TABLE_NAME = {})", quote(schema), quote(table)))
        .collect();
    let query = format!(
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
         WHERE CHECK_CLAUSE LIKE 'json_valid(%' AND ({})",
        conditions.join(" OR ")
    );
    let checks =
        server.administrator().and_then(|mut connection| connection.query::<(String, String, String), _>(query));
    let checks = checks.unwrap_or_default();
    let is_json = |origin: &Origin| {
        let clause = format!("json_valid(`{}`)", origin.column);
        checks.iter().any(|(schema, table, check)| {
            *schema == origin.schema && *table == origin.table && check.eq_ignore_ascii_case(&clause)
        })
    };
    origins.iter().map(is_json).collect()
}

/// JSON as TiDB prints it: members sorted by key, a space after commas and colons.
fn json_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(json_text).collect::<Vec<_>>().join(", ")),
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let print = |(name, value): &(&String, &serde_json::Value)| {
                format!("{}: {}", serde_json::Value::from(name.as_str()), json_text(value))
            };
            format!("{{{}}}", members.iter().map(print).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{AUTHENTICATION, create_table, default_value, replaced};

    #[test]
    fn a_definition_is_put_as_tidb_puts_it() {
        let mariadb = "CREATE TABLE `p` (\n  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,\n  `b` tinyint(1) DEFAULT NULL,\n  \
                       `t` tinyint(4) DEFAULT NULL COMMENT 'an int(11)',\n  `a` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin \
                       DEFAULT NULL CHECK (json_valid(`a`)),\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT \
                       CHARSET=utf8mb4 COLLATE=utf8mb4_bin";
        let tidb = "CREATE TABLE `p` (\n  `id` int unsigned NOT NULL AUTO_INCREMENT,\n  `b` tinyint(1) DEFAULT NULL,\n  `t` tinyint \
                    DEFAULT NULL COMMENT 'an int(11)',\n  `a` json DEFAULT NULL,\n  PRIMARY KEY (`id`) /*T![clustered_index] \
                    CLUSTERED */\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin AUTO_INCREMENT=7";
        assert_eq!(create_table(mariadb), tidb);
    }

    #[test]
    fn an_account_is_shown_without_its_password() {
        let shown = |text| replaced(&AUTHENTICATION, text, "");
        for (mariadb, tidb) in [
            ("GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*C7E5'", "GRANT USAGE ON *.* TO `u`@`%`"),
            (
                "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*C7E5' WITH GRANT OPTION",
                "GRANT USAGE ON *.* TO `u`@`%` WITH GRANT OPTION",
            ),
            (
                "CREATE USER `u`@`%` IDENTIFIED VIA ed25519 USING 'C7E5' OR mysql_native_password USING '*C7E5' OR unix_socket \
                 PASSWORD EXPIRE",
                "CREATE USER `u`@`%` PASSWORD EXPIRE",
            ),
            (
                "CREATE USER `a IDENTIFIED BY PASSWORD 'b`@`%` IDENTIFIED BY PASSWORD '*C7E5'",
                "CREATE USER `a IDENTIFIED BY PASSWORD 'b`@`%`",
            ),
            ("GRANT SELECT ON `identified`.* TO `u`@`%`", "GRANT SELECT ON `identified`.* TO `u`@`%`"),
        ] {
            assert_eq!(shown(mariadb), tidb);
        }
    }

    #[test]
    fn defaults_are_values() {
        assert_eq!(default_value("NULL"), None);
        assert_eq!(default_value("'it''s'").as_deref(), Some("it's"));
        assert_eq!(default_value("current_timestamp()").as_deref(), Some("current_timestamp()"));
    }
}
