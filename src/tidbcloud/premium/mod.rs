//! Premium, and Essential as it is made since 2026.

pub(super) mod instances;
