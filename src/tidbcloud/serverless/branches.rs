//! Branches of clusters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::instance::{Endpoints, State};
use crate::{
    base::{http::Method, secret::Secret},
    tidbcloud::{
        ApiError, BranchId, BranchName, Cloud, ClusterId, PageToken, SqlUser, Timestamp,
        service::SERVERLESS,
        tolerant::or_default,
        transport::{
            list::{List, Listed},
            repeat::{Created, Made, Mark},
        },
    },
};

/// A branch of a cluster (schema `Branch`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct Branch {
    #[serde(default)]
    pub name: Option<String>,
    pub branch_id: BranchId,
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    #[serde(default)]
    pub cluster_id: Option<String>,
    #[serde(default)]
    pub parent_id: Option<String>,
    #[serde(default)]
    pub parent_display_name: Option<String>,
    #[serde(default)]
    pub parent_timestamp: Option<String>,
    #[serde(default)]
    pub created_by: Option<String>,
    #[serde(default)]
    pub state: Option<State>,
    #[serde(default)]
    pub endpoints: Option<Endpoints>,
    #[serde(default)]
    pub user_prefix: Option<String>,
    #[serde(default)]
    pub create_time: Option<String>,
    #[serde(default)]
    pub update_time: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// A page of branches (schema `ListBranchesResponse`).
pub type BranchList = List<Branch>;

impl Listed for Branch {
    const MEMBER: &'static str = "branches";
}

/// The settings of a new branch (`POST /clusters/{clusterId}/branches`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewBranch {
    /// Its name.
    pub display_name: BranchName,
    /// The branch it is made from; `None` is the cluster itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<BranchId>,
    /// The moment of the parent's data; `None` is the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_timestamp: Option<Timestamp>,
}

impl Created for Branch {
    fn display_name(&self) -> &str {
        &self.display_name
    }

    fn create_time(&self) -> Option<&str> {
        self.create_time.as_deref()
    }
}

impl Branch {
    /// A request below one cluster does not prove that the branch belongs to it: page tokens and ids of branches are the
    /// caller's, and how TiDB Cloud looks them up is not published.
    fn must_be_of(&self, cluster: &ClusterId) -> Result<(), ApiError> {
        match &self.cluster_id {
            Some(of) if of != cluster.as_str() => Err(ApiError::Unexpected("a branch of another cluster")),
            _ => Ok(()),
        }
    }

    /// The description of a deleted branch.
    fn gone(cluster: &ClusterId, id: &BranchId) -> Self {
        Self {
            name: None,
            branch_id: id.clone(),
            display_name: String::new(),
            cluster_id: Some(cluster.to_string()),
            parent_id: None,
            parent_display_name: None,
            parent_timestamp: None,
            created_by: None,
            state: Some(State::Deleted),
            endpoints: None,
            user_prefix: None,
            create_time: None,
            update_time: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Cloud<'_> {
    /// `GET /clusters/{clusterId}/branches`: one page. `page_size` is 10 by default and 100 at most.
    pub async fn branches(
        &self,
        id: &ClusterId,
        page_size: Option<u32>,
        page_token: Option<&PageToken>,
    ) -> Result<BranchList, ApiError> {
        let list = SERVERLESS.get("clusters/{}/branches", [id.as_str()]);
        let page: BranchList = self.page(list, page_size, page_token).await?;
        page.items.iter().try_for_each(|branch| branch.must_be_of(id))?;
        Ok(page)
    }

    /// `GET /clusters/{clusterId}/branches`: all pages.
    pub async fn all_branches(&self, id: &ClusterId) -> Result<Vec<Branch>, ApiError> {
        let all: Vec<Branch> = self.all(SERVERLESS.get("clusters/{}/branches", [id.as_str()])).await?;
        all.iter().try_for_each(|branch| branch.must_be_of(id))?;
        Ok(all)
    }

    /// `GET /clusters/{clusterId}/branches/{branchId}`
    pub async fn branch(&self, id: &ClusterId, branch: &BranchId) -> Result<Branch, ApiError> {
        let call = SERVERLESS.get("clusters/{}/branches/{}", [id.as_str(), branch.as_str()]);
        let found: Branch = self.read(&call).await?;
        found.must_be_of(id)?;
        Ok(found)
    }

    /// `POST /clusters/{clusterId}/branches`. It is sent once; if no response comes, the branch is looked up by name and
    /// creation time.
    pub async fn create_branch(&self, id: &ClusterId, new: &NewBranch) -> Result<Made<Branch>, ApiError> {
        let call = SERVERLESS.call(Method::Post, "clusters/{}/branches", [id.as_str()]).with_body(&json!(new));
        let mark = Mark { name: new.display_name.as_str(), key: None };
        self.create(&call, mark, async || self.all_branches(id).await).await
    }

    /// `DELETE /clusters/{clusterId}/branches/{branchId}`: returns the branch. Repeated after a lost response; if it is
    /// then gone, only ids and state are known.
    pub async fn delete_branch(&self, id: &ClusterId, branch: &BranchId) -> Result<Branch, ApiError> {
        let call = SERVERLESS.call(Method::Delete, "clusters/{}/branches/{}", [id.as_str(), branch.as_str()]);
        Ok(self.remove(&call).await?.unwrap_or_else(|| Branch::gone(id, branch)))
    }

    /// `POST /clusters/{clusterId}/branches/{branchId}:reset`: returns the branch. Sent once, because a second reset would lose what
    /// was changed after the first; if no answer comes, a branch that is RESTORING was reset.
    pub async fn reset_branch(&self, id: &ClusterId, branch: &BranchId) -> Result<Branch, ApiError> {
        let call = SERVERLESS.call(Method::Post, "clusters/{}/branches/{}:reset", [id.as_str(), branch.as_str()]);
        match self.write(&call).await {
            Err(unknown @ ApiError::OutcomeUnknown { .. }) => match self.branch(id, branch).await {
                Ok(found) if found.state == Some(State::Restoring) => Ok(found),
                _ => Err(unknown),
            },
            reset => reset,
        }
    }

    /// `PATCH /clusters/{clusterId}/branches/{branchId}/sqlUsers/{username}`, by full name: another password.
    pub async fn set_branch_sql_password(
        &self,
        id: &ClusterId,
        branch: &BranchId,
        full_name: &str,
        password: &Secret,
    ) -> Result<SqlUser, ApiError> {
        let arguments = [id.as_str(), branch.as_str(), full_name];
        let body = json!({ "password": password.expose() });
        let call = SERVERLESS
            .call(Method::Patch, "clusters/{}/branches/{}/sqlUsers/{}", arguments)
            .with_secret(&body, password);
        self.set(&call, async || None).await
    }
}
