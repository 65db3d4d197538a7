//! The HTTP API: a folder for each group of callers, a file for each endpoint. Handlers only translate.

mod admin;
mod answers;
mod authorize;
mod operating;
mod pages;
pub(crate) mod problem;
mod prover;
mod published;
mod reads;
mod request;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header::CONNECTION},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tee_api::SUCCESS;
use tokio::{sync::Semaphore, time::timeout};
use tracing::{Instrument, field::Empty, info_span};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    answers::{AnswerRoom, HeldRoom},
    authorize::Gate,
    problem::Problem,
};
use self::{
    authorize::{KeepsConnection, authorize},
    operating::openapi::{self, Description},
};
use crate::{
    crypto::random,
    edge::{Limits, Need},
    service::Service,
};

/// Header with the id of a request, under which the log mentions it.
const REQUEST_ID_HEADER: &str = "x-request-id";

/// What all endpoints share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) service: Service,
    limits: Arc<Limits>,
    event_streams: Arc<Semaphore>,
    speaks_tls: bool,
    overview: pages::Latest,
}

impl App {
    pub(crate) fn new(service: Service, limits: Limits, speaks_tls: bool) -> Self {
        let event_streams = Arc::new(Semaphore::new(limits.max_event_streams.min(Semaphore::MAX_PERMITS)));
        Self { service, limits: Arc::new(limits), event_streams, speaks_tls, overview: pages::Latest::default() }
    }
}

impl FromRef<App> for Service {
    fn from_ref(app: &App) -> Self {
        app.service.clone()
    }
}

/// All endpoints, by who may use them.
pub(crate) fn router(app: App, gate: Gate) -> Router {
    let gate = Arc::new(gate);
    let needs = |need: Need, routes: OpenApiRouter<App>| {
        routes.route_layer(from_fn_with_state((gate.clone(), need), authorize))
    };
    let limited = |routes: OpenApiRouter<App>, max_body_bytes: usize, time: Duration| {
        routes.layer(DefaultBodyLimit::max(max_body_bytes)).layer(from_fn_with_state(time, limit_time))
    };
    let limits = app.limits.clone();
    let prove = OpenApiRouter::new()
        .routes(routes!(prover::proof_inputs::handle))
        .routes(routes!(prover::submit_proofs::handle))
        .routes(routes!(prover::register_attestation::handle))
        .routes(routes!(prover::signing_requests::handle))
        .routes(routes!(prover::registration_signatures::handle))
        .routes(routes!(prover::leases::renew))
        .routes(routes!(prover::leases::fail))
        .routes(routes!(prover::leases::give_back));
    let inputs = OpenApiRouter::new()
        .routes(routes!(prover::proof_inputs_no_lock::handle))
        .routes(routes!(prover::present_batches::handle));
    let proofs = OpenApiRouter::new().routes(routes!(published::json_rpc::handle));
    let read = OpenApiRouter::new()
        .routes(routes!(reads::batches::list))
        .routes(routes!(reads::jobs::list))
        .routes(routes!(reads::proofs::list))
        .routes(routes!(reads::provers::list))
        .routes(routes!(reads::disagreements::list))
        .routes(routes!(reads::attestations::list))
        .routes(routes!(reads::registration_signatures::list))
        .routes(routes!(reads::events::follow))
        .routes(routes!(operating::metrics::handle));
    let administer = OpenApiRouter::new()
        .routes(routes!(admin::jobs::change))
        .routes(routes!(admin::attestations::revoke))
        .routes(routes!(admin::disagreements::resolve))
        .routes(routes!(admin::tee_types::change))
        .routes(routes!(admin::signing_requests::request));
    let upload = OpenApiRouter::new().routes(routes!(admin::batches::add));
    let anyone =
        OpenApiRouter::new().routes(routes!(operating::health::live)).routes(routes!(operating::health::ready));
    let quick = needs(Need::Prove, prove)
        .merge(needs(Need::Inputs, inputs))
        .merge(needs(Need::Proofs, proofs))
        .merge(needs(Need::Proofs, OpenApiRouter::from(pages::published())))
        .merge(needs(Need::Read, read))
        .merge(needs(Need::Read, OpenApiRouter::from(pages::of_operators())))
        .merge(needs(Need::Administer, administer))
        .merge(needs(Need::Nothing, anyone));
    let quick = limited(quick, limits.max_body_bytes, limits.request_timeout());
    let upload = limited(needs(Need::Administer, upload), limits.max_upload_bytes, limits.upload_timeout());
    let (router, document) =
        OpenApiRouter::with_openapi(Description::openapi()).merge(quick).merge(upload).split_for_parts();
    let for_anyone = OpenApiRouter::from(openapi::routes(&document).merge(pages::for_anyone()));
    router
        .merge(needs(Need::Nothing, for_anyone))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "nothing exists at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not allow this method")
        })
        .layer(from_fn(pages::explain))
        .layer(from_fn_with_state(app.clone(), trace))
        .with_state(app)
}

/// Runs a request in a span with an id, which the client gets too, and counts it. The span names the route instead of the path: a
/// lease's id in a path is a prover's secret.
async fn trace(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = hex::encode(random::<8>());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let span = info_span!("request", id, method = %request.method(), route, caller = Empty);
    let run = async {
        let response = next.run(request).await;
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        tracing::debug!(status, elapsed_ms = elapsed.as_millis(), "answered");
        app.service.metrics.answered(route, status, elapsed);
        response
    };
    let mut response = run.instrument(span).await;
    // An unknown caller gets one answer per connection, however many requests it has sent ahead: connections are scarce.
    if response.extensions().get::<KeepsConnection>().is_none() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, id);
    }
    response
}

/// Ends a request that takes too long to arrive or to be answered.
async fn limit_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let detail = "the request took too long to arrive or to answer";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail).into_response()
    })
}

/// zksync-era's answer for success.
fn success() -> Json<&'static str> {
    Json(SUCCESS)
}
