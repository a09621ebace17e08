//! Routes, who is calling, limits; then the protocol.
