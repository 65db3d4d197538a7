//! `GET /openapi.json` and `GET /docs`: the API's description, generated from the code, and a page to try it.

use std::sync::Arc;

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    response::IntoResponse,
    routing::get,
};
use tee_api::{JobAction, TeeType, TeeTypeAction};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::http::App;

/// The page loads nothing from elsewhere and is shown in no other page's frame.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tee-proof-server",
        description = "Hands batches of a ZK Stack chain to TEE provers, checks their proofs and publishes them. Times are \
                       RFC 3339 in UTC; bytes are lower-case hex without 0x. Errors are problem details (RFC 9457) with a \
                       stable code.",
        license(name = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "prover", description = "What a prover does: zksync-era 29.x's protocol, and leases"),
        (name = "proofs", description = "Published proofs"),
        (name = "reads", description = "Lists, a page at a time, and changes as they happen"),
        (name = "admin", description = "What an operator changes"),
        (name = "operating", description = "Health and metrics")
    ),
    // Types that only paths use are not found automatically.
    components(schemas(JobAction, TeeType, TeeTypeAction)),
    modifiers(&Roles)
)]
pub(crate) struct Description;

struct Roles;

impl Modify for Roles {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        for (role, may) in [
            ("prover", "A prover's token"),
            ("reader", "A reader's or an admin's token"),
            ("admin", "An admin's token"),
        ] {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(may)).build();
            components.add_security_scheme(role, SecurityScheme::Http(scheme));
        }
    }
}

/// The document and the page. They describe this program, not this server's data, so anyone may read them.
pub(crate) fn routes(document: &Document) -> Router<App> {
    let json: Arc<str> = document.to_pretty_json().expect("a document of our own").into();
    let asset = |content_type: &'static str, body: &'static str| {
        get(async move || ([(CONTENT_TYPE, content_type), (X_CONTENT_TYPE_OPTIONS, "nosniff")], body))
    };
    Router::new()
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], json.to_string())))
        .route("/docs", get(page))
        .route("/docs/page.js", asset("text/javascript; charset=utf-8", include_str!("docs/page.js")))
        .route("/docs/page.css", asset("text/css; charset=utf-8", include_str!("docs/page.css")))
}

async fn page() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, include_str!("docs/page.html"))
}
