//! What all pages share: the frame around them, and the headers that keep a browser from doing more than showing them.

use askama::Template;
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use tee_api::BUILD;

use crate::{
    edge::Need,
    http::{Problem, authorize::Asking, problem::Explained},
};

/// A page loads style, script and icon only from here. Inline scripts and styles are not allowed, and no other page may frame
/// it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Makes a browser ask for a name and a password: any name, and a token as the password.
const SIGN_IN: HeaderValue =
    HeaderValue::from_static("Basic realm=\"tee-proof-server: any name, a token as password\"");

/// The surroundings of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Whether the reader may see the operator's pages.
    pub(super) may_read: bool,
    /// Whether the reader may have batches' inputs.
    pub(super) may_have_inputs: bool,
}

/// A page as an answer.
pub(super) struct Page<T>(pub(super) T);

#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    frame: Frame,
    status: StatusCode,
    problem: Explained,
}

impl Frame {
    /// The frame for this caller.
    pub(super) fn of(asking: &Asking) -> Self {
        Self { may_read: asking.may(Need::Read), may_have_inputs: asking.may(Need::Inputs) }
    }

    /// The frame for anyone.
    pub(super) fn for_anyone() -> Self {
        Self { may_read: false, may_have_inputs: false }
    }

    pub(super) fn version(&self) -> &'static str {
        BUILD.version
    }
}

impl ErrorPage {
    pub(super) fn new(frame: Frame, status: StatusCode, problem: Explained) -> Self {
        Self { frame, status, problem }
    }
}

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let html = match self.0.render() {
            Ok(html) => html,
            Err(error) => return Problem::internal(error).into_response(),
        };
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "same-origin"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            // A page for one reader may hold what the next one may not see.
            (CACHE_CONTROL, "private, no-cache"),
            (VARY, "accept, authorization"),
        ];
        (headers, Body::from(html)).into_response()
    }
}

/// Keeps an error's headers about when to ask again, and makes a browser ask for a token if one is required.
pub(super) fn keep_headers(of_problem: &HeaderMap, of_page: &mut HeaderMap) {
    if let Some(wait) = of_problem.get(RETRY_AFTER) {
        of_page.insert(RETRY_AFTER, wait.clone());
    }
    if of_problem.contains_key(WWW_AUTHENTICATE) {
        of_page.insert(WWW_AUTHENTICATE, SIGN_IN);
    }
}
