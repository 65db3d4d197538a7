//! A batch input as an answer: streamed, in the form and compression that the client asks for.

use std::io;

use async_compression::tokio::bufread::{GzipEncoder, ZstdDecoder};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::Stream;
use tee_verifier::InputForm;
use tokio::io::BufReader;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::http::request::accepts;

/// JSON, as in zksync-era, unless the client asks for CBOR.
pub(super) fn wanted_form(headers: &HeaderMap) -> InputForm {
    match accepts(headers, ACCEPT, "application/cbor") {
        true => InputForm::Cbor,
        false => InputForm::Json,
    }
}

/// `stored` is the input compressed with zstd, of `stored_bytes` bytes. It is sent as it is to clients that accept zstd.
pub(super) fn answer(
    request: &HeaderMap,
    form: InputForm,
    stored: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    stored_bytes: u64,
) -> Response {
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static(form.media_type())),
        (VARY, HeaderValue::from_static("accept, accept-encoding")),
    ];
    let mut encoded = |name: &'static str| headers.push((CONTENT_ENCODING, HeaderValue::from_static(name)));
    let body = if accepts(request, ACCEPT_ENCODING, "zstd") {
        encoded("zstd");
        headers.push((CONTENT_LENGTH, stored_bytes.into()));
        Body::from_stream(stored)
    } else {
        let plain = ZstdDecoder::new(StreamReader::new(Box::pin(stored)));
        if accepts(request, ACCEPT_ENCODING, "gzip") {
            encoded("gzip");
            Body::from_stream(ReaderStream::new(GzipEncoder::new(BufReader::new(plain))))
        } else {
            Body::from_stream(ReaderStream::new(plain))
        }
    };
    (headers.into_iter().collect::<HeaderMap<_>>(), body).into_response()
}
