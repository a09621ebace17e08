//! SQL on real server processes.
//!
//! Every cluster and branch has a process of its own, started when it is first used. What a request may do is decided by that
//! server: each SQL user of the sandbox is a user there, with a role of the same name and rights.

pub mod copy;
mod dialect;
mod engine;
mod plan;
mod process;
pub mod recorded;
mod server;
mod statement;
pub mod tidb;
mod wire;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mysql::Conn;
use mysql::prelude::Queryable;

pub use engine::{Engine, NoEngine};
pub use server::SHOP;
pub(crate) use server::{Address, Door};

use crate::exchange::{Admission, Instance, Role, SqlEffect, SqlOutcome, SqlTask};
use copy::Snapshot;
use plan::Wanted;
use recorded::Recording;
use server::{Content, Home, Server};
use statement::Statement;
use wire::Answer;

/// Idle transactions and stateful connections end after ten minutes, as TiDB Cloud documents for its serverless driver.
const SESSION_IDLE: Duration = Duration::from_secs(10 * 60);

/// What TiDB allows SLEEP on Starter and Essential: longer statements than this are ended, so that none runs for ever.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(300);

/// How long a server that does not take connections may take to be seen as dead.
const DEATH_LIMIT: Duration = Duration::from_secs(2);

/// Session values that carry nothing: the client got them with an answer outside any session, and sends them back.
const AUTOCOMMIT_PREFIX: &str = "auto-";

/// A refusal by the SQL server, or in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) sqlstate: String,
    pub(crate) message: String,
}

impl Refusal {
    fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, sqlstate: recorded::sqlstate(code).to_owned(), message: message.into() }
    }
}

impl From<Refusal> for SqlOutcome {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, sqlstate, message } = refusal;
        Self::Refused { code, sqlstate, message }
    }
}

/// Why a statement has no answer.
enum Failure {
    Refused(Refusal),
    /// The connection broke: what its server was doing is unknown.
    Lost(String),
}

impl From<mysql::Error> for Failure {
    fn from(error: mysql::Error) -> Self {
        match error {
            mysql::Error::MySqlError(error) => {
                Self::Refused(Refusal { code: error.code, sqlstate: error.state, message: error.message })
            }
            other => Self::Lost(other.to_string()),
        }
    }
}

/// The server and sessions of an instance.
#[derive(Default)]
struct Slot {
    state: Mutex<SlotState>,
    changed: Condvar,
}

#[derive(Default)]
struct SlotState {
    sample: bool,
    server: Option<Arc<Server>>,
    /// A copy is being made into it: requests for its server wait.
    filling: bool,
    failed: Option<String>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state once no copy is under way.
    fn settled(&self) -> MutexGuard<'_, SlotState> {
        self.changed.wait_while(self.state(), |state| state.filling).unwrap_or_else(PoisonError::into_inner)
    }
}

struct Session {
    owner: (Instance, String),
    role: Role,
    /// Ends with its COMMIT or ROLLBACK; otherwise only when it is closed.
    transaction: bool,
    connection: Mutex<Conn>,
    server: Arc<Server>,
    used: Mutex<Instant>,
}

