//! TiDB Cloud on your machine.
