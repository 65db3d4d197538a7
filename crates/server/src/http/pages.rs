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
mod policy;
mod search;
mod shown;
mod verify;

use axum::{
    Router,
    extract::Request,
    http::{
        Method,
        header::{ACCEPT, CONTENT_TYPE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};

use self::frame::{ErrorPage, Frame, Page};
pub(super) use self::overview::Latest;
use crate::http::{App, problem::Explained, request::accepts};

/// What is published.
pub(super) fn published() -> Router<App> {
    Router::new()
        .route("/", get(home::page))
        .route("/search", get(search::page))
        .route("/verify", get(verify::form).post(verify::judge))
        .route("/batches/{batch}", get(batch::page))
        .route("/batches/{batch}/proofs.json", get(batch::proofs))
        .route("/keys/{key}", get(key::page))
        .route("/policy.yaml", get(policy::download))
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
    tee_pages::assets().route("/guide", get(guide::page))
}

/// Shows a problem as a page to callers that ask for one. Programs do not.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let (method, headers) = (request.method(), request.headers());
    // Programs send no forms.
    let is_form = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let from_browser = is_form || [Method::GET, Method::HEAD].contains(method);
    let wants_page = from_browser && accepts(headers, ACCEPT, "text/html");
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