/// The SQL servers of a sandbox. Dropping it ends them all.
pub struct Servers {
    home: Arc<Home>,
    slots: Mutex<HashMap<Instance, Arc<Slot>>>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    session_idle: Duration,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Servers {
    /// Servers of this kind, with data below `root`: templates that stay, and the directories of this run, which are removed.
    ///
    /// # Errors
    /// The engine cannot be run or `root` cannot be written; the text says why.
    pub fn new(engine: Engine, root: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(root).map_err(|error| format!("cannot make {}: {error}", root.display()))?;
        let home = Arc::new(Home::open(engine, root)?);
        let (slots, sessions) = (Mutex::default(), Mutex::default());
        Ok(Self { home, slots, sessions, session_idle: SESSION_IDLE, next: AtomicU64::new(1) })
    }

    /// The same, where sessions end after being idle for this long.
    pub fn with_session_idle(mut self, session_idle: Duration) -> Self {
        self.session_idle = session_idle;
        self
    }

    /// Makes the data directories that new servers are copied from, where they are missing; `progress` gets a line for each.
    ///
    /// # Errors
    /// A server cannot be set up; the text says why.
    pub fn prepare(&self, progress: &dyn Fn(&str)) -> Result<(), String> {
        self.home.prepare(progress)
    }

    /// What the servers are.
    pub fn engine(&self) -> &Engine {
        &self.home.engine
    }

    /// Runs one request. To be called from any thread; requests of different instances or sessions do not wait for each other.
    pub fn run(&self, task: &SqlTask) -> SqlOutcome {
        self.end_idle_sessions();
        match (task.stateful.as_deref(), task.session.as_str()) {
            (Some("open"), _) => self.open(task),
            (Some("close"), id) => match self.session(task, id) {
                Some(_) => {
                    lock(&self.sessions).remove(id);
                    SqlOutcome::Done { rows_affected: 0, last_insert_id: "0".to_owned(), session: id.to_owned() }
                }
                None => SqlOutcome::NoSession,
            },
            (Some(other), _) => {
                Refusal::new(1105, format!("TiDB-Stateful-Action must be open or close, not {other}")).into()
            }
            (None, id) if id.is_empty() || id.starts_with(AUTOCOMMIT_PREFIX) => self.outside_session(task),
            (None, id) => match self.session(task, id) {
                Some(session) => self.in_session(task, id, &session),
                None => SqlOutcome::NoSession,
            },
        }
    }

    fn new_id(&self, prefix: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}{:08x}{number:08x}", std::process::id())
    }

    fn session(&self, task: &SqlTask, id: &str) -> Option<Arc<Session>> {
        let session = lock(&self.sessions).get(id).map(Arc::clone)?;
        let owned = session.owner.0 == task.instance && session.owner.1 == task.user && session.role == task.role;
        if !owned {
            return None;
        }
        *lock(&session.used) = Instant::now();
        Some(session)
    }

    /// Dropping a connection rolls its transaction back.
    fn end_idle_sessions(&self) {
        let idle = self.session_idle;
        // A statement takes at most 300 seconds, so a session in use is never idle for ten minutes.
        lock(&self.sessions).retain(|_, session| lock(&session.used).elapsed() < idle);
    }

    /// Where a user who was let in logs in at the server of the instance.
    pub(crate) fn door(&self, admission: &Admission) -> Result<Door, String> {
        let Admission { instance, role, user } = admission;
        match self.reach(instance, |server| server.door(user, *role)) {
            Ok((_, door)) => Ok(door),
            Err(SqlOutcome::Unavailable(reason)) => Err(reason),
            Err(other) => Err(format!("the SQL server refuses its administrator: {other:?}")),
        }
    }

    fn connect(&self, task: &SqlTask) -> Result<(Arc<Server>, Conn), SqlOutcome> {
        self.reach(&task.instance, |server| server.user(&task.user, task.role, &task.database))
    }

    /// Does something at the instance's server, and again where the server turns out to be dead.
    fn reach<T>(
        &self,
        instance: &Instance,
        does: impl Fn(&Server) -> mysql::Result<T>,
    ) -> Result<(Arc<Server>, T), SqlOutcome> {
        let mut restarted = false;
        loop {
            let server = self.server(instance).map_err(SqlOutcome::Unavailable)?;
            match does(&server) {
                Ok(done) => return Ok((server, done)),
                Err(mysql::Error::MySqlError(error)) => {
                    let message = error.message.replace("'@'localhost'", "'@'%'");
                    return Err(SqlOutcome::Refused { code: error.code, sqlstate: error.state, message });
                }
                // A process that has just died may not be known to be dead.
                Err(_) if !restarted && server.ends_within(DEATH_LIMIT) => restarted = true,
                Err(error) => {
                    return Err(SqlOutcome::Unavailable(format!("the SQL server cannot be reached: {error}")));
                }
            }
        }
    }

