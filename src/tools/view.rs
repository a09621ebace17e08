//! What an address leaves of the tools: its parameters only ever narrow.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    Effect, Toolset, Traits, organization,
    resolve::{BranchReference, ClusterReference},
};
use crate::mcp::tools::{Definition, ToolError, ToolErrorCode};

/// What is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    read_only: bool,
    /// `None` are all.
    toolsets: Option<Vec<Toolset>>,
    cluster: Option<String>,
    branch: Option<String>,
}

/// Why a name or an alias label is not changed below a fixed cluster: addresses find their cluster by these, and a call
/// could make one of them mean another.
pub(super) const CALLED: &str =
    "cannot be changed here: the URL that this client connected to fixes the cluster, and what it is called with it.";

/// Why an address is refused: a sentence that repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoView(pub &'static str);

impl View {
    /// Reads a query.
    ///
    /// # Errors
    /// A parameter that is not known, stands twice or has a value that it cannot have.
    pub fn parse(query: Option<&str>) -> Result<Self, NoView> {
        let mut view = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !seen.insert(name.clone()) {
                return Err(NoView("A parameter of this URL stands twice."));
            }
            match name.as_ref() {
                "readonly" => {
                    view.read_only = match value.as_ref() {
                        "true" => true,
                        "false" => false,
                        _ => return Err(NoView("`readonly` must be true or false.")),
                    };
                }
                "toolsets" => {
                    let toolsets = value.split(',').map(Toolset::parse).collect::<Option<Vec<_>>>();
                    let rule = "`toolsets` must be some of clusters, branches, database and organization, separated by commas.";
                    view.toolsets = Some(toolsets.ok_or(NoView(rule))?);
                }
                "cluster" => {
                    let rule = "`cluster` must be a cluster's id, alias or display name.";
                    ClusterReference::try_from(value.clone().into_owned()).map_err(|_| NoView(rule))?;
                    view.cluster = Some(value.into_owned());
                }
                "branch" => {
                    let rule = "`branch` must be a branch's id or display name.";
                    BranchReference::try_from(value.clone().into_owned()).map_err(|_| NoView(rule))?;
                    view.branch = Some(value.into_owned());
                }
                _ => {
                    return Err(NoView(
                        "This URL takes the parameters readonly, toolsets, cluster and branch. Credentials never belong in a URL: send them as headers.",
                    ));
                }
            }
        }
        if view.branch.is_some() && view.cluster.is_none() {
            return Err(NoView("`branch` needs `cluster` beside it."));
        }
        Ok(view)
    }

    /// Whether nothing is taken away.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a tool is left. One that cannot be told to keep to the fixed cluster or branch reaches beyond it.
    pub(super) fn leaves(&self, definition: &Definition, tool: &Traits) -> bool {
        let takes = |name| definition.input_schema.get("properties").and_then(|all| all.get(name)).is_some();
        (!self.read_only || tool.effect == Effect::Read)
            && self.toolsets.as_ref().is_none_or(|toolsets| toolsets.contains(&tool.toolset))
            && self.fixed().all(|(name, _)| takes(name))
    }

    /// Whether the cluster is the address's to choose, and with it all that a cluster is found by.
    pub(super) fn fixes_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Whether the branch is the address's to choose.
    pub(super) fn fixes_branch(&self) -> bool {
        self.branch.is_some()
    }

    /// Takes what is not a caller's to choose out of a schema.
    pub(super) fn narrow(&self, tool: &Traits, schema: &mut Value) {
        for name in self.chosen().chain(self.renames(tool)) {
            if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                properties.remove(name);
            }
            if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|required| required != name);
            }
        }
    }

    /// Refuses arguments that are not a caller's to choose.
    pub(super) fn check(&self, tool: &Traits, arguments: &Map<String, Value>) -> Result<(), ToolError> {
        let given = |name: &&str| arguments.contains_key(*name);
        let refuse = |name, why| {
            let error = ToolError::new(ToolErrorCode::InvalidArgument, format!("`{name}` {why}"));
            Err(error.hint(format!("Leave `{name}` out.")))
        };
        if let Some(name) = self.chosen().find(given) {
            return refuse(name, "is fixed by the URL that this client connected to.");
        }
        match self.renames(tool).find(given) {
            Some(name) => refuse(name, CALLED),
            None => Ok(()),
        }
    }

    /// Adds what is fixed to the arguments of a call.
    pub(super) fn complete(&self, arguments: &mut Map<String, Value>) {
        for (name, value) in self.fixed() {
            arguments.insert(name.to_owned(), value.into());
        }
    }

    /// Arguments that the address decides: what is fixed, and the organization, which a fixed cluster has already.
    fn chosen(&self) -> impl Iterator<Item = &'static str> {
        let organization = self.fixes_cluster().then_some(organization::ARGUMENT);
        self.fixed().map(|(name, _)| name).chain(organization)
    }

    /// Arguments that would change what the fixed cluster is called.
    fn renames(&self, tool: &Traits) -> impl Iterator<Item = &'static str> {
        tool.renames.iter().copied().filter(|_| self.fixes_cluster())
    }

    fn fixed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("cluster", &self.cluster), ("branch", &self.branch)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_known_stand_once_and_have_sense() {
        assert!(View::parse(None).unwrap().is_everything() && View::parse(Some("")).unwrap().is_everything());
        assert!(View::parse(Some("readonly=false")).unwrap().is_everything());
        assert!(View::parse(Some("readonly=true&toolsets=clusters,database&cluster=shop&branch=trial")).is_ok());
        for query in [
            "readonly",
            "readonly=1",
            "readonly=true&readonly=true",
            "toolsets=",
            "toolsets=clusters,",
            "toolsets=everything",
            "cluster=",
            "cluster=a/b",
            "cluster=shop&branch=..",
            "branch=trial",
            "api_key=canary",
            "READONLY=true",
            "x",
        ] {
            let problem = View::parse(Some(query)).unwrap_err();
            assert!(!problem.0.contains("canary"), "{query}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_read_without_a_panic(query in "\\PC{0,60}|((readonly|toolsets|cluster|branch)=[a-z0-9,%]{0,8}&?){0,4}") {
            if let Ok(view) = View::parse(Some(&query)) {
                prop_assert!(view.branch.is_none() || view.cluster.is_some());
            }
        }
    }
}
