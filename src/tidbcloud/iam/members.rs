//! Members of the organization.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;

use crate::{
    base::http::Method,
    tidbcloud::{
        ApiError, Cloud, EmailAddress, MemberId, PageToken,
        service::IAM,
        tolerant::{filled, or_default},
        transport::list::{List, Listed},
    },
};

/// A role, and what it is for: an organization, a project, an instance (schemas `api.OpenApiOrgRole`,
/// `api.OpenApiProjectRole`, `api.OpenApiInstanceRole`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopedRole {
    /// For example `project:dev`.
    #[serde(default, deserialize_with = "or_default")]
    pub rbac_role: String,
    /// The id of what it is for.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub scope_id: String,
}

/// A member, or somebody who is invited (schema `api.OpenApiUser`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "fields are those of the published schema, which says what they mean")]
pub struct Member {
    pub user_id: MemberId,
    #[serde(default, deserialize_with = "or_default")]
    pub email: String,
    #[serde(default, deserialize_with = "filled")]
    pub first_name: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    pub last_name: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    pub status: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub org_role: ScopedRole,
    /// `None` if the answer does not say.
    #[serde(default)]
    pub project_roles: Option<Vec<ScopedRole>>,
    #[serde(default, deserialize_with = "or_default")]
    pub instance_roles: Vec<ScopedRole>,
    #[serde(default, deserialize_with = "filled")]
    pub last_login_time: Option<String>,
}

impl Listed for Member {
    const MEMBER: &'static str = "users";
}

/// Roles to give (schema `api.openApiUpdateUserReqDoc`): those of a kind replace all of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRoles {
    /// In the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_role: Option<ScopedRole>,
    /// In projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_roles: Option<Vec<ScopedRole>>,
}

/// What came of an invitation (schema `api.OpenApiInviteUsersRsp`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Invitation {
    /// Whether it was sent.
    #[serde(default)]
    pub success: Option<bool>,
    /// What TiDB Cloud says of it.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// Who was invited, if it says so.
    #[serde(default, deserialize_with = "or_default")]
    pub users: Vec<Invitee>,
}

/// One of them (schema `api.OpenApiInviteUserResult`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Invitee {
    /// Their address.
    #[serde(default, deserialize_with = "or_default")]
    pub email: String,
}

impl Cloud<'_> {
    /// `GET /members` of IAM: one page, of 100 by default.
    pub async fn members(&self, size: Option<u32>, token: Option<&PageToken>) -> Result<List<Member>, ApiError> {
        self.page(IAM.get("members", []), size, token).await
    }

    /// `GET /members` of IAM, all pages.
    pub async fn all_members(&self) -> Result<Vec<Member>, ApiError> {
        self.all(IAM.get("members", [])).await
    }

    /// `GET /members?email=` of IAM: those with this address.
    pub async fn members_with(&self, email: &EmailAddress) -> Result<Vec<Member>, ApiError> {
        self.all(IAM.get("members", []).with_query(&[("email", email.as_str())])).await
    }

    /// `POST /members` of IAM, sent once: an e-mail to each address.
    pub async fn invite(&self, emails: &[&EmailAddress], roles: &MemberRoles) -> Result<Invitation, ApiError> {
        let body = json!({ "emails": emails, "orgRole": roles.org_role, "projectRoles": roles.project_roles });
        self.write(&IAM.call(Method::Post, "members", []).with_body(&body)).await
    }

    /// `POST /members/{user_id}/resendInvitation` of IAM, sent once.
    pub async fn invite_again(&self, id: &MemberId) -> Result<(), ApiError> {
        let call = IAM.call(Method::Post, "members/{}/resendInvitation", [id.as_str()]);
        self.write::<IgnoredAny>(&call).await.map(drop)
    }

    /// `PATCH /members/{user_id}` of IAM.
    pub async fn set_member_roles(&self, id: &MemberId, roles: &MemberRoles) -> Result<(), ApiError> {
        let call = IAM.call(Method::Patch, "members/{}", [id.as_str()]).with_body(&json!(roles));
        self.set::<IgnoredAny>(&call, async || None).await.map(drop)
    }

    /// `DELETE /members/{user_id}` of IAM. Repeated after a lost answer.
    pub async fn remove_member(&self, id: &MemberId) -> Result<(), ApiError> {
        let call = IAM.call(Method::Delete, "members/{}", [id.as_str()]);
        self.remove::<IgnoredAny>(&call).await.map(drop)
    }
}
