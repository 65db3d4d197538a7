//! What all pages share: the frame around them, and the headers that restrict what a browser does with them.

use askama::Template;
use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use tee_api::BUILD;

use crate::{
    edge::Need,
    http::{Problem, authorize::Asking, problem::Explained},
};

/// A browser shows this and asks for a name and a password: any name, and a token.
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
        tee_pages::answer(&self.0).unwrap_or_else(|error| Problem::internal(error).into_response())
    }
}

/// A file to keep, which no browser opens as anything else.
pub(super) fn file(content_type: &'static str, name: &str) -> [(HeaderName, String); 3] {
    [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ]
}

/// Keeps an error's headers that say when to ask again, and makes a browser ask for a token if one is needed.
pub(super) fn keep_headers(of_problem: &HeaderMap, of_page: &mut HeaderMap) {
    if let Some(wait) = of_problem.get(RETRY_AFTER) {
        of_page.insert(RETRY_AFTER, wait.clone());
    }
    if of_problem.contains_key(WWW_AUTHENTICATE) {
        of_page.insert(WWW_AUTHENTICATE, SIGN_IN);
    }
}
