//! Exports of clusters, and the files of those that are kept for a download.

use serde::Deserialize;
use serde_json::{Value, json};

use super::transfers::{Opened, Place, Transfer, described};
use crate::{
    base::{http::Method, secret::Secret},
    tidbcloud::{
        ApiError, Cloud, ClusterId, TransferId,
        service::SERVERLESS,
        tolerant::{integer, or_default},
        transport::list::Listed,
        units::made_of,
    },
};

/// A file of an export (schema `ExportFile` of PingCAP's command line client). It is read without its address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExportFile {
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Bytes.
    #[serde(default, deserialize_with = "integer")]
    pub size: Option<u64>,
}

impl Listed for ExportFile {
    const MEMBER: &'static str = "files";
}

/// A file with the address of its content, which opens it to anybody (schema `DownloadExportFilesResponse`).
#[derive(Deserialize)]
pub struct Address {
    /// Name of the file.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    url: String,
}

impl Address {
    /// The address.
    pub fn into_secret(self) -> Secret {
        Secret::new(self.url)
    }
}

/// The answer of `files:download`.
#[derive(Deserialize)]
struct Addresses {
    #[serde(default, deserialize_with = "or_default")]
    files: Vec<Address>,
}

impl Cloud<'_> {
    /// `POST /clusters/{clusterId}/exports`: `options` are an `ExportOptions`; without a place the files are kept for a download. Sent
    /// once.
    pub async fn start_export(
        &self,
        id: &ClusterId,
        options: &Value,
        to: Option<(&Place, Opened<'_>)>,
    ) -> Result<Transfer, ApiError> {
        let target = to.map_or_else(|| json!({ "type": "LOCAL" }), |(place, opened)| described(place, opened, None));
        let body = json!({ "exportOptions": options, "target": target });
        let call = SERVERLESS.call(Method::Post, "clusters/{}/exports", [id.as_str()]);
        self.write(&match to {
            Some((_, Opened::Key { forms, .. })) => call.with_secrets(&body, forms),
            _ => call.with_body(&body),
        })
        .await
    }

    /// `GET /clusters/{clusterId}/exports/{exportId}/files`, all pages. Not published.
    pub async fn export_files(&self, id: &ClusterId, export: &TransferId) -> Result<Vec<ExportFile>, ApiError> {
        self.all(SERVERLESS.get("clusters/{}/exports/{}/files", [id.as_str(), export.as_str()])).await
    }

    /// `POST /clusters/{clusterId}/exports/{exportId}/files:download`: addresses of these files, each at most once. It makes nothing but addresses, but a
    /// `POST` is sent once. Not published.
    pub async fn export_addresses(
        &self,
        id: &ClusterId,
        export: &TransferId,
        names: &[&str],
    ) -> Result<Vec<Address>, ApiError> {
        let arguments = [id.as_str(), export.as_str()];
        let call = SERVERLESS.call(Method::Post, "clusters/{}/exports/{}/files:download", arguments);
        let Addresses { mut files } = self.write(&call.with_body(&json!({ "fileNames": names }))).await?;
        let mut left = names.to_vec();
        files.retain(|file| {
            let asked = left.iter().position(|name| *name == file.name);
            asked.map(|at| left.swap_remove(at)).is_some()
        });
        if files.is_empty() {
            return Err(ApiError::Unexpected("no address of a file that was asked for"));
        }
        Ok(files)
    }

    /// Where an address leads that TiDB Cloud gave, if a host of its storages is there. In a sandbox it leads into that.
    ///
    /// # Errors
    /// The host, which is no such one.
    pub fn download_address(&self, address: &Secret) -> Result<Secret, String> {
        let text = address.expose();
        let url = url::Url::parse(text).map_err(|_| String::new())?;
        let host = url.host_str().unwrap_or_default();
        let is_plain =
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none() && url.port().is_none();
        if !is_plain || !is_storage(host) {
            return Err(host.to_owned());
        }
        // What was parsed is what is given on.
        self.sender.hosts.public(url.as_str()).map(|url| Secret::new(url.as_str())).ok_or_else(|| host.to_owned())
    }
}

/// The hosts of storages that downloads may come from: those of `contract/storage.json`, which says why. A `*` stands for a label or
/// its rest.
const STORAGES: [&str; 4] =
    ["*.s3.*.amazonaws.com", "*.s3.amazonaws.com", "s3.*.amazonaws.com", "*.oss-*.aliyuncs.com"];

/// Whether a host is one of them.
fn is_storage(host: &str) -> bool {
    let fits = |(label, pattern): (&str, &str)| match pattern.strip_suffix('*') {
        Some(start) => {
            let is_label = |rest: &str| made_of(rest, 1, 63, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
            label.strip_prefix(start).is_some_and(is_label)
        }
        None => label == pattern,
    };
    STORAGES.iter().any(|pattern| {
        let (labels, patterns) = (host.split('.'), pattern.split('.'));
        labels.clone().count() == patterns.clone().count() && labels.zip(patterns).all(fits)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{STORAGES, is_storage};

    #[test]
    fn the_storages_are_those_of_the_contract() {
        let contract: Value = serde_json::from_str(include_str!("../../../contract/storage.json")).unwrap();
        let recorded = contract["downloads"].as_array().unwrap();
        let hosts: Vec<_> = recorded.iter().map(|storage| storage["host"].as_str().unwrap()).collect();
        assert_eq!(hosts, STORAGES, "what is refused follows from contract/storage.json");
        for storage in recorded {
            assert!(storage["source"].as_str().is_some_and(|source| source.starts_with("https://")), "{storage}");
            assert!(storage["guess"].is_boolean(), "{storage} says whether it is a guess");
        }
    }

    #[test]
    fn downloads_come_from_storages_only() {
        for host in [
            "bucket.s3.us-east-1.amazonaws.com",
            "bucket.s3.amazonaws.com",
            "s3.eu-central-1.amazonaws.com",
            "bucket.oss-ap-southeast-1.aliyuncs.com",
        ] {
            assert!(is_storage(host), "{host}");
        }
        for host in [
            "",
            "s3.amazonaws.com.evil.example",
            "evil.example",
            "execute-api.us-east-1.amazonaws.com",
            "x.execute-api.us-east-1.amazonaws.com",
            "bucket.s3..amazonaws.com",
            ".s3.amazonaws.com",
            "bucket.evil.aliyuncs.com",
            "bucket.oss-.aliyuncs.com",
            "evils3.us-east-1.amazonaws.com",
            "bucket.s3.us-east-1.amazonaws.com.",
        ] {
            assert!(!is_storage(host), "{host}");
        }
    }
}
