//! How the query of an address narrows the tools. It never widens them. It also says whether the client shows pictures.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    code,
    entry::{Effect, Entry},
    organizations,
    resolve::{BranchReference, ClusterReference},
    toolset::{Named, Toolset},
};
use crate::{
    base::{http::is_query, text::is_hidden},
    mcp::outcome::ToolError,
};

/// 512 bytes: all five parameters with their longest values need some 270 unescaped.
const QUERY_BYTES_MAX: usize = 512;

/// The tools and resources that are left. It can be written as a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Narrowing {
    read_only: bool,
    toolsets: Named,
    cluster: Option<String>,
    branch: Option<String>,
    pictures: bool,
}

/// Why the name and alias label of a fixed cluster cannot be changed: addresses find their cluster by these, and a call
/// could redirect one of them to another cluster.
pub(crate) const CALLED: &str =
    "cannot be changed here: the URL that this client connected to fixes the cluster and its name.";

/// Why an address is refused, in a sentence that quotes nothing from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNarrowed(pub &'static str);

impl TryFrom<String> for Narrowing {
    type Error = &'static str;

    fn try_from(query: String) -> Result<Self, Self::Error> {
        Self::read(&query).map_err(|NotNarrowed(why)| why)
    }
}

impl From<Narrowing> for String {
    fn from(narrowing: Narrowing) -> Self {
        narrowing.query()
    }
}

impl Narrowing {
    /// Reads a query.
    ///
    /// # Errors
    /// An unknown or repeated parameter, a value that is not allowed, or a text that is no URL query.
    pub fn parse(query: Option<&str>) -> Result<Self, NotNarrowed> {
        let query = query.unwrap_or_default();
        if !is_query(query) {
            return Err(NotNarrowed("The query of this URL has a character that must be percent-encoded."));
        }
        if query.len() > QUERY_BYTES_MAX {
            return Err(NotNarrowed("The query of this URL is longer than 512 bytes."));
        }
        Self::read(query)
    }

