//! Parses requests, and answers with a problem if that fails.

use std::{fmt::Display, str::FromStr};

use axum::{
    body::Bytes,
    extract::{Form, FromRequest, FromRequestParts, Path, Query, Request},
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{HeaderValue, USER_AGENT},
        request::Parts,
    },
};
use serde::de::DeserializeOwned;
use tee_api::{LEASE_ID_HEADER, LeaseId, UserAgent};
use tee_verifier::H256;

use crate::http::Problem;

/// A JSON body, whatever its content type.
pub(super) struct JsonBody<T>(pub(super) T);

/// A form's fields, as a browser posts them.
pub(super) struct FormBody<T>(pub(super) T);

/// A whole body, whatever is in it.
pub(super) struct RawBody(pub(super) Bytes);

/// The query parameters. If the type says so, unknown ones are errors.
pub(super) struct QueryParameters<T>(pub(super) T);

/// The only parameter in a path.
pub(super) struct PathParameter<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawBody(body) = RawBody::from_request(request, state).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| malformed("malformed_body", error))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for FormBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Form::from_request(request, state).await.map(|Form(form)| Self(form)).map_err(|rejection| {
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => body_too_large(),
                _ => malformed("malformed_body", rejection.body_text()),
            }
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => body_too_large(),
            _ => Problem::new(StatusCode::BAD_REQUEST, "malformed_body", "the body is incomplete"),
        })
    }
}

impl<S: Send + Sync, T: FromStr<Err: Display>> FromRequestParts<S> for PathParameter<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(malformed_path)?;
        text.parse().map(Self).map_err(malformed_path)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|rejection| malformed_query(rejection.body_text()))
    }
}

pub(super) fn malformed_path(error: impl Display) -> Problem {
    malformed("malformed_path", error)
}

pub(super) fn malformed_query(error: impl Display) -> Problem {
    malformed("malformed_query", error)
}

/// Parses a hash of a query parameter. It may begin with `0x`.
pub(super) fn parsed_hash(name: &str, text: &str) -> Result<H256, Problem> {
    let mut hash = H256::zero();
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), hash.as_bytes_mut())
        .map_err(|_| malformed_query(format!("{name}: must be 32 bytes in hexadecimal")))?;
    Ok(hash)
}

/// The lease that a submission is made under.
pub(super) fn lease(headers: &HeaderMap) -> Result<Option<LeaseId>, Problem> {
    let Some(value) = headers.get(LEASE_ID_HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    text.parse().map(Some).map_err(|error| malformed("malformed_lease", error))
}

/// What the client says of its program. One that cannot be shown is no reason to refuse the request.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<UserAgent> {
    headers.get(USER_AGENT)?.to_str().ok()?.parse().ok()
}

/// Whether the client names this value in a header like `Accept` without refusing it (`q=0`). Wildcards name nothing: clients that
/// send them get the default.
pub(super) fn accepts(headers: &HeaderMap, header: HeaderName, value: &str) -> bool {
    let listed = headers.get_all(header);
    listed.iter().filter_map(|listed: &HeaderValue| listed.to_str().ok()).flat_map(|listed| listed.split(',')).any(
        |entry| {
            let mut parts = entry.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(value));
            let quality = parts.find_map(|part| part.strip_prefix("q=")).unwrap_or("1");
            named && quality.parse::<f32>().is_ok_and(|quality| quality > 0.0)
        },
    )
}

fn body_too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large")
}

/// `error` is about the client's own bytes.
fn malformed(code: &'static str, error: impl Display) -> Problem {
    let mut detail = error.to_string();
    detail.truncate(detail.floor_char_boundary(512));
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT_ENCODING;

    use super::*;

    #[test]
    fn a_value_is_accepted_when_it_is_named_and_not_refused() {
        for (listed, expected) in [
            ("zstd", true),
            ("gzip, ZSTD;q=0.5", true),
            ("gzip ; q=1 , zstd ; q=0.001", true),
            ("gzip", false),
            ("*", false),
            ("zstd;q=0", false),
            ("zstd;q=0.0", false),
            ("zstd;q=x", false),
            ("xzstd", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, listed.parse().unwrap());
            assert_eq!(accepts(&headers, ACCEPT_ENCODING, "zstd"), expected, "{listed}");
        }
        assert!(!accepts(&HeaderMap::new(), ACCEPT_ENCODING, "zstd"));
    }
}
