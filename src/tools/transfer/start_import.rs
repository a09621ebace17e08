//! `tidbcloud_start_import`: files from a cloud's storage into tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    storage::{Keys, access, fields, must_take_role},
    view::{TransferView, cluster_with_transfers},
};
use crate::{
    catalogue::{ClusterReference, Context, Effect, Receipt, Stakes, Tool, ToolError, code, said},
    sql,
    tidbcloud::{Endpoint, Opened, Place, RoleArn, StorageKind, TransferKind},
    tools::preflight::{MayCost, preflight},
};

/// Load files, named database.table.csv, from object storage into a table. Without `roleArn` the person gives keys on a page, never
/// in chat. It returns while it runs, mostly for minutes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StartImport {
    cluster: ClusterReference,
    /// s3://bucket/path, gs://, oss://, Azure's https://
    #[schemars(with = "String")]
    source: Place,
    /// Form of the files
    file_type: ImportFileType,
    /// AWS role for s3://
    #[schemars(with = "Option<String>")]
    role_arn: Option<RoleArn>,
    /// If not AWS
    #[schemars(with = "Option<String>")]
    endpoint: Option<Endpoint>,
    /// Default true
    header: Option<bool>,
    /// Default ,
    separator: Option<String>,
}

/// The forms of files (schema `ImportFileType.Enum`).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(inline)]
enum ImportFileType {
    Csv,
    Sql,
    Parquet,
    AuroraSnapshot,
}

impl ImportFileType {
    /// As the API writes it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Sql => "SQL",
            Self::Parquet => "PARQUET",
            Self::AuroraSnapshot => "AURORA_SNAPSHOT",
        }
    }
}

impl StartImport {
    /// What can be judged without TiDB Cloud.
    fn check(&self) -> Result<(), ToolError> {
        must_take_role(&self.source, self.role_arn.as_ref())?;
        let wrong = |message: &str, hint: &str| Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint));
        if self.source.names_database(sql::is_system_secret_schema) {
            return wrong(
                "`source` names files of the system schema `mysql`, which holds password hashes.",
                "Take other files: accounts are made with db_create_user.",
            );
        }
        if self.endpoint.as_ref().is_some_and(Endpoint::is_internal) {
            return wrong("`endpoint` is a name inside of a network.", "Give the provider's public endpoint.");
        }
        if self.endpoint.is_some() && (self.source.kind() != StorageKind::S3 || self.role_arn.is_some()) {
            return wrong("`endpoint` is for s3:// with keys.", "Leave out `endpoint`, or `roleArn`.");
        }
        if self.file_type != ImportFileType::Csv && (self.header.is_some() || self.separator.is_some()) {
            return wrong("`header` and `separator` are for CSV.", "Leave them out.");
        }
        match &self.separator {
            Some(separator) if separator.is_empty() || separator.chars().count() > 8 => {
                wrong("`separator` has 1 to 8 characters.", "Give it as it stands in the file, such as ; or a tab.")
            }
            _ => Ok(()),
        }
    }

    /// The table of a single file, by its name.
    fn table(&self) -> Option<&str> {
        let name = self.source.file()?;
        let (database, rest) = name.split_once('.')?;
        let (table, _) = rest.split_once('.')?;
        name.get(..database.len() + 1 + table.len()).filter(|_| !database.is_empty() && !table.is_empty())
    }

    fn options(&self) -> Value {
        let mut options = Map::from_iter([("fileType".to_owned(), json!(self.file_type))]);
        if self.header.is_some() || self.separator.is_some() {
            let mut format = Map::new();
            format.extend(self.header.map(|header| ("header".to_owned(), header.into())));
            format.extend(self.separator.as_ref().map(|separator| ("separator".to_owned(), separator.as_str().into())));
            options.insert("csvFormat".to_owned(), format.into());
        }
        options.into()
    }
}

impl Tool for StartImport {
    const NAME: &'static str = "tidbcloud_start_import";
    const TITLE: &'static str = "Import data";
    const EFFECT: Effect = Effect::Create;
    const DATA_CROSSES: bool = true;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_transfers before trying again.",
        tries: |call| format!("import {} into the cluster {}", call.source.as_str(), call.cluster.as_str()),
        done: |started| started.begun(TransferKind::Import),
    });
    type Output = TransferView;

    /// The cluster and the import.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        2
    }

    fn asks(&self) -> bool {
        true
    }

    /// With a role too: TiDB Cloud then asks for a path that the model wrote at whatever bucket it named, and loads what is there.
    fn opens(&self) -> bool {
        true
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        self.check()?;
        let cluster = cluster_with_transfers(context, &self.cluster).await?;
        let (id, place) = (&cluster.cluster_id, self.source.as_str());
        let stakes =
            Stakes::of(format!("Import {place} into the cluster {}.", said(&cluster.display_name, id.as_str())))
                .fact("Cluster", Some(&cluster.display_name))
                .fact("Id", Some(id))
                .fact("Plan", Some(cluster.plan().name()))
                .fact("Source", Some(place))
                .fact("Provider's endpoint", self.endpoint.as_ref().map(Endpoint::as_str))
                .fact("Access", Some(access(self.role_arn.as_ref())))
                .fact("File type", Some(self.file_type.as_str()))
                .fact("Header line", self.header.map(|header| if header { "yes" } else { "no" }))
                .fact("Separator", self.separator.as_ref())
                .fact(
                    "Tables",
                    Some(self.table().unwrap_or("Those that the names of the files say: database.table.csv")),
                )
                .fact(
                    "Tables that are not there",
                    Some("They are made if a file database.table-schema.sql is with the others"),
                )
                .fact(
                    "Tables with rows",
                    Some("TiDB Cloud documents imports into empty tables only, and decides for others"),
                );
        let stakes = preflight(context, stakes, MayCost::Transfer(cluster.plan())).await;
        Ok(Some(stakes.asking_for(fields(&self.source, self.role_arn.as_ref()))))
    }

    async fn call(self, context: &Context<'_>) -> Result<TransferView, ToolError> {
        self.check()?;
        let cluster = cluster_with_transfers(context, &self.cluster).await?.cluster_id;
        let keys = match &self.role_arn {
            Some(_) => None,
            None => Some(Keys::handed_in(context, &self.source)?),
        };
        let role = self.role_arn.as_ref().map_or("", RoleArn::as_str);
        let opened = keys.as_ref().map_or(Opened::Role(role), Keys::open);
        let endpoint = self.endpoint.as_ref().map(Endpoint::as_str);
        let started = context.cloud().start_import(&cluster, &self.options(), &self.source, opened, endpoint).await?;
        Ok(TransferView::started(
            TransferKind::Import,
            &cluster,
            started,
            "Call tidbcloud_list_transfers with this id every minute until `state` is COMPLETED or FAILED.",
        ))
    }
}
