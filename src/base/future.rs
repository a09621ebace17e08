//! Futures of traits that are used through `dyn`.

use std::{future::Future, pin::Pin};

/// A future in a box: code that awaits it is compiled once and not for each implementation. The platform is
/// single-threaded, so it is not `Send`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