    fn keep(&self, task: &SqlTask, transaction: bool, server: Arc<Server>, connection: Conn) -> String {
        let id = self.new_id(if transaction { "tx-" } else { "conn-" });
        let owner = (task.instance.clone(), task.user.clone());
        let (connection, used) = (Mutex::new(connection), Mutex::new(Instant::now()));
        let session = Session { owner, role: task.role, transaction, connection, server, used };
        lock(&self.sessions).insert(id.clone(), Arc::new(session));
        id
    }

    fn open(&self, task: &SqlTask) -> SqlOutcome {
        match self.connect(task) {
            Ok((server, connection)) => {
                let session = self.keep(task, false, server, connection);
                SqlOutcome::Done { rows_affected: 0, last_insert_id: "0".to_owned(), session }
            }
            Err(outcome) => outcome,
        }
    }

    fn outside_session(&self, task: &SqlTask) -> SqlOutcome {
        let statement = match read(task) {
            Ok(statement) => statement,
            Err(refusal) => return refusal.into(),
        };
        let (server, mut connection) = match self.connect(task) {
            Ok(connected) => connected,
            Err(outcome) => return outcome,
        };
        let begins = statement.begins_transaction();
        let isolation = if begins { task.isolation.as_deref() } else { None };
        let outcome = isolate(&mut connection, isolation)
            .map_err(Failure::Refused)
            .and_then(|()| answer(&server, &mut connection, task, &statement));
        match outcome {
            Ok(given) if begins => {
                let session = self.keep(task, true, server, connection);
                outcome_of(given, session)
            }
            Ok(given) => {
                let session =
                    if task.session.is_empty() { self.new_id(AUTOCOMMIT_PREFIX) } else { task.session.clone() };
                outcome_of(given, session)
            }
            Err(failure) => self.failed(failure),
        }
    }

    fn in_session(&self, task: &SqlTask, id: &str, session: &Session) -> SqlOutcome {
        let statement = match read(task) {
            Ok(statement) => statement,
            Err(refusal) => return refusal.into(),
        };
        let outcome = {
            let mut connection = lock(&session.connection);
            let isolation = if statement.begins_transaction() { task.isolation.as_deref() } else { None };
            isolate(&mut connection, isolation)
                .map_err(Failure::Refused)
                .and_then(|()| answer(&session.server, &mut connection, task, &statement))
        };
        *lock(&session.used) = Instant::now();
        match outcome {
            Ok(given) if session.transaction && statement.ends_transaction() => {
                lock(&self.sessions).remove(id);
                outcome_of(given, self.new_id(AUTOCOMMIT_PREFIX))
            }
            Ok(given) => outcome_of(given, id.to_owned()),
            Err(failure) => {
                if matches!(failure, Failure::Lost(_)) {
                    lock(&self.sessions).remove(id);
                }
                self.failed(failure)
            }
        }
    }

