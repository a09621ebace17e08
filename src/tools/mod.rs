//! The tools: the only place where the protocol and TiDB Cloud meet.
//!
//! A tool is one file: argument struct (its doc comments are the descriptions that the model reads, the struct is the
//! input schema), output struct (the output schema), and [`Tool`]. Adding one means adding that file and one word to
//! the registry below; schemas, reference, README table and landing page follow.

mod arguments;
mod errors;
mod fit;
mod names;
mod organization;
mod output;
mod resolve;
mod rows;
mod schemas;
mod sql;
mod types;
mod view;
mod wait;

use std::{fmt::Write, sync::OnceLock, time::Duration};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use self::schemas::Schemas;
pub use self::{
    arguments::normalize,
    organization::Homes,
    view::{NoView, View},
};
pub use crate::sql::STATEMENT_BYTES_MAX;
use crate::{
    base::{clock::UnixMillis, hash::hex, scope::Scope, secret::Secret},
    mcp::tools::{Annotations, CacheScope, Definition, Listing, ToolError, ToolErrorCode, Toolbox},
    port::{
        Io, RequestLog,
        allowance::{self, Allowance},
    },
    tidbcloud::{Authenticator, Cloud, Databases, Hosts, KeyWitness, Memory, SqlLogin, alias::Aliases},
};

/// What a call does, from which its annotations and its place in the documentation follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Adds something that was not there.
    Create,
    /// Changes something; the same call again changes nothing more.
    Update,
    /// Runs what the caller wrote, which may destroy.
    Execute,
    /// Removes something for good.
    Destroy,
}

impl Effect {
    /// As clients are told.
    pub fn annotations(self) -> Annotations {
        Annotations {
            read_only_hint: self == Self::Read,
            destructive_hint: matches!(self, Self::Execute | Self::Destroy),
            idempotent_hint: matches!(self, Self::Read | Self::Update),
            // An account is a closed world: no tool sends data out of it or lets data in.
            open_world_hint: false,
        }
    }

    /// What a caller must be allowed for it; what runs SQL is judged by the SQL.
    fn scope(self) -> Scope {
        match self {
            Self::Read => Scope::Read,
            Self::Create | Self::Update => Scope::Write,
            Self::Execute | Self::Destroy => Scope::Destroy,
        }
    }

    /// As the documentation says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Create | Self::Update => "writes",
            Self::Execute => "writes, may destroy",
            Self::Destroy => "destroys",
        }
    }
}

/// A group of tools, by which an address can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolset {
    /// Clusters.
    Clusters,
    /// Branches.
    Branches,
    /// SQL and SQL users.
    Database,
    /// What belongs to no cluster.
    Organization,
}

impl Toolset {
    const ALL: [Self; 4] = [Self::Clusters, Self::Branches, Self::Database, Self::Organization];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|toolset| toolset.name() == name)
    }

    /// A number with this toolset's bit alone.
    const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// As addresses write it.
    fn name(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Branches => "branches",
            Self::Database => "database",
            Self::Organization => "organization",
        }
    }
}

/// A tool. The struct that implements it holds the arguments.
#[expect(async_fn_in_trait, reason = "single-threaded: no caller needs `Send`")]
pub trait Tool: DeserializeOwned + JsonSchema {
    /// Unique name.
    const NAME: &'static str;
    /// Name for people.
    const TITLE: &'static str;
    /// What a call does.
    const EFFECT: Effect;
    /// Which group it belongs to.
    const TOOLSET: Toolset;
    /// A tool that lists what all organizations have: the member of its output that holds the list.
    const LIST: Option<&'static str> = None;
    /// Arguments that change what its cluster is called. Where an address fixes the cluster they are not taken.
    const RENAMES: &'static [&'static str] = &[];
    /// How long a call may take. Many clients give up after 60 s.
    const TIME_MAX: Duration = CONTROL_PLANE_TIME_MAX;
    /// What it answers with.
    type Output: Serialize + JsonSchema;

    /// How many requests to TiDB Cloud a call with these arguments takes at least.
    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        let _ = arguments;
        1
    }

    /// What a caller must be allowed for a call with these arguments, which were not looked at before.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        let _ = arguments;
        Self::EFFECT.scope()
    }

    /// Does it.
    async fn call(self, context: &Context<'_>) -> Result<Self::Output, ToolError>;
}

