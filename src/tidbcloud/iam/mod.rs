//! IAM: who may do what.

pub(super) mod sql_users;

#[cfg(test)]
mod tests;
