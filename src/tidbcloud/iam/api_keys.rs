//! API keys.

use serde::{Deserialize, de::IgnoredAny};

use crate::tidbcloud::{ApiError, Authenticator, Cloud, service::IAM, tolerant::filled, transport::list::ONE};

/// The caller's own API key (schema `api.OpenApiApiKey`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnKey {
    /// What its owner calls it.
    #[serde(default, deserialize_with = "filled")]
    pub display_name: Option<String>,
    /// For example `org:owner`.
    #[serde(default, deserialize_with = "filled")]
    pub role: Option<String>,
}

impl Cloud<'_> {
    /// Who the caller is, asked once: `GET /apikeys/{accessKey}` of IAM for its own key. A token of TiDB Cloud's own OAuth has
    /// no key: `GET /projects` then shows whether IAM takes it.
    pub async fn own_key(&self) -> Result<Option<OwnKey>, ApiError> {
        match self.authenticator {
            Authenticator::Digest(key) => self.look(&IAM.get("apikeys/{}", [key.public()])).await.map(Some),
            Authenticator::Bearer(_) => {
                self.look::<IgnoredAny>(&IAM.get("projects", []).with_query(ONE)).await.map(|_| None)
            }
        }
    }
}
