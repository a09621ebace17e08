//! IAM: who may do what.

pub(super) mod api_keys;
pub(super) mod audit_logs;
pub(super) mod members;
pub(super) mod projects;
pub(super) mod sql_users;

#[cfg(test)]
mod tests;
