//! `tidbcloud_start_export`: tables or a query to a cloud's storage, or for a download.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    storage::{ExportTarget, Keys, access, fields, must_take_role},
    view::{TransferView, cluster_with_transfers},
};
use crate::{
    catalogue::{ClusterReference, Context, Effect, Receipt, Stakes, Tool, ToolError, advised, code, said},
    sql::{self, Answer},
    statements::judged::must_read,
    tidbcloud::{ApiError, Cluster, DatabaseName, Opened, Place, Plan, RoleArn, TransferKind},
    tools::preflight::{MayCost, preflight},
};

/// Export tables or a query to object storage, or for download. Without `roleArn` the person gives keys on a page, never in chat.
/// It returns while the export runs, mostly for minutes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StartExport {
    cluster: ClusterReference,
    /// Or * alone
    database: Option<String>,
    /// Or pattern with *
    table: Option<String>,
    /// SQL condition
    r#where: Option<String>,
    /// SELECT, in place of tables
    sql: Option<String>,
    /// Default CSV
    file_type: Option<ExportFileType>,
    /// download (default), s3://bucket/path, gs://, oss://, Azure's https://
    target: Option<ExportTarget>,
    /// AWS role for s3://
    #[schemars(with = "Option<String>")]
    role_arn: Option<RoleArn>,
}

/// The forms of files (schema `ExportFileType.Enum`).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
enum ExportFileType {
    Csv,
    Sql,
    Parquet,
}

fn wrong(message: &str, hint: &str) -> ToolError {
    ToolError::new(code::INVALID_ARGUMENT, message).hint(hint)
}

/// A name in a pattern of a table filter, quoted where it has to be.
/// <https://docs.pingcap.com/tidb/stable/table-filter/#syntax>
fn pattern(name: &str) -> Result<String, ToolError> {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii();
    let hidden = |character: char| character.is_control() || crate::base::text::is_hidden(character);
    if !(1..=64).contains(&name.chars().count()) || name.contains(hidden) {
        return Err(wrong(
            "`table` has 1 to 64 characters, none of them invisible.",
            "Call show_tables to see the names.",
        ));
    }
    if name.chars().all(|character| is_plain(character) || matches!(character, '*' | '?')) {
        return Ok(name.to_owned());
    }
    if name.contains(['*', '?']) {
        return Err(wrong(
            "`table`: beside * and ? a pattern has letters, digits, `_` and `$` only.",
            "Name one table, or use `sql`.",
        ));
    }
    Ok(format!("`{}`", name.replace('`', "``")))
}

impl StartExport {
    fn to(&self) -> Option<&Place> {
        match &self.target {
            Some(ExportTarget::To(place)) => Some(place),
            Some(ExportTarget::Download) | None => None,
        }
    }

    fn file_type(&self) -> &'static str {
        match self.file_type {
            None | Some(ExportFileType::Csv) => "CSV",
            Some(ExportFileType::Sql) => "SQL",
            Some(ExportFileType::Parquet) => "PARQUET",
        }
    }

    /// The filter of an export (schema `ExportOptions.Filter`); `None` for everything.
    fn filter(&self) -> Result<Option<Value>, ToolError> {
        if let Some(sql) = &self.sql {
            if self.database.is_some() || self.table.is_some() || self.r#where.is_some() {
                return Err(wrong("`sql` and `database`, `table` or `where` exclude each other.", "Give one of them."));
            }
            if sql.trim().is_empty() {
                return Err(wrong("`sql` is empty.", "Write the SELECT, or give `database`."));
            }
            must_read(sql)?;
            if sql::answer(sql) != Answer::Rows {
                return Err(wrong("`sql` must be a SELECT.", "SHOW and EXPLAIN are run by db_query."));
            }
            return Ok(Some(json!({ "sql": sql })));
        }
        if let Some(condition) = &self.r#where {
            if condition.trim().is_empty() {
                return Err(wrong("`where` is empty.", "Leave it out to export all rows."));
            }
            // As it will stand in the statement that reads the table.
            must_read(&format!("SELECT * FROM t WHERE ({condition})"))?;
            if !sql::is_one_condition(condition) {
                return Err(wrong(
                    "`where` must be one condition: outside of its own parentheses it has no UNION, ORDER BY, LIMIT or the like.",
                    "Write what else it takes as `sql`, and columns with such names in backticks.",
                ));
            }
        }
        let database = match (self.database.as_deref(), &self.table, &self.r#where) {
            // Everything is exported where that is said, and not where an argument was forgotten.
            (Some("*"), None, None) => return Ok(None),
            (None | Some("*"), ..) => {
                return Err(wrong(
                    "It is not said what to export: `table` and `where` need the name of a database.",
                    "Give `database`, or `sql`; the `database` * alone is all of them.",
                ));
            }
            (Some(name), ..) => DatabaseName::try_from(name.to_owned())
                .map_err(|error| wrong(&format!("`database`: {error}"), "Call show_databases to see the names."))?,
        };
        let table = pattern(self.table.as_deref().unwrap_or("*"))?;
        let patterns = json!([format!("{}.{table}", pattern(database.as_str())?)]);
        let mut tables = Map::from_iter([("patterns".to_owned(), patterns)]);
        if let Some(condition) = &self.r#where {
            tables.insert("where".to_owned(), condition.as_str().into());
        }
        Ok(Some(json!({ "table": tables })))
    }

    /// What can be judged without TiDB Cloud; gives the filter.
    fn check(&self) -> Result<Option<Value>, ToolError> {
        match self.to() {
            Some(place) => must_take_role(place, self.role_arn.as_ref())?,
            None if self.role_arn.is_some() => {
                return Err(wrong("`roleArn` is for a `target` in S3.", "Give `target`, or leave out `roleArn`."));
            }
            None => {}
        }
        self.filter()
    }

    /// The cluster, whose plan must have what is asked for.
    async fn cluster(&self, context: &Context<'_>) -> Result<Cluster, ToolError> {
        let cluster = cluster_with_transfers(context, &self.cluster).await?;
        // <https://docs.pingcap.com/tidbcloud/serverless-export>
        if cluster.plan() == Plan::Essential && self.file_type == Some(ExportFileType::Parquet) {
            let message =
                "This cluster is on the plan Essential, which exports CSV and SQL but no Parquet. Nothing was sent.";
            return Err(ToolError::new(code::FAILED_PRECONDITION, message).hint("Use `fileType` CSV."));
        }
        Ok(cluster)
    }

    /// <https://docs.pingcap.com/tidbcloud/serverless-export>
    fn new_ones_lack(&self, cluster: &Cluster) -> Option<&'static str> {
        (self.to().is_none() && cluster.plan() == Plan::Essential)
            .then_some("Newer Essential clusters have none: TiDB Cloud refuses it there, and nothing is exported")
    }

    fn what(&self) -> String {
        match (&self.database, &self.table) {
            _ if self.sql.is_some() => "the rows of a query".to_owned(),
            (Some(database), Some(table)) => format!("the table {database}.{table}"),
            (Some(database), None) if database != "*" => format!("all tables of the database {database}"),
            _ => "all databases".to_owned(),
        }
    }
}

