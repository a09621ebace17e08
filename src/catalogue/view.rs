//! What one caller sees of the catalogue and may call: narrowed by its address, its grant and its scope.

use super::{
    entry::{Effect, Entry},
    finder::RELAY,
    narrowing::Narrowing,
    organizations::{self, Organization},
    toolbox::{Called, Catalogue},
    toolset::Toolset,
};
use crate::{
    base::scope::Scope,
    mcp::tools::{CacheScope, Definition, Listing},
};

/// Stands in a description for the topics of the tools that are not listed.
pub(super) const TOPICS: &str = "{topics}";

/// What is said of a tool that neither list nor relay reaches, whichever of both left it out.
const LEFT_OUT: &str = "The address or the grant of this connection leaves it out. Call tools/list to see the names.";

/// The tools of one caller.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// All there are.
    pub catalogue: &'static Catalogue,
    /// How address and grant narrow them.
    pub narrowing: &'a Narrowing,
    /// How the address alone narrows them.
    pub asked: &'a Narrowing,
    /// The scope of the caller's token. Keys have none: TiDB Cloud alone knows their role.
    pub scope: Option<Scope>,
    /// The organizations that the caller connected: at least one.
    pub organizations: &'a [Organization<'a>],
    /// The address of the server, without a query.
    pub address: &'a str,
}

impl View<'_> {
    /// Whether a tool is in the list: address and grant leave it, it need not be found, and the token's scope can cover it.
    pub(super) fn lists(&self, tool: &Entry) -> bool {
        self.is_named(tool) && self.covers(tool)
    }

    /// Whether a tool is in the list of a caller whose scope covers everything.
    fn is_named(&self, tool: &Entry) -> bool {
        self.narrowing.lists(tool) && (tool.toolset != Toolset::Finder || self.needs(tool))
    }

    /// What to do instead, if a text names a tool that is not listed.
    pub(super) fn instead(&self, text: &str) -> Option<String> {
        let lacking = |tool: &&Entry| text.contains(tool.name()) && !self.lists(tool);
        let tool = self.catalogue.entries().iter().find(lacking)?;
        let relay = self.catalogue.relay().filter(|relay| self.lists(relay));
        Some(match relay.filter(|_| tool.effect == Effect::Read && self.narrowing.reaches(tool)) {
            Some(relay) => format!(" {} runs it.", relay.name()),
            None => " It is not listed on this connection: ask the person instead.".to_owned(),
        })
    }

    /// Whether some call of a tool is within the token's scope.
    pub(super) fn covers(&self, tool: &Entry) -> bool {
        self.scope.is_none_or(|scope| tool.effect.least_scope() <= scope)
    }

    /// Tools within reach that are not in the list.
    fn hidden(&self) -> impl Iterator<Item = &'static Entry> {
        let Self { narrowing, .. } = *self;
        let tools = self.catalogue.entries().iter().filter(|tool| tool.toolset != Toolset::Finder);
        tools.filter(move |tool| narrowing.reaches(tool) && !(narrowing.lists(tool) && self.covers(tool)))
    }

    /// Whether something is hidden that this one of the finder pair is for: the relay only runs what reads. An address that fixes a
    /// cluster is for that and no more, like one that names toolsets.
    fn needs(&self, finder: &Entry) -> bool {
        !self.narrowing.fixes_cluster()
            && self.hidden().any(|tool| finder.name() != RELAY || tool.effect == Effect::Read)
    }

    /// Whether a tool may be called by its own name, or through the one that runs what is not listed.
    ///
    /// # Errors
    /// What to do instead.
    pub(super) fn offers(&self, called: Called) -> Result<(), String> {
        let Called { tool, is_relayed } = called;
        if is_relayed {
            // The inner tool is looked at where its result or error becomes one of the outer tool.
            let is_open = self.catalogue.relay().is_some_and(|relay| self.is_named(relay));
            return if is_open { Ok(()) } else { Err(LEFT_OUT.to_owned()) };
        }
        if self.is_named(tool) {
            return Ok(());
        }
        if !self.narrowing.reaches(tool) {
            return Err(LEFT_OUT.to_owned());
        }
        let relay = self.catalogue.relay().filter(|relay| tool.effect == Effect::Read && self.is_named(relay));
        Err(match relay {
            Some(relay) => format!("It is not listed here: {} runs it.", relay.name()),
            None => format!("It is not listed here, but at {}.", self.address_of(tool)),
        })
    }

    /// The address at which a tool is listed.
    pub(super) fn address_of(&self, tool: &Entry) -> String {
        format!("{}?{}", self.address, self.asked.query_with(tool.toolset))
    }

    /// A tool as this caller sees it.
    pub(super) fn definition(&self, tool: &Entry) -> Definition {
        let mut definition = tool.definition.clone();
        if tool.toolset == Toolset::Finder {
            definition.description = definition.description.replace(TOPICS, &self.topics());
        } else {
            if self.is_choice() {
                organizations::offer(self.organizations, &mut definition.input_schema);
            }
            self.narrowing.narrow(tool, &mut definition.input_schema);
        }
        definition
    }

    /// The topics of the tools that are not listed.
    pub(crate) fn topics(&self) -> String {
        let hidden: Vec<_> = self.hidden().collect();
        let hides = |toolset: &&Toolset| hidden.iter().any(|tool| tool.toolset == **toolset);
        let mut topics: Vec<_> = Toolset::ALL.iter().filter(hides).filter_map(|toolset| toolset.topics()).collect();
        if hidden.iter().any(|tool| self.narrowing.lists(tool)) {
            topics.push("all that changes something");
        }
        topics.join(", ")
    }

    /// `tools/list`. It is for its asker alone if a token, or more than one organization, has a say in it.
    pub(super) fn list(&self) -> Listing<'static> {
        let is_own = self.scope.is_some() || self.is_choice();
        let cache = if is_own { CacheScope::Private } else { CacheScope::Public };
        let write = || {
            let listed = self.catalogue.entries().iter().filter(|tool| self.lists(tool));
            let listed: Vec<_> = listed.map(|tool| self.definition(tool)).collect();
            serde_json::to_string(&listed).unwrap_or_else(|_| "[]".to_owned())
        };
        let tools = match self.catalogue.list(self.scope) {
            Some(kept) if self.narrowing.is_everything() && !self.is_choice() => {
                kept.get_or_init(write).as_str().into()
            }
            _ => write().into(),
        };
        Listing { tools, cache }
    }

    fn is_choice(&self) -> bool {
        organizations::is_choice(self.organizations, self.narrowing)
    }

    /// The instructions of the server, and what they leave out of this connection: the model reads them before the tools.
    pub fn instructions(&self, of_all: &str) -> String {
        let remark = if self.narrowing.is_read_only() {
            " This connection only reads: its address, or the person who connected it, chose so."
        } else if self.scope == Some(Scope::Read) {
            " This connection only reads: to change anything, the person connects again and allows it."
        } else {
            " A person allows what destroys, costs more or gives rights: the error says how."
        };
        format!("{of_all}{remark}")
    }
}

