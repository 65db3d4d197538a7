//! The state of a server. The operations are in the modules of their subjects: [`batches`], [`leases`](crate::leases),
//! [`proofs`](crate::proofs) and [`keys`] have one `impl Service` each, which lists what callers may ask for.

use std::sync::Arc;

use tee_verifier::Pins;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    batches::{self, Inputs, Receiving},
    clock::Clock,
    config::Config,
    database::{Database, MigrationError, StateCounts},
    keys::{self, Attestor},
    metrics::Metrics,
    server::StartError,
};

/// How many batches are added at a time. Each is held in memory as a whole while it is decoded and encoded.
const MAX_DECODING: usize = 2;

/// The state of a server. Clones share it.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) database: Database,
    pub(crate) inputs: Inputs,
    /// The content of the object store's marker.
    pub(crate) object_store_marker: Arc<str>,
    /// Limits how many decoded inputs are in memory.
    pub(crate) decoding: Arc<Semaphore>,
    /// Where inputs wait for `decoding`.
    pub(crate) receiving: Receiving,
    /// Cancelled when the server stops: from then on, no request is kept waiting.
    pub(crate) stopping: CancellationToken,
    /// What this process counts.
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) lease_secs: u32,
    pub(crate) danger_bare_roots: bool,
    /// Judges quotes. With `None` they are not judged.
    pub(crate) attestor: Option<Arc<Attestor>>,
    /// What statements must match.
    pub(crate) pins: Arc<Pins>,
}

impl Service {
    /// Opens the database and the object store, without serving them.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let attestor = match &config.attestation {
            Some(attestation) => Some(Arc::new(Attestor::open(attestation.clone())?)),
            None if config.danger_unjudged_quotes => None,
            None => return Err(StartError::Unjudged),
        };
        let pins = Arc::new(config.pins().ok_or(StartError::AnyCode)?);
        let (database, clock) = Database::open(&config.database_url, config.job_rules(), clock).await?;
        if let Some(attestor) = &attestor {
            let kept = database.kept_collateral().await.map_err(MigrationError::from)?;
            attestor.remember(kept, keys::secs(clock.now_ms()));
        }
        let inputs = Inputs::open(&config.object_store)?;
        Ok(Self {
            object_store_marker: batches::marker(&database, &inputs).await?.into(),
            database,
            inputs,
            decoding: Arc::new(Semaphore::new(MAX_DECODING)),
            receiving: Receiving::new(&config.limits),
            stopping: CancellationToken::new(),
            metrics: Metrics::new(),
            clock,
            lease_secs: config.proof_generation_timeout_secs,
            danger_bare_roots: config.danger_bare_roots,
            attestor,
            pins,
        })
    }

    /// Waits for pending writes and closes the database.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Whether the database accepts writes.
    pub(crate) async fn check_database(&self) -> Result<(), sqlx::Error> {
        self.database.ping(self.clock.now_ms()).await
    }

    /// Counts of things that should be rare.
    pub(crate) async fn state_counts(&self) -> Result<StateCounts, sqlx::Error> {
        self.database.state_counts().await
    }

    /// This process's counters and the state of the database, in the OpenMetrics text format.
    pub(crate) async fn scrape(&self) -> String {
        self.metrics.scrape(&self.database, &self.clock).await
    }

    /// How the database would run frequent queries, for the test that no such query reads millions of rows: for each statement its name
    /// and its plan.
    #[doc(hidden)]
    pub async fn plans(&self, key: &[u8]) -> Result<Vec<(&'static str, String)>, sqlx::Error> {
        self.database.plans(key).await
    }
}