    fn failed(&self, failure: Failure) -> SqlOutcome {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Lost(error) => SqlOutcome::Unavailable(format!(
                "the connection to the SQL server broke ({error}); the next request makes a new one"
            )),
        }
    }

    fn slot(&self, instance: &Instance) -> Arc<Slot> {
        Arc::clone(lock(&self.slots).entry(instance.clone()).or_default())
    }

    /// The instance's server, started where it is not running.
    fn server(&self, instance: &Instance) -> Result<Arc<Server>, String> {
        let slot = self.slot(instance);
        let mut state = slot.settled();
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        let server = match &state.server {
            Some(server) if !server.has_ended() => return Ok(Arc::clone(server)),
            Some(ended) => self.home.restart(ended)?,
            None => self.home.start(if state.sample { Content::Sample } else { Content::Empty })?,
        };
        let server = Arc::new(server);
        state.server = Some(Arc::clone(&server));
        Ok(server)
    }

    /// Ends what the instance has, sessions included, and puts a new slot in its place.
    fn replace(&self, instance: &Instance, state: SlotState) -> Arc<Slot> {
        let slot = Arc::new(Slot { state: Mutex::new(state), changed: Condvar::new() });
        let old = lock(&self.slots).insert(instance.clone(), Arc::clone(&slot));
        self.end(instance, old);
        slot
    }

    fn end(&self, instance: &Instance, slot: Option<Arc<Slot>>) {
        lock(&self.sessions).retain(|_, session| session.owner.0 != *instance);
        if let Some(server) = slot.and_then(|slot| slot.state().server.take()) {
            server.kill();
        }
    }

    /// Applies an effect. Effects are to be applied in the order in which the control plane asked for them.
    ///
    /// Returns soon: a copy goes on in the background, from a snapshot taken here, and requests to the target wait for it.
    pub fn apply(&self, effect: &SqlEffect) {
        match effect {
            SqlEffect::Sample(instance) => {
                self.replace(instance, SlotState { sample: true, ..SlotState::default() });
            }
            SqlEffect::Copy { from, to } if from == to => {}
            SqlEffect::Copy { from, to } => self.copy(from, to),
            SqlEffect::Drop(instance) => {
                let slot = lock(&self.slots).remove(instance);
                self.end(instance, slot);
            }
            SqlEffect::DropAll => {
                let slots: Vec<_> = lock(&self.slots).drain().collect();
                for (instance, slot) in slots {
                    self.end(&instance, Some(slot));
                }
            }
        }
    }

    fn copy(&self, from: &Instance, to: &Instance) {
        let source = self.slot(from);
        let tidb = self.engine().is_tidb();
        // Where the parent is itself being filled, nobody can have changed it: its snapshot is taken when it is full.
        let snapshot = {
            let state = source.state();
            match &state.server {
                _ if state.filling => None,
                None => {
                    let (sample, failed) = (state.sample, state.failed.clone());
                    drop(state);
                    self.replace(to, SlotState { sample, failed, ..SlotState::default() });
                    return;
                }
                Some(server) => {
                    let server = Arc::clone(server);
                    drop(state);
                    Some(server.administrator().and_then(|connection| Snapshot::take(connection, tidb)))
                }
            }
        };
        let target = self.replace(to, SlotState { filling: true, ..SlotState::default() });
        let home = Arc::clone(&self.home);
        thread::spawn(move || {
            let filled = fill(&home, &source, snapshot, tidb);
            let mut state = target.state();
            state.filling = false;
            match filled {
                Ok(server) => state.server = Some(Arc::new(server)),
                Err(error) => state.failed = Some(format!("the branch's data could not be copied: {error}")),
            }
            target.changed.notify_all();
        });
    }
}

impl Servers {
    /// Ends all servers and removes their directories. No server can be started afterwards.
    pub fn close(&self) {
        self.apply(&SqlEffect::DropAll);
        self.home.close();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.close();
    }
}

fn fill(home: &Home, source: &Slot, snapshot: Option<mysql::Result<Snapshot>>, tidb: bool) -> Result<Server, String> {
    let snapshot = match snapshot {
        Some(snapshot) => snapshot,
        None => {
            let server = source.settled().server.as_ref().map(Arc::clone).ok_or("its parent's data are not there")?;
            server.administrator().and_then(|connection| Snapshot::take(connection, tidb))
        }
    };
    let server = home.start(Content::Empty)?;
    let copied = snapshot.and_then(|snapshot| snapshot.write(&mut server.administrator()?));
    copied.map(|()| server).map_err(|error| error.to_string())
}

