//! The server's life: what it opens, which tasks run side by side, and how it ends.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    batches::{NodeRpc, NodeRpcError, ObjectStoreFault, Retention, complete_wanted, mirror},
    clock::Clock,
    config::{Config, PROGRAM},
    database::MigrationError,
    edge::{Access, AccessError, LimitsError, RateLimiter, Tls, TlsError, serve},
    housekeeping,
    http::{self, AnswerRoom, App, Gate},
    keys::{self, AttestationSetupError},
    metrics::Metrics,
    service::Service,
};

/// How often files that may change while the server runs are checked.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    service: Service,
    serving: JoinHandle<usize>,
    mirroring: TaskTracker,
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The access settings are invalid.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// TLS cannot be set up.
    #[error("tls")]
    Tls(#[from] TlsError),
    /// Quotes are not judged, so anybody's key could sign.
    #[error("quotes are not judged: set attestation, or danger_unjudged_quotes: true")]
    Unjudged,
    /// Statements of any code would be accepted.
    #[error(
        "no code is pinned: set either chain: {{id: …, code: [{{protocol_version: …, bootloader: …, default_account: …, \
         evm_emulator: …}}]}} (`teectl batch inspect` shows a batch's), or danger_any_code: true"
    )]
    AnyCode,
    /// Quotes cannot be judged with the given settings.
    #[error("attestation")]
    Attestation(#[from] AttestationSetupError),
    /// A limit is invalid.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The database cannot be opened or brought to this program's schema.
    #[error(transparent)]
    Database(#[from] MigrationError),
    /// The object store cannot be opened.
    #[error("object store")]
    ObjectStore(#[from] object_store::Error),
    /// The object store does not answer, is empty when it should not be, or is a different one.
    #[error(transparent)]
    ObjectStoreFault(#[from] ObjectStoreFault),
    /// The URL of the node that inputs are completed from is invalid.
    #[error("completion.rpc_url or mirror.rpc_url")]
    Completion(#[source] NodeRpcError),
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        error: io::Error,
    },
}

impl Server {
    /// Opens the database and the object store, binds, and serves in the background.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with_clock(config, Clock::System).await
    }

    /// The same, with another clock.
    // Boxed, so that a server is compiled here and not in each program that starts one.
    pub fn start_with_clock(config: Config, clock: Clock) -> BoxFuture<'static, Result<Self, StartError>> {
        Box::pin(Self::open(config, clock))
    }

    async fn open(config: Config, clock: Clock) -> Result<Self, StartError> {
        let address = config.listen;
        config.limits.check()?;
        let access = Arc::new(Access::open(&config)?);
        let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
        if tls.is_none() && !access.is_open() && !address.ip().is_loopback() {
            tracing::warn!("tokens are sent unencrypted: set tls, or put a proxy with TLS in front of the server");
        }
        let completing = config
            .completion_url()
            .map(|url| NodeRpc::new(url, PROGRAM))
            .transpose()
            .map_err(StartError::Completion)?;
        let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        let local_addr = listener.local_addr().map_err(|error| StartError::Listen { address, error })?;
        let service = Service::open(&config, clock).await?;
        let stop = service.stopping.clone();
        let metrics = service.metrics.clone();
        let mirroring = TaskTracker::new();
        if let Some(mirror) = config.mirror {
            mirroring.spawn(stop.clone().run_until_cancelled_owned(mirror::follow(
                service.clone(),
                mirror,
                metrics.clone(),
            )));
        }
        if let Some(node) = completing {
            let completing = complete_wanted(service.clone(), node, metrics.clone());
            mirroring.spawn(stop.clone().run_until_cancelled_owned(completing));
        }
        let retention = config.keep_finished_inputs_days.map(|days| Retention::new(days.get(), metrics.clone()));
        mirroring.spawn(stop.clone().run_until_cancelled_owned(housekeeping::run(service.clone(), retention)));
        if let Some(attestor) = &service.attestor {
            mirroring.spawn(keys::watch(service.clone(), attestor.clone(), metrics.clone(), stop.clone()));
        }
        mirroring.close();
        let gate = Gate {
            access: access.clone(),
            rate: RateLimiter::new(&config.limits),
            answers: AnswerRoom::new(&config.limits),
            provers_need_certificate: tls.as_ref().is_some_and(|tls| tls.asks_provers()),
        };
        tokio::spawn(reload(access, tls.clone(), metrics.clone(), stop.clone()));
        let limits = config.limits;
        let app = App::new(service.clone(), limits.clone(), tls.is_some());
        let router = http::router(app, gate);
        let serving = tokio::spawn(serve(listener, router, tls, limits, metrics, stop));
        Ok(Self { local_addr, service, serving, mirroring })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The service behind the server.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Stops accepting requests, finishes those in progress within `limits.stop_grace`, and closes the database.
    pub async fn stop(self) {
        self.service.stopping.cancel();
        match self.serving.await {
            Ok(0) => {}
            Ok(cut) => tracing::warn!(connections = cut, "interrupted requests that were still running"),
            Err(error) => tracing::error!(%error, "serving ended early"),
        }
        self.mirroring.wait().await;
        self.service.close().await;
    }
}

/// Applies tokens and certificates that change.
async fn reload(access: Arc<Access>, tls: Option<Arc<Tls>>, metrics: Metrics, stop: CancellationToken) {
    if access.is_open() && tls.is_none() {
        return;
    }
    while stop.run_until_cancelled(tokio::time::sleep(RELOAD_INTERVAL)).await.is_some() {
        let (access, tls, metrics) = (access.clone(), tls.clone(), metrics.clone());
        let look = tokio::task::spawn_blocking(move || {
            metrics.reloaded("tokens", access.reload());
            metrics.reloaded("certificate", tls.and_then(|tls| tls.reload()));
        });
        if let Err(error) = look.await {
            tracing::error!(%error, "cannot check tokens and certificates for changes");
        }
    }
}
