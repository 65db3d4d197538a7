//! Metrics and health of a program, over HTTP.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

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
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A program that shows its state.
pub trait Monitored: Clone + Send + Sync + 'static {
    /// The metrics in the OpenMetrics text format.
    fn metrics(&self) -> String;

    /// Why the program is not ready; empty if it is.
    fn not_ready(&self) -> Vec<String>;
}

/// Serves `/metrics`, `/health/live` and `/health/ready`.
pub struct Listener<M> {
    listener: TcpListener,
    program: M,
    limits: Limits,
}

/// What clients can take of the program.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Further connections wait.
    connections: usize,
    /// How long a request's header may take.
    header_time: Duration,
    /// How long a connection may stay open. Scrapers ask about once a minute, and may connect again.
    connection_time: Duration,
}

impl Limits {
    const DEFAULT: Self =
        Self { connections: 16, header_time: Duration::from_secs(5), connection_time: Duration::from_secs(60) };
    /// The largest header of a request. Nothing else of it is kept.
    const HEADER_BYTES: usize = 16 * 1024;
}

impl<M: Monitored> Listener<M> {
    /// Binds the address.
    pub async fn bind(address: SocketAddr, program: M) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, program, limits: Limits::DEFAULT })
    }

    /// The address. For port 0 it holds the port that was chosen.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves without end.
    pub async fn serve(self) {
        let limits = self.limits;
        let connections = Arc::new(Semaphore::new(limits.connections));
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
            let program = self.program.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&program, &request))));
                let serving = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits.header_time)
                    .max_buf_size(Limits::HEADER_BYTES)
                    .serve_connection(TokioIo::new(stream), service);
                // A broken connection is the scraper's problem.
                let _ = timeout(limits.connection_time, serving).await;
                drop(connection);
            });
        }
    }
}

fn answer(program: &impl Monitored, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, content_type, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, OPEN_METRICS, program.metrics()),
        (&Method::GET | &Method::HEAD, "/health/live") => (StatusCode::OK, TEXT, "live\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/health/ready") => match program.not_ready() {
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::Instant,
    };

    use super::*;

    const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: test\r\n\r\n";
    /// Longer than any test waits for a limit.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[derive(Clone)]
    struct Program;

    impl Monitored for Program {
        fn metrics(&self) -> String {
            "# EOF\n".to_owned()
        }

        fn not_ready(&self) -> Vec<String> {
            vec!["tired".to_owned(), "sad".to_owned()]
        }
    }

    async fn start(limits: Limits) -> SocketAddr {
        let listener = Listener { limits, ..Listener::bind(([127, 0, 0, 1], 0).into(), Program).await.unwrap() };
        let address = listener.local_addr().unwrap();
        tokio::spawn(listener.serve());
        address
    }

    /// The first bytes of an answer; empty where the connection ended.
    async fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
        let mut answer = [0; 512];
        let exchange = async {
            stream.write_all(request).await?;
            stream.read(&mut answer).await
        };
        let length = timeout(PATIENCE, exchange).await.expect("neither an answer nor an end").unwrap_or(0);
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[tokio::test]
    async fn a_program_shows_its_metrics_and_why_it_is_not_ready() {
        let address = start(Limits::DEFAULT).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut get =
            async |path: &str| ask(&mut stream, format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await;
        let metrics = get("/metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains(OPEN_METRICS), "{metrics}");
        let ready = get("/health/ready").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("not ready: tired; sad\n"), "{ready}");
        assert!(get("/").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn connections_that_ask_nothing_delay_others_but_do_not_keep_them_out() {
        let header_time = Duration::from_millis(500);
        let address = start(Limits { connections: 2, header_time, ..Limits::DEFAULT }).await;
        let silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream, REQUEST).await.starts_with("HTTP/1.1 200"));
        assert!(started.elapsed() > header_time / 2, "a third connection was served beside two");
        drop(silent);
    }

    #[tokio::test]
    async fn a_connection_ends_however_much_it_asks() {
        let address = start(Limits { connection_time: Duration::from_millis(300), ..Limits::DEFAULT }).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let asking = async { while ask(&mut stream, REQUEST).await.starts_with("HTTP/1.1 200") {} };
        timeout(PATIENCE, asking).await.expect("no end");
    }

    #[tokio::test]
    async fn a_large_header_is_refused() {
        let address = start(Limits::DEFAULT).await;
        let with =
            |bytes: usize| format!("GET /health/live HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(bytes));
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream, with(8 * 1024).as_bytes()).await.starts_with("HTTP/1.1 200"));
        assert!(!ask(&mut stream, with(64 * 1024).as_bytes()).await.starts_with("HTTP/1.1 200"));
    }
}
