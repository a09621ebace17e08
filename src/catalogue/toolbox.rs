//! The tools of one caller, and the single path through which each is called.

use std::{cell::RefCell, sync::OnceLock};

use serde_json::{Map, Value, json};

use super::{
    budget, code,
    context::Context,
    deployment::Deployment,
    entry::{Effect, Entry, Group},
    failures::IN_A_SANDBOX,
    narrowing::Narrowing,
    organizations::{Homes, Organization},
    pace::{Pace, Run, change},
    resolve::Meant,
    stakes::Person,
    toolset::Toolset,
    view::View,
};
use crate::{
    base::{clock::UnixMillis, hash::hex, scope::Scope, secret::Secret},
    mcp::{
        self,
        outcome::{Answered, Instead, Outcome, Output, ToolError},
        tools::{Listing, Toolbox},
    },
    port::{self, Io, RequestLog, allowance::Allowance},
    tidbcloud::{Cloud, Hosts, KeyWitness, Memory, alias::Aliases},
};

/// All tools, in the order in which clients see them.
pub struct Catalogue {
    groups: &'static [Group],
    entries: OnceLock<Vec<Entry>>,
    /// `tools/list` without an address or a grant that narrows it, in one organization, for each scope: serialized once per
    /// isolate.
    lists: [OnceLock<String>; Scope::ALL.len()],
}

impl Catalogue {
    /// The catalogue of these groups.
    pub const fn new(groups: &'static [Group]) -> Self {
        Self { groups, entries: OnceLock::new(), lists: [const { OnceLock::new() }; Scope::ALL.len()] }
    }

    /// Every tool.
    pub fn entries(&self) -> &[Entry] {
        self.entries.get_or_init(|| {
            let of_group = |group: &Group| group.tools.iter().map(|of| of(group.toolset)).collect::<Vec<_>>();
            self.groups.iter().flat_map(of_group).collect()
        })
    }

    /// The tool of this name.
    pub(super) fn tool(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|tool| tool.name() == name)
    }

    /// The toolsets of which an address or a grant leaves something.
    pub fn toolsets(&self, narrowing: &Narrowing) -> Vec<Toolset> {
        let has_tools =
            |toolset: &Toolset| self.entries().iter().any(|tool| tool.toolset == *toolset && narrowing.reaches(tool));
        Toolset::ALL.iter().copied().filter(has_tools).collect()
    }

    /// The list that is kept for a scope. A caller without one sees as much as the strongest scope.
    pub(super) fn list(&self, scope: Option<Scope>) -> Option<&OnceLock<String>> {
        self.lists.get(scope.unwrap_or(Scope::Destroy) as usize)
    }
}

/// The tool that a call means.
#[derive(Clone, Copy)]
pub struct Called {
    /// The tool.
    pub tool: &'static Entry,
    /// Whether the call is one of the relay, with this tool's name in it.
    pub is_relayed: bool,
}

impl mcp::tools::Tool for Called {
    fn name(self) -> &'static str {
        self.tool.name()
    }
}

/// The caller, and what the call may use.
pub struct Tools<'a> {
    /// What it sees of the catalogue.
    pub view: View<'a>,
    /// Other hosts, time and randomness.
    pub io: &'a dyn Io,
    /// The log of the HTTP request.
    pub log: &'a RequestLog<'a>,
    /// The allowance of the HTTP request that carried the calls.
    pub allowance: &'a Allowance,
    /// TiDB Cloud, or a sandbox.
    pub hosts: &'a Hosts,
    /// The witness of their keys.
    pub witness: &'a dyn KeyWitness,
    /// What this isolate remembers of TiDB Cloud.
    pub memory: &'a Memory,
    /// What this isolate remembers of organizations.
    pub homes: &'a Homes,
    /// What SQL passwords are derived from.
    pub secret: &'a Secret,
    /// Whoever asks the person.
    pub person: &'a dyn Person,
    /// Whoever holds the caller back.
    pub pace: &'a dyn Pace,
    /// Whoever knows the deployment.
    pub deployment: &'a dyn Deployment,
    /// Short names for clusters by source, the source with higher precedence first.
    pub aliases: &'a [(&'static str, &'a Aliases)],
    /// Whether SQL statements carry the comment that names their tool.
    pub sql_tags: bool,
    /// Estimated rows above which a statement needs a person; 0 for never.
    pub rows_guard: u64,
}

