//! API keys.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    base::http::Method,
    tidbcloud::{
        AccessKey, ApiError, Authenticator, Cloud, PageToken, ProjectId,
        service::IAM,
        tolerant::{filled, or_default},
        transport::list::{List, Listed, ONE},
    },
};

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

/// An API key (schema `api.OpenApiApiKey`). Its private key is not read, whatever the answer holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownKey {
    /// The public key.
    pub access_key: AccessKey,
    /// What its owner calls it.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// For example `org:owner`.
    #[serde(default, deserialize_with = "or_default")]
    pub role: String,
}

impl Listed for KnownKey {
    const MEMBER: &'static str = "apiKeys";
}

impl Cloud<'_> {
    /// The public key of the caller; `None` for a token of TiDB Cloud's own OAuth.
    pub fn public_key(&self) -> Option<&str> {
        match self.authenticator {
            Authenticator::Digest(key) => Some(key.public()),
            Authenticator::Bearer(_) => None,
        }
    }

    /// Whom the caller's token of TiDB Cloud's own OAuth stands for: an e-mail address, or a name; `None` for an API key.
    pub fn subject(&self) -> Option<&str> {
        match self.authenticator {
            Authenticator::Digest(_) => None,
            Authenticator::Bearer(token) => Some(token.subject()),
        }
    }

    /// `GET /apikeys` of IAM: one page, of 100 by default. `project` may be left out: TiDB Cloud then chooses.
    pub async fn api_keys(
        &self,
        project: Option<&ProjectId>,
        size: Option<u32>,
        token: Option<&PageToken>,
    ) -> Result<List<KnownKey>, ApiError> {
        let project = project.map(|project| ("projectId", project.as_str()));
        self.page(IAM.get("apikeys", []).with_query(project.as_slice()), size, token).await
    }

    /// `GET /apikeys` of IAM, all pages.
    pub async fn all_api_keys(&self) -> Result<Vec<KnownKey>, ApiError> {
        self.all(IAM.get("apikeys", [])).await
    }

    /// `GET /apikeys/{accessKey}` of IAM.
    pub async fn api_key(&self, key: &AccessKey) -> Result<KnownKey, ApiError> {
        self.read(&IAM.get("apikeys/{}", [key.as_str()])).await
    }

    /// `DELETE /apikeys/{accessKey}` of IAM. Repeated after a lost answer.
    pub async fn delete_api_key(&self, key: &AccessKey) -> Result<(), ApiError> {
        let call = IAM.call(Method::Delete, "apikeys/{}", [key.as_str()]);
        self.remove::<IgnoredAny>(&call).await.map(drop)
    }

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
