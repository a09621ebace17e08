//! SQL over HTTP: `POST https://http-<public endpoint>/v1beta/sql`, as TiDB Cloud's own driver `@tidbcloud/serverless`
//! 0.3 speaks it. One statement a request, Basic authentication as a SQL user, at most 10,000 rows.

use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{
    Cloud,
    api::{Endpoints, State},
    database::DatabaseName,
    error::{ApiError, Said, presentable},
    hosts::{Host, SqlHost},
    memory::Facts,
    retry::{ATTEMPT_MIN, Passing},
    rows::{Limits, Reader, Rows, Unread},
    send::{USER_AGENT, unreadable},
    units::{ClusterId, Malformed, Target},
};
use crate::{
    base::{
        http::{Headers, Method, Response},
        secret::Secret,
    },
    port::{
        FetchError, Outbound,
        allowance::{Allowance, TO_BEGIN},
    },
};

/// 30 s, as TiDB Cloud's own command line gives a statement.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A value longer than this is cut: 2 KiB are enough to know what it is.
const CELL_BYTES_MAX: usize = 2 << 10;
/// A digit is counted as four bytes while it is read, and has two in a result that shows numbers as such: twice the bytes
/// of the result are enough to fill it.
const KEPT_FACTOR: usize = 2;
/// 500 characters: an error quotes about 80 characters of the statement; the rest is room for long names.
const MESSAGE_CHARS_MAX: usize = 500;
/// Reads are sent twice at most: every repetition costs the caller request units.
const ATTEMPTS_MAX: u32 = 2;
/// First and longest wait for a new SQL user to work. Until a deadline of 55 s these are 30 logins, of the 50
/// subrequests of a call on the free plan of Workers: 0.25 + 0.5 + 1 s and then one every 2 s.
const LOGIN_WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// One round trip: what a write on its own has at least, and what COMMIT leaves of the time, so that a ROLLBACK can follow
/// it. Statements of a transaction leave twice as much.
const ENDING: Duration = Duration::from_secs(2);
/// Errors after which a read can be sent again: deadlock (1213), write conflict (8022, 9007), and storage or placement
/// servers that are busy or out of reach (9001 to 9005). TiDB, "Error Codes and Troubleshooting".
const BUSY: [u16; 8] = [1213, 8022, 9001, 9002, 9003, 9004, 9005, 9007];
/// Access denied (MySQL, `ER_ACCESS_DENIED_ERROR`).
const ACCESS_DENIED: u16 = 1045;

/// A SQL user of the caller's own.
#[derive(Clone)]
pub struct SqlLogin {
    /// Full name, with the prefix of its instance.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The only cluster that it is for, with its branches, where its owner said so.
    pub cluster: Option<ClusterId>,
}

impl SqlLogin {
    /// Checks what Basic authentication can carry (RFC 7617 section 2): a name without colon, and neither part with
    /// control characters; at most 128 bytes each.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Result<Self, Malformed> {
        let (user, password) = (user.into(), password.into());
        let fits = |text: &str| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
        if !fits(&user) || user.contains(':') {
            return Err(Malformed {
                what: "the SQL user",
                expected: "1 to 128 bytes without colon or control characters",
            });
        }
        if !fits(&password) {
            return Err(Malformed { what: "the SQL password", expected: "1 to 128 bytes without control characters" });
        }
        Ok(Self { user, password: Secret::new(password), cluster: None })
    }

    /// The same user for one cluster and its branches alone.
    #[must_use]
    pub fn only_for(self, cluster: Option<ClusterId>) -> Self {
        Self { cluster, ..self }
    }

    /// Whether it is the one to log in with there.
    fn is_for(&self, target: &Target, facts: &Facts) -> bool {
        self.prefix() == facts.prefix.as_deref()
            && self.cluster.as_ref().is_none_or(|cluster| *cluster == target.cluster)
    }

    /// The prefix of the instance that the user belongs to.
    fn prefix(&self) -> Option<&str> {
        self.user.split_once('.').map(|(prefix, _)| prefix)
    }
}

