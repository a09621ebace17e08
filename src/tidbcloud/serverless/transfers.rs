//! What imports and exports have in common: their state, and the storage that they read or write.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    base::{http::Method, secret::Secret, text::is_hidden},
    tidbcloud::{
        ApiError, Cloud, ClusterId, PageToken, TransferId,
        service::SERVERLESS,
        tolerant::{filled, integer, or_default},
        transport::list::{List, Listed},
        units::made_of,
    },
};

/// Into a cluster or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum TransferKind {
    /// Into it.
    Import,
    /// Out of it.
    Export,
}

impl TransferKind {
    /// As sentences say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    /// The kind that an id is of.
    pub fn of(id: &TransferId) -> Self {
        if id.as_str().starts_with("imp-") { Self::Import } else { Self::Export }
    }
}

/// An import (schema `Import`) or an export (schema `Export`). Those of files are read too, which are not published.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schemas, which say what they mean")]
pub struct Transfer {
    #[serde(default, rename = "importId|exportId|transferId", deserialize_with = "or_default")]
    pub transfer_id: String,
    #[serde(default)]
    pub cluster_id: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    pub display_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub state: String,
    /// Why it failed.
    #[serde(default, rename = "message|reason", deserialize_with = "filled")]
    pub message: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub complete_percent: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub total_size: Option<u64>,
    #[serde(default, deserialize_with = "filled")]
    pub create_time: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    pub complete_time: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    pub expire_time: Option<String>,
    #[serde(default)]
    export_options: Value,
    #[serde(default)]
    target: Value,
    #[serde(default)]
    creation_details: Value,
}

impl Listed for Transfer {
    const MEMBER: &'static str = "imports";
    const OTHER: &'static str = "exports";
}

impl Transfer {
    /// The form of its files.
    pub fn file_type(&self) -> Option<String> {
        let of_import = self.creation_details.pointer("/importOptions/fileType");
        Some(self.export_options.get("fileType").or(of_import)?.as_str()?.to_owned())
    }

    /// The URI of its storage, or the type of storage where there is none; never with a query, where keys could be.
    pub fn place(&self) -> Option<String> {
        let place = self.creation_details.get("source").unwrap_or(&self.target);
        let kind = place.get("type")?.as_str()?;
        let uri = place.as_object()?.values().find_map(|member| member.get("uri")?.as_str());
        let uri = uri.and_then(|uri| uri.split(['?', '#']).next()).filter(|uri| !uri.contains('@'));
        Some(uri.unwrap_or(kind).to_owned())
    }

    /// Its state, as sentences say it.
    pub fn said_state(&self) -> &str {
        if self.state.is_empty() { "in a state that TiDB Cloud does not say" } else { &self.state }
    }

    /// A request below one cluster does not prove that what it answers belongs to it: page tokens and ids are the caller's.
    fn must_be_of(&self, cluster: &ClusterId) -> Result<(), ApiError> {
        match &self.cluster_id {
            Some(of) if of != cluster.as_str() => Err(ApiError::Unexpected("an import or export of another cluster")),
            _ => Ok(()),
        }
    }
}

/// Storage of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// Amazon S3, or what speaks as it does.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// Alibaba Cloud Object Storage Service.
    Oss,
}

/// A place in the storage of a cloud, in the forms that the published API takes (`S3Source.uri` and its like). It holds no key:
/// neither a user nor a query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Place {
    kind: StorageKind,
    uri: String,
}

/// The longest key of S3 has 1,024 bytes, and the longest name of a bucket with its scheme 70:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
const URI_BYTES_MAX: usize = 1_100;

/// Where Azure keeps blobs: <https://learn.microsoft.com/azure/storage/common/storage-account-overview>.
const AZURE_HOST: &str = ".blob.core.windows.net";

impl Place {
    /// Which storage it is.
    pub fn kind(&self) -> StorageKind {
        self.kind
    }

