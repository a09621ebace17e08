//! SQL text: what a statement is and does, decided without a server.
