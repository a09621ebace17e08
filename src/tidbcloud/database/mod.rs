//! SQL on the instances of one caller.

pub(super) mod facts;
pub(super) mod failure;
mod gateway;
pub(super) mod login;
pub(super) mod managed;
pub(super) mod names;
pub(super) mod rows;
mod sent;
pub(super) mod transaction;

#[cfg(test)]
mod tests;

use std::time::Duration;

use self::gateway::{ENDING, Statement};
use super::{
    AccessClass, Cloud, DatabaseName, Rows, SqlFailure, SqlLogin, Target,
    transport::{memory::Table, retry::ATTEMPT_MIN},
};
use crate::{base::secret::Secret, port::allowance::Allowance};

/// Whether a statement may be sent again if its response is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It may: it changes nothing.
    Safe,
    /// It may not: it may change something.
    Unsafe,
}

/// One statement, and how much of each of its values matters.
#[derive(Clone, Copy, Debug)]
pub struct Query<'s> {
    /// The text.
    pub sql: &'s str,
    /// Whether values are kept whole as long as the result has room. Those of `SHOW` and `EXPLAIN` are not available in
    /// parts; a query's can be read in parts, and are cut at 2 KiB.
    pub whole_values: bool,
    /// Leading rows that are counted but not kept.
    pub skipped_rows: usize,
}

/// SQL on the instances of one caller.
pub struct Databases<'a> {
    pub(in crate::tidbcloud) cloud: Cloud<'a>,
    pub(in crate::tidbcloud) server_secret: &'a Secret,
    pub(in crate::tidbcloud) own_login: Option<&'a SqlLogin>,
    pub(in crate::tidbcloud) allowance: &'a Allowance,
    /// The tool that every statement names in a comment; `None` for statements without one.
    pub(in crate::tidbcloud) tag: Option<&'static str>,
}

impl Databases<'_> {
    /// The same, whose statements begin with a comment that names this tool.
    #[must_use]
    pub fn tagged(self, tag: Option<&'static str>) -> Self {
        Self { tag, ..self }
    }

    /// Runs a read as the user that can only read, and leaves this much time for others.
    pub async fn read(
        &self,
        target: &Target,
        database: Option<&DatabaseName>,
        query: Query<'_>,
        reserve: Duration,
    ) -> Result<Rows, SqlFailure> {
        let statement = Statement { database, query, reserve, ..Statement::control("") };
        Ok(self.log_in(target, AccessClass::ReadOnly, &statement, Replay::Safe).await?.1.rows)
    }

    /// TiDB's plan of a statement, as the user that would run it. The statement does not run.
    pub async fn plan(
        &self,
        target: &Target,
        class: AccessClass,
        database: Option<&DatabaseName>,
        query: Query<'_>,
    ) -> Result<Rows, SqlFailure> {
        let statement = Statement { database, query, planned: true, ..Statement::control("") };
        Ok(self.log_in(target, class, &statement, Replay::Safe).await?.1.rows)
    }

    /// Whether one row of this table was found by some of these columns, within the last minutes.
    pub fn finds_one(&self, target: &Target, database: Option<&DatabaseName>, name: &str, columns: &[String]) -> bool {
        let (cloud, database) = (&self.cloud, database.map_or("", DatabaseName::as_str));
        let caller = cloud.authenticator.caller();
        cloud.memory.finds_one(caller, &Table { target, database, name }, columns, cloud.sender.io.now())
    }

    /// Remembers that one row of this table is found by these columns, for some minutes.
    pub fn keep_key(&self, target: &Target, database: Option<&DatabaseName>, name: &str, columns: Vec<String>) {
        let (cloud, database) = (&self.cloud, database.map_or("", DatabaseName::as_str));
        let caller = cloud.authenticator.caller();
        cloud.memory.keep_key(caller, &Table { target, database, name }, columns, cloud.sender.io.now());
    }

    /// Forgets by which columns rows of tables were found there.
    pub fn drop_keys(&self, target: &Target) {
        self.cloud.memory.drop_keys(self.cloud.authenticator.caller(), target);
    }

    /// Forgets how an instance is reached, and by which columns rows were found there: it is about to become another.
    pub fn forget(&self, target: &Target) {
        self.cloud.memory.drop_facts(self.cloud.authenticator.caller(), target);
        self.drop_keys(target);
    }

    /// Runs one statement on its own. `database` is the one that unqualified names are looked up in.
    pub async fn run(
        &self,
        target: &Target,
        class: AccessClass,
        database: Option<&DatabaseName>,
        query: Query<'_>,
        replay: Replay,
    ) -> Result<Rows, SqlFailure> {
        // The outcome of a write sent at the last moment would stay unknown.
        let time_min = if replay == Replay::Unsafe { ENDING } else { ATTEMPT_MIN };
        let changes = replay == Replay::Unsafe;
        let statement = Statement { database, query, time_min, changes, ..Statement::control("") };
        Ok(self.log_in(target, class, &statement, replay).await?.1.rows)
    }
}