/// What a statement needs, and so as which managed user it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessClass {
    /// `role_readonly`
    ReadOnly,
    /// `role_readwrite`
    ReadWrite,
    /// `role_admin`
    Admin,
}

/// Whether a statement may be sent again when its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// It may change something.
    Write,
}

/// One statement, and how much of each of its values matters.
#[derive(Clone, Copy, Debug)]
pub struct Query<'s> {
    /// The text.
    pub sql: &'s str,
    /// Whether values are kept whole as long as the result has room. Those of `SHOW` and `EXPLAIN` can be had in no other
    /// way; one that a query gives can be read in parts, and is cut at 2 KiB.
    pub whole_values: bool,
    /// Rows that are counted and not kept, from the first on.
    pub skipped_rows: usize,
}

/// Why a statement gave no rows. No variant holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlFailure {
    /// TiDB Cloud, its control plane or the SQL gateway failed; the statement did not run, or it was a read.
    Api(ApiError),
    /// The database refused the statement.
    Sql {
        /// MySQL's or TiDB's number, for example 1146.
        code: Option<u16>,
        /// The database's message: at most 500 characters, control characters escaped.
        message: String,
    },
    /// The instance cannot take SQL at present; it can later.
    NotReady {
        /// Its state, as TiDB Cloud calls it.
        state: String,
        /// What an active instance still lacks.
        lacks: Option<&'static str>,
    },
    /// The instance's public endpoint is switched off.
    EndpointDisabled,
    /// A managed user cannot be made with this API key, or not here. The caller's own SQL user is the way out.
    NoManagedUser {
        /// What TiDB Cloud said.
        why: String,
    },
    /// The branch was made before the managed users of its parent, and TiDB Cloud offers no call that creates a user on
    /// a branch. Resetting the branch from its parent mends it, and so does the caller's own SQL user.
    BranchOlderThanItsUsers,
    /// The caller's own SQL user belongs to this instance, and was refused.
    OwnLoginRefused,
    /// The managed user was made and does not work yet. That takes up to minutes; the same call can succeed later.
    LoginNotYet,
    /// The statement may or may not have taken effect. Look before repeating it.
    OutcomeUnknown {
        /// What made it unknown.
        cause: Box<SqlFailure>,
    },
}

impl SqlFailure {
    /// Whether the statement may have taken effect all the same.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. }) || matches!(self, Self::Api(error) if error.outcome_unknown())
    }

    fn passing(&self) -> Option<Passing> {
        match self {
            // A read that took 30 s once will take them again.
            Self::Api(ApiError::Timeout) => None,
            Self::Api(error) => error.passing(),
            Self::Sql { code: Some(code), .. } if BUSY.contains(code) => Some(Passing::Stumble(None)),
            _ => None,
        }
    }
}

impl From<ApiError> for SqlFailure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(to),
            Self::Sql { code: Some(code), message } => write!(to, "the database says ({code}): {message}"),
            Self::Sql { code: None, message } => write!(to, "the database says: {message}"),
            Self::NotReady { state, lacks: None } => write!(to, "the instance is {state}"),
            Self::NotReady { state, lacks: Some(lacks) } => write!(to, "the instance is {state} without {lacks}"),
            Self::EndpointDisabled => to.write_str("the public endpoint of the instance is disabled"),
            Self::NoManagedUser { why } => write!(to, "no SQL user can be made: {why}"),
            Self::BranchOlderThanItsUsers => to.write_str("the branch is older than the SQL users of its parent"),
            Self::OwnLoginRefused => to.write_str("the database refuses the SQL user that came with the request"),
            Self::LoginNotYet => to.write_str("the SQL user was made and does not work yet"),
            Self::OutcomeUnknown { cause } => write!(to, "the statement may or may not have taken effect: {cause}"),
        }
    }
}

impl std::error::Error for SqlFailure {}

