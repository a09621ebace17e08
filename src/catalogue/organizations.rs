//! Several organizations behind one connection: which of them a call is for, and lists over all of them. Tools do not
//! know of it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    code,
    context::Context,
    entry::{Effect, Entry},
    narrowing::Narrowing,
    resolve::{ClusterReference, at_fixed, named},
    toolbox::Tools,
};
use crate::{
    base::{clock::UnixMillis, expiring::ExpiringMap},
    mcp::outcome::{Output, ToolError},
    tidbcloud::{ApiError, Authenticator, Caller, ClusterId, DedicatedCluster, SqlLogin},
};

/// Name of the argument.
pub(super) const ARGUMENT: &str = "organization";
/// The hint if a cluster is not found.
const LOOK: &str = "Call tidbcloud_list_clusters to see the clusters.";
/// Clusters do not move: an entry of five minutes saves the lookup, and a deleted cluster costs one 404.
const KNOWN: Duration = Duration::from_secs(300);
/// 256 entries of some 100 bytes are 25 KiB of an isolate's 128 MiB.
const KNOWN_MAX: usize = 256;

/// One organization of TiDB Cloud.
#[derive(Clone)]
pub struct Organization<'a> {
    /// What the person who connected it calls it.
    pub name: &'a str,
    /// The credentials for TiDB Cloud.
    pub authenticator: Authenticator,
    /// The caller's own SQL user.
    pub own_login: Option<&'a SqlLogin>,
}

/// The organization in which each cluster was found, by `home`.
pub struct Homes(ExpiringMap<str, ()>);

impl Default for Homes {
    fn default() -> Self {
        Self(ExpiringMap::refusing(KNOWN_MAX))
    }
}

impl Homes {
    fn knows(&self, caller: Caller, cluster: &ClusterId, now: UnixMillis) -> bool {
        self.0.until(&home(caller, cluster), now).is_some()
    }

    fn remember(&self, caller: Caller, cluster: &ClusterId, now: UnixMillis) {
        self.0.insert(&home(caller, cluster), (), now.after(KNOWN), now);
    }
}

fn home(caller: Caller, cluster: &ClusterId) -> String {
    format!("{caller} {cluster}")
}

