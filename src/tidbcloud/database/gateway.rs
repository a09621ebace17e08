//! SQL over HTTP: `POST https://http-<public endpoint>/v1beta/sql`, as TiDB Cloud's own driver `@tidbcloud/serverless`
//! 0.3 speaks it. One statement a request, Basic authentication as a SQL user, at most 10,000 rows.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{
    Databases, Query, Replay,
    failure::SqlFailure,
    login::{Access, SqlLogin},
    rows::{Limits, Reader, Rows, Unread},
    sent::{Sent, tag},
};
use crate::{
    base::http::{Method, Response},
    tidbcloud::{
        ApiError, DatabaseName,
        service::SQL_ERRORS,
        transport::{
            answer::unreadable,
            call::{Failed, bytes},
            health::{Pass, Sign},
            hosts::Path,
            redact::presentable,
            refusal::{Said, Told},
            retry::ATTEMPT_MIN,
            send::{Operation, Request},
        },
    },
};

/// The path for statements.
const PATH: Path<'static> = Path { version: "v1beta", template: "sql", arguments: &[], query: &[] };
/// 30 s, as TiDB Cloud's own command line gives a statement.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A value longer than this is cut: 2 KiB are enough to recognise it.
const CELL_BYTES_MAX: usize = 2 << 10;
/// A digit is counted as four bytes while it is read, and has two in a result that shows numbers as such: twice the bytes
/// of the result are enough to fill it.
const KEPT_FACTOR: usize = 2;
/// A plan is judged, not shown, and a part of one is none: what is kept of it does not depend on how many results share the response.
/// 64 KiB are 400 operators of 160 bytes.
const PLAN_BYTES_MAX: usize = 64 << 10;
/// 500 characters: an error quotes about 80 characters of the statement; the rest is room for long names.
const MESSAGE_CHARS_MAX: usize = 500;
/// Reads are sent twice at most, and so is a write that was rolled back: every repetition costs the caller request units.
const ATTEMPTS_MAX: u32 = 2;
/// One round trip: the least time for a single write, and the time that COMMIT leaves, so that a ROLLBACK can follow it.
/// Statements of a transaction leave twice as much.
pub(super) const ENDING: Duration = Duration::from_secs(2);
/// The statements of a transaction.
const CONTROLS: [&str; 3] = ["BEGIN", "COMMIT", "ROLLBACK"];
/// The connection behind the gateway was lost: server shutdown, and what MySQL's clients say (`ER_SERVER_SHUTDOWN`,
/// `CR_SERVER_GONE_ERROR`, `CR_SERVER_LOST`, `CR_SERVER_LOST_EXTENDED`).
const LOST: [u16; 4] = [1053, 2006, 2013, 2055];
/// A later part of a `BATCH` failed (TiDB, `ErrNonTransactionalJobFailure`): earlier ones are committed.
const PART_FAILED: u16 = 8143;
/// One of the tables of a DROP does not exist (MySQL, `ER_BAD_TABLE_ERROR`): TiDB has dropped the others.
const NOT_ALL_DROPPED: u16 = 1051;
/// Access denied (MySQL, `ER_ACCESS_DENIED_ERROR`).
const ACCESS_DENIED: u16 = 1045;

/// One statement as sent.
#[derive(Clone, Copy)]
pub(super) struct Statement<'s> {
    pub(super) database: Option<&'s DatabaseName>,
    pub(super) session: &'s str,
    pub(super) query: Query<'s>,
    /// The time that it leaves for others.
    pub(super) reserve: Duration,
    /// With less time than this it is not sent.
    pub(super) time_min: Duration,
    /// Whether it may change something.
    pub(super) changes: bool,
    /// Whether only its plan is asked for.
    pub(super) planned: bool,
}

impl Statement<'_> {
    /// A statement of this server, for a transaction.
    pub(super) fn control(sql: &'static str) -> Self {
        Self {
            database: None,
            session: "",
            query: Query { sql, whole_values: false, skipped_rows: 0 },
            reserve: Duration::ZERO,
            time_min: ATTEMPT_MIN,
            changes: false,
            planned: false,
        }
    }
}

/// A statement's result, and the session it ran in.
pub(super) struct Answered {
    pub(super) rows: Rows,
    pub(super) session: String,
}

