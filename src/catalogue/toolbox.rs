//! The tools of one caller, and the single path through which each is called.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::{
    arguments, budget, code,
    context::Context,
    entry::{Entry, Group},
    narrowing::Narrowing,
    organizations::{self, Homes},
};
use crate::{
    base::{clock::UnixMillis, hash::hex, secret::Secret},
    mcp::{
        outcome::{Outcome, ToolError},
        tools::{CacheScope, Definition, Listing, Toolbox},
    },
    port::{Io, RequestLog, allowance::Allowance},
    tidbcloud::{Authenticator, Cloud, Hosts, KeyWitness, Memory, SqlLogin, alias::Aliases},
};

/// All tools, in the order in which clients see them.
pub struct Catalogue {
    groups: &'static [Group],
    entries: OnceLock<Vec<Entry>>,
    /// `tools/list` of a caller that has all of them in one organization, serialized once per isolate.
    whole: OnceLock<String>,
}

impl Catalogue {
    /// The catalogue of these groups.
    pub const fn new(groups: &'static [Group]) -> Self {
        Self { groups, entries: OnceLock::new(), whole: OnceLock::new() }
    }

    /// Every tool.
    pub fn entries(&self) -> &[Entry] {
        self.entries.get_or_init(|| {
            let of_group = |group: &Group| group.tools.iter().map(|of| of(group.toolset)).collect::<Vec<_>>();
            self.groups.iter().flat_map(of_group).collect()
        })
    }

    /// The tool of this name. Normalizes the arguments of the call to its schema.
    pub fn find(&'static self, name: &str, arguments: &mut Map<String, Value>) -> Option<&'static Entry> {
        let found = self.entries().iter().find(|entry| entry.name() == name)?;
        arguments::normalize(found, arguments);
        Some(found)
    }
}

/// The caller, and what the call may use.
pub struct Tools<'a> {
    /// All there are.
    pub catalogue: &'static Catalogue,
    /// Other hosts, time and randomness.
    pub io: &'a dyn Io,
    /// The log of the HTTP request.
    pub log: RequestLog<'a>,
    /// The allowance of the HTTP request that carried the calls.
    pub allowance: &'a Allowance,
    /// TiDB Cloud, or a sandbox.
    pub hosts: &'a Hosts,
    /// The organizations that the caller connected: at least one.
    pub organizations: &'a [Organization<'a>],
    /// The witness of their keys.
    pub witness: &'a dyn KeyWitness,
    /// What this isolate remembers of TiDB Cloud.
    pub memory: &'a Memory,
    /// What this isolate remembers of organizations.
    pub homes: &'a Homes,
    /// What SQL passwords are derived from.
    pub secret: &'a Secret,
    /// Short names for clusters by source, the source with higher precedence first.
    pub aliases: &'a [(&'static str, &'a Aliases)],
    /// How the tools are narrowed.
    pub narrowing: &'a Narrowing,
    /// Whether the caller's token narrows them too, not only the address.
    pub narrowing_is_own: bool,
}

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

