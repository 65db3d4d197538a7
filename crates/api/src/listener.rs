//! Metrics and health over HTTP.

use crate::monitor::Monitor;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

/// How long a connection may stay open. Scrapers ask about once a minute, and may connect again.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Further connections wait, which bounds what clients take of the enclave.
const MAX_CONNECTIONS: usize = 16;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves `/metrics`, `/health/live` and `/health/ready`.
pub struct Listener {
    listener: TcpListener,
    monitor: Monitor,
}

impl Listener {
    /// Binds the address.
    pub async fn bind(address: SocketAddr, monitor: Monitor) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, monitor })
    }

    /// The address. For port 0 it holds the port that was chosen.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves without end.
    pub async fn serve(self) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(connection) = connections.clone().acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "metrics: cannot accept a connection");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let monitor = self.monitor.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&monitor, &request))));
                let serving = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                // A broken connection is the scraper's problem.
                let _ = timeout(CONNECTION_TIMEOUT, serving).await;
                drop(connection);
            });
        }
    }
}

fn answer(monitor: &Monitor, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, content_type, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, OPEN_METRICS, monitor.metrics()),
        (&Method::GET | &Method::HEAD, "/health/live") => (StatusCode::OK, TEXT, "live\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/health/ready") => match monitor.not_ready() {
            reasons if reasons.is_empty() => (StatusCode::OK, TEXT, "ready\n".to_owned()),
            reasons => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {}\n", reasons.join("; "))),
        },
        _ => {
            (StatusCode::NOT_FOUND, TEXT, "not found: there are /metrics, /health/live and /health/ready\n".to_owned())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
