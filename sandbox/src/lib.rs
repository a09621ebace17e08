//! TiDB Cloud on your machine.
//!
//! `control::Sandbox` is the core: `(now, request) -> step`, without a clock, randomness or I/O of its own, so that tests
//! drive it with their own clock. Statements for a SQL server are handed out as a [`exchange::SqlTask`] and come back as a
//! [`exchange::SqlOutcome`]; `sql::Servers` runs those on real server processes, and `serve` puts both behind HTTP.

mod certificate;
pub mod control;
pub mod exchange;
mod mysql;
mod native_password;
mod raw;
pub mod serve;
pub mod sql;