/// What became of a transaction that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolledBack {
    /// Nothing took effect.
    Yes,
    /// Nothing was committed, and the rollback was not confirmed: locks may be held until the gateway ends the idle
    /// session, after ten minutes.
    No,
    /// The answer to COMMIT was lost: all or nothing took effect.
    Unknown,
}

/// Why a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionFailure {
    /// Which statement failed, from 0; `None` where beginning or committing did.
    pub failed_index: Option<usize>,
    /// How.
    pub error: SqlFailure,
    /// What took effect.
    pub rolled_back: RolledBack,
}

/// SQL on the instances of one caller.
pub struct Databases<'a> {
    pub(super) cloud: Cloud<'a>,
    pub(super) server_secret: &'a Secret,
    fallback: Option<&'a SqlLogin>,
    allowance: &'a Allowance,
}

/// One statement as sent.
#[derive(Clone, Copy)]
struct Statement<'s> {
    database: Option<&'s DatabaseName>,
    session: &'s str,
    query: Query<'s>,
    /// What it leaves of the time.
    reserve: Duration,
    /// With less than this before it, it is not sent.
    time_min: Duration,
}

impl Statement<'_> {
    /// A statement of our own, for a transaction.
    fn control(sql: &'static str) -> Self {
        Self {
            database: None,
            session: "",
            query: Query { sql, whole_values: false, skipped_rows: 0 },
            reserve: Duration::ZERO,
            time_min: ATTEMPT_MIN,
        }
    }
}

/// What a statement gave, and the session it ran in.
struct Answered {
    rows: Rows,
    session: String,
}

/// How the gateway refused.
enum Trouble {
    /// The login: the statement did not run.
    Login,
    Failed {
        failure: SqlFailure,
        /// Whether the statement may have run.
        maybe_done: bool,
    },
}

impl Trouble {
    fn undone(failure: impl Into<SqlFailure>) -> Self {
        Self::Failed { failure: failure.into(), maybe_done: false }
    }
}

/// Where and as whom statements run.
struct Access {
    facts: Facts,
    login: SqlLogin,
}

impl<'a> Databases<'a> {
    pub(super) fn new(
        cloud: Cloud<'a>,
        server_secret: &'a Secret,
        fallback: Option<&'a SqlLogin>,
        allowance: &'a Allowance,
    ) -> Self {
        Self { cloud, server_secret, fallback, allowance }
    }

    /// Runs one statement on its own. `database` is the one that unqualified names are looked up in.
    pub async fn run(
        &self,
        target: &Target,
        class: AccessClass,
        database: Option<&DatabaseName>,
        query: Query<'_>,
        kind: Effect,
    ) -> Result<Rows, SqlFailure> {
        // A write that is sent at the last moment is one whose outcome nobody learns.
        let time_min = if kind == Effect::Write { ENDING } else { ATTEMPT_MIN };
        let statement = Statement { database, query, time_min, ..Statement::control("") };
        Ok(self.log_in(target, class, &statement, kind).await?.1.rows)
    }

