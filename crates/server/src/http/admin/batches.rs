//! `POST /admin/batches`: adds a batch.

use std::io;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tee_api::{BatchAdded, EncodingError, InputEncoding, UnreadableInput};
use utoipa::IntoParams;

use crate::{
    batches::{AddBatchError, AddedBatch, EncodedBatch},
    http::{
        App, Problem,
        request::{QueryParameters, malformed_query, parsed_hash},
    },
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AddBatchQuery {
    /// The root after the batch, 32 bytes in hex, where it is known.
    expected_root: Option<String>,
    /// Where the batch comes from, at most 200 characters.
    source: Option<String>,
}

/// Adds a batch. The body is its input in JSON or CBOR, as Content-Type says, which may be compressed
/// (Content-Encoding: zstd or gzip). Adding the very same input again changes nothing; another input under a known
/// number is refused.
#[utoipa::path(
    post, path = "/admin/batches", operation_id = "add_batch", tag = "admin", params(AddBatchQuery), security(("admin" = [])),
    request_body(content((Vec<u8> = "application/json"), (Vec<u8> = "application/cbor"))),
    responses(
        (status = 200, description = "the batch was already there", body = BatchAdded),
        (status = 201, description = "the batch was added", body = BatchAdded),
        (status = 409, description = "the number belongs to another input", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn add(
    State(app): State<App>,
    QueryParameters(query): QueryParameters<AddBatchQuery>,
    request: Request,
) -> Result<(StatusCode, Json<BatchAdded>), Problem> {
    let expected_root = query.expected_root.map(|text| parsed_hash("expected_root", &text)).transpose()?;
    let source = query.source.unwrap_or_else(|| "admin".to_owned());
    if source.chars().count() > 200 || source.chars().any(char::is_control) {
        return Err(malformed_query("source: must have at most 200 characters, all of them printable"));
    }
    // The content type is required: a page of another server cannot send it without a preflight request.
    let encoding = InputEncoding::of_headers(request.headers(), None).map_err(unsupported)?;
    let max_bytes = app.limits.max_upload_bytes;
    if declared_bytes(request.headers()).is_some_and(|declared| declared > max_bytes as u64) {
        return Err(too_large());
    }
    let body = Box::pin(limited(request.into_body(), max_bytes));
    let new = EncodedBatch { body, encoding, number: None, expected_root, sealed_at_ms: None, source };
    match app.service.add_encoded(new).await {
        Ok(AddedBatch::New) => Ok((StatusCode::CREATED, Json(BatchAdded { new: true }))),
        Ok(AddedBatch::Known) => Ok((StatusCode::OK, Json(BatchAdded { new: false }))),
        Err(error) => Err(refusal(error)),
    }
}

fn refusal(error: AddBatchError) -> Problem {
    match error {
        AddBatchError::Changed { number } => {
            tracing::warn!(batch = number, "refused another input for an existing batch");
            Problem::new(StatusCode::CONFLICT, "changed_batch", error.to_string())
        }
        AddBatchError::Read(error) => match error.kind() {
            io::ErrorKind::FileTooLarge => too_large(),
            io::ErrorKind::TimedOut => {
                let detail = "the body arrived too slowly";
                Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
            }
            _ => malformed("the body is incomplete or cannot be decompressed"),
        },
        AddBatchError::Input(UnreadableInput::TooLarge { .. }) => too_large(),
        AddBatchError::Input(error) => malformed(error),
        AddBatchError::ObjectStore(error) => error.into(),
        AddBatchError::ObjectStoreFault(fault) => fault.into(),
        AddBatchError::Database(error) => error.into(),
        error => Problem::internal(tee_api::chain(&error)),
    }
}

/// The body, cut off with an error when it exceeds the limit.
fn limited(body: Body, max_bytes: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(Some((body.into_data_stream(), max_bytes)), move |state| async move {
        let (mut pieces, left) = state?;
        match pieces.next().await? {
            Err(error) => Some((Err(io::Error::other(error)), None)),
            Ok(piece) => match left.checked_sub(piece.len()) {
                None => Some((Err(io::ErrorKind::FileTooLarge.into()), None)),
                Some(left) => Some((Ok(piece), Some((pieces, left)))),
            },
        }
    })
}

fn unsupported(error: EncodingError) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", error.to_string())
}

fn malformed(error: impl std::fmt::Display) -> Problem {
    let mut detail = error.to_string();
    detail.truncate(detail.floor_char_boundary(512));
    Problem::new(StatusCode::BAD_REQUEST, "malformed_input", detail)
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the batch's input is too large")
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
