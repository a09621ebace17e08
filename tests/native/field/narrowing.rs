//! What an address fixed stays fixed.