    fn read(query: &str) -> Result<Self, NotNarrowed> {
        let mut narrowing = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !seen.insert(name.clone()) {
                return Err(NotNarrowed("A parameter of this URL appears twice."));
            }
            match name.as_ref() {
                "readonly" => {
                    narrowing.read_only = yes_or_no(&value, "`readonly` must be true or false.")?;
                }
                "pictures" => {
                    narrowing.pictures = yes_or_no(&value, "`pictures` must be true or false.")?;
                }
                "toolsets" => {
                    narrowing.toolsets = Named::parse(&value).ok_or_else(|| NotNarrowed(Named::rule()))?;
                }
                "cluster" => {
                    let rule = "`cluster` must be a cluster's id, alias or display name.";
                    ClusterReference::try_from(value.clone().into_owned()).map_err(|_| NotNarrowed(rule))?;
                    narrowing.cluster = Some(value.into_owned());
                }
                "branch" => {
                    let rule = "`branch` must be a branch's id or display name.";
                    BranchReference::try_from(value.clone().into_owned()).map_err(|_| NotNarrowed(rule))?;
                    // A person reads it before agreeing to it.
                    if value.contains(is_hidden) {
                        return Err(NotNarrowed(rule));
                    }
                    narrowing.branch = Some(value.into_owned());
                }
                _ => {
                    return Err(NotNarrowed(
                        "This URL takes the parameters readonly, toolsets, cluster, branch and pictures. Credentials never belong in a URL: send them as headers.",
                    ));
                }
            }
        }
        if narrowing.branch.is_some() && narrowing.cluster.is_none() {
            return Err(NotNarrowed("`branch` needs `cluster` beside it."));
        }
        Ok(narrowing)
    }

    /// Both narrowings combined. `None` if nothing is left: they fix different clusters or branches, or share no toolset.
    pub fn and(&self, other: &Self) -> Option<Self> {
        let differ = |one: &Option<String>, two: &Option<String>| one.is_some() && two.is_some() && one != two;
        let toolsets = self.toolsets.and(other.toolsets)?;
        if differ(&self.cluster, &other.cluster) || differ(&self.branch, &other.branch) {
            return None;
        }
        let either = |one: &Option<String>, two: &Option<String>| one.as_ref().or(two.as_ref()).cloned();
        Some(Self {
            read_only: self.read_only || other.read_only,
            toolsets,
            cluster: either(&self.cluster, &other.cluster),
            branch: either(&self.branch, &other.branch),
            pictures: self.pictures || other.pictures,
        })
    }

    /// What is left of a grant's narrowing for an address. `None` if the address names a toolset, a cluster or a branch that the
    /// grant lacks; one that names none gets the grant's.
    pub fn out_of(&self, granted: &Self) -> Option<Self> {
        let both = granted.and(self)?;
        let lacks = self.names_toolsets() && self.toolsets != both.toolsets;
        (!lacks).then_some(both)
    }

    /// Whether it names toolsets.
    pub fn names_toolsets(&self) -> bool {
        self.toolsets != Named::Nothing
    }

    /// Narrowed further to toolsets as an address writes them. `None` if they are none, or none of these is left.
    pub fn within(&self, toolsets: &str) -> Option<Self> {
        Some(Self { toolsets: self.toolsets.and(Named::parse(toolsets)?)?, ..self.clone() })
    }

    /// As a query; empty if it leaves everything.
    pub fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        self.each(&mut |name, value| {
            query.append_pair(name, value);
        });
        if self.pictures {
            query.append_pair("pictures", "true");
        }
        // People read and copy addresses, and RFC 3986 section 3.4 lets a comma stand in a query.
        query.finish().replace("%2C", ",")
    }

    /// For a person: the server's own words, each with the client's text, which is shown apart. Empty if it leaves
    /// everything.
    pub fn in_words(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        self.each(&mut |name, value| {
            all.extend(match name {
                "readonly" => Some(("tools that change nothing", String::new())),
                // It takes nothing away from a person's choice.
                "toolsets" if self.toolsets == Named::All => None,
                "toolsets" => Some(("the toolsets", value.to_owned())),
                "cluster" => Some(("the cluster", value.to_owned())),
                _ => Some(("the branch", value.to_owned())),
            });
        });
        all
    }

    /// Each parameter that takes something away.
    fn each(&self, take: &mut dyn FnMut(&str, &str)) {
        if self.read_only {
            take("readonly", "true");
        }
        if self.toolsets != Named::Nothing {
            take("toolsets", &self.toolsets.text());
        }
        for (name, value) in self.fixed() {
            take(name, value);
        }
    }

    /// Whether nothing is taken away.
    pub fn is_everything(&self) -> bool {
        *self == Self { pictures: self.pictures, ..Self::default() }
    }

    /// Whether results come with pictures. A client says so in its address, since no other way is left to it: the protocol has no
    /// word for it, and some hosts end a conversation at an image of a type that their model does not take.
    pub(super) fn shows_pictures(&self) -> bool {
        self.pictures
    }

    /// Whether a tool is within reach. A tool that cannot be confined to the fixed cluster or branch is not; the finder
    /// reaches no other tools than these.
    pub(super) fn reaches(&self, tool: &Entry) -> bool {
        (!self.read_only || tool.effect == Effect::Read)
            && self.toolsets.reach(tool.toolset)
            && !(tool.makes_cluster && self.fixes_cluster())
            && (tool.toolset == Toolset::Finder || self.fixed().all(|(name, _)| tool.argument(name).is_some()))
    }

    /// Whether a tool within reach is listed.
    pub(super) fn lists(&self, tool: &Entry) -> bool {
        self.reaches(tool) && self.toolsets.list(tool.toolset)
    }

    /// Whether only tools that read are within reach.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The query of an address that names no toolset, once it lists one beside the default ones.
    pub(super) fn query_with(&self, toolset: Toolset) -> String {
        let rest = self.query();
        let and = if rest.is_empty() { "" } else { "&" };
        format!("toolsets=default,{}{and}{rest}", toolset.name())
    }

    /// Whether the address fixes the cluster, and so its name and alias label.
    pub(crate) fn fixes_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Whether the address fixes the branch.
    pub(super) fn fixes_branch(&self) -> bool {
        self.branch.is_some()
    }

    /// Removes fixed arguments from a schema.
    pub(super) fn narrow(&self, tool: &Entry, schema: &mut Value) {
        for name in self.chosen().chain(self.renames(tool)) {
            if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                properties.remove(name);
            }
            if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|required| required != name);
            }
        }
    }

    /// Refuses arguments that the address fixes.
    pub(super) fn check(&self, tool: &Entry, arguments: &Map<String, Value>) -> Result<(), ToolError> {
        let given = |name: &&str| arguments.contains_key(*name);
        let refuse = |name, why| {
            let error = ToolError::new(code::INVALID_ARGUMENT, format!("`{name}` {why}"));
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

    /// Adds the fixed arguments to those of a call.
    pub(super) fn complete(&self, tool: &Entry, arguments: &mut Map<String, Value>) {
        for (name, value) in self.fixed().filter(|(name, _)| tool.argument(name).is_some()) {
            arguments.insert(name.to_owned(), value.into());
        }
    }

    /// Arguments that the address decides: cluster and branch, and the organization if the cluster is fixed.
    fn chosen(&self) -> impl Iterator<Item = &'static str> {
        let organization = self.fixes_cluster().then_some(organizations::ARGUMENT);
        self.fixed().map(|(name, _)| name).chain(organization)
    }

    /// Arguments that would rename the fixed cluster.
    fn renames(&self, tool: &Entry) -> impl Iterator<Item = &'static str> {
        tool.renames.iter().copied().filter(|_| self.fixes_cluster())
    }

    fn fixed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("cluster", &self.cluster), ("branch", &self.branch)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

