//! Endpoints that are open to everyone.

pub(super) mod json_rpc;