/// Whether a caller has a choice between organizations.
pub(super) fn is_choice(organizations: &[Organization<'_>], narrowing: &Narrowing) -> bool {
    organizations.len() > 1 && !narrowing.fixes_cluster()
}

/// Adds the argument to a schema.
pub(super) fn offer(organizations: &[Organization<'_>], schema: &mut Value) {
    let names: Vec<&str> = organizations.iter().map(|organization| organization.name).collect();
    if let Some(properties) = schema
        .as_object_mut()
        .and_then(|schema| schema.entry("properties").or_insert_with(|| json!({})).as_object_mut())
    {
        properties
            .insert(ARGUMENT.to_owned(), json!({"type": "string", "enum": names, "description": "Whose account"}));
    }
}

impl Tools<'_> {
    /// Runs a tool for several organizations, or none.
    pub(super) async fn run_in_one_or_all(
        &self,
        tool: &'static Entry,
        mut arguments: Map<String, Value>,
        deadline: UnixMillis,
    ) -> Result<Output, ToolError> {
        let chosen = match arguments.remove(ARGUMENT) {
            None => None,
            Some(name) => Some(self.organization(&name)?),
        };
        if let Some(organization) = chosen {
            let Output { structured, picture } = self.run_in(tool, organization, arguments, deadline).await?;
            return Ok(Output { structured: label(tool, structured, organization), picture });
        }
        // A list that is narrowed to a cluster is of its organization.
        let is_of_cluster = tool.argument("cluster").is_some() && arguments.contains_key("cluster");
        if let Some(field) = tool.list.filter(|_| !is_of_cluster) {
            // Without a picture: each organization has a scale of its own.
            return self.run_in_all(tool, field, arguments, deadline).await.map(Output::from);
        }
        let given = tool.argument("cluster").and_then(|_| arguments.get("cluster"));
        let text = given.and_then(Value::as_str).unwrap_or_default();
        let Ok(cluster) = ClusterReference::try_from(text.to_owned()) else {
            // The tool's own error says what is wrong with `cluster`.
            return match self.view.organizations.first() {
                Some(first) if !needs_choice(tool) => self.run_in(tool, first, arguments, deadline).await,
                _ => Err(self.choose("This creates something, and several organizations are connected.")),
            };
        };
        let home = self.home(&cluster, deadline).await;
        let (organization, id) =
            home.map_err(
                |error| if self.view.narrowing.fixes_cluster() { at_fixed("cluster", text, error) } else { error },
            )?;
        arguments.insert("cluster".to_owned(), id.to_string().into());
        self.run_in(tool, organization, arguments, deadline).await
    }

    fn organization(&self, name: &Value) -> Result<&Organization<'_>, ToolError> {
        let found = self.view.organizations.iter().find(|organization| name.as_str() == Some(organization.name));
        found.ok_or_else(|| self.choose("`organization` does not name a connected organization."))
    }

    fn choose(&self, message: &'static str) -> ToolError {
        let names: Vec<_> =
            self.view.organizations.iter().map(|organization| format!("`{}`", organization.name)).collect();
        ToolError::new(code::INVALID_ARGUMENT, message).hint(format!("Give `{ARGUMENT}`, one of {}.", names.join(", ")))
    }

    /// The organization that has a cluster, and the cluster's id.
    async fn home(
        &self,
        cluster: &ClusterReference,
        deadline: UnixMillis,
    ) -> Result<(&Organization<'_>, ClusterId), ToolError> {
        let id = match cluster {
            ClusterReference::Id(id) => id.clone(),
            ClusterReference::Name(name) => {
                let alias = self.aliases.iter().find_map(|(_, aliases)| aliases.get(name));
                match alias {
                    Some(id) => id.clone(),
                    None => return self.home_of_name(name, deadline).await,
                }
            }
        };
        let now = self.io.now();
        let known = |organization: &&Organization<'_>| self.homes.knows(organization.authenticator.caller(), &id, now);
        if let Some(organization) = self.view.organizations.iter().find(known) {
            return Ok((organization, id));
        }
        for organization in self.view.organizations {
            match self.context(organization, deadline).cloud().cluster(&id).await {
                Ok(_) => {
                    self.homes.remember(organization.authenticator.caller(), &id, now);
                    return Ok((organization, id));
                }
                Err(ApiError::NotFound(_) | ApiError::Forbidden(_)) => {}
                Err(error) => return Err(in_organization(error.into(), organization)),
            }
        }
        if let Some((organization, id)) =
            self.dedicated_homes(|cluster| cluster.cluster_id == id, deadline).await?.pop()
        {
            self.homes.remember(organization.authenticator.caller(), &id, now);
            return Ok((organization, id));
        }
        let message = format!("No connected organization has a cluster with the id `{id}`.");
        Err(ToolError::new(code::NOT_FOUND, message).hint(LOOK))
    }

    async fn home_of_name(
        &self,
        name: &str,
        deadline: UnixMillis,
    ) -> Result<(&Organization<'_>, ClusterId), ToolError> {
        let mut found = Vec::new();
        let mut similar = None;
        for organization in self.view.organizations {
            let clusters = self.context(organization, deadline).cloud().all_clusters().await;
            let clusters = clusters.map_err(|error| in_organization(error.into(), organization))?;
            match named(name, &clusters) {
                Ok(id) => found.push((organization, id)),
                Err(error) if error.code == code::NOT_FOUND => similar = similar.or(Some(error)),
                Err(error) => return Err(in_organization(error, organization)),
            }
        }
        if found.is_empty() {
            found = self.dedicated_homes(|cluster| cluster.display_name == name, deadline).await?;
        }
        match (found.pop(), found.as_slice()) {
            (Some(only), []) => Ok(only),
            (Some(last), others) => {
                let names: Vec<_> =
                    others.iter().chain([&last]).map(|(organization, _)| format!("`{}`", organization.name)).collect();
                Err(ToolError::new(
                    code::AMBIGUOUS_NAME,
                    format!("Several organizations have a cluster `{name}`: {}.", names.join(", ")),
                )
                .hint(format!("Give `{ARGUMENT}`, or the cluster by its id.")))
            }
            (None, _) => Err(similar.unwrap_or_else(|| {
                ToolError::new(code::NOT_FOUND, format!("No cluster is named `{name}`.")).hint(LOOK)
            })),
        }
    }

    /// The Dedicated clusters that are meant, with their organizations.
    async fn dedicated_homes(
        &self,
        is_meant: impl Fn(&DedicatedCluster) -> bool,
        deadline: UnixMillis,
    ) -> Result<Vec<(&Organization<'_>, ClusterId)>, ToolError> {
        let mut found = Vec::new();
        for organization in self.view.organizations {
            let clusters = self.context(organization, deadline).dedicated().await;
            let clusters = clusters.map_err(|error| in_organization(error.into(), organization))?;
            let meant = clusters.into_iter().filter(&is_meant);
            found.extend(meant.map(|cluster| (organization, cluster.cluster_id)));
        }
        Ok(found)
    }

    /// The organization in which a page begins, and its own page token there.
    fn place(&self, token: &Value) -> Result<(usize, Option<String>), ToolError> {
        let place = token
            .as_str()
            .and_then(|token| token.split_once(':'))
            .and_then(|(at, token)| Some((at.parse::<usize>().ok()?, token.to_owned())));
        let (at, token) = place.filter(|(at, _)| *at < self.view.organizations.len()).ok_or_else(|| {
            ToolError::new(code::INVALID_ARGUMENT, "`pageToken` does not belong to this list.")
                .hint("Give the `nextPageToken` of the previous page, or leave it out to start again.")
        })?;
        Ok((at, Some(token).filter(|token| !token.is_empty())))
    }

    /// A list over all organizations, one after the other. A page token begins with the organization's number.
    async fn run_in_all(
        &self,
        tool: &'static Entry,
        field: &str,
        mut arguments: Map<String, Value>,
        deadline: UnixMillis,
    ) -> Result<String, ToolError> {
        let (first, mut token) = match arguments.remove("pageToken") {
            None => (0, None),
            Some(token) => self.place(&token)?,
        };
        let (mut pages, mut next, mut merged) = (Vec::new(), None, Map::new());
        for (at, organization) in self.view.organizations.iter().enumerate().skip(first) {
            let mut own = arguments.clone();
            if let Some(token) = token.take() {
                own.insert("pageToken".to_owned(), token.into());
            }
            let others = self.view.organizations.iter().enumerate().filter(|(other, _)| *other != at);
            let others = others.map(|(_, other)| *self.context(other, deadline).cloud()).collect();
            let context = Context { others, ..self.context(organization, deadline) };
            let output = tool.run(context, own).await;
            let mut output = read(&output.map_err(|error| in_organization(error, organization))?.structured);
            if pages.is_empty() {
                let member = |name: &&str| Some(((*name).to_owned(), output.get_mut(*name)?.take()));
                merged.extend(tool.of_caller.iter().filter_map(member));
            }
            if let Some(Value::Array(items)) = output.get_mut(field).map(Value::take) {
                pages.push((organization, items));
            }
            if let Some(token) = output.get("nextPageToken").and_then(Value::as_str) {
                next = Some(format!("{at}:{token}"));
                break;
            }
        }
        merged.insert(field.to_owned(), merge(&pages).into());
        if let Some(next) = next {
            merged.insert("nextPageToken".to_owned(), next.into());
        }
        Ok(Value::Object(merged).to_string())
    }
}

