//! What a server keeps and does, whoever asks for it.

use std::sync::Arc;

use tee_verifier::Pins;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    batches::{self, Inputs, Receiving},
    clock::Clock,
    config::Config,
    database::{Database, Disagreement, MigrationError, OverviewRow},
    keys::{self, Attestor},
    server::StartError,
};

/// How many batches are taken in at a time. Each is held in memory as a whole while it is decoded and encoded.
const MAX_DECODING: usize = 2;

/// What a server keeps. Clones share it.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) database: Database,
    pub(crate) inputs: Inputs,
    /// What the object store's marker says.
    pub(crate) object_store_marker: Arc<str>,
    /// Who may hold a decoded input in memory.
    pub(crate) decoding: Arc<Semaphore>,
    /// Where inputs wait for that.
    pub(crate) receiving: Receiving,
    /// Nobody is kept waiting from then on.
    pub(crate) stopping: CancellationToken,
    pub(crate) clock: Clock,
    pub(crate) lease_secs: u32,
    pub(crate) danger_bare_roots: bool,
    /// Judges quotes; without it they stay unjudged.
    pub(crate) attestor: Option<Arc<Attestor>>,
    /// What statements must be of.
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
            clock,
            lease_secs: config.proof_generation_timeout_secs,
            danger_bare_roots: config.danger_bare_roots,
            attestor,
            pins,
        })
    }

    /// Waits for what is being written and closes the database.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Batches with their jobs and proofs: at most `limit` batches from `first` on, by number.
    pub async fn overview(&self, first: u32, limit: u32) -> Result<Vec<OverviewRow>, sqlx::Error> {
        self.database.overview(first, limit).await
    }

    /// Refused proofs that contradict accepted ones, the latest first.
    pub async fn disagreements(&self) -> Result<Vec<Disagreement>, sqlx::Error> {
        self.database.disagreements().await
    }

    pub(crate) fn lease_secs(&self) -> u32 {
        self.lease_secs
    }
}