    /// The whole URI.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// Whether a file or folder of its path says that its rows are of such a database: `database.table.csv` or
    /// `database-schema-create.sql`, quoted or not.
    /// <https://docs.pingcap.com/tidbcloud/naming-conventions-for-data-import>
    pub fn names_database(&self, is_such: fn(&str) -> bool) -> bool {
        self.uri.split('/').skip(3).any(|name| {
            let name = name.split_once('.').map(|(database, _)| database);
            name.is_some_and(|name| {
                let name = name.strip_suffix("-schema-create").unwrap_or(name);
                is_such(name.trim_matches(['`', '"', '\'']))
            })
        })
    }

    /// Name of its file, if it is one.
    pub fn file(&self) -> Option<&str> {
        self.uri.rsplit('/').next().filter(|name| name.contains('.') && self.uri.matches('/').count() > 2)
    }
}

/// Whether characters that mean something in an address, or need no such form, stand there as `%XX`: who decodes them reads
/// another place.
fn has_hidden_parts(uri: &str) -> bool {
    uri.split('%').skip(1).any(|after| {
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| {
            byte.is_ascii_control() || byte.is_ascii_alphanumeric() || b"./\\?#%@:-_~`".contains(&byte)
        })
    })
}

impl TryFrom<String> for Place {
    type Error = &'static str;

    fn try_from(uri: String) -> Result<Self, Self::Error> {
        const FORMS: &str = "must be s3://bucket/path, gs://bucket/path, oss://bucket/path or https://account.blob.core.windows.net/container/path";
        const KEYS: &str =
            "holds no keys: leave out user names, keys and everything from `?` on; the person gives keys on a page";
        const PLAIN: &str = "has at most 1100 bytes, and no control or invisible characters, backslashes, `.` or `..` segments, or those in `%` form";
        if uri.contains(['?', '#', '@']) {
            return Err(KEYS);
        }
        let is_step = |segment: &str| matches!(segment, "." | "..");
        if uri.len() > URI_BYTES_MAX
            || uri.contains(|character: char| character.is_control() || is_hidden(character) || character == '\\')
            || uri.split('/').any(is_step)
            || has_hidden_parts(&uri)
        {
            return Err(PLAIN);
        }
        let (scheme, rest) = uri.split_once("://").ok_or(FORMS)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = |dots: &[u8]| {
            made_of(authority, 3, 63, |byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
            }) && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || dots.contains(&byte))
                && !authority.contains("..")
                && !authority.starts_with(['.', '-', '_'])
                && !authority.ends_with(['.', '-', '_'])
        };
        let kind = match scheme {
            "s3" if bucket(b"-.") => StorageKind::S3,
            "gs" | "gcs" if bucket(b"-._") => StorageKind::Gcs,
            "oss" if bucket(b"-") => StorageKind::Oss,
            "azure" | "https" => {
                let account = authority.strip_suffix(AZURE_HOST).ok_or(FORMS)?;
                let is_account = made_of(account, 3, 24, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
                let container = path.split('/').next().unwrap_or_default();
                if !is_account || container.is_empty() {
                    return Err(FORMS);
                }
                StorageKind::Azure
            }
            _ => return Err(FORMS),
        };
        let uri = match kind {
            // The official client documents this spelling alone.
            StorageKind::Gcs => format!("gs://{rest}"),
            _ => uri,
        };
        Ok(Self { kind, uri })
    }
}

/// What opens a place.
#[derive(Clone, Copy)]
pub enum Opened<'k> {
    /// A role that TiDB Cloud takes on.
    Role(&'k str),
    /// A key with its id.
    Key {
        /// Empty for storage whose keys have none.
        id: &'k str,
        /// As it is sent.
        key: &'k Secret,
        /// Both, as a person gave them and as they are sent: no error may repeat any of these.
        forms: &'k [Secret],
    },
}