/// A tool's constants: what the dispatcher decides by, without being built anew for each tool.
struct Traits {
    name: &'static str,
    effect: Effect,
    toolset: Toolset,
    list: Option<&'static str>,
    renames: &'static [&'static str],
    time_max: Duration,
}

impl Traits {
    const fn of<T: Tool>() -> Self {
        Self {
            name: T::NAME,
            effect: T::EFFECT,
            toolset: T::TOOLSET,
            list: T::LIST,
            renames: T::RENAMES,
            time_max: T::TIME_MAX,
        }
    }
}

/// Three attempts of 8 s and two pauses of 2 s.
const CONTROL_PLANE_TIME_MAX: Duration = Duration::from_secs(28);

/// All that an HTTP request has.
const SQL_TIME_MAX: Duration = allowance::TIME_MAX;

/// Whoever calls, and what the call may use.
pub struct Tools<'a> {
    /// Other hosts, time and randomness.
    pub io: &'a dyn Io,
    /// The log of the HTTP request.
    pub log: RequestLog<'a>,
    /// What the HTTP request may spend that the calls came with.
    pub allowance: &'a Allowance,
    /// TiDB Cloud, or a sandbox.
    pub hosts: &'a Hosts,
    /// The organizations that the caller connected: at least one.
    pub organizations: &'a [Organization<'a>],
    /// Who watches over their keys.
    pub witness: &'a dyn KeyWitness,
    /// What this isolate remembers of TiDB Cloud.
    pub memory: &'a Memory,
    /// What this isolate remembers of organizations.
    pub homes: &'a Homes,
    /// What SQL passwords are derived from.
    pub secret: &'a Secret,
    /// Short names for clusters by source, the one that counts more first.
    pub aliases: &'a [(&'static str, &'a Aliases)],
    /// What is left of the tools.
    pub view: &'a View,
    /// Whether some of that comes from the caller's token, and not from the address alone.
    pub view_is_own: bool,
}

/// One organization of TiDB Cloud.
#[derive(Clone)]
pub struct Organization<'a> {
    /// What the person who connected it calls it.
    pub name: &'a str,
    /// What shows TiDB Cloud who is calling.
    pub authenticator: Authenticator,
    /// The caller's own SQL user.
    pub own_login: Option<&'a SqlLogin>,
}

/// One call of one tool in one organization.
pub struct Context<'a> {
    cloud: Cloud<'a>,
    /// The other organizations, where the call is for all of them.
    others: Vec<Cloud<'a>>,
    io: &'a dyn Io,
    allowance: &'a Allowance,
    secret: &'a Secret,
    own_login: Option<&'a SqlLogin>,
    aliases: &'a [(&'static str, &'a Aliases)],
    view: &'a View,
}

impl<'a> Context<'a> {
    /// TiDB Cloud, with the caller's keys.
    pub fn cloud(&self) -> &Cloud<'a> {
        &self.cloud
    }

    /// SQL, as the managed users or the caller's own.
    pub fn sql(&self) -> Databases<'a> {
        self.cloud.sql(self.secret, self.own_login, self.allowance)
    }

    /// What the HTTP request may spend that this call came with.
    pub fn allowance(&self) -> &'a Allowance {
        self.allowance
    }

    /// Bytes of JSON that the result may have.
    pub fn result_bytes(&self) -> usize {
        self.allowance.result_bytes()
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        self.io.now()
    }

    /// Random bytes.
    pub fn random(&self, bytes: &mut [u8]) {
        self.io.random(bytes);
    }
}

