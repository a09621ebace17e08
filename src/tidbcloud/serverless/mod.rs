//! Starter and Essential: one file a resource, with its types and its calls, field for field as published.
//!
//! Reading is tolerant: values of enumerations that were not published are kept, and unknown fields are ignored.

pub(super) mod backups;
pub(super) mod branches;
pub(super) mod clusters;
pub(super) mod exports;
pub(super) mod imports;
pub(super) mod instance;
pub(super) mod regions;
pub(super) mod transfers;

#[cfg(test)]
mod tests;