/// The description of a place for a request (schemas `ImportSource`, `ExportTarget`): a type, and its member. With an `endpoint` it
/// is at another provider than Amazon.
pub(super) fn described(place: &Place, opened: Opened<'_>, endpoint: Option<&str>) -> Value {
    let (kind, name, way) = match (place.kind, endpoint) {
        (StorageKind::S3, None) => ("S3", "s3", "ACCESS_KEY"),
        (StorageKind::S3, Some(_)) => ("S3_COMPATIBLE", "s3Compatible", "ACCESS_KEY"),
        (StorageKind::Gcs, _) => ("GCS", "gcs", "SERVICE_ACCOUNT_KEY"),
        (StorageKind::Azure, _) => ("AZURE_BLOB", "azureBlob", "SAS_TOKEN"),
        (StorageKind::Oss, _) => ("OSS", "oss", "ACCESS_KEY"),
    };
    let mut member = Map::from_iter([("uri".to_owned(), Value::from(place.uri.as_str()))]);
    let mut put = |name: &str, value: Value| member.insert(name.to_owned(), value);
    match opened {
        Opened::Role(role) => {
            put("authType", "ROLE_ARN".into());
            put("roleArn", role.into());
        }
        Opened::Key { id, key, .. } => {
            put("authType", way.into());
            match place.kind {
                StorageKind::Gcs => drop(put("serviceAccountKey", key.expose().into())),
                StorageKind::Azure => drop(put("sasToken", key.expose().into())),
                StorageKind::S3 | StorageKind::Oss => {
                    put("accessKey", json!({ "id": id, "secret": key.expose() }));
                }
            }
        }
    }
    if let Some(endpoint) = endpoint {
        put("endpoint", endpoint.into());
    }
    json!({ "type": kind, name: member })
}

