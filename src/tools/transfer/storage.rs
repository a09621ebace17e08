//! How a cloud's storage is opened: by a role that an argument names, or by keys that a person gives on a page.

use serde::Deserialize;

use crate::{
    base::{schema::schema_of, secret::Secret},
    catalogue::{Context, CredentialField, ToolError, code},
    tidbcloud::{Opened, Place, RoleArn, StorageKind},
};

const KEY_ID: CredentialField = CredentialField { name: "accessKeyId", label: "Access key id", long: false };

const FIELDS_OF_S3: &[CredentialField] =
    &[KEY_ID, CredentialField { name: "key", label: "Secret access key", long: false }];
const FIELDS_OF_OSS: &[CredentialField] =
    &[KEY_ID, CredentialField { name: "key", label: "Access key secret", long: false }];
const FIELDS_OF_GCS: &[CredentialField] =
    &[CredentialField { name: "key", label: "Service account key (JSON)", long: true }];
const FIELDS_OF_AZURE: &[CredentialField] = &[CredentialField { name: "key", label: "SAS token", long: false }];

/// What a person has to give for this storage; nothing with a role.
pub(super) fn fields(place: &Place, role: Option<&RoleArn>) -> &'static [CredentialField] {
    match place.kind() {
        _ if role.is_some() => &[],
        StorageKind::S3 => FIELDS_OF_S3,
        StorageKind::Gcs => FIELDS_OF_GCS,
        StorageKind::Azure => FIELDS_OF_AZURE,
        StorageKind::Oss => FIELDS_OF_OSS,
    }
}

/// How it is opened, for a person.
pub(super) fn access(role: Option<&RoleArn>) -> String {
    match role {
        Some(role) => format!("By the role {}", role.as_str()),
        None => {
            "By the keys that you give below. TiDB Cloud gets them; the model does not, and they are not kept here."
                .to_owned()
        }
    }
}

/// Requires that a role is for storage that knows roles.
pub(super) fn must_take_role(place: &Place, role: Option<&RoleArn>) -> Result<(), ToolError> {
    if role.is_none() || place.kind() == StorageKind::S3 {
        return Ok(());
    }
    Err(ToolError::new(code::INVALID_ARGUMENT, "`roleArn` is for Amazon S3 only.")
        .hint("Leave it out: the person gives keys of this storage on a page."))
}

/// The keys of a call, as TiDB Cloud takes them.
pub(super) struct Keys {
    id: String,
    key: Secret,
    forms: Vec<Secret>,
}

impl Keys {
    /// What the person handed in.
    pub(super) fn handed_in(context: &Context<'_>, place: &Place) -> Result<Self, ToolError> {
        let missing = || ToolError::fault("nobody handed in the keys that the call asked for");
        let handed_in = context.handed_in().ok_or_else(missing)?;
        let key = handed_in.get("key").ok_or_else(missing)?;
        let id = handed_in.get("accessKeyId").map(|id| id.expose().to_owned()).unwrap_or_default();
        // The official client takes it in base64 and says so; a person has the file.
        let key = match place.kind() {
            StorageKind::Gcs if key.expose().trim_start().starts_with('{') => Secret::new(encoded(key)),
            // As a part of an address it begins with a question mark.
            StorageKind::Azure => Secret::new(key.expose().trim_start_matches('?')),
            _ => key.clone(),
        };
        Ok(Self { id, key, forms: context.hidden_forms() })
    }

    pub(super) fn open(&self) -> Opened<'_> {
        Opened::Key { id: &self.id, key: &self.key, forms: &self.forms }
    }
}

fn encoded(key: &Secret) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(key.expose())
}

/// Where an export goes.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) enum ExportTarget {
    /// TiDB Cloud keeps the files for a download.
    Download,
    To(Place),
}

impl TryFrom<String> for ExportTarget {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "download" { Ok(Self::Download) } else { Place::try_from(text).map(Self::To) }
    }
}

schema_of! {
    ExportTarget => {"type": "string"};
}
