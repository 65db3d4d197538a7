//! Pages for people with a browser, rendered here and readable without a script.
//!
//! They show what the API returns, under the same roles: what `public_proofs` opens is open, and what names provers or shows their
//! errors is only for readers.

mod badge;
mod batch;
mod chart;
mod disagreements;
mod frame;
mod guide;
mod home;
mod key;
mod overview;
mod pace;
mod search;
mod shown;

use axum::{
    Router,
    extract::Request,
    http::{
        Method,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};

use self::frame::{ErrorPage, Frame, Page};
pub(super) use self::overview::Latest;
use crate::http::{App, problem::Explained, request::accepts};

/// How long a browser caches the pages' style, script and icon, in seconds.
const KEEP_ASSETS: &str = "max-age=300";

/// The pages about published data.
pub(super) fn published() -> Router<App> {
    Router::new()
        .route("/", get(home::page))
        .route("/search", get(search::page))
        .route("/batches/{batch}", get(batch::page))
        .route("/batches/{batch}/proofs.json", get(batch::proofs))
        .route("/keys/{key}", get(key::page))
        .route("/quotes/{sha256}", get(key::of_quote))
        .route("/keys/{key}/quote.bin", get(key::quote))
        .route("/keys/{key}/collateral.json", get(key::collateral))
}

/// The pages for operators.
pub(super) fn of_operators() -> Router<App> {
    Router::new().route("/overview", get(overview::page)).route("/disagreements", get(disagreements::page))
}

/// Style, script, icon and the guide, which are the same for everyone.
pub(super) fn for_anyone() -> Router<App> {
    let asset = |content_type: &'static str, body: &'static str| {
        let headers = [(CONTENT_TYPE, content_type), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, KEEP_ASSETS)];
        get(async move || (headers, body))
    };
    Router::new()
        .route("/guide", get(guide::page))
        .route("/pages/live.js", asset("text/javascript; charset=utf-8", include_str!("pages/assets/live.js")))
        .route("/pages/style.css", asset("text/css; charset=utf-8", include_str!("pages/assets/style.css")))
        .route("/pages/icon.svg", asset("image/svg+xml", include_str!("pages/assets/icon.svg")))
}

/// Shows a problem as a page to callers that ask for one. Programs do not.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let wants_page =
        [Method::GET, Method::HEAD].contains(request.method()) && accepts(request.headers(), ACCEPT, "text/html");
    let response = next.run(request).await;
    match response.extensions().get::<Explained>().cloned() {
        Some(problem) if wants_page => {
            let status = response.status();
            let mut page = Page(ErrorPage::new(Frame::for_anyone(), status, problem)).into_response();
            *page.status_mut() = status;
            frame::keep_headers(response.headers(), page.headers_mut());
            *page.extensions_mut() = response.extensions().clone();
            page
        }
        _ => response,
    }
}