/// A catalogue of its own: what holds of hidden tools that change something must hold before the server has one.
#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::catalogue::{Context, Done, Group, Receipt, Tool, ToolError};

    #[derive(Serialize, JsonSchema)]
    struct Nothing {}

    /// A tool of this name and effect, which takes a cluster.
    macro_rules! tool {
        ($type:ident, $name:expr, $effect:ident) => {
            /// Does {topics}.
            #[derive(Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            struct $type {
                #[serde(rename = "cluster")]
                _cluster: Option<String>,
            }

            impl Tool for $type {
                const NAME: &'static str = $name;
                const TITLE: &'static str = $name;
                const EFFECT: Effect = Effect::$effect;
                const RECEIPT: Option<Receipt<Self>> = match Self::EFFECT {
                    Effect::Read => None,
                    _ => Some(Receipt { look: "", tries: |_| String::new(), done: |_| Done::of("Did it") }),
                };
                type Output = Nothing;

                async fn call(self, _: &Context<'_>) -> Result<Nothing, ToolError> {
                    Ok(Nothing {})
                }
            }
        };
    }

    tool!(Look, "look", Read);
    tool!(LookAside, "look_aside", Read);
    tool!(ChangeAside, "change_aside", Update);
    tool!(Relay, RELAY, Read);

    static CATALOGUE: Catalogue = Catalogue::new(&[
        Group { toolset: Toolset::Clusters, tools: &[Entry::of::<Look>] },
        Group { toolset: Toolset::Organization, tools: &[Entry::of::<LookAside>, Entry::of::<ChangeAside>] },
        Group { toolset: Toolset::Finder, tools: &[Entry::of::<Relay>] },
    ]);

    /// What `of` says of the view of an address, for a scope.
    fn at<R>(query: &str, scope: Option<Scope>, of: impl FnOnce(&View<'_>) -> R) -> R {
        let narrowing = &Narrowing::parse(Some(query)).expect("a query");
        let address = "https://mcp.example/mcp";
        of(&View { catalogue: &CATALOGUE, narrowing, asked: narrowing, scope, organizations: &[], address })
    }

    fn called(name: &str) -> Called {
        let tool = CATALOGUE.tool(name).expect("a tool");
        Called { tool, is_relayed: false }
    }

    #[test]
    fn a_change_that_is_not_listed_is_reached_at_another_address_only() {
        for (query, address) in [
            ("", "https://mcp.example/mcp?toolsets=default,organization"),
            ("cluster=shop", "https://mcp.example/mcp?toolsets=default,organization&cluster=shop"),
        ] {
            let refused = at(query, None, |view| view.offers(called("change_aside"))).expect_err("it is not listed");
            assert!(
                refused.ends_with(&format!("at {address}.")),
                "?{query}: the address keeps what it fixes: {refused}"
            );
            for (scope, allows) in [(None, ""), (Some(Scope::Read), "allows `tidb:write`")] {
                let error = at(query, scope, |view| view.not_relayed("change_aside"));
                assert_eq!(error.code, crate::catalogue::code::READ_ONLY_VIOLATION);
                assert!(error.hint.contains(address) && error.hint.contains(allows), "?{query}: {}", error.hint);
            }
            let looked = at(query, None, |view| view.offers(called("look_aside"))).expect_err("it is not listed");
            let way = if query.is_empty() { RELAY } else { address };
            assert!(looked.contains(way), "?{query}: what reads is run by the relay, if there is one: {looked}");
        }
        for query in ["toolsets=all", "toolsets=organization", "toolsets=default,organization&cluster=shop"] {
            assert_eq!(at(query, None, |view| view.offers(called("change_aside"))), Ok(()), "?{query} lists it");
        }
    }

    #[test]
    fn a_refusal_says_nothing_of_a_tool_beyond_reach() {
        for query in ["readonly=true", "toolsets=clusters", "toolsets=clusters&cluster=shop"] {
            let refused = at(query, None, |view| view.offers(called("change_aside"))).expect_err("it is beyond reach");
            assert_eq!(refused, LEFT_OUT, "?{query}");
            let error = at(query, None, |view| view.not_relayed("change_aside"));
            assert_eq!(error.code, crate::catalogue::code::NOT_FOUND, "?{query}");
        }
    }
}
