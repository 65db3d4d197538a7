//! Jobs, proofs and attestations between a chain and its provers.
//!
//! [`Server::start`] binds, migrates and serves; [`Store`] is what it serves, for whoever shares its process. A batch's
//! way: [`Store::add_batch`] stores its input and makes its jobs; `POST /tee/proof_inputs` hands it out under a lease;
//! `POST /tee/submit_proofs/{n}` checks the proof and ends the job.

mod clock;
mod config;
mod handout;
mod http;
mod import;
mod ingest;
mod inputs;
mod intake;
mod mirror;
mod object_store_url;
mod problem;
mod storage;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    clock::{Clock, ManualClock},
    config::{Config, ConfigError, DatabaseUrl, DatabaseUrlError, MirrorConfig, RequiredProofs},
    import::ImportError,
    ingest::{AddBatchError, AddedBatch, Compression, EncodedBatch, NewBatch},
    inputs::InputForm,
    object_store_url::{ObjectStoreUrl, ObjectStoreUrlError},
    storage::{
        AttestationEntry, BatchEntry, Disagreement, Job, JobChange, JobCount, JobCursor, JobFilter, JobStatus,
        JobStatusError, Migrated, MigrationError, OverviewProof, OverviewRow, Proof, ProofFilter,
        migrate,
    },
};
use self::{
    inputs::Inputs,
    storage::{JobRules, Storage},
};

/// How long a stop waits for requests in hand.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How many batches are taken in at a time. Each is held in memory as a whole while it is decoded and encoded.
const MAX_DECODING: usize = 2;

/// A server that serves until it is stopped.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    store: Store,
    serving: JoinHandle<io::Result<()>>,
    mirroring: TaskTracker,
}

/// What a server keeps. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    storage: Storage,
    inputs: Inputs,
    /// Who may hold a decoded input in memory.
    decoding: Arc<Semaphore>,
    /// Nobody is kept waiting from then on.
    stopping: CancellationToken,
    clock: Clock,
    lease_secs: u32,
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Others could reach it and nobody would ask who they are.
    #[error("listening on {0} lets anyone who can reach it take batches and submit; danger_open: true allows that")]
    Open(SocketAddr),
    /// The database cannot be opened or brought to this program's schema.
    #[error(transparent)]
    Database(#[from] MigrationError),
    /// The store for inputs cannot be opened.
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
        let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        let local_addr = listener.local_addr().map_err(|error| StartError::Listen { address, error })?;
        let store = Store::open(&config, clock).await?;
        let stop = store.stopping.clone();
        let mirroring = TaskTracker::new();
        if let Some(mirror) = config.mirror {
            mirroring.spawn(stop.clone().run_until_cancelled_owned(mirror::follow(store.clone(), mirror)));
        }
        mirroring.close();
        let router = http::router(store.clone(), config.max_body_bytes);
        let serving =
            tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).into_future());
        Ok(Self { local_addr, store, serving, mirroring })
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
        self.store.stopping.cancel();
        if timeout(STOP_GRACE, &mut self.serving).await.is_err() {
            tracing::warn!("requests in hand were cut off");
            self.serving.abort();
        }
        self.mirroring.wait().await;
        self.store.close().await;
    }
}

impl Config {
    fn job_rules(&self) -> JobRules {
        let millis = |secs: u64| clock::millis(Duration::from_secs(secs));
        JobRules {
            lease_ms: millis(self.proof_generation_timeout_secs.into()),
            first_processed_batch: self.first_processed_batch,
            max_attempts: self.max_attempts,
            ignored_after_ms: millis(u64::from(self.batch_permanently_ignored_timeout_hours) * 3600),
            required_proofs: self.required_proofs,
        }
    }
}

impl Store {
    /// Opens the database and the object store, without serving them.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, StartError> {
        Ok(Self {
            storage: Storage::open(&config.database_url, config.job_rules(), clock.now_ms()).await?,
            inputs: Inputs::open(&config.object_store)?,
            decoding: Arc::new(Semaphore::new(MAX_DECODING)),
            stopping: CancellationToken::new(),
            clock,
            lease_secs: config.proof_generation_timeout_secs,
        })
    }

    /// Waits for what is being written and closes the database.
    pub async fn close(&self) {
        self.storage.close().await;
    }

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
}

/// Has reqwest find its cryptography, of which its build here brings none.
fn install_crypto() {
    // Fails when it was there before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
