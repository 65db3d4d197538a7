//! What the operator's machines ask for, and the description of it all.

pub(super) mod health;
pub(super) mod metrics;
pub(super) mod openapi;