fn read(task: &SqlTask) -> Result<Statement, Refusal> {
    let statement = Statement::read(&task.query);
    if statement.is_empty() {
        return Err(Refusal::new(1065, "Query was empty"));
    }
    if statement.is_several() {
        return Err(several());
    }
    Ok(statement)
}

fn several() -> Refusal {
    Refusal::new(
        8130,
        "client has multi-statement capability disabled. Run SET GLOBAL tidb_multi_statement_mode='ON' after you understand the \
         security risk",
    )
}

/// Sets the isolation level of the transaction that comes next.
fn isolate(connection: &mut Conn, level: Option<&str>) -> Result<(), Refusal> {
    let Some(level) = level else { return Ok(()) };
    let known =
        ["READ COMMITTED", "REPEATABLE READ"].into_iter().find(|known| known.eq_ignore_ascii_case(level.trim()));
    let Some(known) = known else {
        let message = format!(
            "The isolation level '{level}' is not supported. Set tidb_skip_isolation_level_check=1 to skip this error"
        );
        return Err(Refusal::new(8048, message));
    };
    connection
        .query_drop(format!("SET TRANSACTION ISOLATION LEVEL {known}"))
        .map_err(|error| Refusal::new(1105, error.to_string()))
}

/// An answer of the server, or a recorded one in its place.
enum Given {
    Live(Answer),
    Recorded(&'static Recording),
}

fn outcome_of(given: Given, session: String) -> SqlOutcome {
    match given {
        Given::Live(Answer::Rows { types, rows, .. }) => SqlOutcome::Rows { types, rows, session },
        Given::Live(Answer::Done { rows_affected, last_insert_id }) => {
            SqlOutcome::Done { rows_affected, last_insert_id: last_insert_id.to_string(), session }
        }
        Given::Live(Answer::TooManyRows) => {
            Refusal::new(1105, format!("the result has more than {} rows: add a LIMIT", wire::MAX_ROWS)).into()
        }
        Given::Recorded(recording) => {
            let (types, rows) =
                (recording.types.clone().unwrap_or_default(), recording.rows.clone().unwrap_or_default());
            SqlOutcome::Rows { types, rows, session }
        }
    }
}

/// What recordings ask of a server.
struct Ground<'a>(&'a Server);

impl Ground<'_> {
    fn any(&mut self, query: String) -> bool {
        let found = self.0.administrator().and_then(|mut connection| connection.query_first::<u8, _>(query));
        matches!(found, Ok(Some(_)))
    }
}

impl recorded::Ground for Ground<'_> {
    fn has_schema(&mut self, schema: &str) -> bool {
        self.any(format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{schema}'"))
    }

    fn orders_has_index(&mut self, index: &str) -> bool {
        self.any(format!(
            "SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'orders' AND INDEX_NAME = '{index}'"
        ))
    }

    fn shop_indexes(&mut self) -> Vec<String> {
        let query = "SELECT CONCAT(TABLE_NAME, '.', INDEX_NAME, '.', COLUMN_NAME) FROM information_schema.STATISTICS \
                     WHERE TABLE_SCHEMA = 'shop'";
        self.0.administrator().and_then(|mut connection| connection.query(query)).unwrap_or_default()
    }
}

fn answer(server: &Server, connection: &mut Conn, task: &SqlTask, statement: &Statement) -> Result<Given, Failure> {
    if server.is_tidb() {
        return match tidb::refused(statement) {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => run_on(server, connection, statement, &statement.text).map(Given::Live),
        };
    }
    let instead = |refusal: Refusal| {
        recorded::instead_of(refusal, statement, task, &mut Ground(server))
            .map(Given::Recorded)
            .map_err(Failure::Refused)
    };
    if let Some(refusal) = recorded::refused_by_tidb(statement).or_else(|| plan::refused_by_tidb(statement)) {
        return Err(Failure::Refused(refusal));
    }
    if let Some(wanted) = Wanted::read(statement) {
        return match wanted {
            Err(refusal) => instead(refusal),
            Ok(wanted) => plan::explain(server, connection, task, statement, &wanted),
        };
    }
    let translated = dialect::translated(statement, task.role);
    match run_on(server, connection, statement, translated.as_deref().unwrap_or(&statement.text)) {
        Ok(given) => Ok(Given::Live(dialect::as_tidb_would(server, statement, given))),
        Err(Failure::Refused(refusal)) => instead(refusal),
        Err(lost) => Err(lost),
    }
}

