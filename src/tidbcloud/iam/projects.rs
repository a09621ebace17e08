//! Projects.

use serde::Deserialize;

use crate::tidbcloud::{
    ApiError, Cloud, PageToken, ProjectId,
    service::IAM,
    tolerant::{filled, integer, or_default},
    transport::list::{List, Listed},
};

/// A project (schema `api.Project` of TiDB Cloud's command line client, which is not published).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// How many clusters it has.
    #[serde(default, deserialize_with = "integer")]
    pub cluster_count: Option<u32>,
    /// How many people have a role for it.
    #[serde(default, deserialize_with = "integer")]
    pub user_count: Option<u32>,
    /// When it was made: seconds since 1970, as text.
    #[serde(default, deserialize_with = "filled")]
    pub create_timestamp: Option<String>,
}

impl Listed for Project {
    const MEMBER: &'static str = "projects";
}

impl Cloud<'_> {
    /// `GET /projects` of IAM: one page. Not published.
    pub async fn projects(&self, size: Option<u32>, token: Option<&PageToken>) -> Result<List<Project>, ApiError> {
        self.page(IAM.get("projects", []), size, token).await
    }

    /// `GET /projects` of IAM, all pages. Not published.
    pub async fn all_projects(&self) -> Result<Vec<Project>, ApiError> {
        self.all(IAM.get("projects", [])).await
    }
}
