//! Tools: a tool's file implements [`Tool`], its toolset's list has the [`Entry`] made of it, and everything else follows
//! from these two.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    arguments,
    context::Context,
    receipt::{self, Closing, Done, Receipt},
    schemas::Schemas,
    stakes::Stakes,
    toolset::Toolset,
};
use crate::{
    base::{future::Pending, scope::Scope},
    mcp::{
        outcome::{Output, ToolError},
        tools::{Annotations, Definition},
    },
    port::allowance,
    tidbcloud::Trail,
};

/// The effect of a call. Its annotations and its place in the documentation follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Adds something that was not there.
    Create,
    /// Changes something; the same call again changes nothing more.
    Update,
    /// Runs the caller's SQL, which may destroy.
    Execute,
    /// Removes something for good.
    Destroy,
}

impl Effect {
    /// As clients are told. An account is a closed world, unless data crosses its border.
    fn annotations(self, data_crosses: bool) -> Annotations {
        Annotations {
            read_only_hint: self == Self::Read,
            // A change loses what was there before it: a limit, or labels that are replaced.
            destructive_hint: matches!(self, Self::Update | Self::Execute | Self::Destroy),
            idempotent_hint: matches!(self, Self::Read | Self::Update),
            open_world_hint: data_crosses,
        }
    }

    /// The scope that a call needs; tools that run SQL are judged by the SQL.
    pub fn scope(self) -> Scope {
        match self {
            Self::Read => Scope::Read,
            Self::Create | Self::Update => Scope::Write,
            Self::Execute | Self::Destroy => Scope::Destroy,
        }
    }

