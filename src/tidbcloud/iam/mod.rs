//! IAM: who may do what.

pub(super) mod api_keys;
pub(super) mod sql_users;

#[cfg(test)]
mod tests;
