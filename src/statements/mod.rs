//! What tools share that run a caller's SQL: from the text to its judgement, and from the answer to what a model reads.

pub(crate) mod definition;
pub(crate) mod figures;
pub(crate) mod guard;
pub(crate) mod judged;
pub(crate) mod measures;
pub(crate) mod names;
pub(crate) mod params;
pub(crate) mod rows;
pub(crate) mod types;