/// How the gateway refused.
pub(super) enum Trouble {
    /// The login: the statement did not run.
    Login,
    Failed {
        failure: SqlFailure,
        /// Whether the statement may have run.
        maybe_done: bool,
    },
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        Self::Failed { failure: failed.error.into(), maybe_done: failed.maybe_done }
    }
}

impl Databases<'_> {
    /// Sends a statement; repeats reads after transient failures, and a write that was certainly rolled back. `None` if the login was refused.
    ///
    /// A write is finished even if the client goes away, and a read is not sent for a client that has gone.
    pub(super) async fn ask(
        &self,
        access: &Access,
        statement: &Statement<'_>,
        replay: Replay,
    ) -> Result<Option<Answered>, SqlFailure> {
        let io = self.cloud.sender.io;
        if replay == Replay::Unsafe {
            io.must_finish();
        }
        let mut failures = 0;
        loop {
            if replay == Replay::Safe && io.left_at().is_some() {
                return Err(ApiError::DeadlineExceeded.into());
            }
            let (failure, maybe_done) = match self.send_if_healthy(access, statement, replay).await {
                Ok(answered) => {
                    self.cloud.checkup(&access.part).succeeded(failures > 0);
                    return Ok(Some(answered));
                }
                Err(Trouble::Login) => return Ok(None),
                Err(Trouble::Failed { failure, maybe_done }) => (failure, maybe_done),
            };
            if replay == Replay::Unsafe && (maybe_done || !failure.was_rolled_back()) {
                return Err(if maybe_done { SqlFailure::OutcomeUnknown { cause: Box::new(failure) } } else { failure });
            }
            failures += 1;
            let wait = failure
                .passing()
                .and_then(|passing| self.cloud.wait_after(&access.part, passing, failures, ATTEMPTS_MAX));
            match wait {
                Some(wait) => io.sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    /// Sends a statement once, if the cluster's circuit lets it through. A write is never the one that finds out whether SQL
    /// works again: a read goes before it.
    async fn send_if_healthy(
        &self,
        access: &Access,
        statement: &Statement<'_>,
        replay: Replay,
    ) -> Result<Answered, Trouble> {
        let health = self.cloud.checkup(&access.part);
        let mut pass = health.enter().await.map_err(Failed::undone)?;
        if pass == Pass::Probe && replay == Replay::Unsafe {
            let found = self.send(access, &Statement::control("SELECT 1")).await;
            health.leave(pass, sign(&found)).await;
            if let Err(Trouble::Failed { failure, .. }) = found {
                return Err(Trouble::Failed { failure, maybe_done: false });
            }
            pass = Pass::Usual;
        }
        let outcome = self.send(access, statement).await;
        health.leave(pass, sign(&outcome)).await;
        outcome
    }

    /// Sends a statement once, and counts what its answer says of the database. A refusal says nothing: anybody can cause one.
    pub(super) async fn send(&self, access: &Access, statement: &Statement<'_>) -> Result<Answered, Trouble> {
        let outcome = self.send_uncounted(access, statement).await;
        let sql = &self.cloud.sender.log.noted.sql;
        match (&outcome, sign(&outcome)) {
            (Ok(_), _) => sql.answered.set(sql.answered.get().saturating_add(1)),
            (Err(_), Sign::Bad(_)) => sql.failed.set(sql.failed.get().saturating_add(1)),
            (Err(_), Sign::Good | Sign::None) => {}
        }
        outcome
    }

    async fn send_uncounted(&self, access: &Access, statement: &Statement<'_>) -> Result<Answered, Trouble> {
        let sender = &self.cloud.sender;
        let url = sender.hosts.url(access.facts.host.host(), &PATH).map_err(Failed::undone)?;
        // What the gateway knows by its first word is sent as it is.
        let tag =
            self.tag.filter(|_| !CONTROLS.contains(&statement.query.sql)).map(|tool| tag(tool, &sender.log.request_id));
        let wait = TIMEOUT.min(sender.remaining().saturating_sub(statement.reserve));
        let text = match statement.planned {
            true => Sent::plan(statement.query.sql, tag),
            false => Sent::new(statement.query.sql, tag, wait),
        };
        let SqlLogin { user, password, .. } = &access.login;
        sender.log.hides(password.expose());
        let basic = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
        let request = Request {
            authorization: Some(format!("Basic {basic}")),
            fields: &[
                ("tidb-database", statement.database.map_or("", DatabaseName::as_str)),
                ("tidb-session", statement.session),
            ],
            body: Some(bytes(&json!({ "query": text.text() }))),
            reserve: statement.reserve,
            time_min: statement.time_min,
            changes: statement.changes,
            counts: false,
            ..Request::new(Method::Post, url, Operation::SQL, TIMEOUT)
        };
        let mut reader = Reader::new(self.limits(statement));
        let sent = sender.io.now();
        let response = sender.stream(request, &mut reader).await?;
        if !(200..=299).contains(&response.status) {
            let response = Response { body: reader.into_refusal(), ..response };
            let secrets = [password.expose(), basic.as_str(), self.cloud.authenticator.secret().expose()];
            let refusal = ApiError::of_refusal(&SQL_ERRORS, &response, sender.io.now(), &secrets);
            return Err(trouble(&response, refusal, &secrets, &text));
        }
        self.allowance.scanned(reader.scanned());
        let session = response.headers.get("tidb-session").unwrap_or_default();
        let rows = reader.finish().map_err(|unread| self.unread(unread, response.status))?;
        let elapsed_millis = u64::try_from(sent.until(sender.io.now()).as_millis()).unwrap_or(u64::MAX);
        Ok(Answered { rows: Rows { elapsed_millis, ..rows }, session })
    }

    /// The failure of a statement that ran but whose response is malformed.
    fn unread(&self, unread: Unread, status: u16) -> Failed {
        let error = match unread {
            Unread::TooLong => ApiError::TooLarge,
            Unread::Malformed(expected) => {
                let problem = format!("not there: {expected}");
                unreadable(self.cloud.sender.log, "POST /sql", status, problem)
            }
        };
        Failed { error, maybe_done: true }
    }

    /// How much of a response is kept and read.
    fn limits(&self, statement: &Statement<'_>) -> Limits {
        let (query, result) = (statement.query, self.allowance.result_bytes());
        let (kept, cell) = match (statement.planned, query.whole_values) {
            (true, _) => (PLAN_BYTES_MAX, PLAN_BYTES_MAX),
            (false, true) => (result.saturating_mul(KEPT_FACTOR), result),
            (false, false) => (result.saturating_mul(KEPT_FACTOR), CELL_BYTES_MAX.min(result)),
        };
        Limits { kept, cell, scanned: self.allowance.scanned_bytes(), skipped_rows: query.skipped_rows }
    }
}

/// What an outcome says of the health of the cluster. A statement that takes long says nothing.
fn sign<T>(outcome: &Result<T, Trouble>) -> Sign {
    match outcome {
        Err(Trouble::Failed { failure: SqlFailure::Api(ApiError::Timeout), .. }) => Sign::None,
        Err(Trouble::Failed { failure: SqlFailure::Api(error), .. }) => error.sign(),
        _ => Sign::Good,
    }
}

/// Interprets a refusal of the gateway. Its own statuses are not published, so the database's number counts first.
fn trouble(response: &Response, refusal: ApiError, secrets: &[&str], sent: &Sent<'_>) -> Trouble {
    let said = Said::read(&response.body, &SQL_ERRORS);
    let code = mysql_number(&said.message);
    let code = code.or_else(|| said.code.as_deref()?.parse().ok().filter(|number| *number >= 1000));
    if response.status == 401 || code == Some(ACCESS_DENIED) {
        return Trouble::Login;
    }
    let refused = response.status < 500 && !matches!(response.status, 408 | 425 | 429);
    if code.is_some() || refused && !said.message.is_empty() {
        // Nobody said whether a commit went through, or a part of the statement did.
        let maybe_done = said.tells(Told::Undetermined, response.status)
            || code.is_some_and(|code| LOST.contains(&code) || code == PART_FAILED)
            || code == Some(NOT_ALL_DROPPED) && sent.names_several();
        let message = presentable(&sent.own(&said.message), MESSAGE_CHARS_MAX, secrets);
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
