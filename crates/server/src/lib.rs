//! Jobs, proofs and attestations between a chain and its provers.
//!
//! [`Server::start`] binds, migrates and serves; [`Store`] is what it serves, for whoever shares its process. A batch's
//! way: [`Store::add_batch`] stores its input and makes its jobs; `POST /tee/proof_inputs` hands it out under a lease;
//! `POST /tee/submit_proofs/{n}` checks the proof and ends the job.

mod access;
mod answers;
mod attestations;
mod clock;
mod completion;
mod config;
mod handout;
mod housekeeping;
mod http;
mod import;
mod ingest;
mod inputs;
mod intake;
mod least_rate;
mod limits;
mod metrics;
mod mirror;
mod node_http;
mod node_rpc;
mod object_store_marker;
mod object_store_url;
mod problem;
mod receiving;
mod retention;
mod sending;
mod serve;
mod storage;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tee_verifier::Pins;
use thiserror::Error;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    access::Access,
    answers::AnswerRoom,
    attestations::Attestor,
    http::{App, Gate},
    inputs::Inputs,
    limits::RateLimiter,
    metrics::Metrics,
    receiving::Receiving,
    retention::Retention,
    storage::{JobRules, Storage},
    tls::Tls,
};
pub use self::{
    access::{AccessError, NewToken, Role, RoleError, TokenName, TokenNameError, TokensError},
    attestations::{AttestationConfig, AttestationSetupError},
    clock::{Clock, DatabaseClock, ManualClock},
    completion::{CompleteError, complete},
    config::{
        CompletionConfig, Config, ConfigError, DatabaseUrl, DatabaseUrlError, LogFormat, MirrorConfig, RequiredProofs,
    },
    import::ImportError,
    ingest::{AddBatchError, AddedBatch, Compression, EncodedBatch, NewBatch},
    limits::{Limits, LimitsError},
    node_rpc::{NodeRpc, NodeRpcError},
    object_store_marker::ObjectStoreFault,
    object_store_url::{ObjectStoreUrl, ObjectStoreUrlError},
    retention::Garbage,
    storage::{
        AttestationEntry, BatchEntry, Disagreement, Job, JobChange, JobCount, JobCursor, JobFilter, JobStatus,
        JobStatusError, Migrated, MigrationError, OverviewProof, OverviewRow, Proof, ProofFilter, ProverEntry,
        Requeued, migrate,
    },
    tls::{TlsConfig, TlsError},
};

/// How often files that may change while the server runs are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// How many batches are taken in at a time. Each is held in memory as a whole while it is decoded and encoded.
const MAX_DECODING: usize = 2;

/// A server that serves until it is stopped.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    store: Store,
    serving: JoinHandle<usize>,
    mirroring: TaskTracker,
}

