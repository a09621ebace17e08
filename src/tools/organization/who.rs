//! Who is meant, and which project: by the same rules as clusters, so an id, or what names exactly one.

use serde::Deserialize;

use super::roles::RoleName;
use crate::{
    base::schema::schema_of,
    catalogue::{Context, ToolError, code, one},
    tidbcloud::{EmailAddress, Member, MemberId, ProjectId},
};

/// A member as a caller writes them: what has an `@` is an e-mail address, anything else an id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum MemberReference {
    Id(MemberId),
    Email(EmailAddress),
}

impl MemberReference {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Id(id) => id.as_str(),
            Self::Email(email) => email.as_str(),
        }
    }
}

impl TryFrom<String> for MemberReference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = if text.contains('@') {
            EmailAddress::try_from(text).map(Self::Email)
        } else {
            MemberId::try_from(text).map(Self::Id)
        };
        read.map_err(|_| "must be the id of a member or a plain e-mail address")
    }
}

/// A project as a caller writes it: digits are an id, anything else a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ProjectReference(String);

impl ProjectReference {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProjectReference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_name = (1..=64).contains(&text.chars().count())
            && text.trim() == text
            && !text.contains(crate::base::text::is_hidden)
            && !text.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
        if is_name { Ok(Self(text)) } else { Err("must be the id or the exact name of a project") }
    }
}

schema_of! {
    MemberReference => {"type": "string", "description": "Id or email"};
    ProjectReference => {"type": "string", "description": "Id or exact name"};
}

/// The member that is meant. TiDB Cloud has no call for one, so those with the address are read, or all.
pub(super) async fn member(context: &Context<'_>, who: &MemberReference) -> Result<Member, ToolError> {
    let (all, is_meant): (_, &dyn Fn(&Member) -> bool) = match who {
        MemberReference::Email(email) => {
            (context.cloud().members_with(email).await?, &|member| member.email.eq_ignore_ascii_case(email.as_str()))
        }
        MemberReference::Id(id) => (context.cloud().all_members().await?, &|member| member.user_id == *id),
    };
    let mut meant = all.into_iter().filter(|member| is_meant(member));
    match (meant.next(), meant.next()) {
        (Some(member), None) => {
            context.still_means("member", who.as_str(), member.user_id.as_str())?;
            Ok(member)
        }
        (None, _) => {
            let message = format!("`{}` is no member of this organization.", who.as_str());
            Err(ToolError::new(code::NOT_FOUND, message).hint("Call tidbcloud_list_members to see who is."))
        }
        (Some(_), Some(_)) => {
            let message = format!("Several members have the address `{}`.", who.as_str());
            Err(ToolError::new(code::AMBIGUOUS_NAME, message).hint("Give the member by its id."))
        }
    }
}

/// What a person reads if the member is whoever this connection stands for, as far as that is known.
pub(super) fn own(subject: Option<&str>, member: &Member) -> Option<&'static str> {
    let is_own = subject.is_some_and(|subject| subject.eq_ignore_ascii_case(&member.email));
    is_own.then_some("is this member's own: it can do less after this, or nothing")
}

/// The project that a role is for, which it must have if it is a role in a project, and only then.
pub(super) async fn project_of(
    context: &Context<'_>,
    role: RoleName,
    project: Option<&ProjectReference>,
) -> Result<Option<ProjectId>, ToolError> {
    fits(role, project)?;
    match project {
        Some(project) => project_id(context, project).await.map(Some),
        None => Ok(None),
    }
}

fn fits(role: RoleName, project: Option<&ProjectReference>) -> Result<(), ToolError> {
    let refused = |message: String, hint: &str| Err(ToolError::new(code::INVALID_ARGUMENT, message).hint(hint));
    match (role.is_of_project(), project) {
        (true, None) => refused(
            format!("The role {} is one in a project, and `project` is missing.", role.0),
            "Give `project`; tidbcloud_list_projects shows them.",
        ),
        (false, Some(_)) => refused(
            format!("The role {} is one in the whole organization, so it takes no `project`.", role.0),
            "Leave out `project`, or give a role that begins with project:.",
        ),
        _ => Ok(()),
    }
}

/// The id of the project that is meant.
pub(super) async fn project_id(context: &Context<'_>, project: &ProjectReference) -> Result<ProjectId, ToolError> {
    if let Ok(id) = ProjectId::try_from(project.0.clone()) {
        return Ok(id);
    }
    let all = context.cloud().all_projects().await?.into_iter().map(|project| (project.name, project.id));
    let id = one("project", &project.0, all, "tidbcloud_list_projects")?;
    context.still_means("project", &project.0, id.as_str())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::own;

    #[test]
    fn whose_connection_it_is_is_said() {
        let member = serde_json::from_value(json!({ "userId": "1", "email": "Owner@example.com" })).unwrap();
        for (subject, is_own) in
            [(None, false), (Some("owner@example.com"), true), (Some("other@example.com"), false), (Some(""), false)]
        {
            assert_eq!(own(subject, &member).is_some(), is_own, "{subject:?}");
        }
    }
}
