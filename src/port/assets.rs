//! The files of the landing page.

use crate::base::{future::Pending, http::Response};

/// Static files.
pub trait Assets {
    /// `GET` of `path`. `None` if there is no such file.
    fn asset<'a>(&'a self, path: &'a str) -> Pending<'a, Option<Response>>;
}
