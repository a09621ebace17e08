//! `tidbcloud_delete_api_key`: a key works no more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::roles::meaning;
use crate::{
    base::{schema::schema_of, text::is_hidden},
    catalogue::{Context, Done, Effect, Receipt, Stakes, Tool, ToolError, code, named, one, said},
    tidbcloud::{AccessKey, ApiError, KnownKey},
};

/// Delete an API key, so that it works no more. This cannot be undone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteApiKey {
    key: KeyReference,
}

/// A key as a caller writes it: its public key, or its exact name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct KeyReference(String);

impl TryFrom<String> for KeyReference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_name = (1..=128).contains(&text.chars().count())
            && text.trim() == text
            && !text.contains(is_hidden)
            && !text.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
        if is_name { Ok(Self(text)) } else { Err("must be the public key or the exact name of an API key") }
    }
}

schema_of! {
    KeyReference => {"type": "string", "description": "Public key or exact name"};
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedKey {
    access_key: String,
    display_name: String,
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
}

const OWN: &str =
    "This connection worked with this key: its next call is refused. Ask the person to connect with another key.";

/// `projectId` of `GET /apikeys`: "If not specified, the project ID of the default project is used."
const ELSEWHERE: &str = "Names are looked for in the default project alone: give a key of another project by its public key, which \
                         tidbcloud_list_api_keys shows with `project`.";

impl Tool for DeleteApiKey {
    const NAME: &'static str = "tidbcloud_delete_api_key";
    const TITLE: &'static str = "Delete API key";
    const EFFECT: Effect = Effect::Destroy;
    const RECEIPT: Option<Receipt<Self>> = Some(Receipt {
        look: "Look with tidbcloud_list_api_keys before trying again.",
        tries: |call| format!("delete the API key {}", call.key.0),
        done: |deleted| {
            let key = named(&deleted.display_name, &deleted.access_key);
            Done::of(format!("Deleted the API key {key}")).affecting(Some(1))
        },
    });
    type Output = DeletedKey;

    /// The key, which a person reads, again, and the deletion.
    fn requests_min(_: &Map<String, Value>) -> u32 {
        3
    }

    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let key = self.meant(context).await?;
        let is_own = context.cloud().public_key() == Some(key.access_key.as_str());
        let name = said(&key.display_name, key.access_key.as_str());
        let role = format!("{} ({})", key.role, meaning(&key.role).unwrap_or("not documented"));
        let stakes = Stakes::of(format!("Delete the API key {name}: whatever works with it stops."))
            .fact("Name", Some(&key.display_name))
            .fact("Public key", Some(&key.access_key))
            .fact("Role", Some(role))
            .fact("This connection", is_own.then_some("works with this key, and ends with it"))
            .fact(
                "SQL users",
                Some("that this server made for the key stay: db_remove_user with ofThisServer removes them before"),
            );
        Ok(Some(stakes.typing(key.access_key.as_str(), key.access_key.as_str())))
    }

    async fn call(self, context: &Context<'_>) -> Result<DeletedKey, ToolError> {
        let key = self.meant(context).await?;
        let is_own = context.cloud().public_key() == Some(key.access_key.as_str());
        context.cloud().delete_api_key(&key.access_key).await?;
        Ok(DeletedKey {
            access_key: key.access_key.into(),
            display_name: key.display_name,
            deleted: true,
            notice: is_own.then_some(OWN),
        })
    }
}

impl DeleteApiKey {
    async fn meant(&self, context: &Context<'_>) -> Result<KnownKey, ToolError> {
        if let Ok(key) = AccessKey::try_from(self.key.0.clone()) {
            match context.cloud().api_key(&key).await {
                Err(ApiError::NotFound(_)) => {}
                other => return Ok(other?),
            }
        }
        let keys = context.cloud().all_api_keys().await?;
        let names = keys.iter().map(|key| (key.display_name.clone(), key.access_key.clone()));
        let id = one("API key", &self.key.0, names, "tidbcloud_list_api_keys").map_err(|mut error| {
            let hint = if error.code == code::NOT_FOUND { ELSEWHERE } else { "Give the API key by its public key." };
            hint.clone_into(&mut error.hint);
            error
        })?;
        context.still_means("API key", &self.key.0, id.as_str())?;
        let meant = keys.into_iter().find(|key| key.access_key == id);
        meant.ok_or_else(|| ToolError::fault("a key that was found is not in its list"))
    }
}
