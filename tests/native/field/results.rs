//! One budget for what a call answers, spent while it is read.
