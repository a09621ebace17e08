//! SQL on real server processes.
