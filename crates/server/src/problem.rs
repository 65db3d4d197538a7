//! Errors as clients see them: problem details (RFC 9457) with a stable code. Internal error text stays inside.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::intake::RefusedProof;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    /// Our own fault: logged here, once, and not told.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log says why")
    }

    pub(crate) fn stale_lease() -> Self {
        Self::new(StatusCode::CONFLICT, "stale_lease", "the lease is not current: the batch may be another prover's")
    }

    pub(crate) fn unknown_batch() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_batch", "the batch is not known")
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(format_args!("database: {error}"))
    }
}

impl From<RefusedProof> for Problem {
    fn from(refused: RefusedProof) -> Self {
        let (status, code) = match &refused {
            RefusedProof::UnknownKey => (StatusCode::FORBIDDEN, "unknown_key"),
            RefusedProof::RevokedKey => (StatusCode::FORBIDDEN, "revoked_key"),
            RefusedProof::TeeType { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_tee_type"),
            RefusedProof::UnknownBatch => return Self::unknown_batch(),
            RefusedProof::Signature(_) => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_signature"),
            RefusedProof::WrongRoot => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_root"),
            RefusedProof::Statement(_) => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_statement"),
            RefusedProof::StaleLease => return Self::stale_lease(),
            RefusedProof::DisagreeingRoot { .. } => (StatusCode::CONFLICT, "disagreeing_root"),
            RefusedProof::Database(error) => return Self::internal(format_args!("database: {error}")),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": format!("urn:tee-proof-server:problem:{}", self.code),
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        (self.status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
