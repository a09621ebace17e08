//! The control plane and the gateway in front of everything: pure.