/// How long a TiDB is given for a statement. It obeys the hint itself, but misses a limit of a millisecond that is over before
/// the statement has begun, and then goes on for hours: a second more than the hint is late.
fn tidb_limit(statement: &Statement) -> Duration {
    const LATE: Duration = Duration::from_secs(1);
    let hint =
        statement.time_limit_millis().filter(|limit| *limit > 0 && matches!(statement.word(0), "SELECT" | "WITH"));
    hint.map_or(STATEMENT_LIMIT, |limit| STATEMENT_LIMIT.min(Duration::from_millis(limit) + LATE))
}

/// Runs something on a TiDB, whose own limit is for `SELECT` and can be lifted, and ends it when its time is up.
fn ended_in_time(
    connection: &mut Conn,
    server: &Server,
    limit: Duration,
    run: impl FnOnce(&mut Conn) -> mysql::Result<Answer>,
) -> Result<Answer, Failure> {
    let id = connection.connection_id();
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            // The channel closes as soon as there is an answer.
            let late = end.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                // Where this fails nothing else can be done about it.
                let _ = server.administrator().and_then(|mut other| other.query_drop(format!("KILL QUERY {id}")));
            }
            late
        });
        let answer = run(connection);
        drop(ended);
        match answer {
            // What a statement says that was killed depends on what it was doing.
            Err(mysql::Error::MySqlError(_)) if watch.join().unwrap_or_default() => {
                let message = "Query execution was interrupted, maximum statement execution time exceeded";
                Err(Failure::Refused(Refusal::new(3024, message)))
            }
            answer => Ok(answer?),
        }
    })
}

/// Runs one statement, with TiDB's time limit hint where MariaDB would not see it.
fn run_on(server: &Server, connection: &mut Conn, statement: &Statement, text: &str) -> Result<Answer, Failure> {
    if text.trim_end_matches([';', ' ', '\n', '\t', '\r']).contains(';') {
        // The lexer found one statement. Servers read executable comments in more ways than one, and the protocol's
        // PREPARE takes one statement only, so the server's own parser has the last word.
        let prepared = connection.prep(text);
        match prepared.map(|prepared| connection.close(prepared)) {
            Ok(closed) => closed?,
            // Not every statement can be prepared.
            Err(mysql::Error::MySqlError(error)) if error.code == 1295 => return Err(Failure::Refused(several())),
            Err(error) => return Err(error.into()),
        }
    }
    let stop = |id: u32| {
        // Where this fails the rest of the rows is read and dropped: slower, and no different.
        let _ =
            server.administrator().and_then(|mut administrator| administrator.query_drop(format!("KILL QUERY {id}")));
    };
    if server.is_tidb() {
        return ended_in_time(connection, server, tidb_limit(statement), |connection| {
            wire::run(connection, text, stop)
        });
    }
    let Some(limit) = statement.time_limit_millis().filter(|limit| *limit > 0) else {
        return Ok(wire::run(connection, text, stop)?);
    };
    let kept: Option<f64> = connection.query_first("SELECT @@max_statement_time")?;
    #[expect(clippy::cast_precision_loss, reason = "a time limit of 2^53 ms is none")]
    let seconds = limit as f64 / 1000.0;
    connection.query_drop(format!("SET max_statement_time = {seconds}"))?;
    let answer = wire::run(connection, text, stop);
    connection.query_drop(format!("SET max_statement_time = {}", kept.unwrap_or(0.0)))?;
    Ok(answer?)
}
