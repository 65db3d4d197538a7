//! `/admin/…`: what an operator changes.

pub(super) mod attestations;
pub(super) mod batches;
pub(super) mod disagreements;
pub(super) mod jobs;
pub(super) mod signing_requests;
pub(super) mod tee_types;

use axum::http::StatusCode;

use crate::http::Problem;

/// A person's explanation for those who ask later: at most 200 characters, without unprintable ones.
fn reason(said: &str) -> Result<String, Problem> {
    let reason: String = said.chars().filter(|letter| !letter.is_control()).take(200).collect();
    if reason.trim().is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_body", "reason: must not be empty"));
    }
    Ok(reason)
}
