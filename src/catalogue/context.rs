//! The context in which a tool runs.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::{
    deployment::Deployment,
    handed::Credentials,
    narrowing::Narrowing,
    resolve::Meant,
    stakes::{Bound, Person, Stakes},
    view::View,
};
use crate::{
    base::{
        clock::UnixMillis,
        hash::{hex, hmac_sha256},
        secret::Secret,
    },
    mcp::outcome::ToolError,
    port::{Io, RequestLog, Statement, allowance::Allowance},
    tidbcloud::{Cloud, Databases, SqlLogin, Trail, alias::Aliases},
};

/// One call of one tool in one organization.
pub struct Context<'a> {
    pub(super) cloud: Cloud<'a>,
    /// The other organizations, if the call is for all of them.
    pub(super) others: Vec<Cloud<'a>>,
    pub(super) io: &'a dyn Io,
    /// The log of the HTTP request.
    pub(super) log: &'a RequestLog<'a>,
    pub(super) allowance: &'a Allowance,
    pub(super) secret: &'a Secret,
    pub(super) own_login: Option<&'a SqlLogin>,
    pub(super) aliases: &'a [(&'static str, &'a Aliases)],
    pub(super) view: View<'a>,
    pub(super) meant: Meant,
    pub(super) person: &'a dyn Person,
    pub(super) deployment: &'a dyn Deployment,
    /// The organization's name; empty where it has none.
    pub(super) organization: &'a str,
    /// Whether SQL statements carry the comment that names their tool.
    pub(super) sql_tags: bool,
    /// Estimated rows above which a statement needs a person; 0 for never.
    pub(super) rows_guard: u64,
    /// The tool that this call runs, and bytes of its result that are taken already.
    pub(super) running: (&'static str, usize),
    /// What a person handed in for this call.
    pub(super) handed_in: RefCell<Option<Credentials>>,
    /// The same, as what no answer may repeat.
    pub(super) hidden: RefCell<Vec<Secret>>,
}

impl<'a> Context<'a> {
    /// The same while `tool` runs, whose requests are noted in `trail`, with a receipt of so many bytes.
    pub(super) fn running(self, tool: &'static str, trail: &'a Trail<'a>, receipt_bytes: usize) -> Self {
        Self { cloud: self.cloud.noting(trail), running: (tool, receipt_bytes), ..self }
    }

    /// TiDB Cloud, with the caller's keys.
    pub fn cloud(&self) -> &Cloud<'a> {
        &self.cloud
    }

    /// SQL, as the managed users or the caller's own.
    pub fn sql(&self) -> Databases<'a> {
        let tag = self.sql_tags.then_some(self.running.0);
        self.cloud.sql(self.secret, self.own_login, self.allowance).tagged(tag)
    }

    /// Estimated rows above which a statement needs a person; `None` if none does.
    pub fn rows_guard(&self) -> Option<u64> {
        Some(self.rows_guard).filter(|rows| *rows > 0)
    }

    /// How address and token narrow the tools.
    pub fn narrowing(&self) -> &'a Narrowing {
        self.view.narrowing
    }

    /// The log of the HTTP request.
    pub(super) fn log(&self) -> &'a RequestLog<'a> {
        self.log
    }

    /// Notes what a result shows, for the log.
    pub fn notes_rows(&self, returned: usize, is_cut: bool) {
        self.log.noted.shows(returned, is_cut);
    }

    /// Notes the caller's SQL for the log: its class, length, and a keyed hash by which the same SQL is found again.
    pub fn notes_sql(&self, class: &'static str, text: &str) {
        let hash = hmac_sha256(self.secret.expose().as_bytes(), format!("sql in the log v1\n{text}").as_bytes());
        let hash = hex(hash.get(..4).unwrap_or_default());
        self.log.noted.statement.replace(Some(Statement { class, bytes: text.len(), hash }));
    }

    /// Whose credentials the call uses, without giving them away.
    pub(crate) fn fingerprint(&self) -> String {
        self.cloud.fingerprint(self.secret)
    }

    /// What the caller sees of the catalogue.
    pub(crate) fn view(&self) -> View<'a> {
        self.view
    }

    /// What the deployment says of itself to this caller.
    pub(crate) fn deployment(&self) -> &'a dyn Deployment {
        self.deployment
    }

    /// The allowance of the HTTP request that carried this call.
    pub fn allowance(&self) -> &'a Allowance {
        self.allowance
    }

    /// Bytes of JSON that the result may have.
    pub fn result_bytes(&self) -> usize {
        self.allowance.result_bytes().saturating_sub(self.running.1)
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        self.io.now()
    }

    /// Whether the client's address wants results with pictures.
    pub(super) fn shows_pictures(&self) -> bool {
        self.view.asked.shows_pictures()
    }

    /// Whether nobody is asked before this call.
    pub(super) fn goes_without_person(&self, tool: &'static str, opens: bool) -> bool {
        !opens && self.person.is_absent(tool)
    }

    /// Requires that a person agreed to this very call.
    pub(super) async fn confirm(
        &self,
        tool: &'static str,
        arguments: &Map<String, Value>,
        stakes: Stakes,
        requests: u32,
    ) -> Result<(), ToolError> {
        let organization = self.organization;
        let stakes = &stakes.within(organization);
        stakes.must_be_readable()?;
        if self.allowance.requests_sent() == 0 {
            // A question would be stored for whatever keys somebody makes up.
            return Err(ToolError::fault(format!("{tool} asks before TiDB Cloud has taken the key")));
        }
        let narrowing = self.narrowing().query();
        let requests = requests.saturating_add(self.allowance.requests_sent());
        let own_key = (!stakes.credentials.is_empty()).then(|| self.cloud.hand_in_key(self.secret));
        let bound = Bound { tool, arguments, organization, narrowing, stakes, requests, own_key };
        let handed_in = self.person.agrees(&bound).await?;
        handed_in.iter().for_each(|credentials| self.keeps(credentials));
        self.handed_in.replace(handed_in);
        Ok(())
    }

    /// Random bytes.
    pub fn random(&self, bytes: &mut [u8]) {
        self.io.random(bytes);
    }
}
