//! Endpoints for the operator's machines, and the description of the API.

pub(super) mod health;
pub(super) mod metrics;
pub(super) mod openapi;