/// What a server keeps. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    storage: Storage,
    inputs: Inputs,
    /// What the object store's marker says.
    object_store_marker: Arc<str>,
    /// Who may hold a decoded input in memory.
    decoding: Arc<Semaphore>,
    /// Where inputs wait for that.
    receiving: Receiving,
    /// Nobody is kept waiting from then on.
    stopping: CancellationToken,
    clock: Clock,
    lease_secs: u32,
    danger_bare_roots: bool,
    /// Judges quotes; without it they stay unjudged.
    attestor: Option<Arc<Attestor>>,
    /// What statements must be of.
    pins: Arc<Pins>,
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// It is not clear who may do what.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// TLS cannot be set up.
    #[error("tls")]
    Tls(#[from] TlsError),
    /// Anybody's key could sign.
    #[error("quotes are not judged: set attestation, or danger_unjudged_quotes: true")]
    Unjudged,
    /// Statements of any code would be taken.
    #[error(
        "no code is pinned: set either chain: {{id: …, code: [{{protocol_version: …, bootloader: …, default_account: …, \
         evm_emulator: …}}]}} (`teectl batch inspect` shows a batch's), or danger_any_code: true"
    )]
    AnyCode,
    /// Quotes cannot be judged.
    #[error("attestation")]
    Attestation(#[from] AttestationSetupError),
    /// A limit makes no sense.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The database cannot be opened or brought to this program's schema.
    #[error(transparent)]
    Database(#[from] MigrationError),
    /// The store for inputs cannot be opened.
    #[error("object store")]
    ObjectStore(#[from] object_store::Error),
    /// The store for inputs does not answer, is empty where it should not be, or is another one.
    #[error(transparent)]
    ObjectStoreFault(#[from] ObjectStoreFault),
    /// The node that inputs are completed from cannot be asked.
    #[error("completion.rpc_url or mirror.rpc_url")]
    Completion(#[source] NodeRpcError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
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
        config.limits.check()?;
        let access = Arc::new(Access::open(&config)?);
        let tls = config.tls.as_ref().map(Tls::open).transpose()?.map(Arc::new);
        if tls.is_none() && !access.is_open() && !address.ip().is_loopback() {
            tracing::warn!("tokens travel in the clear: set tls, or let a proxy in front of the server speak it");
        }
        let completing = config.completion_url().map(NodeRpc::new).transpose().map_err(StartError::Completion)?;
        let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        let local_addr = listener.local_addr().map_err(|error| StartError::Listen { address, error })?;
        let store = Store::open(&config, clock).await?;
        let stop = store.stopping.clone();
        let metrics = Metrics::new();
        let mirroring = TaskTracker::new();
        if let Some(mirror) = config.mirror {
            mirroring.spawn(stop.clone().run_until_cancelled_owned(mirror::follow(
                store.clone(),
                mirror,
                metrics.clone(),
            )));
        }
        if let Some(node) = completing {
            let completing = completion::run(store.clone(), node, metrics.clone());
            mirroring.spawn(stop.clone().run_until_cancelled_owned(completing));
        }
        let retention = config.keep_finished_inputs_days.map(|days| Retention::new(days.get(), metrics.clone()));
        mirroring.spawn(stop.clone().run_until_cancelled_owned(housekeeping::run(store.clone(), retention)));
        if let Some(attestor) = &store.attestor {
            mirroring.spawn(attestations::watch(store.clone(), attestor.clone(), metrics.clone(), stop.clone()));
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
        let app = App::new(store.clone(), metrics.clone(), limits.clone());
        let router = http::router(app, gate);
        let serving = tokio::spawn(serve::serve(listener, router, tls, limits, metrics, stop));
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

    /// Takes no more requests, finishes those in hand within `limits.stop_grace_secs`, and closes the database.
    pub async fn stop(self) {
        self.store.stopping.cancel();
        match self.serving.await {
            Ok(0) => {}
            Ok(cut) => tracing::warn!(connections = cut, "requests in hand were cut off"),
            Err(error) => tracing::error!(%error, "serving ended early"),
        }
        self.mirroring.wait().await;
        self.store.close().await;
    }
}

/// Takes over tokens and certificates that change.
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
            tracing::error!(%error, "tokens and certificates cannot be looked at");
        }
    }
}

impl Config {
    fn job_rules(&self) -> JobRules {
        let millis = |secs: u64| clock::millis(Duration::from_secs(secs));
        JobRules {
            lease_ms: millis(self.proof_generation_timeout_secs.into()),
            longest_lease_ms: millis(self.longest_lease_secs.max(self.proof_generation_timeout_secs).into()),
            first_processed_batch: self.first_processed_batch,
            max_attempts: self.max_attempts,
            ignored_after_ms: millis(u64::from(self.batch_permanently_ignored_timeout_hours) * 3600),
            served_tee_types: self.tee_types.clone(),
            required_proofs: self.required_proofs,
            max_leases_per_prover: self.max_leases_per_prover,
            completes_inputs: self.completion_url().is_some(),
        }
    }
}

impl Store {
    /// Opens the database and the object store, without serving them.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let attestor = match &config.attestation {
            Some(attestation) => Some(Arc::new(Attestor::open(attestation.clone())?)),
            None if config.danger_unjudged_quotes => None,
            None => return Err(StartError::Unjudged),
        };
        let pins = Arc::new(config.pins().ok_or(StartError::AnyCode)?);
        let (storage, clock) = Storage::open(&config.database_url, config.job_rules(), clock).await?;
        if let Some(attestor) = &attestor {
            let kept = storage.kept_collateral().await.map_err(MigrationError::from)?;
            attestor.remember(kept, attestations::secs(clock.now_ms()));
        }
        let inputs = Inputs::open(&config.object_store)?;
        Ok(Self {
            object_store_marker: object_store_marker::marker(&storage, &inputs).await?.into(),
            storage,
            inputs,
            decoding: Arc::new(Semaphore::new(MAX_DECODING)),
            receiving: Receiving::new(&config.limits),
            stopping: CancellationToken::new(),
            clock,
            lease_secs: config.proof_generation_timeout_secs,
            danger_bare_roots: config.danger_bare_roots,
            attestor,
            pins,
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
