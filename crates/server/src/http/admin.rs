//! `/admin/…`: what an operator changes.

pub(super) mod attestations;
pub(super) mod batches;
pub(super) mod jobs;
pub(super) mod tee_types;