    /// The scope that the least of its calls needs.
    pub fn least_scope(self) -> Scope {
        match self {
            Self::Execute => Scope::Write,
            other => other.scope(),
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

/// Three attempts of 8 s and two pauses of 2 s.
pub(crate) const CONTROL_PLANE_TIME_MAX: Duration = Duration::from_secs(28);

/// All that an HTTP request has.
pub(crate) const SQL_TIME_MAX: Duration = allowance::TIME_MAX;

/// A tool. The struct that implements it holds the arguments.
#[expect(async_fn_in_trait, reason = "single-threaded: no caller needs `Send`")]
pub trait Tool: DeserializeOwned + JsonSchema {
    /// Unique name.
    const NAME: &'static str;
    /// Name for people.
    const TITLE: &'static str;
    /// What a call does.
    const EFFECT: Effect;
    /// Whether data leaves the account or comes into it, as by an import, an export, a changefeed or an invitation.
    const DATA_CROSSES: bool = false;
    /// For a tool that lists over all organizations: the output field with the list.
    const LIST: Option<&'static str> = None;
    /// Fields beside that list which are about the caller: over all organizations, the first says them for all.
    const OF_CALLER: &'static [&'static str] = &[];
    /// Arguments that rename the cluster. They are refused if the address fixes the cluster.
    const RENAMES: &'static [&'static str] = &[];
    /// Whether it makes another cluster of the one that it is given: out of reach where the address or the grant fixes that one.
    const MAKES_CLUSTER: bool = false;
    /// How long a call may take. Many clients give up after 60 s.
    const TIME_MAX: Duration = CONTROL_PLANE_TIME_MAX;
    /// Its part of the receipt. A tool that changes something and says nothing here does not compile, and neither does one that
    /// only reads and says something.
    const RECEIPT: Option<Receipt<Self>> = None;
    /// Its result.
    type Output: Serialize + JsonSchema;

    /// The least number of requests to TiDB Cloud that a call with these arguments takes.
    fn requests_min(arguments: &Map<String, Value>) -> u32 {
        let _ = arguments;
        1
    }

    /// The scope that a call with these arguments needs. They are not validated yet.
    fn scope(arguments: &Map<String, Value>) -> Scope {
        let _ = arguments;
        Self::EFFECT.scope()
    }

    /// Whether these arguments may put something at stake, so that a person has to agree. What destroys always does.
    fn asks(&self) -> bool {
        Self::EFFECT == Effect::Destroy
    }

    /// Whether it would let somebody in or data out, or needs credentials that a person hands in: no standing consent covers that.
    fn opens(&self) -> bool {
        false
    }

    /// What a person must agree to before a call that [asks](Tool::asks) changes anything; `None` if it turns out to be nothing.
    /// It is read by the call that asks, and again by the one that was confirmed. A tool that asks and does not say what is at
    /// stake never runs.
    async fn stakes(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let _ = context;
        Err(ToolError::fault(format!("{} does not say what is at stake", Self::NAME)))
    }

    /// What a person must agree to before a call that does not [ask](Tool::asks), because of what it would cost the database.
    async fn weighs(&self, context: &Context<'_>) -> Result<Option<Stakes>, ToolError> {
        let _ = context;
        Ok(None)
    }

    /// The figures of a result as a picture, an SVG document of [`picture`](crate::picture): at most 8 KiB, and nothing that the
    /// result does not say too. It is asked for only where the client's address wants pictures.
    fn picture(output: &Self::Output) -> Option<String> {
        let _ = output;
        None
    }

    /// Does it.
    async fn call(self, context: &Context<'_>) -> Result<Self::Output, ToolError>;
}

/// The tools of a toolset, in the order in which clients see them.
pub struct Group {
    /// The toolset.
    pub toolset: Toolset,
    /// [`Entry::of`] each.
    pub tools: &'static [fn(Toolset) -> Entry],
}

/// Runs a tool with its input schema and arguments.
type Run = for<'c> fn(&'c Context<'c>, &'c Value, Map<String, Value>) -> Pending<'c, Ran>;

/// A tool as a value: its metadata and the function that runs it. Made once per isolate.
pub struct Entry {
    /// What a call does.
    pub effect: Effect,
    /// Which group it belongs to.
    pub toolset: Toolset,
    /// As clients see it.
    pub definition: Definition,
    pub(super) list: Option<&'static str>,
    pub(super) of_caller: &'static [&'static str],
    pub(super) renames: &'static [&'static str],
    pub(super) makes_cluster: bool,
    pub(super) time_max: Duration,
    /// Where a change whose outcome is unknown is looked for.
    look: Option<&'static str>,
    requests_min: fn(&Map<String, Value>) -> u32,
    scope: fn(&Map<String, Value>) -> Scope,
    run: Run,
}

impl Entry {
    /// The entry of a tool, for the list of its toolset.
    pub fn of<T: Tool>(toolset: Toolset) -> Self {
        const {
            assert!(
                matches!(T::EFFECT, Effect::Read) == T::RECEIPT.is_none(),
                "a tool has a RECEIPT if it changes something, and only then"
            );
        }
        let Schemas { description, input_schema, output_schema } = Schemas::of::<T>();
        Self {
            effect: T::EFFECT,
            toolset,
            definition: Definition {
                name: T::NAME,
                title: T::TITLE,
                description,
                input_schema,
                output_schema,
                annotations: T::EFFECT.annotations(T::DATA_CROSSES),
            },
            list: T::LIST,
            of_caller: T::OF_CALLER,
            renames: T::RENAMES,
            makes_cluster: T::MAKES_CLUSTER,
            time_max: T::TIME_MAX,
            look: T::RECEIPT.map(|receipt| receipt.look),
            requests_min: T::requests_min,
            scope: T::scope,
            run: run::<T>,
        }
    }

