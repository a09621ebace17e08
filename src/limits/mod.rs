//! Limits: the arithmetic of permits, and who may try an API key.

pub mod bucket;
pub mod witness;