macro_rules! registry {
    ($($file:ident::$tool:ident,)*) => {
        $(mod $file;)*

        /// Every tool's definition, in the order in which clients see them. Made once per isolate.
        pub fn definitions() -> &'static [(Definition, Effect)] {
            static DEFINITIONS: OnceLock<Vec<(Definition, Effect)>> = OnceLock::new();
            DEFINITIONS.get_or_init(|| vec![$((define::<$file::$tool>(), $file::$tool::EFFECT),)*])
        }

        /// What the dispatcher has to know of each, in the same order.
        const TRAITS: &[Traits] = &[$(Traits::of::<$file::$tool>(),)*];

        /// What a caller must be allowed for this call; `None` where there is no such tool.
        pub fn required_scope(tool: &str, arguments: &Map<String, Value>) -> Option<Scope> {
            match tool {
                $(<$file::$tool as Tool>::NAME => Some(<$file::$tool as Tool>::scope(arguments)),)*
                _ => None,
            }
        }

        /// Whether there is a tool of this name.
        pub fn knows(tool: &str) -> bool {
            TRAITS.iter().any(|known| known.name == tool)
        }

        /// How many requests to TiDB Cloud this call takes at least.
        pub fn requests_min(tool: &str, arguments: &Map<String, Value>) -> u32 {
            match tool {
                $(<$file::$tool as Tool>::NAME => <$file::$tool as Tool>::requests_min(arguments),)*
                _ => 0,
            }
        }

        impl Tools<'_> {
            /// Runs a tool in one organization.
            async fn run_in(
                &self,
                tool: &Traits,
                organization: &Organization<'_>,
                arguments: Map<String, Value>,
                deadline: UnixMillis,
            ) -> Result<Value, ToolError> {
                self.run_with(tool, self.context(organization, deadline), arguments).await
            }

            async fn run_with(
                &self,
                tool: &Traits,
                context: Context<'_>,
                arguments: Map<String, Value>,
            ) -> Result<Value, ToolError> {
                match tool.name {
                    $(<$file::$tool as Tool>::NAME => run::<$file::$tool>(&context, arguments).await,)*
                    _ => Err(ToolError::fault("a tool that has an entry has no code")),
                }
            }
        }
    };
}

registry! {
    list_regions::ListRegions,
    list_clusters::ListClusters,
    list_aliases::ListAliases,
    get_cluster::GetCluster,
    create_cluster::CreateCluster,
    update_cluster::UpdateCluster,
    delete_cluster::DeleteCluster,
    list_branches::ListBranches,
    get_branch::GetBranch,
    create_branch::CreateBranch,
    delete_branch::DeleteBranch,
    show_databases::ShowDatabases,
    show_tables::ShowTables,
    db_query::DbQuery,
    db_execute::DbExecute,
    db_create_user::DbCreateUser,
    db_remove_user::DbRemoveUser,
}

fn define<T: Tool>() -> Definition {
    let Schemas { description, input_schema, output_schema } = Schemas::of::<T>();
    Definition {
        name: T::NAME,
        title: T::TITLE,
        description,
        input_schema,
        output_schema,
        annotations: T::EFFECT.annotations(),
    }
}

/// The schema of a tool's arguments.
fn input_schema(tool: &str) -> Option<&'static Value> {
    definitions()
        .iter()
        .map(|(definition, _)| definition)
        .find(|found| found.name == tool)
        .map(|found| &found.input_schema)
}

/// Whether a tool has an argument.
fn takes(tool: &str, argument: &str) -> bool {
    input_schema(tool).and_then(|schema| schema.get("properties")?.get(argument)).is_some()
}

impl Tools<'_> {
    /// Whether the address leaves this tool, and takes these arguments.
    pub fn lets_through(&self, name: &str, arguments: &Map<String, Value>) -> bool {
        self.left().any(|(_, tool)| tool.name == name && self.view.check(tool, arguments).is_ok())
    }

    /// The tools that the address leaves.
    fn left(&self) -> impl Iterator<Item = (&'static Definition, &'static Traits)> {
        let all = definitions().iter().map(|(definition, _)| definition).zip(TRAITS);
        all.filter(|(definition, tool)| self.view.leaves(definition, tool))
    }

    fn context<'c>(&'c self, organization: &'c Organization<'c>, deadline: UnixMillis) -> Context<'c> {
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
            view: self.view,
        }
    }
}

async fn run<T: Tool>(context: &Context<'_>, arguments: Map<String, Value>) -> Result<Value, ToolError> {
    let tool: T = arguments::read(T::NAME, arguments)?;
    serde_json::to_value(tool.call(context).await?)
        .map_err(|error| ToolError::fault(format!("the result is no JSON: {:?}", error.classify())))
}