impl Tools<'_> {
    /// Checks that the address leaves this tool and allows these arguments.
    pub fn lets_through(&self, tool: &Entry, arguments: &Map<String, Value>) -> bool {
        self.narrowing.leaves(tool) && self.narrowing.check(tool, arguments).is_ok()
    }

    pub(super) fn context<'c>(&'c self, organization: &'c Organization<'c>, deadline: UnixMillis) -> Context<'c> {
        Context {
            cloud: Cloud::new(
                self.io,
                self.log,
                self.hosts,
                &organization.authenticator,
                self.witness,
                self.memory,
                deadline,
            ),
            others: Vec::new(),
            io: self.io,
            allowance: self.allowance,
            secret: self.secret,
            own_login: organization.own_login,
            aliases: self.aliases,
            narrowing: self.narrowing,
        }
    }

    /// Runs a tool in one organization.
    pub(super) async fn run_in(
        &self,
        tool: &'static Entry,
        organization: &Organization<'_>,
        arguments: Map<String, Value>,
        deadline: UnixMillis,
    ) -> Result<String, ToolError> {
        tool.run(&self.context(organization, deadline), arguments).await
    }

    async fn answer(&self, tool: &'static Entry, mut arguments: Map<String, Value>) -> Result<String, ToolError> {
        self.narrowing.check(tool, &arguments)?;
        self.allowance.fulfil(tool.requests_min(&arguments));
        self.narrowing.complete(&mut arguments);
        let deadline = self.io.now().after(tool.time_max).min(self.allowance.deadline());
        let named = named(&arguments);
        let answer = match self.organizations {
            [only] => self.run_in(tool, only, arguments, deadline).await,
            _ => self.run_in_one_or_all(tool, arguments, deadline).await,
        };
        answer.map_err(|error| about(error, &named))
    }

    /// The end of every call: cuts the result to its budget and logs a failure.
    fn finish(&self, tool: &Entry, answer: Result<String, ToolError>) -> Outcome {
        let bytes_max = self.allowance.result_bytes();
        match answer {
            Ok(output) => {
                let (output, bytes) = budget::output(output, bytes_max, tool.argument("pageSize").is_some());
                self.allowance.answered(bytes);
                Outcome::Complete(output)
            }
            Err(mut error) => {
                if let Some(cause) = error.cause.as_deref() {
                    let what = json!({ "tool": tool.name(), "code": error.code, "cause": cause });
                    self.log.event("failed_call", what);
                }
                budget::error(&mut error, bytes_max);
                self.allowance.answered(budget::serialized_size(&error));
                Outcome::Failed(Box::new(error))
            }
        }
    }
}

impl Toolbox for Tools<'_> {
    type Tool = &'static Entry;

    fn list(&self) -> Listing<'_> {
        let write = |all: &[&Definition]| serde_json::to_string(all).unwrap_or_else(|_| "[]".to_owned());
        let Catalogue { whole, .. } = self.catalogue;
        if self.narrowing.is_everything() && self.organizations.len() < 2 {
            let all = || self.catalogue.entries().iter().map(|entry| &entry.definition).collect::<Vec<_>>();
            return Listing { tools: whole.get_or_init(|| write(&all())).as_str().into(), cache: CacheScope::Public };
        }
        let mut cache = if self.narrowing_is_own { CacheScope::Private } else { CacheScope::Public };
        let mut left = Vec::new();
        for tool in self.catalogue.entries().iter().filter(|tool| self.narrowing.leaves(tool)) {
            let mut definition = tool.definition.clone();
            let schema = &mut definition.input_schema;
            cache = cache.max(organizations::offer(self.organizations, self.narrowing, schema));
            self.narrowing.narrow(tool, schema);
            left.push(definition);
        }
        Listing { tools: write(&left.iter().collect::<Vec<_>>()).into(), cache }
    }

    fn offers(&self, tool: &'static Entry) -> bool {
        self.narrowing.leaves(tool)
    }

    async fn call(&self, tool: &'static Entry, arguments: Map<String, Value>) -> Outcome {
        self.finish(tool, self.answer(tool, arguments).await)
    }

    fn boundary(&self) -> String {
        // 128 bits.
        let mut bytes = [0; 16];
        self.io.random(&mut bytes);
        hex(&bytes)
    }
}

/// The subject of a call as the caller wrote it. A text longer than any name, 64 characters of four bytes, is dropped.
fn named(arguments: &Map<String, Value>) -> String {
    const BYTES_MAX: usize = 256;
    let text = |name| arguments.get(name)?.as_str().filter(|text| text.len() <= BYTES_MAX);
    let name = |name| Some(format!("{name} `{}`", text(name)?));
    let all: Vec<_> = ["cluster", "branch", "parent", "displayName", "userName"].into_iter().filter_map(name).collect();
    all.join(", ")
}

/// Adds the subject of a call to an error that lacks it: TiDB Cloud knows ids, the caller knows what it wrote.
fn about(mut error: ToolError, named: &str) -> ToolError {
    let of_it = match error.code {
        code::NOT_FOUND
        | code::CONFLICT
        | code::FAILED_PRECONDITION
        | code::OUTCOME_UNKNOWN
        | code::PERMISSION_DENIED => true,
        // A refusal by TiDB Cloud means that the arguments were valid; before that, they are not fit to be shown.
        code::INVALID_ARGUMENT => error.upstream.is_some(),
        _ => false,
    };
    if of_it && !named.is_empty() && !error.message.contains('`') {
        error.message.push_str(&format!(" The call names {named}."));
    }
    error
}
