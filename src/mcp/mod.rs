//! The Model Context Protocol, both eras, over streamable HTTP. Nothing here names a cluster.

pub mod tools;
