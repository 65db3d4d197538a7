//! Connections: how they are accepted, secured, limited in number and time, and ended.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    edge::{Limits, PeerConnection, PeerConnections, Sending, Tls},
    metrics::Metrics,
};

/// The largest head of a request, in bytes. A larger one is answered with 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most bytes that wait to be read or written on a connection.
const BUFFER_BYTES: usize = 128 * 1024;

/// The wait after a failed accept, for example when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whose connection a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The peer showed a certificate that `prover_ca` vouches for.
    pub(crate) has_certificate: bool,
}

/// What all connections share.
struct Connections {
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
    /// Cuts off connections that have not ended by themselves.
    cut: CancellationToken,
}

/// A slot among all connections, and one among those of the peer.
type Place = (OwnedSemaphorePermit, PeerConnection);

/// Serves until `stop`, then waits for requests in progress. Returns how many connections had to be cut off.
///
/// Speaks HTTP/1.1 only: provers use it, and it is easy to limit.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
) -> usize {
    let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let peers = PeerConnections::new(limits.max_connections_per_peer);
    let grace = limits.stop_grace();
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let connections = Arc::new(Connections { router, tls, limits, metrics, stop: stop.clone(), cut: cut.clone() });
    let accept = async {
        loop {
            // At the limit new connections wait until one ends. Each ends in bounded time if its peer does nothing.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(peer_place) = peers.take(address.ip().into()) else {
                tracing::debug!(%address, "too many connections from one peer");
                continue;
            };
            let connections = connections.clone();
            tasks.spawn(async move { connections.handle(stream, address, (place, peer_place)).await });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    tasks.close();
    if timeout(grace, tasks.wait()).await.is_err() {
        let left = tasks.len();
        cut.cancel();
        tasks.wait().await;
        return left;
    }
    0
}

/// Serves the router of another program for as long as it runs, under these limits on connections, their time and the rate of answers.
/// Requests are not limited.
pub async fn serve_router(listener: TcpListener, router: Router, limits: Limits) {
    serve(listener, router, None, limits, Metrics::new(), CancellationToken::new()).await;
}

impl Connections {
    async fn handle(&self, stream: TcpStream, address: SocketAddr, _place: Place) {
        let _open = self.metrics.open_connections.inc_guard(1);
        let served = tokio::select! {
            served = self.serve(stream, address) => served,
            () = self.cut.cancelled() => return,
        };
        if let Err(error) = served {
            tracing::debug!(%address, %error, "the connection ended");
        }
    }

    async fn serve(&self, stream: TcpStream, address: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return self.exchange(stream, Peer { address, has_certificate: false }).await;
        };
        let handshake = TlsAcceptor::from(tls.value()).accept(stream);
        let stream = tokio::select! {
            stream = timeout(self.limits.header_timeout(), handshake) => stream??,
            () = self.stop.cancelled() => return Ok(()),
        };
        let has_certificate = stream.get_ref().1.peer_certificates().is_some();
        self.exchange(stream, Peer { address, has_certificate }).await
    }

    async fn exchange(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin, peer: Peer) -> io::Result<()> {
        let stream = Sending::new(stream, self.limits.least_answer_rate());
        let service = service_fn(|request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            self.router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout())
            .max_buf_size(BUFFER_BYTES)
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        ended.map_err(io::Error::other)
    }
}
