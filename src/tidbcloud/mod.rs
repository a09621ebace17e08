//! Client of the TiDB Cloud API and of SQL over HTTP. Nothing here names MCP.
