//! What several tools answer with.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::tidbcloud::{Branch, Cluster, ColumnType, Endpoints, Rows, State};

/// 18,000 bytes of minified JSON are some 6,000 tokens: identifiers and digits cost about three bytes each.
const RESULT_BYTES_MAX: usize = 18_000;

/// A cell longer than this is cut: 2 KiB are enough to know what it is.
const CELL_BYTES_MAX: usize = 2 << 10;

/// One cluster.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterView {
    cluster_id: String,
    display_name: String,
    state: String,
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spending_limit_usd_cents: Option<i64>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    endpoints: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
}

impl From<Cluster> for ClusterView {
    fn from(cluster: Cluster) -> Self {
        Self {
            cluster_id: cluster.cluster_id.to_string(),
            display_name: cluster.display_name,
            state: state(cluster.state.as_ref()),
            region: cluster.region.map(|region| region.name).unwrap_or_default(),
            plan: cluster.service_plan,
            version: cluster.version,
            spending_limit_usd_cents: cluster.spending_limit.and_then(|limit| limit.monthly),
            endpoints: endpoints(cluster.endpoints),
            user_prefix: cluster.user_prefix,
            labels: cluster.labels,
            create_time: cluster.create_time,
        }
    }
}

/// One branch.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BranchView {
    branch_id: String,
    cluster_id: String,
    display_name: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    endpoints: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
}

impl From<Branch> for BranchView {
    fn from(branch: Branch) -> Self {
        Self {
            branch_id: branch.branch_id.to_string(),
            cluster_id: branch.cluster_id.unwrap_or_default(),
            display_name: branch.display_name,
            state: state(branch.state.as_ref()),
            parent_id: branch.parent_id,
            parent_timestamp: branch.parent_timestamp,
            endpoints: endpoints(branch.endpoints),
            user_prefix: branch.user_prefix,
            create_time: branch.create_time,
        }
    }
}

/// The state in the API's own word; a resource that has none yet is being made.
pub(super) fn state(state: Option<&State>) -> String {
    state.map_or("CREATING", State::as_str).to_owned()
}

/// Public and private host and port, where they are known.
pub(super) fn endpoints(endpoints: Option<Endpoints>) -> Map<String, Value> {
    let Some(Endpoints { public, private }) = endpoints else { return Map::new() };
    let address = |host: Option<String>, port: Option<i64>| {
        let mut shown = Map::new();
        shown.insert("host".to_owned(), Value::from(host?));
        port.map(|port| shown.insert("port".to_owned(), Value::from(port)));
        Some(shown)
    };
    let public = public.and_then(|public| {
        let mut shown = address(public.host, public.port)?;
        if public.disabled {
            shown.insert("disabled".to_owned(), Value::from(true));
        }
        Some(("public", shown))
    });
    let private = private.and_then(|private| Some(("private", address(private.host, private.port)?)));
    public.into_iter().chain(private).map(|(name, shown)| (name.to_owned(), Value::Object(shown))).collect()
}

/// A column of a result.
#[derive(Serialize, JsonSchema)]
pub(super) struct ColumnView {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// What a cell can be, for the schema.
struct Cell;

impl JsonSchema for Cell {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cell".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]})
    }
}

/// The rows of a query, cut to what a model can read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RowsView {
    columns: Vec<ColumnView>,
    #[schemars(with = "Vec<Vec<Cell>>")]
    rows: Vec<Vec<Value>>,
    row_count: usize,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl RowsView {
    /// As many whole rows as fit into `bytes_max` of JSON, at least one.
    pub(super) fn within(answer: Rows, bytes_max: usize) -> Self {
        let row_count = answer.rows.len();
        let mut cut_cells = 0_usize;
        let mut bytes = 0;
        let mut rows = Vec::new();
        for row in answer.rows {
            let row: Vec<Value> =
                row.into_iter().zip(&answer.types).map(|(cell, kind)| value(cell, kind, &mut cut_cells)).collect();
            bytes += serde_json::to_string(&row).map_or(0, |text| text.len() + 1);
            if bytes > bytes_max && !rows.is_empty() {
                break;
            }
            rows.push(row);
        }
        let mut notice = Vec::new();
        if rows.len() < row_count {
            notice.push(format!(
                "Showing the first {} of {row_count} rows. To go on, use LIMIT and OFFSET with an ORDER BY, select fewer columns, or aggregate.",
                rows.len()
            ));
        }
        if cut_cells > 0 {
            notice.push(format!("{cut_cells} long values were cut to 2 KiB; read one in parts with SUBSTRING."));
        }
        Self {
            columns: answer.types.into_iter().map(|kind| ColumnView { name: kind.name, kind: kind.kind }).collect(),
            truncated: !notice.is_empty(),
            notice: (!notice.is_empty()).then(|| notice.join(" ")),
            rows,
            row_count,
        }
    }
}

impl From<Rows> for RowsView {
    fn from(answer: Rows) -> Self {
        Self::within(answer, RESULT_BYTES_MAX)
    }
}

/// The JSON value of a cell. Integers of up to 32 bits and floating point become numbers; BIGINT and DECIMAL stay text,
/// because a JSON reader may round them; binary is hexadecimal with `0x`; JSON stays text as the database wrote it.
fn value(cell: Option<String>, kind: &ColumnType, cut_cells: &mut usize) -> Value {
    let Some(mut text) = cell else { return Value::Null };
    match kind.kind.trim_start_matches("UNSIGNED ") {
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "YEAR" => {
            text.parse::<i64>().map_or(Value::from(text), Value::from)
        }
        "FLOAT" | "DOUBLE" => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::from(number),
            _ => Value::from(text),
        },
        kind => {
            if text.len() > CELL_BYTES_MAX {
                *cut_cells += 1;
                text.truncate(text.floor_char_boundary(CELL_BYTES_MAX));
                text.push('…');
            }
            let binary = matches!(kind, "BINARY" | "VARBINARY" | "BIT") || kind.ends_with("BLOB");
            Value::from(if binary { format!("0x{text}") } else { text })
        }
    }
}
