//! The tools: the only place where the protocol and TiDB Cloud meet.
//!
//! A tool is one file: argument struct (its doc comments are the descriptions that the model reads, the struct is the
//! input schema), output struct (the output schema), and [`Tool`]. Adding one means adding that file and one word to
//! the registry below; schemas, reference, README table and landing page follow.

mod arguments;
mod errors;
mod output;
mod resolve;
mod sql;
mod types;

use std::{fmt::Write, sync::OnceLock, time::Duration};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    mcp::{
        schema,
        tools::{Annotations, Definition, ToolError, ToolErrorCode, Toolbox},
    },
    platform::{Platform, UnixMillis},
    secret::Secret,
    tidbcloud::{ApiKey, Cloud, Databases, Hosts, Memory, SqlLogin},
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
            open_world_hint: true,
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

/// A tool. The struct that implements it holds the arguments.
#[expect(async_fn_in_trait, reason = "single-threaded: no caller needs `Send`")]
pub trait Tool: DeserializeOwned + JsonSchema {
    /// Unique name.
    const NAME: &'static str;
    /// Name for people.
    const TITLE: &'static str;
    /// What a call does.
    const EFFECT: Effect;
    /// How long a call may take. Many clients give up after 60 s.
    const TIME_MAX: Duration = CONTROL_PLANE_TIME_MAX;
    /// What it answers with.
    type Output: Serialize + JsonSchema;

    /// Does it.
    async fn call<P: Platform>(self, context: &Context<'_, P>) -> Result<Self::Output, ToolError>;
}

/// Three attempts of 8 s and two pauses of 2 s.
const CONTROL_PLANE_TIME_MAX: Duration = Duration::from_secs(28);

/// A statement of 30 s, after 20 s in which a new SQL user begins to work, and 5 s for the control plane.
const SQL_TIME_MAX: Duration = Duration::from_secs(55);

/// Whoever calls, and what the call may use.
pub struct Tools<'a, P> {
    /// The outside world.
    pub platform: &'a P,
    /// TiDB Cloud, or a sandbox.
    pub hosts: &'a Hosts,
    /// The caller's keys.
    pub key: &'a ApiKey,
    /// What this isolate remembers.
    pub memory: &'a Memory,
    /// What SQL passwords are derived from.
    pub secret: &'a Secret,
    /// The caller's own SQL user.
    pub fallback: Option<&'a SqlLogin>,
}

/// One call of one tool.
pub struct Context<'a, P: Platform> {
    cloud: Cloud<'a, P>,
    platform: &'a P,
    secret: &'a Secret,
    fallback: Option<&'a SqlLogin>,
}

impl<'a, P: Platform> Context<'a, P> {
    /// TiDB Cloud, with the caller's keys.
    pub fn cloud(&self) -> &Cloud<'a, P> {
        &self.cloud
    }

    /// SQL, as the managed users or the caller's own.
    pub fn sql(&self) -> Databases<'a, P> {
        self.cloud.sql(self.secret, self.fallback)
    }

    /// Random bytes.
    pub fn random(&self, bytes: &mut [u8]) {
        self.platform.random(bytes);
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

        const NAMES: &[&str] = &[$(<$file::$tool as Tool>::NAME,)*];

        impl<P: Platform> Tools<'_, P> {
            async fn dispatch(&self, name: &str, arguments: Map<String, Value>) -> Result<Value, ToolError> {
                match name {
                    $(<$file::$tool as Tool>::NAME => self.run::<$file::$tool>(arguments).await,)*
                    _ => Err(ToolError::new(ToolErrorCode::Internal, "This tool is listed but not there.")),
                }
            }
        }
    };
}

registry! {
    list_regions::ListRegions,
    list_clusters::ListClusters,
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
    let (description, input_schema) = schema::input_schema::<T>();
    Definition {
        name: T::NAME,
        title: T::TITLE,
        description,
        input_schema,
        output_schema: schema::output_schema::<T::Output>(),
        annotations: T::EFFECT.annotations(),
    }
}

/// The arguments that a tool has.
fn argument_names(tool: &str) -> Vec<&'static str> {
    definitions()
        .iter()
        .find(|(definition, _)| definition.name == tool)
        .and_then(|(definition, _)| definition.input_schema.get("properties")?.as_object())
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

impl<P: Platform> Tools<'_, P> {
    async fn run<T: Tool>(&self, arguments: Map<String, Value>) -> Result<Value, ToolError> {
        let tool: T = arguments::read(arguments, &argument_names(T::NAME))?;
        let deadline: UnixMillis = self.platform.now().after(T::TIME_MAX);
        let context = Context {
            cloud: Cloud::new(self.platform, self.hosts, self.key, self.memory, deadline),
            platform: self.platform,
            secret: self.secret,
            fallback: self.fallback,
        };
        let output = tool.call(&context).await?;
        serde_json::to_value(output)
            .map_err(|_| ToolError::new(ToolErrorCode::Internal, "The result could not be written as JSON."))
    }
}

impl<P: Platform> Toolbox for Tools<'_, P> {
    fn list(&self) -> &str {
        static LIST: OnceLock<String> = OnceLock::new();
        LIST.get_or_init(|| {
            let definitions: Vec<_> = definitions().iter().map(|(definition, _)| definition).collect();
            serde_json::to_string(&definitions).unwrap_or_else(|_| "[]".to_owned())
        })
    }

    fn has(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }

    async fn call(&self, name: &str, arguments: Map<String, Value>) -> Result<Value, ToolError> {
        self.dispatch(name, arguments).await
    }
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
