//! The tools: the only place where the protocol and TiDB Cloud meet.
