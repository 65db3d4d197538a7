//! The database: batches, jobs, proofs, attestations. All state that a restart must not lose is here.
//!
//! One file a table. Statements are written so that PostgreSQL understands them too.

mod attestations;
mod batches;
mod jobs;
mod overview;
mod proofs;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::OnceCell;
use zksync_types::H256;

pub(crate) use self::{
    attestations::NewAttestation,
    batches::{Batch, BlobInfo, InsertedBatch, NewBatchRow},
    jobs::JobFailure,
    proofs::{NewProof, RecordedProof},
};
pub use self::{
    jobs::JobStatus,
    overview::{Disagreement, OverviewProof, OverviewRow},
};

/// The most connections that read at the same time.
const MAX_READERS: u32 = 4;

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle to the database.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// One connection: SQLite has one writer at a time, and a queue in the process is fairer than its locks.
    writer: SqlitePool,
    reader: SqlitePool,
    /// Which TEE types are known to have their jobs; only spares statements.
    prepared_tee_types: Arc<[OnceCell<()>; 3]>,
}

impl Storage {
    /// Opens or makes the file and applies the migrations.
    pub(crate) async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged proof survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        sqlx::migrate!("migrations/sqlite").run(&writer).await?;
        let reader = SqlitePoolOptions::new().max_connections(MAX_READERS).connect_with(options).await?;
        Ok(Self { writer, reader, prepared_tee_types: Arc::default() })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.reader).await.map(drop)
    }

    /// Waits for what is being done and closes the file.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock from its start: what it reads stays true until it commits.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }
}

/// Reads a column that this crate wrote.
fn decoded<T, E: std::error::Error + Send + Sync + 'static>(value: Result<T, E>) -> Result<T, sqlx::Error> {
    value.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn hash(bytes: &[u8]) -> Result<H256, sqlx::Error> {
    decoded(<[u8; 32]>::try_from(bytes)).map(H256)
}

/// A batch number as it lies in the database.
fn number(stored: i64) -> Result<u32, sqlx::Error> {
    decoded(u32::try_from(stored))
}
