//! What is published for everyone.

pub(super) mod json_rpc;
