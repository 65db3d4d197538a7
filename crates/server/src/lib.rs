//! Jobs, proofs and attestations between a chain and its provers.
//!
//! [`Server::start`] binds, migrates and serves; [`Store`] is what it serves, for whoever shares its process. A batch's
//! way: [`Store::add_batch`] stores its input and makes its jobs; `POST /tee/proof_inputs` hands it out under a lease;
//! `POST /tee/submit_proofs/{n}` checks the proof and ends the job.

mod clock;
mod config;
mod http;
mod ingest;
mod inputs;
mod intake;
mod problem;
mod storage;

use std::{io, net::SocketAddr, path::Path, time::Duration};

use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::{
    clock::{Clock, ManualClock},
    config::{Config, ConfigError},
    ingest::{AddBatchError, AddedBatch, NewBatch},
    storage::{Disagreement, JobStatus, OverviewProof, OverviewRow},
};
use self::{inputs::Inputs, storage::Storage};

/// How long a stop waits for requests in hand.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A server that serves until it is stopped.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    store: Store,
    stop: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
}

/// What a server keeps. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    storage: Storage,
    inputs: Inputs,
    clock: Clock,
    lease_secs: u32,
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Others could reach it and nobody would ask who they are.
    #[error("listening on {0} lets anyone who can reach it take batches and submit; danger_open: true allows that")]
    Open(SocketAddr),
    /// Not `sqlite://PATH`.
    #[error("database_url: not sqlite://PATH")]
    DatabaseUrl,
    /// The database cannot be opened or migrated.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The folder for inputs cannot be opened.
    #[error("object store: {0}")]
    ObjectStore(#[from] object_store::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

impl Server {
    /// Opens the database and the folder, binds, and serves in the background.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with_clock(config, Clock::System).await
    }

    /// The same, with another clock.
    pub async fn start_with_clock(config: Config, clock: Clock) -> Result<Self, StartError> {
        let address = config.listen;
        if !address.ip().is_loopback() && !config.danger_open {
            return Err(StartError::Open(address));
        }
        let path = config.database_url.strip_prefix("sqlite://").filter(|path| !path.is_empty());
        let path = Path::new(path.ok_or(StartError::DatabaseUrl)?);
        let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        let local_addr = listener.local_addr().map_err(|error| StartError::Listen { address, error })?;
        let store = Store {
            storage: Storage::open(path).await?,
            inputs: Inputs::open(&config.object_store)?,
            clock,
            lease_secs: config.proof_generation_timeout_secs,
        };
        let stop = CancellationToken::new();
        let router = http::router(store.clone(), config.max_body_bytes);
        let serving = tokio::spawn(
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future(),
        );
        Ok(Self { local_addr, store, stop, serving })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it keeps.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes no more requests, finishes those in hand, for ten seconds at most, and closes the database.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if timeout(STOP_GRACE, &mut self.serving).await.is_err() {
            tracing::warn!("requests in hand were cut off");
            self.serving.abort();
        }
        self.store.storage.close().await;
    }
}

impl Store {
    /// Batches with their jobs and proofs: at most `limit` batches from `first` on, by number.
    pub async fn overview(&self, first: u32, limit: u32) -> Result<Vec<OverviewRow>, sqlx::Error> {
        self.storage.overview(first, limit).await
    }

    /// Refused proofs that contradict accepted ones, the latest first.
    pub async fn disagreements(&self) -> Result<Vec<Disagreement>, sqlx::Error> {
        self.storage.disagreements().await
    }

    fn lease_secs(&self) -> u32 {
        self.lease_secs
    }

    fn lease_end_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(clock::millis(Duration::from_secs(self.lease_secs.into())))
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
