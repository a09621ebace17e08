//! Authorization: the server is its own OAuth 2.1 authorization server. Pure, given a `Platform`.

pub mod client;
pub mod form;
pub mod grant;
pub mod index;
pub mod redirect;
pub mod seal;
pub mod store;
pub mod token;
pub mod transaction;
