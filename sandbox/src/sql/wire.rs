//! From the MySQL protocol to the gateway's answers.

use mysql::consts::{ColumnFlags, ColumnType};
use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use crate::exchange::Column;

/// Rows a result may have: the limit that TiDB Cloud documents for its serverless driver.
pub(crate) const MAX_ROWS: usize = 10_000;

/// Number of the pseudo character set `binary`.
const BINARY_CHARACTER_SET: u16 = 63;

/// What a server answered to one statement.
#[derive(Debug)]
pub(crate) enum Answer {
    Rows {
        types: Vec<Column>,
        rows: Vec<Vec<Option<String>>>,
        origins: Vec<Origin>,
    },
    Done {
        rows_affected: u64,
        last_insert_id: u64,
    },
    /// More than [`MAX_ROWS`] rows; the rest was not read.
    TooManyRows,
}

/// Where a column comes from; all empty for an expression.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) column: String,
}

/// The gateway's name for a column's type.
///
/// The names are those of the enumeration `ColumnType` in `@tidbcloud/serverless`. Text and blob columns of every size are
/// one type on the wire (MySQL manual, "Protocol::ColumnDefinition"), so all of them are `TEXT` or `BLOB`, also where a
/// release of TiDB tells them apart. A `VECTOR` is a `LONGTEXT`: text of the greatest length there is, which no column of
/// text has, because its length is a number of whole characters.
fn type_name(column: &mysql::Column) -> String {
    let binary = column.character_set() == BINARY_CHARACTER_SET;
    let flags = column.flags();
    let pick = |if_binary: &'static str, otherwise: &'static str| if binary { if_binary } else { otherwise };
    let name = match column.column_type() {
        _ if flags.contains(ColumnFlags::ENUM_FLAG) => "ENUM",
        _ if flags.contains(ColumnFlags::SET_FLAG) => "SET",
        ColumnType::MYSQL_TYPE_TINY => "TINYINT",
        ColumnType::MYSQL_TYPE_SHORT => "SMALLINT",
        ColumnType::MYSQL_TYPE_INT24 => "MEDIUMINT",
        ColumnType::MYSQL_TYPE_LONG => "INT",
        ColumnType::MYSQL_TYPE_LONGLONG => "BIGINT",
        ColumnType::MYSQL_TYPE_FLOAT => "FLOAT",
        ColumnType::MYSQL_TYPE_DOUBLE => "DOUBLE",
        ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => "DECIMAL",
        ColumnType::MYSQL_TYPE_YEAR => "YEAR",
        ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => "DATE",
        ColumnType::MYSQL_TYPE_TIME | ColumnType::MYSQL_TYPE_TIME2 => "TIME",
        ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_DATETIME2 => "DATETIME",
        ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2 => "TIMESTAMP",
        ColumnType::MYSQL_TYPE_BIT => "BIT",
        ColumnType::MYSQL_TYPE_JSON => "JSON",
        ColumnType::MYSQL_TYPE_ENUM => "ENUM",
        ColumnType::MYSQL_TYPE_SET => "SET",
        ColumnType::MYSQL_TYPE_NULL => "NULL",
        ColumnType::MYSQL_TYPE_STRING => pick("BINARY", "CHAR"),
        ColumnType::MYSQL_TYPE_VAR_STRING | ColumnType::MYSQL_TYPE_VARCHAR => pick("VARBINARY", "VARCHAR"),
        ColumnType::MYSQL_TYPE_LONG_BLOB if column.column_length() == u32::MAX => pick("BLOB", "LONGTEXT"),
        ColumnType::MYSQL_TYPE_TINY_BLOB
        | ColumnType::MYSQL_TYPE_BLOB
        | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
        | ColumnType::MYSQL_TYPE_LONG_BLOB => pick("BLOB", "TEXT"),
        _ => pick("VARBINARY", "VARCHAR"),
    };
    let integer = matches!(name, "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT");
    if integer && flags.contains(ColumnFlags::UNSIGNED_FLAG) { format!("UNSIGNED {name}") } else { name.to_owned() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cell(value: Value, kind: &str, length: u32) -> Option<String> {
    let bytes = match value {
        Value::NULL => return None,
        Value::Bytes(bytes) => bytes,
        // The text protocol has nothing else; this is its rendering all the same.
        other => other.as_sql(true).into_bytes(),
    };
    Some(match kind {
        "BIT" => {
            // A BIT(n) takes (n + 7) / 8 bytes.
            let width = length.div_ceil(8) as usize;
            let padding = width.saturating_sub(bytes.len());
            format!("{}{}", "00".repeat(padding), hex(&bytes))
        }
        "BINARY" | "VARBINARY" | "BLOB" => hex(&bytes),
        _ => String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    })
}

/// Runs one statement by the text protocol. `stop` is called when there are more rows than allowed, and must make the server
/// end the statement: what it has already sent is read and dropped.
pub(crate) fn run(connection: &mut Conn, sql: &str, stop: impl FnOnce(u32)) -> mysql::Result<Answer> {
    let id = connection.connection_id();
    let mut result = connection.query_iter(sql)?;
    let Some(set) = result.iter() else { return Ok(Answer::Done { rows_affected: 0, last_insert_id: 0 }) };
    let columns = set.columns();
    let columns = columns.as_ref();
    if columns.is_empty() {
        let (rows_affected, last_insert_id) = (set.affected_rows(), set.last_insert_id().unwrap_or(0));
        return Ok(Answer::Done { rows_affected, last_insert_id });
    }
    let origins = columns
        .iter()
        .map(|column| Origin {
            schema: column.schema_str().into_owned(),
            table: column.org_table_str().into_owned(),
            column: column.org_name_str().into_owned(),
        })
        .collect();
    let types: Vec<Column> = columns
        .iter()
        .map(|column| Column {
            name: column.name_str().into_owned(),
            kind: type_name(column),
            nullable: !column.flags().contains(ColumnFlags::NOT_NULL_FLAG),
        })
        .collect();
    let lengths: Vec<u32> = columns.iter().map(mysql::Column::column_length).collect();
    let mut rows = Vec::new();
    for row in set {
        let row = row?;
        if rows.len() == MAX_ROWS {
            stop(id);
            return Ok(Answer::TooManyRows);
        }
        let cells = row.unwrap().into_iter().zip(&types).zip(&lengths);
        rows.push(cells.map(|((value, column), length)| cell(value, &column.kind, *length)).collect());
    }
    Ok(Answer::Rows { types, rows, origins })
}