impl Toolbox for Tools<'_> {
    fn list(&self) -> Listing<'_> {
        static LIST: OnceLock<String> = OnceLock::new();
        let write = |all: &[&Definition]| serde_json::to_string(all).unwrap_or_else(|_| "[]".to_owned());
        if self.view.is_everything() && self.organizations.len() < 2 {
            let all = || definitions().iter().map(|(definition, _)| definition).collect::<Vec<_>>();
            return Listing { tools: LIST.get_or_init(|| write(&all())).as_str().into(), cache: CacheScope::Public };
        }
        let mut cache = if self.view_is_own { CacheScope::Private } else { CacheScope::Public };
        let mut left = Vec::new();
        for (definition, tool) in self.left() {
            let mut definition = definition.clone();
            cache = cache.max(organization::offer(self.organizations, self.view, &mut definition.input_schema));
            self.view.narrow(tool, &mut definition.input_schema);
            left.push(definition);
        }
        Listing { tools: write(&left.iter().collect::<Vec<_>>()).into(), cache }
    }

    fn has(&self, name: &str) -> bool {
        self.left().any(|(_, tool)| tool.name == name)
    }

    async fn call(&self, name: &str, arguments: Map<String, Value>) -> Result<String, ToolError> {
        let answer = self.answer(name, arguments).await;
        self.write(name, answer)
    }

    fn boundary(&self) -> String {
        // 128 bits.
        let mut bytes = [0; 16];
        self.io.random(&mut bytes);
        hex(&bytes)
    }
}

impl Tools<'_> {
    /// Writes an answer, cut to what is left for it.
    fn write(&self, name: &str, answer: Result<Value, ToolError>) -> Result<String, ToolError> {
        let bytes_max = self.allowance.result_bytes();
        let answer = answer.map(|mut output| {
            fit::list(&mut output, bytes_max, takes(name, "pageSize"));
            output.to_string()
        });
        let answer = answer.map_err(|mut error| {
            fit::error(&mut error, bytes_max);
            if let Some(cause) = error.cause.as_deref() {
                self.note_fault(name, cause);
            }
            error
        });
        self.allowance.answered(match &answer {
            Ok(text) => fit::document_size(text),
            Err(error) => serde_json::to_string(error).map_or(0, |text| fit::document_size(&text)),
        });
        answer
    }

    /// Logs why a call failed that should not have.
    fn note_fault(&self, tool: &str, cause: &str) {
        self.log.event("fault", json!({ "tool": tool, "cause": cause }));
    }

    async fn answer(&self, name: &str, mut arguments: Map<String, Value>) -> Result<Value, ToolError> {
        let Some(tool) = TRAITS.iter().find(|tool| tool.name == name) else {
            return Err(ToolError::fault("a tool that is listed has no entry"));
        };
        self.view.check(tool, &arguments)?;
        self.allowance.fulfil(requests_min(name, &arguments));
        self.view.complete(&mut arguments);
        let deadline = self.io.now().after(tool.time_max).min(self.allowance.deadline());
        let named = named(&arguments);
        let answer = match self.organizations {
            [only] => self.run_in(tool, only, arguments, deadline).await,
            _ => self.run_in_one_or_all(tool, arguments, deadline).await,
        };
        answer.map_err(|error| about(error, &named))
    }
}

/// What a call is about, in its own words. What is longer than any name, 64 characters of four bytes, is none.
fn named(arguments: &Map<String, Value>) -> String {
    const BYTES_MAX: usize = 256;
    let text = |name| arguments.get(name)?.as_str().filter(|text| text.len() <= BYTES_MAX);
    let name = |name| Some(format!("{name} `{}`", text(name)?));
    let all: Vec<_> = ["cluster", "branch", "parent", "displayName", "userName"].into_iter().filter_map(name).collect();
    all.join(", ")
}

/// Says what a call was about where an error does not: TiDB Cloud knows of ids, and the caller of what it wrote.
fn about(mut error: ToolError, named: &str) -> ToolError {
    use ToolErrorCode::{Conflict, FailedPrecondition, InvalidArgument, NotFound, OutcomeUnknown, PermissionDenied};
    let of_it = match error.code {
        NotFound | Conflict | FailedPrecondition | OutcomeUnknown | PermissionDenied => true,
        // TiDB Cloud's refusal of arguments that were read: before that, what they name is not fit to be shown.
        InvalidArgument => error.upstream.is_some(),
        _ => false,
    };
    if of_it && !named.is_empty() && !error.message.contains('`') {
        error.message.push_str(&format!(" The call names {named}."));
    }
    error
}

/// The tools as a Markdown table: name, what it does, effect.
pub fn markdown_table() -> String {
    let mut table = String::from("| tool | what it does | effect |\n| --- | --- | --- |\n");
    for (definition, effect) in definitions() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            definition.name,
            first_sentence(&definition.description),
            effect.word()
        );
    }
    table
}

/// Up to the first full stop that ends a sentence.
pub fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text.trim_end_matches('.'), |(first, _)| first)
}
