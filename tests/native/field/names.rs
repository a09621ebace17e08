//! Names in the form in which they are sent.
