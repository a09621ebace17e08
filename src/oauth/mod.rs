//! Authorization: the server is its own OAuth 2.1 authorization server. Pure, given a `Platform`.

pub mod client;
pub mod form;
pub mod redirect;
