//! What exports and imports share: where data goes to or comes from, and how access to it fails.
//!
//! Nothing is read from a cloud or written to one. Which of TiDB Cloud's failures happens is chosen by words in the URI or the
//! role, which are the sandbox's own and listed in `docs/sandbox.md`. The messages are those that PingCAP's own end-to-end tests
//! (`tidbcloud/serverless-test`) expect; what surrounds the expected words is a guess.

use std::cmp::Reverse;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{Call, clusters};
use crate::control::{
    answers::{Failure, Outcome},
    pages::{Page, set_token},
    state::{Cluster, World},
};

/// Letters of an id after `exp-` or `imp-`: as those of branches. A guess.
const ID_ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
/// How many of them. A guess.
const ID_LENGTH: usize = 26;

/// The members of a place by the `type` that has them (`ExportTargetType.Enum`, `ImportSourceType.Enum`).
const MEMBERS: [(&str, &str); 6] = [
    ("S3", "s3"),
    ("GCS", "gcs"),
    ("AZURE_BLOB", "azureBlob"),
    ("OSS", "oss"),
    ("S3_COMPATIBLE", "s3Compatible"),
    ("LOCAL", "local"),
];

/// Members that are accepted and never given back (contract: only requests of PingCAP's clients carry them; that answers lack them is
/// what its end-to-end tests read).
const SECRETS: [&str; 3] = ["accessKey", "serviceAccountKey", "sasToken"];

/// An id that follows from the seed.
pub(super) fn draw_id(world: &mut World, purpose: &'static str) -> String {
    format!("{purpose}-{}", world.draw_text(purpose, ID_ALPHABET, ID_LENGTH))
}

/// The caller's cluster, if it can take work. That it has to be `ACTIVE` is a guess.
pub(super) fn active<'w>(world: &'w World, call: &Call) -> Result<&'w Cluster, Failure> {
    let cluster = clusters::known(world, call)?;
    match cluster.state(call.now) {
        "ACTIVE" => Ok(cluster),
        state => Err(Failure::new(400, format!("cluster {} is {state}, not ACTIVE", cluster.id))),
    }
}

/// A target or a source as it was given, without its secrets.
pub(super) struct Place {
    /// `S3`, `LOCAL`, …
    pub(super) kind: String,
    /// As answers show it.
    pub(super) shown: Map<String, Value>,
}

impl Place {
    /// Reads one, or refuses it: what a type needs is required in the contract, except that a way to get in must fit its `authType`,
    /// which the official client's flags say.
    pub(super) fn read(given: Option<&Value>, default: &str) -> Result<Self, Failure> {
        let given = given.and_then(Value::as_object).cloned().unwrap_or_default();
        let kind = given.get("type").and_then(Value::as_str).unwrap_or(default).to_owned();
        let mut shown = Map::from_iter([("type".to_owned(), Value::from(kind.as_str()))]);
        let name = MEMBERS.iter().find(|(known, _)| *known == kind).map(|(_, member)| *member).unwrap_or_default();
        if let Some(member) = given.get(name).and_then(Value::as_object) {
            let filled = |name: &str| member.get(name).is_some_and(|value| value.as_str() != Some(""));
            let way = match member.get("authType").and_then(Value::as_str) {
                Some("ROLE_ARN") => "roleArn",
                Some("ACCESS_KEY") => "accessKey",
                Some("SERVICE_ACCOUNT_KEY") => "serviceAccountKey",
                Some("SAS_TOKEN") => "sasToken",
                _ => "",
            };
            if !way.is_empty() && !filled(way) {
                return Err(Failure::new(400, format!("{name}.{way} is required")));
            }
            check_key(name, way, member)?;
            let mut member = member.clone();
            member.retain(|name, _| !SECRETS.contains(&name.as_str()));
            shown.insert(name.to_owned(), member.into());
        } else if kind != "LOCAL" {
            return Err(Failure::new(400, format!("{name} is required for the type {kind}")));
        }
        Ok(Self { kind, shown })
    }

    fn text(&self, name: &str) -> &str {
        let mut members = self.shown.values().filter_map(|member| member.get(name)?.as_str());
        members.next_back().unwrap_or_default()
    }

    pub(super) fn uri(&self) -> &str {
        self.text("uri")
    }

    /// Why the storage lets nobody in, if the URI or the role has a word for that.
    pub(super) fn refusal(&self) -> Option<String> {
        let (uri, role) = (self.uri(), self.text("roleArn"));
        if role.contains("untrusted") {
            return Some(format!(
                "User: arn:aws:sts::380838443567:assumed-role/tidb-cloud is not authorized to perform: sts:AssumeRole on resource: {role}"
            ));
        }
        if !uri.contains("denied") && !uri.contains("unlisted") {
            return None;
        }
        Some(match self.kind.as_str() {
            "GCS" => "Permission 'storage.objects.list' denied on resource (or it may not exist).".to_owned(),
            "AZURE_BLOB" => "AzBlobAccessDenied: the SAS token does not permit this request".to_owned(),
            "OSS" => "OSS access deny: the access key has no permission for the bucket".to_owned(),
            _ if uri.contains("unlisted") => {
                format!("{role} is not authorized to perform: s3:ListBucket on resource: {uri}")
            }
            _ => "AccessDenied: Access Denied".to_owned(),
        })
    }
}

/// Refuses keys in another form than the official client documents (`--gcs.service-account-key`: "base64 encoded"; `--azblob.sas-token`:
/// the token, which is no address and has no question mark before it). The words are a guess.
fn check_key(name: &str, way: &str, member: &Map<String, Value>) -> Result<(), Failure> {
    let key = member.get(way).and_then(Value::as_str).unwrap_or_default();
    let is_wrong = match way {
        "serviceAccountKey" => STANDARD.decode(key).is_err(),
        "sasToken" => key.starts_with('?'),
        _ => false,
    };
    if is_wrong { Err(Failure::new(400, format!("{name}.{way} is invalid"))) } else { Ok(()) }
}

/// A page of a cluster's exports or imports, which are in the order of their creation: the newest first for
/// `orderBy=createTime desc` (contract: `orderBy` of both lists) or `create_time desc` (the official client), else the oldest.
pub(super) fn list(call: &Call, member: &str, cluster: &str, mut all: Vec<(u64, Value)>) -> Outcome {
    let newest_first = match call.query.get("orderBy").map_or("", String::as_str) {
        "" | "createTime" | "create_time" => false,
        "createTime desc" | "create_time desc" => true,
        other => return Err(Failure::new(400, format!("invalid orderBy: {other}"))),
    };
    let page = Page::read(&call.query, &format!("{member} {cluster}"), 10)?;
    let size = all.len();
    if newest_first {
        all.sort_by_key(|(position, _)| Reverse(*position));
        all.iter_mut().for_each(|(position, _)| *position = u64::MAX - *position);
    }
    let (items, token) = page.cut(all.into_iter());
    let mut body = json!({ member: items, "totalSize": size });
    set_token(&mut body, token);
    Ok(body)
}
