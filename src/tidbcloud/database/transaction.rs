//! Transactions: statements that take effect together.

use super::{
    Databases, Query, Replay,
    failure::SqlFailure,
    gateway::{ENDING, Statement, Trouble},
    login::{Access, AccessClass},
};
use crate::{
    port::allowance::TO_BEGIN,
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

impl Databases<'_> {
    /// Runs statements in one transaction: all of them take effect, or none. Statements that commit by themselves, such as
    /// DDL, do not belong here. `keep` takes each result before the next statement runs.
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
        // A session that nobody ends would hold its locks for ten minutes.
        self.cloud.sender.io.must_finish();
        // A repeated BEGIN leaves one idle transaction behind, so it can be repeated like a read.
        let (access, begun) = match self.log_in(target, class, &begin, Replay::Safe).await {
            Ok(begun) => begun,
            Err(error) => return fail(None, error, RolledBack::Yes),
        };
        let mut session = begun.session;
        if session.is_empty() {
            let error = ApiError::Unexpected("BEGIN was answered without a session");
            return fail(None, error.into(), RolledBack::Yes);
        }
        let mut results = Vec::with_capacity(statements.len());
        let commit = Statement { reserve: ENDING, changes: true, ..Statement::control("COMMIT") };
        let (failed_index, trouble) = loop {
            held.release_one();
            let index = results.len();
            let query = statements.get(index);
            let statement = query.map_or(commit, |query| Statement { query: *query, changes: true, ..begin });
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
        Err(self.abandon(&access, &session, failed_index, trouble).await)
    }

    /// Ends a transaction after a failure, so that it holds no locks, and says what took effect.
    async fn abandon(
        &self,
        access: &Access,
        session: &str,
        failed_index: Option<usize>,
        trouble: Trouble,
    ) -> TransactionFailure {
        let known = match (&trouble, failed_index) {
            (Trouble::Failed { maybe_done: true, .. }, None) => Some(RolledBack::Unknown),
            // TiDB has rolled back what it could not commit.
            (Trouble::Failed { failure: SqlFailure::Sql { .. }, .. }, None) => Some(RolledBack::Yes),
            _ => None,
        };
        let rolled_back = match known {
            Some(RolledBack::Yes) => RolledBack::Yes,
            // Where COMMIT never arrived this frees the locks; where it did there is nothing left to roll back.
            _ => self.roll_back(access, session).await,
        };
        TransactionFailure { failed_index, error: trouble.into_failure(), rolled_back: known.unwrap_or(rolled_back) }
    }

    async fn roll_back(&self, access: &Access, session: &str) -> RolledBack {
        let statement = Statement { session, ..Statement::control("ROLLBACK") };
        match self.send(access, &statement).await {
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