impl Cloud<'_> {
    /// `GET /clusters/{clusterId}/imports` or `.../exports`: one page, the newest first.
    pub async fn transfers(
        &self,
        kind: TransferKind,
        id: &ClusterId,
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<List<Transfer>, ApiError> {
        let path = match kind {
            TransferKind::Import => "clusters/{}/imports",
            TransferKind::Export => "clusters/{}/exports",
        };
        let list = SERVERLESS.get(path, [id.as_str()]).with_query(&[("orderBy", "createTime desc")]);
        let page: List<Transfer> = self.page(list, page_size, page_token).await?;
        page.items.iter().try_for_each(|transfer| transfer.must_be_of(id))?;
        Ok(page)
    }

    /// `GET /clusters/{clusterId}/imports/{id}` or `.../exports/{exportId}`
    pub async fn transfer(&self, id: &ClusterId, transfer: &TransferId) -> Result<Transfer, ApiError> {
        let path = match TransferKind::of(transfer) {
            TransferKind::Import => "clusters/{}/imports/{}",
            TransferKind::Export => "clusters/{}/exports/{}",
        };
        let found: Transfer = self.read(&SERVERLESS.get(path, [id.as_str(), transfer.as_str()])).await?;
        found.must_be_of(id)?;
        Ok(found)
    }

    /// The same before something is done with it: what does not say that it is this one of this cluster is not.
    pub async fn own_transfer(&self, id: &ClusterId, transfer: &TransferId) -> Result<Transfer, ApiError> {
        let found = self.transfer(id, transfer).await?;
        if found.cluster_id.as_deref() == Some(id.as_str()) && found.transfer_id == transfer.as_str() {
            return Ok(found);
        }
        Err(ApiError::Unexpected("an import or export that does not say that it is the one that was asked for"))
    }

    /// `POST /clusters/{clusterId}/imports/{id}:cancel` or `.../exports/{exportId}:cancel`. Sent once: PingCAP's own tests see it fail
    /// now and then, and whoever asks looks at the state then.
    pub async fn cancel_transfer(&self, id: &ClusterId, transfer: &TransferId) -> Result<(), ApiError> {
        let path = match TransferKind::of(transfer) {
            TransferKind::Import => "clusters/{}/imports/{}:cancel",
            TransferKind::Export => "clusters/{}/exports/{}:cancel",
        };
        let call = SERVERLESS.call(Method::Post, path, [id.as_str(), transfer.as_str()]);
        self.write::<serde::de::IgnoredAny>(&call).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json;

    fn place(uri: &str) -> Result<Place, &'static str> {
        Place::try_from(uri.to_owned())
    }

    #[test]
    fn a_place_is_one_of_a_known_storage() {
        for (uri, kind) in [
            ("s3://bucket", StorageKind::S3),
            ("s3://my.bucket-1/a/b c/ü.csv", StorageKind::S3),
            ("gs://my_bucket/a", StorageKind::Gcs),
            ("oss://bucket/a", StorageKind::Oss),
            ("azure://account1.blob.core.windows.net/box/a", StorageKind::Azure),
            ("https://account1.blob.core.windows.net/box", StorageKind::Azure),
        ] {
            let place = place(uri).unwrap();
            assert_eq!((place.kind(), place.as_str()), (kind, uri));
        }
        for escaped in ["s3://bucket/a%20b", "s3://bucket/50%", "s3://bucket/%C3%A4"] {
            assert!(place(escaped).is_ok(), "{escaped}");
        }
        assert_eq!(place("gcs://bucket/a").unwrap().as_str(), "gs://bucket/a", "one spelling is sent");
        assert_eq!(place("s3://bucket/a/shop.orders.csv").unwrap().file(), Some("shop.orders.csv"));
        assert_eq!(place("s3://bucket/a/").unwrap().file(), None);
        assert_eq!(place("s3://my.bucket").unwrap().file(), None, "a bucket is no file");
    }

    #[test]
    fn no_place_holds_a_key_or_leads_elsewhere() {
        for uri in [
            "",
            "bucket/a",
            "s3:/bucket/a",
            "s3:///a",
            "s3://ab/a",
            "s3://Bucket/a",
            "s3://key:secret@bucket/a",
            "s3://bucket/a?access-key=AKIA&secret-access-key=canary",
            "s3://bucket/a#x",
            "s3://bucket/../a",
            "s3://bucket/./a",
            "s3://bucket\\a",
            "s3://bucket/a\u{200b}b",
            "s3://bucket/a\nb",
            "s3://bucket:9000/a",
            "s3://...",
            "s3://a..b/c",
            "s3://.bucket/c",
            "gs://---/c",
            "s3://bucket/%2e%2e/a",
            "s3://bucket/%2E/a",
            "s3://bucket/a%2Fb",
            "s3://bucket/a%3fkey=x",
            "s3://bucket/a%23x",
            "s3://bucket/a%00",
            "s3://bucket/%252e%252e/a",
            "s3://bucket/%6dysql.user.csv",
            "file:///etc/passwd",
            "http://account1.blob.core.windows.net/box",
            "https://account1.blob.core.windows.net",
            "https://account1.blob.core.windows.net/",
            "https://account1.blob.core.windows.net.evil.example/box",
            "https://.blob.core.windows.net/box",
            "https://account1.blob.core.windows.net/box?sv=2024&sig=canary",
            "https://bucket.s3.amazonaws.com/a",
            "https://169.254.169.254/latest/meta-data",
        ] {
            let error = place(uri).expect_err(uri);
            assert!(!error.contains("canary"), "{uri}");
        }
        assert!(place(&format!("s3://bucket/{}", "a".repeat(1_089))).is_err(), "longer than any key");
    }

    #[test]
    fn what_is_read_shows_no_key() {
        let read = |place: &str| {
            let text = format!(
                r#"{{"exportId":"exp-1","state":"RUNNING","target":{{"type":"S3","s3":{{"uri":"{place}"}}}}}}"#
            );
            json::read::<Transfer>(text.as_bytes()).unwrap().place()
        };
        assert_eq!(read("s3://bucket/a").as_deref(), Some("s3://bucket/a"));
        assert_eq!(read("s3://bucket/a?secret=canary").as_deref(), Some("s3://bucket/a"));
        assert_eq!(read("s3://key:canary@bucket/a").as_deref(), Some("S3"));
        let import = r#"{"id":"imp-1","importId":"imp-1","state":"FAILED","message":"x","totalSize":"12","completePercent":"7",
            "creationDetails":{"importOptions":{"fileType":"CSV"},"source":{"type":"LOCAL","local":{"fileName":"a.csv"}}}}"#;
        let import: Transfer = json::read(import.as_bytes()).unwrap();
        assert_eq!(
            (import.transfer_id.as_str(), import.total_size, import.complete_percent),
            ("imp-1", Some(12), Some(7))
        );
        assert_eq!((import.file_type().as_deref(), import.place().as_deref()), (Some("CSV"), Some("LOCAL")));
    }
}