/// The items of all organizations, each with its organization's name.
fn merge(pages: &[(&Organization<'_>, Vec<Value>)]) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    for (at, (organization, page)) in pages.iter().enumerate() {
        for item in page {
            // An alias from a setting, which every organization has, belongs to none. Anything else that is equal, such as an amount or
            // a person, is of each.
            let elsewhere = |(other, (_, page)): (usize, &(_, Vec<Value>))| other != at && page.contains(item);
            let mut item = item.clone();
            if item.get("alias").is_some() && pages.iter().enumerate().any(elsewhere) {
                if !items.contains(&item) {
                    items.push(item);
                }
            } else {
                name_organization(&mut item, organization);
                items.push(item);
            }
        }
    }
    items
}

/// Whether a tool without a cluster needs an organization: a read-only one gives the same result in each.
fn needs_choice(tool: &'static Entry) -> bool {
    tool.effect != Effect::Read && tool.argument("cluster").is_none()
}

/// Adds its organization's name to each item of a list.
fn label(tool: &Entry, output: String, organization: &Organization<'_>) -> String {
    let Some(field) = tool.list else { return output };
    let mut output = read(&output);
    for item in output.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
        name_organization(item, organization);
    }
    output.to_string()
}

/// Reads a tool's output.
fn read(output: &str) -> Value {
    serde_json::from_str(output).unwrap_or_default()
}

fn name_organization(item: &mut Value, organization: &Organization<'_>) {
    if let Some(item) = item.as_object_mut() {
        item.insert(ARGUMENT.to_owned(), organization.name.into());
    }
}

/// Says which organization failed.
fn in_organization(mut error: ToolError, organization: &Organization<'_>) -> ToolError {
    error.message = format!("Organization `{}`: {}", organization.name, error.message);
    error
}