impl Tools<'_> {
    /// Checks that the caller has this tool and may give these arguments.
    ///
    /// # Errors
    /// The error of the call.
    fn check(&self, called: Called, arguments: &Map<String, Value>) -> Result<(), ToolError> {
        let Called { tool, is_relayed } = called;
        if is_relayed && !self.view.narrowing.reaches(tool) {
            return Err(self.view.not_relayed(tool.name()));
        }
        self.view.narrowing.check(tool, arguments)
    }

    /// Whether a call begins, or fails before it.
    pub fn begins(&self, called: Called, arguments: &Map<String, Value>) -> bool {
        self.view.offers(called).is_ok() && self.check(called, arguments).is_ok()
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
            log: self.log,
            allowance: self.allowance,
            secret: self.secret,
            own_login: organization.own_login,
            aliases: self.aliases,
            view: self.view,
            meant: Meant::default(),
            person: self.person,
            deployment: self.deployment,
            organization: organization.name,
            sql_tags: self.sql_tags,
            rows_guard: self.rows_guard,
            running: ("", 0),
            handed_in: RefCell::default(),
            hidden: RefCell::default(),
        }
    }

    /// Runs a tool in one organization.
    pub(super) async fn run_in(
        &self,
        tool: &'static Entry,
        organization: &Organization<'_>,
        arguments: Map<String, Value>,
        deadline: UnixMillis,
    ) -> Result<Output, ToolError> {
        tool.run(self.context(organization, deadline), arguments).await
    }

    async fn answer(&self, called: Called, mut arguments: Map<String, Value>) -> Result<Output, ToolError> {
        self.check(called, &arguments)?;
        let tool = called.tool;
        self.allowance.fulfil(tool.requests_min(&arguments));
        let _run = if tool.runs_sql() { Some(Run::begin(self.pace)?) } else { None };
        if tool.effect != Effect::Read {
            change(self.pace).await?;
        }
        self.view.narrowing.complete(tool, &mut arguments);
        let deadline = self.io.now().after(tool.time_max).min(self.allowance.deadline());
        let named = named(&arguments);
        let answer = match self.view.organizations {
            [only] => self.run_in(tool, only, arguments, deadline).await,
            // It looks at the catalogue, and at no organization.
            [first, ..] if tool.toolset == Toolset::Finder => self.run_in(tool, first, arguments, deadline).await,
            _ => self.run_in_one_or_all(tool, arguments, deadline).await,
        };
        answer.map_err(|error| {
            let mut error = about(error, &named);
            if self.hosts.is_sandbox() && error.hint.contains("the key pair") {
                IN_A_SANDBOX.clone_into(&mut error.hint);
            }
            error
        })
    }

    /// The end of every call: cuts the result to its budget and logs a failure.
    fn finish(&self, tool: &Entry, answer: Result<Output, ToolError>) -> Outcome {
        let bytes_max = self.allowance.result_bytes();
        match answer {
            Ok(Output { structured, picture }) => {
                let whole = structured.len();
                let (structured, bytes) = budget::output(structured, bytes_max, tool.argument("pageSize").is_some());
                if structured.len() < whole {
                    self.log.noted.truncated.set(true);
                }
                self.allowance.answered(bytes);
                let picture = picture.filter(|picture| self.allowance.take_picture(picture.len()));
                Outcome::Complete(Output { structured, picture })
            }
            Err(mut error) => {
                match error.instead.take().map(|instead| *instead) {
                    Some(Instead::Ask(question)) => return Outcome::InputRequired(question),
                    Some(Instead::Refuse) => return Outcome::Refused(error.message),
                    Some(Instead::Wait) | None => {}
                }
                if let Some(cause) = error.cause.as_deref() {
                    let what = json!({ "tool": tool.name(), "code": error.code, "cause": cause });
                    let write = if error.code == code::INTERNAL { RequestLog::error } else { RequestLog::warn };
                    write(self.log, "failed_call", what);
                }
                if let Some(instead) = self.view.instead(&error.hint) {
                    error.hint.push_str(&instead);
                }
                budget::error(&mut error, bytes_max);
                self.allowance.answered(budget::serialized_size(&error));
                Outcome::Failed(Box::new(error))
            }
        }
    }
}

impl Toolbox for Tools<'_> {
    type Tool = Called;

    fn list(&self) -> Listing<'_> {
        self.view.list()
    }

    fn offers(&self, called: Called) -> Result<(), String> {
        self.view.offers(called)
    }

    async fn call(&self, called: Called, arguments: Map<String, Value>, answered: Answered) -> Outcome {
        self.person.hears(answered);
        let begun = Begun::of(self);
        let mut answer = self.answer(called, arguments.clone()).await;
        if matches!(&answer, Err(error) if error.instead.as_deref() == Some(&Instead::Wait)) {
            let asked = self.io.now();
            answer = match self.person.waits().await {
                Ok(()) => {
                    self.allowance.pause(asked.until(self.io.now()));
                    self.answer(called, arguments).await
                }
                Err(error) => Err(error),
            };
        }
        let outcome = self.finish(called.tool, answer);
        begun.ended(self, called.tool, &outcome);
        outcome
    }

    async fn hear(&self, id: &str, result: &Value) {
        self.person.hear(id, result).await;
    }

    async fn cancel(&self, request: &str) {
        self.person.cancel(request).await;
    }

    fn boundary(&self) -> String {
        // 128 bits.
        let mut bytes = [0; 16];
        self.io.random(&mut bytes);
        hex(&bytes)
    }
}

/// What had happened when a call began.
struct Begun {
    at: UnixMillis,
    upstream_requests: u32,
    rows: Option<u64>,
}

impl Begun {
    fn of(tools: &Tools<'_>) -> Self {
        Self {
            at: tools.io.now(),
            upstream_requests: tools.allowance.requests_sent(),
            rows: tools.log.noted.rows.get(),
        }
    }

    /// Notes the call.
    fn ended(self, tools: &Tools<'_>, tool: &Entry, outcome: &Outcome) {
        let (outcome, code) = match outcome {
            Outcome::Complete(_) => ("done", None),
            Outcome::InputRequired(_) => ("asked", None),
            Outcome::Failed(error) if error.code == code::CONFIRMATION_REQUIRED => ("asked", Some(error.code.0)),
            Outcome::Failed(error) => ("failed", Some(error.code.0)),
            Outcome::Refused(_) => ("refused", None),
        };
        let noted = &tools.log.noted;
        let rows = noted.rows.get().filter(|_| noted.rows.get() != self.rows);
        noted.calls.borrow_mut().push(port::Called {
            tool: tool.name(),
            outcome,
            code,
            millis: u64::try_from(self.at.until(tools.io.now()).as_millis()).unwrap_or(u64::MAX),
            upstream_requests: tools.allowance.requests_sent().saturating_sub(self.upstream_requests),
            rows: rows.map(|rows| rows.saturating_sub(self.rows.unwrap_or_default())),
        });
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
