//! Stored authorizations, and how they are sealed: pure state machines and their cryptography.

pub mod confirmations;
pub mod document;
pub mod grant;
mod handed_out;
pub mod index;
pub mod key;
pub mod object;
pub mod seal;
pub mod token;
pub mod transaction;
