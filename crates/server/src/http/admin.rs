//! `/admin/…`: what an operator changes.

pub(super) mod batches;
pub(super) mod jobs;
