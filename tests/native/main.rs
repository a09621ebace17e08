//! Everything that needs no workerd: the real `App` against the sandbox's core, with a clock of its own.
#![allow(unreachable_pub, dead_code, reason = "modules that several test programs share")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod analytics;
mod bad_inputs;
mod circuit;
mod confirm;
mod credentials;
mod describe;
mod directories;
mod doctor;
mod dry_run;
mod faults;
mod faults_log;
mod field;
mod guard;
mod handed;
mod health;
mod json;
mod judge;
mod landing;
mod ledger;
mod limits;
mod log;
mod matrix;
mod narrow;
mod oauth;
mod oauth_checklist;
mod oauth_confirm;
mod operation;
mod own_sql_user;
mod params;
mod properties;
mod receipts;
mod repository;
mod secrets;
mod session;
mod simulation;
mod stakes;
mod step_up;
mod tidb_cloud_oauth;
mod tidy;
mod views;
mod watch;
mod world;
