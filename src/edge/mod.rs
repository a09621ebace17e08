//! The Worker: the only place that names `worker`.