    /// The output field that lists what all organizations have.
    pub fn list(&self) -> Option<&'static str> {
        self.list
    }

    /// The hint after a call whose outcome is unknown; `None` if it changes nothing.
    pub fn look(&self) -> Option<&'static str> {
        self.look
    }

    /// Whether it has the time of SQL.
    pub(super) fn runs_sql(&self) -> bool {
        self.time_max == SQL_TIME_MAX
    }

    /// Unique name.
    pub fn name(&self) -> &'static str {
        self.definition.name
    }

    /// The schema of an argument; `None` if the tool does not take it.
    pub(super) fn argument(&self, name: &str) -> Option<&Value> {
        self.definition.input_schema.get("properties")?.get(name)
    }

    /// The scope that this call needs.
    pub fn scope(&self, arguments: &Map<String, Value>) -> Scope {
        (self.scope)(arguments)
    }

    /// The least number of requests to TiDB Cloud that this call takes.
    pub fn requests_min(&self, arguments: &Map<String, Value>) -> u32 {
        (self.requests_min)(arguments)
    }

    /// Runs it in one organization.
    pub(super) async fn run(&self, context: Context<'_>, arguments: Map<String, Value>) -> Result<Output, ToolError> {
        let changes = self.effect != Effect::Read;
        let caller = changes.then(|| context.fingerprint());
        let trail = Trail::new(context.log(), caller.as_deref().map(|caller| (self.name(), caller)));
        let context = &context.running(self.name(), &trail, if changes { receipt::BYTES } else { 0 });
        let closing = Closing { context, trail: &trail, caller: caller.as_deref().unwrap_or_default() };
        let Ran { tried, result } = (self.run)(context, &self.definition.input_schema, arguments).await;
        let mut answer = match result {
            Ok((Output { structured, picture }, Some(done))) => {
                Ok(Output { structured: closing.done(structured, done), picture })
            }
            Ok((output, None)) => Ok(output),
            Err(error) => Err(closing.failed(error, tried, self.look)),
        };
        match &mut answer {
            Ok(output) => {
                context.hide(&mut output.structured);
                output.picture.iter_mut().for_each(|picture| context.hide(picture));
            }
            Err(error) => context.hide_in(error),
        }
        answer
    }
}

/// How a tool ran. This much is compiled once for each tool.
struct Ran {
    /// What a change tries, once its arguments are read.
    tried: Option<String>,
    /// The output, and the tool's part of the receipt.
    result: Result<(Output, Option<Done>), ToolError>,
}

fn run<'c, T: Tool>(
    context: &'c Context<'c>,
    input_schema: &'c Value,
    arguments: Map<String, Value>,
) -> Pending<'c, Ran> {
    Box::pin(async move {
        let tool: T = match arguments::read(input_schema, arguments.clone()) {
            Ok(tool) => tool,
            Err(error) => return Ran { tried: None, result: Err(error) },
        };
        let tried = T::RECEIPT.map(|receipt| (receipt.tries)(&tool));
        let result = ask_and_call(tool, context, &arguments).await.and_then(|output| {
            let structured = serde_json::to_string(&output)
                .map_err(|error| ToolError::fault(format!("the result is no JSON: {:?}", error.classify())))?;
            let picture = if context.shows_pictures() { T::picture(&output) } else { None };
            Ok((Output { structured, picture }, T::RECEIPT.map(|receipt| (receipt.done)(&output))))
        });
        Ran { tried, result }
    })
}

async fn ask_and_call<T: Tool>(
    tool: T,
    context: &Context<'_>,
    arguments: &Map<String, Value>,
) -> Result<T::Output, ToolError> {
    let stakes = if !tool.asks() {
        // Nobody is absent before it is known that there is something to ask.
        let heavy = tool.weighs(context).await?;
        heavy.filter(|_| !context.goes_without_person(T::NAME, false))
    } else if context.goes_without_person(T::NAME, tool.opens()) {
        None
    } else {
        tool.stakes(context).await?
    };
    if let Some(stakes) = stakes {
        if !stakes.credentials.is_empty() && !tool.opens() {
            // Where nobody is asked it would run without them.
            return Err(ToolError::fault(format!("{} asks for credentials, and does not say that it opens", T::NAME)));
        }
        context.confirm(T::NAME, arguments, stakes, T::requests_min(arguments)).await?;
    }
    tool.call(context).await
}