impl Tool for StartExport {
    const NAME: &'static str = "tidbcloud_start_export";
    const TITLE: &'static str = "Export data";
    const EFFECT: Effect = Effect::Create;
    const DATA_CROSSES: bool = true;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_transfers before trying again.",
        tries: |call| format!("export {} of the cluster {}", call.what(), call.cluster.as_str()),
        done: |started| started.begun(TransferKind::Export),
    });
    type Output = TransferView;

    /// The cluster and the export.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        2
    }

    fn asks(&self) -> bool {
        true
    }

    fn opens(&self) -> bool {
        true
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        self.check()?;
        let cluster = self.cluster(context).await?;
        let id = &cluster.cluster_id;
        let to = self.to().map_or("TiDB Cloud's own storage, for a download within two days", Place::as_str);
        let name = said(&cluster.display_name, id.as_str());
        let stakes = Stakes::of(format!("Export {} of the cluster {name} to {to}.", self.what()))
            .fact("Cluster", Some(&cluster.display_name))
            .fact("Id", Some(id))
            .fact("Plan", Some(cluster.plan().name()))
            .fact("Database", self.database.as_ref())
            .fact("Tables", self.table.as_ref())
            .fact("Condition", self.r#where.as_ref())
            .fact("File type", Some(self.file_type()))
            .fact(
                "Read with",
                Some("TiDB Cloud's own rights, which are more than those of any SQL user that this client sent"),
            )
            .fact("To", Some(to))
            .fact("Download", self.new_ones_lack(&cluster))
            .fact("Access", self.to().map(|_| access(self.role_arn.as_ref())))
            .fact("Who can read it then", self.to().map(|_| "Whoever may read that storage"))
            .fact(
                "Files that are there",
                self.to().map(|_| "Those of the same names may be replaced: TiDB Cloud does not say"),
            )
            .running(self.sql.as_deref().map(|sql| (1, sql)));
        let stakes = preflight(context, stakes, MayCost::Transfer(cluster.plan())).await;
        Ok(Some(match self.to() {
            Some(place) => stakes.asking_for(fields(place, self.role_arn.as_ref())),
            None => stakes,
        }))
    }

    async fn call(self, context: &Context<'_>) -> Result<TransferView, ToolError> {
        let filter = self.check()?;
        let cluster = self.cluster(context).await?;
        let needs_target = self.new_ones_lack(&cluster).is_some();
        let cluster = cluster.cluster_id;
        let mut options = Map::from_iter([("fileType".to_owned(), json!(self.file_type()))]);
        if let Some(filter) = filter {
            options.insert("filter".to_owned(), filter);
        }
        let keys = match (self.to(), &self.role_arn) {
            (Some(place), None) => Some(Keys::handed_in(context, place)?),
            _ => None,
        };
        let role = self.role_arn.as_ref().map_or("", RoleArn::as_str);
        let to = self.to().map(|place| (place, keys.as_ref().map_or(Opened::Role(role), Keys::open)));
        let started = context.cloud().start_export(&cluster, &options.into(), to).await.map_err(|error| {
            if needs_target && matches!(error, ApiError::Refused(_) | ApiError::NotOffered(_) | ApiError::Conflict(_)) {
                return advised(
                    error,
                    |_| true,
                    "Newer Essential clusters keep no files for a download: give `target`.",
                );
            }
            ToolError::from(error)
        })?;
        let next_step = match to {
            None => {
                "Call tidbcloud_list_transfers with this id every minute until `state` is SUCCEEDED, then tidbcloud_get_export_files."
            }
            Some(_) => "Call tidbcloud_list_transfers with this id every minute until `state` is SUCCEEDED or FAILED.",
        };
        Ok(TransferView::started(TransferKind::Export, &cluster, started, next_step))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::StartExport;

    fn filter(arguments: Value) -> Result<Option<Value>, String> {
        let mut all = json!({ "cluster": "shop" });
        all.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        let call: StartExport = serde_json::from_value(all).map_err(|error| error.to_string())?;
        call.filter().map_err(|error| error.message)
    }

    #[test]
    fn tables_are_patterns_that_mean_just_them() {
        for (arguments, pattern) in [
            (json!({ "database": "shop" }), "shop.*"),
            (json!({ "database": "shop", "table": "orders" }), "shop.orders"),
            (json!({ "database": "shop", "table": "order*" }), "shop.order*"),
            (json!({ "database": "my-shop", "table": "a-b" }), "`my-shop`.`a-b`"),
            (json!({ "database": "shop", "table": "!orders" }), "shop.`!orders`"),
            (json!({ "database": "shop", "table": "/o.*/" }), ""),
            (json!({ "database": "shop", "table": "a`b" }), "shop.`a``b`"),
            (json!({ "database": "shop", "table": "[a]*" }), ""),
            (json!({ "database": "shop", "table": "" }), ""),
            (json!({ "database": "shop", "table": "a\u{200b}b" }), ""),
            (json!({ "database": "shop", "table": "bestellungen_ä" }), "shop.bestellungen_ä"),
        ] {
            let expected = (!pattern.is_empty()).then(|| json!({ "table": { "patterns": [pattern] } }));
            assert_eq!(filter(arguments.clone()).ok().flatten(), expected, "{arguments}");
        }
        assert_eq!(filter(json!({ "database": "*" })), Ok(None), "everything");
        for arguments in [
            json!({}),
            json!({ "table": "a" }),
            json!({ "database": "*", "table": "a" }),
            json!({ "database": "mysql" }),
        ] {
            assert!(filter(arguments.clone()).is_err(), "{arguments}");
        }
    }

    #[test]
    fn conditions_and_queries_are_one_read() {
        let condition = |text: &str| filter(json!({ "database": "shop", "where": text }));
        let filtered = json!({ "table": { "patterns": ["shop.*"], "where": "id < 10 AND note LIKE '%)%'" } });
        assert_eq!(condition("id < 10 AND note LIKE '%)%'"), Ok(Some(filtered)));
        for text in
            ["", "1); DROP TABLE a; --", "1) UNION (SELECT * FROM mysql.user", "1 = 1) FOR UPDATE -- ", "SLEEP(1000)"]
        {
            assert!(condition(text).is_err(), "{text}");
        }
        for text in [
            "1 = 1 UNION ALL SELECT * FROM shop.cards",
            "1) UNION ALL (SELECT * FROM shop.cards WHERE 1 = 1",
            "1 = 1) OR (1 = 1",
            "1 = 1 EXCEPT TABLE shop.cards",
            "id = 1 INTERSECT SELECT 1",
            "id = @ UNION SELECT 1",
            "note = '\\' OR note = ' UNION SELECT 1 -- '",
            "1 = 1 ORDER BY id",
            "1 = 1 LIMIT 1",
            "1 = 1 GROUP BY id HAVING id > 1",
            "1 = 1 /*! UNION SELECT 1 */",
        ] {
            assert!(condition(text).is_err(), "{text}");
        }
        for text in [
            "id IN (SELECT customer_id FROM shop.orders ORDER BY id LIMIT 3)",
            "note = 'a UNION b' AND `order` = 1",
            "note = 'it\\'s'",
        ] {
            assert!(condition(text).is_ok(), "{text}");
        }
        let query = |text: &str| filter(json!({ "sql": text }));
        assert_eq!(query("SELECT 1"), Ok(Some(json!({ "sql": "SELECT 1" }))));
        for text in
            ["", "DROP TABLE a", "SELECT 1; SELECT 2", "SELECT 1 INTO OUTFILE 'x'", "SHOW TABLES", "EXPLAIN SELECT 1"]
        {
            assert!(query(text).is_err(), "{text}");
        }
    }
}