    /// Runs statements in one transaction: all of them take effect, or none. Statements that commit by themselves, as
    /// DDL does, do not belong here. `keep` takes what each of them gave before the next one runs.
    pub async fn transaction<T>(
        &self,
        target: &Target,
        class: AccessClass,
        database: Option<&DatabaseName>,
        statements: &[Query<'_>],
        mut keep: impl FnMut(&Query<'_>, Rows) -> T,
    ) -> Result<Vec<T>, TransactionFailure> {
        let fail = |failed_index, error, rolled_back| Err(TransactionFailure { failed_index, error, rolled_back });
        // Besides BEGIN: the statements, COMMIT, and ROLLBACK after a COMMIT that failed.
        let requests = u32::try_from(statements.len()).unwrap_or(u32::MAX).saturating_add(2);
        let Some(mut held) = self.allowance.hold(requests).filter(|_| self.allowance.fits(TO_BEGIN)) else {
            return fail(None, ApiError::Exhausted.into(), RolledBack::Yes);
        };
        let begin = Statement { database, reserve: ENDING * 2, ..Statement::control("BEGIN") };
        // A transaction that was begun twice is once begun and once idle: beginning can be repeated like a read.
        let (access, begun) = match self.log_in(target, class, &begin, Effect::Read).await {
            Ok(begun) => begun,
            Err(error) => return fail(None, error, RolledBack::Yes),
        };
        let mut session = begun.session;
        if session.is_empty() {
            let error = ApiError::Unexpected("BEGIN was answered without a session");
            return fail(None, error.into(), RolledBack::Yes);
        }
        let mut results = Vec::with_capacity(statements.len());
        let commit = Statement { reserve: ENDING, ..Statement::control("COMMIT") };
        let (failed_index, trouble) = loop {
            held.release_one();
            let index = results.len();
            let query = statements.get(index);
            let statement = query.map_or(commit, |query| Statement { query: *query, ..begin });
            match (self.send(&access, &Statement { session: &session, database, ..statement }).await, query) {
                (Ok(_), None) => return Ok(results),
                (Ok(answered), Some(query)) => {
                    results.push(keep(query, answered.rows));
                    if !answered.session.is_empty() {
                        session = answered.session;
                    }
                }
                (Err(trouble), query) => break (query.map(|_| index), trouble),
            }
        };
        held.release_all();
        let known = match (&trouble, failed_index) {
            (Trouble::Failed { maybe_done: true, .. }, None) => Some(RolledBack::Unknown),
            // TiDB has rolled back what it could not commit.
            (Trouble::Failed { failure: SqlFailure::Sql { .. }, .. }, None) => Some(RolledBack::Yes),
            _ => None,
        };
        let rolled_back = match known {
            Some(RolledBack::Yes) => RolledBack::Yes,
            // Where COMMIT never arrived this frees the locks; where it did there is nothing left to roll back.
            _ => self.roll_back(&access, &session).await,
        };
        fail(failed_index, trouble.into_failure(), known.unwrap_or(rolled_back))
    }

    async fn roll_back(&self, access: &Access, session: &str) -> RolledBack {
        let statement = Statement { session, ..Statement::control("ROLLBACK") };
        match self.send(access, &statement).await {
            Ok(_) => RolledBack::Yes,
            Err(_) => RolledBack::No,
        }
    }

    /// Runs a statement as the user that fits, and makes that user work where it does not. A refused login means that
    /// the statement did not run, so writes can be sent again after it.
    async fn log_in(
        &self,
        target: &Target,
        class: AccessClass,
        statement: &Statement<'_>,
        effect: Effect,
    ) -> Result<(Access, Answered), SqlFailure> {
        let (cloud, caller) = (&self.cloud, self.cloud.authenticator.caller());
        let known = cloud.memory.facts(caller, target, cloud.io.now());
        let was_known = known.is_some();
        let facts = match known {
            Some(facts) => facts,
            None => self.look_up(target).await?,
        };
        let own = self.fallback.filter(|own| own.is_for(target, &facts));
        let login = own.cloned().unwrap_or_else(|| self.managed_login(target, class, &facts));
        let mut access = Access { facts, login };
        if let Some(answered) = self.ask(&access, statement, effect).await? {
            return Ok((access, answered));
        }
        cloud.memory.drop_facts(caller, target);
        if own.is_some() {
            return Err(SqlFailure::OwnLoginRefused);
        }
        if was_known {
            access.facts = self.look_up(target).await?;
            access.login = self.managed_login(target, class, &access.facts);
        }
        self.repair(target, class, &access.login).await?;
        let (mut wait, wait_max) = LOGIN_WAIT;
        loop {
            if let Some(answered) = self.ask(&access, statement, effect).await? {
                cloud.memory.keep_facts(caller, target, cloud.io.now(), access.facts.clone());
                return Ok((access, answered));
            }
            let in_time = wait.saturating_add(ATTEMPT_MIN).saturating_add(statement.reserve) <= cloud.remaining();
            if !in_time || !self.allowance.fits(1) {
                return Err(SqlFailure::LoginNotYet);
            }
            cloud.io.sleep(wait).await;
            wait = wait.saturating_mul(2).min(wait_max);
        }
    }

    /// Asks the control plane how to reach an instance, and remembers it.
    async fn look_up(&self, target: &Target) -> Result<Facts, SqlFailure> {
        let cloud = &self.cloud;
        let (state, endpoints, prefix, prefixed) = match &target.branch {
            Some(branch) => {
                let branch = cloud.branch(&target.cluster, branch).await?;
                (branch.state, branch.endpoints, branch.user_prefix, true)
            }
            None => {
                let cluster = cloud.cluster(&target.cluster).await?;
                let prefixed = cluster.service_plan.as_deref() != Some("Essential");
                (cluster.state, cluster.endpoints, cluster.user_prefix, prefixed)
            }
        };
        let facts = facts_of(state, endpoints, prefix, prefixed)?;
        cloud.memory.keep_facts(cloud.authenticator.caller(), target, cloud.io.now(), facts.clone());
        Ok(facts)
    }

    /// Sends a statement, reads again after failures that pass. `None` where the login was refused.
    async fn ask(
        &self,
        access: &Access,
        statement: &Statement<'_>,
        effect: Effect,
    ) -> Result<Option<Answered>, SqlFailure> {
        let mut failures = 0;
        loop {
            let (failure, maybe_done) = match self.send(access, statement).await {
                Ok(answered) => return Ok(Some(answered)),
                Err(Trouble::Login) => return Ok(None),
                Err(Trouble::Failed { failure, maybe_done }) => (failure, maybe_done),
            };
            if effect == Effect::Write {
                return Err(if maybe_done { SqlFailure::OutcomeUnknown { cause: Box::new(failure) } } else { failure });
            }
            failures += 1;
            let wait = failure.passing().and_then(|passing| self.cloud.wait_after(passing, failures, ATTEMPTS_MAX));
            match wait {
                Some(wait) => self.cloud.io.sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    /// Sends a statement once.
    async fn send(&self, access: &Access, statement: &Statement<'_>) -> Result<Answered, Trouble> {
        let cloud = &self.cloud;
        let remaining = cloud.remaining().saturating_sub(statement.reserve);
        if remaining < statement.time_min {
            return Err(Trouble::undone(ApiError::DeadlineExceeded));
        }
        let url = cloud
            .hosts
            .url(&Host::Sql(access.facts.host.clone()), &["v1beta", "sql"], &[])
            .map_err(|malformed| Trouble::undone(ApiError::Malformed(malformed)))?;
        let SqlLogin { user, password, .. } = &access.login;
        let basic = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
        let headers = Headers::from_iter([
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("user-agent", USER_AGENT),
            ("authorization", &format!("Basic {basic}")),
            ("tidb-database", statement.database.map_or("", DatabaseName::as_str)),
            ("tidb-session", statement.session),
        ]);
        let request = Outbound {
            method: Method::Post,
            url,
            headers,
            body: Some(super::bytes(&json!({ "query": statement.query.sql }))),
            timeout: TIMEOUT.min(remaining),
        };
        let mut reader = Reader::new(self.limits(statement.query));
        let sent = cloud.io.now();
        let response = cloud.io.exchange(request, &mut reader).await.map_err(|error| Trouble::Failed {
            failure: ApiError::of_fetch(error).into(),
            maybe_done: error != FetchError::Exhausted,
        })?;
        let status = response.status;
        if !(200..=299).contains(&status) {
            let response = Response { body: reader.into_refusal(), ..response };
            let secrets = [password.expose(), basic.as_str(), cloud.authenticator.secret().expose()];
            let refusal = ApiError::of_refusal(&response, cloud.io.now(), &secrets);
            return Err(trouble(&response, refusal, &secrets));
        }
        self.allowance.scanned(reader.scanned());
        let session = response.headers.get("tidb-session").unwrap_or_default();
        match reader.finish() {
            Ok(rows) => {
                let elapsed = sent.until(cloud.io.now()).as_millis();
                let elapsed_millis = u64::try_from(elapsed).unwrap_or(u64::MAX);
                Ok(Answered { rows: Rows { elapsed_millis, ..rows }, session })
            }
            Err(unread) => {
                let failure = match unread {
                    Unread::TooLong => ApiError::TooLarge,
                    Unread::Malformed(expected) => {
                        let problem = format!("not there: {expected}");
                        unreadable(cloud.log, "POST /v1beta/sql", status, &problem)
                    }
                };
                Err(Trouble::Failed { failure: failure.into(), maybe_done: true })
            }
        }
    }

    /// How much of an answer is kept and read.
    fn limits(&self, query: Query<'_>) -> Limits {
        let result = self.allowance.result_bytes();
        Limits {
            kept: result.saturating_mul(KEPT_FACTOR),
            cell: if query.whole_values { result } else { CELL_BYTES_MAX.min(result) },
            scanned: self.allowance.scanned_bytes(),
            skipped_rows: query.skipped_rows,
        }
    }
}

impl Trouble {
    /// As the failure of a statement in a transaction that is rolled back.
    fn into_failure(self) -> SqlFailure {
        match self {
            Self::Login => ApiError::Unexpected("a login that was refused within a session").into(),
            Self::Failed { failure, .. } => failure,
        }
    }
}

/// How to reach an instance that the control plane describes like this. `prefixed` is whether it must have a prefix.
fn facts_of(
    state: Option<State>,
    endpoints: Option<Endpoints>,
    prefix: Option<String>,
    prefixed: bool,
) -> Result<Facts, SqlFailure> {
    let state = state.ok_or(ApiError::Unexpected("an instance without a state"))?;
    let not_ready = |lacks| SqlFailure::NotReady { state: state.as_str().to_owned(), lacks };
    if state != State::Active {
        return Err(not_ready(None));
    }
    let public = endpoints.and_then(|endpoints| endpoints.public);
    if public.as_ref().is_some_and(|public| public.disabled) {
        return Err(SqlFailure::EndpointDisabled);
    }
    let host = public.and_then(|public| public.host).filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| not_ready(Some("a public endpoint")))?;
    let prefix = prefix.filter(|prefix| !prefix.is_empty());
    if prefixed && prefix.is_none() {
        return Err(not_ready(Some("a user prefix")));
    }
    Ok(Facts { host: SqlHost::of_endpoint(&host).map_err(ApiError::Malformed)?, prefix })
}

/// What a refusal of the gateway means. Its own statuses are not published, so the database's number counts first.
fn trouble(response: &Response, refusal: ApiError, secrets: &[&str]) -> Trouble {
    let Said { code, message } = Said::read(&response.body);
    let code = mysql_number(&message).or_else(|| code?.parse().ok().filter(|number| *number >= 1000));
    if response.status == 401 || code == Some(ACCESS_DENIED) {
        return Trouble::Login;
    }
    let refused = response.status < 500 && !matches!(response.status, 408 | 425 | 429);
    if code.is_some() || refused && !message.is_empty() {
        // TiDB's "execution result undetermined": the storage did not say whether a commit went through.
        let maybe_done = message.contains("undetermined");
        let message = presentable(&message, MESSAGE_CHARS_MAX, secrets);
        return Trouble::Failed { failure: SqlFailure::Sql { code, message }, maybe_done };
    }
    Trouble::Failed { failure: refusal.into(), maybe_done: response.status >= 500 || response.status == 408 }
}

/// The number in `Error 1146 (42S02): Table 'shop.order' doesn't exist`.
fn mysql_number(message: &str) -> Option<u16> {
    let (_, after) = message.split_once("Error ")?;
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after.get(..digits)?.parse().ok().filter(|number| *number >= 1000)
}
