//! A server that answers as a test tells it to, and tells the test what requests it received.

#![allow(dead_code, reason = "each test binary uses a part")]

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};
use tee_prover::{Config, Event, Identity, RunError, run};
use tee_verifier::Pins;
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// The longest time that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Peer {
    pub(crate) url: String,
    requests: UnboundedReceiver<Request>,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a test answers.
pub(crate) enum Answer {
    /// 200 has zksync-era's body for a success.
    Status(StatusCode),
    Full(Response),
    /// The headers of a success, and then a broken connection.
    CutShort,
    /// No answer at all.
    Silence,
}

impl Peer {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    /// A server that also answers requests for what contracts want signed. The others do not know such requests, like
    /// zksync-era's servers.
    pub(crate) async fn start_with_contracts(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), true, answer)
    }

    pub(crate) fn start_on(listener: TcpListener, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(listener, false, answer)
    }

    fn serve(
        listener: TcpListener,
        has_contracts: bool,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (log, requests) = unbounded_channel();
        let answer = Arc::new(answer);
        let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
            let request = Request { at: Instant::now(), method, path, query, headers, body };
            let answered = if has_contracts || request.path != SIGNING_REQUESTS {
                let answered = answer(&request);
                let _ = log.send(request);
                answered
            } else {
                status(404)
            };
            async move {
                match answered {
                    Answer::Status(StatusCode::OK) => axum::Json("Success").into_response(),
                    Answer::Status(status) => status.into_response(),
                    Answer::Full(response) => response,
                    Answer::CutShort => cut_short().into_response(),
                    Answer::Silence => std::future::pending().await,
                }
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Self { url, requests }
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Request {
        timeout(PATIENCE, self.requests.recv()).await.expect("a request in time").expect("the server runs")
    }

    /// The next request to `path`; others before it are skipped.
    pub(crate) async fn request_to(&mut self, path: &str) -> Request {
        loop {
            let request = self.request().await;
            if request.path == path {
                return request;
            }
        }
    }

    /// The next request to another path than `path`.
    pub(crate) async fn request_other_than(&mut self, path: &str) -> Request {
        loop {
            let request = self.request().await;
            if request.path != path {
                return request;
            }
        }
    }

    /// The paths of all requests that have arrived and were not examined.
    pub(crate) fn paths(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).map(|request| request.path).collect()
    }
}

pub(crate) const REGISTER: &str = "/tee/register_attestation";
pub(crate) const SIGNING_REQUESTS: &str = "/tee/signing_requests";
pub(crate) const INPUTS: &str = "/tee/proof_inputs";

pub(crate) fn status(status: u16) -> Answer {
    Answer::Status(StatusCode::from_u16(status).unwrap())
}

/// An input under a lease.
pub(crate) fn leased(id: &str, expires_in_secs: u32, body: impl Into<Body>) -> Answer {
    let headers = [("tee-lease-id", id.to_owned()), ("tee-lease-expires-in", expires_in_secs.to_string())];
    Answer::Full((headers, body.into()).into_response())
}

/// A body that breaks off after the headers were sent.
pub(crate) fn cut_short() -> Body {
    Body::from_stream(futures::stream::once(async {
        // The server sends what it has before it polls again.
        tokio::task::yield_now().await;
        Err::<Bytes, _>(std::io::Error::other("cut"))
    }))
}

/// A prover at work.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    events: UnboundedReceiver<Event>,
    run: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let identity = Identity::simulated(&config).unwrap();
        Self::start_as(identity, config)
    }

    pub(crate) fn start_as(identity: Identity, config: Config) -> Self {
        let stop = CancellationToken::new();
        let (log, events) = unbounded_channel();
        let observe = move |event| {
            let _ = log.send(event);
        };
        Self { run: tokio::spawn(run(config, identity, stop.clone(), observe)), stop, events }
    }

    pub(crate) async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the prover runs")
    }

    /// Asks to stop; the prover must do so within a second.
    pub(crate) async fn stops_within_a_second(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(1), self.run).await.expect("it stops in time").unwrap().unwrap();
    }

    /// Waits until the prover stops by itself.
    pub(crate) async fn end(self) -> Result<(), RunError> {
        timeout(PATIENCE, self.run).await.expect("it ends in time").unwrap()
    }
}

/// Short waits, so that tests are quick.
pub(crate) fn config(peer: &Peer) -> Config {
    let (initial_retry_backoff, max_idle_poll) = (Duration::from_millis(10), Duration::from_millis(50));
    Config { initial_retry_backoff, max_idle_poll, ..Config::new(peer.url.clone(), Pins::danger_any_code()) }
}

/// One batch at a time, so that a test can tell what comes next.
pub(crate) fn one_at_a_time(peer: &Peer) -> Config {
    let one = std::num::NonZeroUsize::MIN;
    Config { verification_workers: one, prefetch: one, ..config(peer) }
}

/// A client that does not use TLS.
pub(crate) fn http() -> reqwest::Client {
    let tls =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// A file of the shared test data. `None`, with a message, if it is missing.
pub(crate) fn test_data(path: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(test_skips::data()?.join(path)).unwrap())
}
