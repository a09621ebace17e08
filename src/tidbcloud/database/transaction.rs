//! Transactions: statements that take effect together.

use super::{
    Databases, Query, Replay,
    failure::SqlFailure,
    gateway::{Answered, ENDING, Statement, Trouble},
    login::{Access, AccessClass},
};
use crate::{
    port::allowance::{Held, TO_BEGIN},
    tidbcloud::{ApiError, DatabaseName, Rows, Target},
};

/// Requests of a transaction besides its statements: COMMIT, ROLLBACK after a COMMIT that failed, and what comes before.
pub const BESIDE_STATEMENTS: u32 = 2 + TO_BEGIN;

/// The outcome of a failed transaction.
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
    /// Which statement failed, from 0; `None` if beginning or committing did.
    pub failed_index: Option<usize>,
    /// How.
    pub error: SqlFailure,
    /// What took effect.
    pub rolled_back: RolledBack,
}

/// The user and the instance of a transaction, outside of any session.
pub struct Outside<'d> {
    databases: &'d Databases<'d>,
    access: Access,
    database: Option<&'d DatabaseName>,
    held: Held<'d>,
}

/// An open transaction. Whatever fails in it rolls it back, and without a [`commit`](Self::commit) nothing takes effect. One that
/// is dropped holds its locks until the gateway ends its session.
pub struct Transaction<'d> {
    outside: Outside<'d>,
    session: String,
}

impl Databases<'_> {
    /// Begins a transaction with room for so many requests after BEGIN, its end among them, and for a ROLLBACK after an end that
    /// failed. Statements that commit by themselves, such as DDL, do not belong in it.
    ///
    /// # Errors
    /// Nothing took effect.
    pub async fn begin<'d>(
        &'d self,
        target: &Target,
        class: AccessClass,
        database: Option<&'d DatabaseName>,
        requests: u32,
    ) -> Result<Transaction<'d>, TransactionFailure> {
        let fail = |error| TransactionFailure { failed_index: None, error, rolled_back: RolledBack::Yes };
        let held = self.allowance.hold(requests.saturating_add(1)).filter(|_| self.allowance.fits(TO_BEGIN));
        let held = held.ok_or_else(|| fail(ApiError::Exhausted.into()))?;
        let begin = Statement { database, reserve: ENDING * 2, ..Statement::control("BEGIN") };
        // A session that nobody ends would hold its locks for ten minutes.
        self.cloud.sender.io.must_finish();
        // A repeated BEGIN leaves one idle transaction behind, so it can be repeated like a read.
        let (access, begun) = self.log_in(target, class, &begin, Replay::Safe).await.map_err(fail)?;
        if begun.session.is_empty() {
            return Err(fail(ApiError::Unexpected("BEGIN was answered without a session").into()));
        }
        Ok(Transaction { outside: Outside { databases: self, access, database, held }, session: begun.session })
    }
}

impl Outside<'_> {
    /// Reads what is committed, as the user of the transaction.
    pub async fn read(&mut self, query: Query<'_>) -> Result<Rows, SqlFailure> {
        let answered = self.send(Statement { query, reserve: ENDING, ..Statement::control("") }).await;
        answered.map(|answered| answered.rows).map_err(Trouble::into_failure)
    }

    async fn send(&mut self, statement: Statement<'_>) -> Result<Answered, Trouble> {
        self.held.release_one();
        self.databases.send(&self.access, &Statement { database: self.database, ..statement }).await
    }
}

impl<'d> Transaction<'d> {
    /// Runs a statement. `index` is its place among the caller's, from 0.
    pub async fn run(&mut self, index: usize, query: Query<'_>) -> Result<Rows, TransactionFailure> {
        self.send(Some(index), Statement { query, changes: true, ..Statement::control("") }).await
    }

    /// Runs a statement of this server, for the caller's at this place, that changes nothing.
    pub async fn look(&mut self, index: usize, query: Query<'_>) -> Result<Rows, TransactionFailure> {
        self.send(Some(index), Statement { query, ..Statement::control("") }).await
    }

    /// Reads what is committed, which is not what this transaction did.
    pub async fn read_outside(&mut self, index: usize, query: Query<'_>) -> Result<Rows, TransactionFailure> {
        match self.outside.read(query).await {
            Ok(rows) => Ok(rows),
            Err(error) => {
                let rolled_back = self.end_early().await;
                Err(TransactionFailure { failed_index: Some(index), error, rolled_back })
            }
        }
    }

    /// Lets all of it take effect.
    pub async fn commit(mut self) -> Result<(), TransactionFailure> {
        let commit = Statement { reserve: ENDING, changes: true, ..Statement::control("COMMIT") };
        self.send(None, commit).await.map(drop)
    }

    /// Lets nothing of it take effect.
    ///
    /// # Errors
    /// Whether it was rolled back is not known.
    pub async fn roll_back(mut self) -> Result<Outside<'d>, TransactionFailure> {
        let Self { outside, session } = &mut self;
        let sent = outside.send(Statement { session, ..Statement::control("ROLLBACK") }).await;
        match sent {
            Ok(_) => Ok(self.outside),
            Err(trouble) => Err(TransactionFailure {
                failed_index: None,
                error: trouble.into_failure(),
                rolled_back: RolledBack::No,
            }),
        }
    }

    /// Sends a statement in the session, leaving time for the end unless it is the end; a failure ends the transaction.
    async fn send(
        &mut self,
        failed_index: Option<usize>,
        statement: Statement<'_>,
    ) -> Result<Rows, TransactionFailure> {
        let reserve = if failed_index.is_some() { ENDING * 2 } else { statement.reserve };
        let session = self.session.clone();
        match self.outside.send(Statement { session: &session, reserve, ..statement }).await {
            Ok(Answered { rows, session }) => {
                if !session.is_empty() {
                    self.session = session;
                }
                Ok(rows)
            }
            Err(trouble) => Err(self.abandon(failed_index, trouble).await),
        }
    }

    /// Ends a transaction after a failure, so that it holds no locks, and says what took effect.
    async fn abandon(&mut self, failed_index: Option<usize>, trouble: Trouble) -> TransactionFailure {
        let known = match (&trouble, failed_index) {
            (Trouble::Failed { maybe_done: true, .. }, None) => Some(RolledBack::Unknown),
            // TiDB has rolled back what it could not commit.
            (Trouble::Failed { failure: SqlFailure::Sql { .. }, .. }, None) => Some(RolledBack::Yes),
            _ => None,
        };
        let rolled_back = match known {
            Some(RolledBack::Yes) => RolledBack::Yes,
            // Where COMMIT never arrived this frees the locks; where it did there is nothing left to roll back.
            _ => self.end_early().await,
        };
        TransactionFailure { failed_index, error: trouble.into_failure(), rolled_back: known.unwrap_or(rolled_back) }
    }

    /// Rolls back after a failure, with what was held for the rest.
    async fn end_early(&mut self) -> RolledBack {
        self.outside.held.release_all();
        let Self { outside, session } = self;
        match outside.send(Statement { session, ..Statement::control("ROLLBACK") }).await {
            Ok(_) => RolledBack::Yes,
            Err(_) => RolledBack::No,
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
