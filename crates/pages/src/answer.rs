//! Pages as answers, and the files that they load.

use askama::Template;
use axum::{
    Router,
    body::Body,
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};

/// A page loads style, script and icon from here, and nothing from elsewhere. It has no inline scripts or styles, and
/// no other page can frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// How long a browser keeps the pages' style, script and icon, in seconds.
const KEEP_ASSETS: &str = "max-age=300";

/// A page as an answer.
pub fn answer(page: &impl Template) -> Result<Response, askama::Error> {
    let html = page.render()?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // A page that one reader may see may be closed to the next one.
        (CACHE_CONTROL, "private, no-cache"),
        (VARY, "accept, authorization"),
    ];
    Ok((headers, Body::from(html)).into_response())
}

/// The files that pages load.
pub fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/pages/style.css", asset("text/css; charset=utf-8", include_str!("../assets/style.css")))
        .route("/pages/icon.svg", asset("image/svg+xml", include_str!("../assets/icon.svg")))
        .route("/pages/live.js", asset("text/javascript; charset=utf-8", include_str!("../assets/live.js")))
}

fn asset<S: Clone + Send + Sync + 'static>(content_type: &'static str, body: &'static str) -> MethodRouter<S> {
    let headers = [(CONTENT_TYPE, content_type), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, KEEP_ASSETS)];
    get(async move || (headers, body))
}