fn yes_or_no(value: &str, rule: &'static str) -> Result<bool, NotNarrowed> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(NotNarrowed(rule)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_known_stand_once_and_have_sense() {
        assert!(Narrowing::parse(None).unwrap().is_everything() && Narrowing::parse(Some("")).unwrap().is_everything());
        assert!(Narrowing::parse(Some("readonly=false")).unwrap().is_everything());
        let pictures = Narrowing::parse(Some("pictures=true")).unwrap();
        assert!(pictures.shows_pictures() && pictures.is_everything(), "pictures take nothing away");
        assert!(Narrowing::parse(Some("readonly=true&toolsets=clusters,database&cluster=shop&branch=trial")).is_ok());
        assert!(Narrowing::parse(Some("toolsets=default,organization")).is_ok());
        for query in [
            "readonly",
            "readonly=1",
            "pictures=svg",
            "readonly=true&readonly=true",
            "toolsets=",
            "toolsets=clusters,",
            "toolsets=everything",
            "toolsets=finder",
            "toolsets=All",
            "cluster=",
            "cluster=a/b",
            "cluster=shop&branch=..",
            "branch=trial",
            "api_key=canary",
            "READONLY=true",
            "x",
            "readonly=true&cluster=shop\"",
            "readonly=true%",
            "toolsets=[clusters]",
            &format!("toolsets={}clusters", "clusters,".repeat(56)),
        ] {
            let problem = Narrowing::parse(Some(query)).unwrap_err();
            assert!(!problem.0.contains("canary"), "{query}");
        }
    }

    fn narrowings() -> impl Strategy<Value = Narrowing> {
        let names =
            || prop::option::of(prop::sample::select(vec!["shop".to_owned(), "1379661944646413143".to_owned()]));
        let toolsets = prop_oneof![
            Just(Named::Nothing),
            Just(Named::All),
            prop::sample::subsequence(Toolset::ALL, 1..=Toolset::ALL.len()).prop_map(|some| {
                let names: Vec<_> = some.into_iter().map(Toolset::name).collect();
                Named::parse(&names.join(",")).expect("toolsets")
            }),
        ];
        (any::<bool>(), toolsets, names(), names(), any::<bool>()).prop_map(
            |(read_only, toolsets, cluster, branch, pictures)| {
                let branch = branch.filter(|_| cluster.is_some());
                Narrowing { read_only, toolsets, cluster, branch, pictures }
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_read_without_a_panic(query in "\\PC{0,60}|((readonly|toolsets|cluster|branch|pictures)=[a-z0-9,%]{0,8}&?){0,4}") {
            if let Ok(narrowing) = Narrowing::parse(Some(&query)) {
                prop_assert!(narrowing.branch.is_none() || narrowing.cluster.is_some());
            }
        }

        /// Two narrowings combined leave what each of them leaves, in either order, and can be written as a query.
        #[test]
        fn two_narrowings_leave_what_each_of_them_leaves(one in narrowings(), two in narrowings()) {
            prop_assert_eq!(Narrowing::parse(Some(&one.query())), Ok(one.clone()));
            prop_assert_eq!(one.and(&Narrowing::default()), Some(one.clone()));
            prop_assert_eq!(one.and(&two), two.and(&one));
            let differ = |one: &Option<String>, two: &Option<String>| one.is_some() && two.is_some() && one != two;
            let Some(both) = one.and(&two) else {
                let both = |toolset: &Toolset| one.toolsets.reach(*toolset) && two.toolsets.reach(*toolset);
                let apart = !Toolset::ALL.iter().any(both);
                prop_assert!(differ(&one.cluster, &two.cluster) || differ(&one.branch, &two.branch) || apart);
                return Ok(());
            };
            prop_assert_eq!(Narrowing::parse(Some(&both.query())), Ok(both.clone()));
            for part in [&one, &two] {
                prop_assert_eq!(both.and(part), Some(both.clone()));
                prop_assert!(both.read_only || !part.read_only);
                prop_assert!(part.cluster.is_none() || both.cluster == part.cluster);
                prop_assert!(part.branch.is_none() || both.branch == part.branch);
                for toolset in Toolset::ALL.iter().copied().chain([Toolset::Finder]) {
                    prop_assert!(part.toolsets.reach(toolset) || !both.toolsets.reach(toolset), "{:?}", toolset);
                }
            }
        }
    }
}
