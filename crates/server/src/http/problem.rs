//! Errors as clients see them: problem details (RFC 9457) with a stable code. Internal error text is never sent.

use std::time::Duration;

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    batches::{NoStoredInput, ObjectStoreFault},
    database::is_unavailable,
    keys::{NoVerdict, RefusedKey, RefusedSignature},
    leases::HandOutError,
    proofs::{NotJudged, RefusedProof},
};

/// When to ask again for something that is down.
const RETRY_UNAVAILABLE_SECS: u64 = 4;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after_secs: Option<u64>,
}

/// The content of a problem answer, for code that shows it in another form.
#[derive(Debug, Clone)]
pub(super) struct Explained {
    pub(super) code: &'static str,
    pub(super) detail: String,
}

/// An error answer: problem details as in RFC 9457, with a code.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Names the kind of problem.
    #[schema(example = "urn:tee-proof-server:problem:wrong_root")]
    r#type: String,
    /// The status in words.
    title: Option<&'static str>,
    /// The HTTP status.
    status: u16,
    /// Names the kind of problem, for machines. It does not change.
    #[schema(example = "wrong_root")]
    code: &'static str,
    /// What is wrong, for people.
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_secs: None }
    }

    /// Our own fault. It is logged here, once, and clients do not see it.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log has the cause")
    }

    /// More than the peer may ask for. It may ask for the same again after `wait`.
    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        let detail = "too many requests; wait as long as Retry-After says";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(wait)
    }

    /// No more answers may wait in memory for their readers.
    pub(crate) fn too_many_answers() -> Self {
        let detail = "too many answers are waiting to be read; read them first, or ask for less";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_answers", detail)
            .retry_after(Duration::from_secs(RETRY_UNAVAILABLE_SECS))
    }

    /// Says when the client may ask for the same again.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after_secs: Some(wait.as_secs().saturating_add(1)), ..self }
    }

    /// The kind of problem.
    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The client may ask for the same again soon.
    fn object_store(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "object_store_unavailable", detail)
            .retry_after(Duration::from_secs(RETRY_UNAVAILABLE_SECS))
    }

    pub(crate) fn stale_lease() -> Self {
        Self::new(StatusCode::CONFLICT, "stale_lease", "the lease is not current; another prover may have the batch")
    }

    pub(crate) fn unknown_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_key", "the key is not registered")
    }

    pub(crate) fn unknown_batch() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_batch", "the batch is unknown")
    }
}

impl From<ObjectStoreFault> for Problem {
    fn from(fault: ObjectStoreFault) -> Self {
        match fault {
            ObjectStoreFault::Unavailable(error) => error.into(),
            ObjectStoreFault::Database(error) => error.into(),
            ObjectStoreFault::Wrong { .. } => {
                tracing::error!("{fault}");
                Self::object_store("the object store is empty or the wrong one; the server's log has the details")
            }
        }
    }
}

impl From<object_store::Error> for Problem {
    fn from(error: object_store::Error) -> Self {
        tracing::error!(%error, "the object store does not answer");
        Self::object_store("the object store does not answer")
    }
}

impl From<HandOutError> for Problem {
    fn from(error: HandOutError) -> Self {
        match error {
            HandOutError::Database(error) => error.into(),
            HandOutError::ObjectStore(fault) => fault.into(),
            HandOutError::Unreadable => {
                Self::object_store("several inputs in a row are missing or damaged; the server's log names them")
            }
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if !is_unavailable(&error) {
            return Self::internal(format_args!("database: {error}"));
        }
        tracing::error!(%error, "the database does not answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", "the database does not answer")
            .retry_after(Duration::from_secs(RETRY_UNAVAILABLE_SECS))
    }
}

impl From<RefusedProof> for Problem {
    fn from(refused: RefusedProof) -> Self {
        let code = refused.code();
        let status = match refused {
            RefusedProof::Database(error) => return error.into(),
            RefusedProof::UnknownBatch => return Self::unknown_batch(),
            RefusedProof::UnknownKey | RefusedProof::RevokedKey => StatusCode::FORBIDDEN,
            RefusedProof::SuspendedKey => StatusCode::SERVICE_UNAVAILABLE,
            RefusedProof::DisagreeingRoot { .. } => StatusCode::CONFLICT,
            RefusedProof::TeeType { .. }
            | RefusedProof::Signature(_)
            | RefusedProof::WrongRoot
            | RefusedProof::StatementRequired
            | RefusedProof::ReusedRoot
            | RefusedProof::Statement(_)
            | RefusedProof::NotPinned(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, code, tee_api::chain(&refused))
    }
}

impl From<RefusedKey> for Problem {
    fn from(refused: RefusedKey) -> Self {
        let (status, code) = match refused {
            RefusedKey::Database(error) => return error.into(),
            RefusedKey::MalformedQuote(_) | RefusedKey::UnknownPlatform(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "malformed_quote")
            }
            RefusedKey::MalformedReportData(_) => (StatusCode::UNPROCESSABLE_ENTITY, "malformed_report_data"),
            RefusedKey::QuoteOfAnotherKey => (StatusCode::UNPROCESSABLE_ENTITY, "quote_of_another_key"),
            RefusedKey::QuoteRefused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "quote_refused"),
            RefusedKey::NoCollateral => (StatusCode::SERVICE_UNAVAILABLE, "no_collateral"),
            RefusedKey::RevokedKey => (StatusCode::FORBIDDEN, "revoked_key"),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl From<NoVerdict> for Problem {
    fn from(error: NoVerdict) -> Self {
        match error {
            NoVerdict::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string())
                .retry_after(Duration::from_secs(RETRY_UNAVAILABLE_SECS)),
            NoVerdict::Failed => Self::internal(error),
        }
    }
}

impl From<NotJudged> for Problem {
    fn from(error: NotJudged) -> Self {
        match error {
            NotJudged::Quote(error) => error.into(),
            NotJudged::Database(error) => error.into(),
        }
    }
}

impl From<RefusedSignature> for Problem {
    fn from(refused: RefusedSignature) -> Self {
        let (status, code) = match refused {
            RefusedSignature::Database(error) => return error.into(),
            RefusedSignature::Signature(_) => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_signature"),
            RefusedSignature::NotRequested => (StatusCode::CONFLICT, "not_requested"),
            RefusedSignature::NotStanding => (StatusCode::FORBIDDEN, "unknown_key"),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl From<NoStoredInput> for Problem {
    fn from(reason: NoStoredInput) -> Self {
        match reason {
            NoStoredInput::UnknownBatch => Self::unknown_batch(),
            NoStoredInput::Retired => Self::new(StatusCode::GONE, "input_retired", reason.to_string()),
            NoStoredInput::Unreadable(error) => Self::internal(error),
            NoStoredInput::ObjectStore(fault) => fault.into(),
            NoStoredInput::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:tee-proof-server:problem:{}", self.code),
            title: self.status.canonical_reason(),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail.clone(),
        };
        let body = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (self.status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, secs.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Explained { code: self.code, detail: self.detail });
        response
    }
}
