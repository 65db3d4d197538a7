//! The database holds batches, jobs, proofs and attestations: all state that a restart must not lose.
//!
//! Each table has one file, or a folder of the same name. SQLite and PostgreSQL share one SQL, except for the row locks that
//! PostgreSQL needs: SQLite has one writer at a time. This layer knows the clock, and does not know who asks.

mod batches;
mod columns;
mod completions;
mod counts;
mod disagreements;
mod good_collateral;
mod job_failures;
mod jobs;
mod keys;
mod migrations;
mod object_store_gc;
mod object_store_marker;
mod overview;
mod patience;
mod plans;
mod proofs;
mod provers;
mod published;
mod readers;
mod signing_requests;
mod sqlite_writer;
mod tee_types;
mod url;
mod write_probe;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Row, any::AnyPoolOptions};
use tee_api::TeeType;
use tokio::{
    sync::{Mutex, Notify, OnceCell},
    time::Instant,
};

pub use self::{
    batches::BatchEntry,
    disagreements::Disagreement,
    jobs::{Job, JobChange, JobCount, JobCursor, JobFilter, RequiredProofs},
    keys::{AttestationEntry, Requeued},
    migrations::{Migrated, MigrationError, migrate},
    overview::{OverviewProof, OverviewRow},
    proofs::{Proof, ProofFilter},
    provers::ProverEntry,
    url::{DatabaseUrl, DatabaseUrlError},
};
pub(crate) use self::{
    batches::{Batch, BlobInfo, InsertedBatch, NewBatchRow, TransactionPlace, TransactionRow},
    completions::WantedCompletion,
    counts::StateCounts,
    good_collateral::KeptCollateral,
    jobs::{Claim, FailureCount, FinishedJob, JobFailure, JobRules, NoInput, ReportedFailure},
    keys::{Judged, KeyRecord, KeyToJudge, NewAttestation},
    patience::is_unavailable,
    proofs::{NewProof, ProofOfKey, RecordedProof, RootFit, Roots},
    provers::{Prover, ProverCount, ProverName},
    published::PublishedProof,
    signing_requests::RecordedSignature,
};
use self::{patience::Within, provers::AskedProvers, readers::Readers, sqlite_writer::SqliteWriter};
use crate::clock::{Clock, millis};

/// The most connections that read a SQLite file at the same time.
const MAX_SQLITE_READERS: u32 = 4;

/// The most connections to PostgreSQL. A commit waits for the disk, and many can wait together; still more connections make a
/// small machine slower.
const MAX_POSTGRES_CONNECTIONS: u32 = 12;

/// A connection that was idle for longer than this is tried before it is used: PostgreSQL may have been restarted.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A handle to the database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// All connections to PostgreSQL, or those that read SQLite.
    pool: AnyPool,
    readers: Readers,
    /// The writer to SQLite. PostgreSQL has none: each of its connections writes.
    sqlite_writer: Option<SqliteWriter>,
    rules: Arc<JobRules>,
    /// Which TEE types are known to have their jobs. It only saves statements.
    prepared_tee_types: Arc<[OnceCell<()>; 3]>,
    asked: AskedProvers,
    /// When the database last accepted a probe write.
    last_write: Arc<Mutex<Option<Instant>>>,
    /// Notified when this process makes a job claimable.
    jobs_added: Arc<Notify>,
    /// Notified when this process learns of an input that lacks paths.
    completion_wanted: Arc<Notify>,
}

impl Database {
    /// Connects, creates a missing SQLite file, and applies the migrations. From then on the time is that of a shared database, if
    /// there is one.
    pub(crate) async fn open(
        url: &DatabaseUrl,
        rules: JobRules,
        clock: Clock,
    ) -> Result<(Self, Clock), MigrationError> {
        migrations::migrate(url).await?;
        let url = url.connection_url()?;
        let is_sqlite = url.starts_with("sqlite:");
        let pool = connect(&url, if is_sqlite { MAX_SQLITE_READERS } else { MAX_POSTGRES_CONNECTIONS }, None).await?;
        let readers = Readers::connect(&url, patience::ANSWER).await?;
        let sqlite_writer = if is_sqlite { Some(SqliteWriter::start(&url).await?) } else { None };
        let database = Self {
            pool,
            readers,
            sqlite_writer,
            rules: Arc::new(rules),
            prepared_tee_types: Default::default(),
            asked: AskedProvers::default(),
            last_write: Arc::default(),
            jobs_added: Arc::default(),
            completion_wanted: Arc::default(),
        };
        let clock = match database.database_now_ms().await? {
            Some(now_ms) => clock.of_database(now_ms),
            None => clock,
        };
        database.hash_quotes().await?;
        for tee_type in [TeeType::Sgx, TeeType::Tdx] {
            if database.rules.expects(tee_type) {
                database.prepare_tee_type(tee_type, clock.now_ms()).await?;
            }
        }
        Ok((database, clock))
    }

    /// The time of a database that several machines share, in milliseconds since 1970. `None` for a file, whose servers share this
    /// machine's clock.
    pub(crate) async fn database_now_ms(&self) -> Result<Option<i64>, sqlx::Error> {
        if self.is_sqlite() {
            return Ok(None);
        }
        // The answer's time is taken for the middle between question and answer, which is the best guess.
        let asked = Instant::now();
        let row = sqlx::query("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")
            .fetch_one(&self.pool)
            .within()
            .await?;
        let now_ms: i64 = row.try_get(0)?;
        Ok(Some(now_ms.saturating_add(millis(asked.elapsed() / 2))))
    }

    /// Waits for work in progress and closes all connections.
    pub(crate) async fn close(&self) {
        if let Some(writer) = &self.sqlite_writer {
            writer.close().await;
        }
        self.pool.close().await;
        self.readers.close().await;
    }

    /// Runs a write of one statement. It is on disk when this returns.
    async fn statement<T, F>(&self, write: F) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        let written = async {
            match &self.sqlite_writer {
                Some(writer) => writer.statement(write).await,
                None => write(&mut *self.pool.acquire().await?).await,
            }
        };
        written.within().await
    }

    /// Runs a write of several statements. When this returns, all of them are on disk; after an error, none is. If the database did
    /// not answer in time or the connection broke, they may be on disk in spite of the error.
    async fn transaction<T, F>(&self, write: F) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        self.long_transaction(write).within().await
    }

    /// The same for a write of very many rows, without a time limit.
    async fn long_transaction<T, F>(&self, write: F) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        match &self.sqlite_writer {
            Some(writer) => writer.transaction(write).await,
            None => {
                let mut transaction = self.pool.begin().await?;
                let value = write(&mut transaction).await?;
                transaction.commit().await?;
                Ok(value)
            }
        }
    }

    /// A notification for each time that this process makes a job claimable.
    pub(crate) fn jobs_added(&self) -> Arc<Notify> {
        self.jobs_added.clone()
    }

    /// A notification for each time that this process learns of an input that lacks paths.
    pub(crate) fn completion_wanted(&self) -> Arc<Notify> {
        self.completion_wanted.clone()
    }

    fn is_sqlite(&self) -> bool {
        self.sqlite_writer.is_some()
    }

    /// The lock that keeps batches from coming in while a TEE type's jobs are made; without it, some batch would have no job. SQLite
    /// has one writer and needs no lock.
    fn type_lock(&self, function: &'static str) -> TypeLock {
        TypeLock((!self.is_sqlite()).then_some(function))
    }
}

/// Opens connections. Each of them begins with the statement `first`, if there is one.
async fn connect(url: &str, max_connections: u32, first: Option<String>) -> Result<AnyPool, sqlx::Error> {
    AnyPoolOptions::new()
        .acquire_timeout(patience::ACQUIRE)
        .max_connections(max_connections)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let first = first.clone();
            Box::pin(async move {
                let Some(first) = first else { return Ok(()) };
                sqlx::raw_sql(AssertSqlSafe(first)).execute(connection).await.map(drop)
            })
        })
        .connect(url)
        .await
}

/// The lock between new batches and a new TEE type. New batches share it.
#[derive(Debug, Clone, Copy)]
struct TypeLock(Option<&'static str>);

impl TypeLock {
    /// Takes the lock until the transaction ends.
    async fn take(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let Some(function) = self.0 else { return Ok(()) };
        // No other lock has this number.
        sqlx::raw_sql(AssertSqlSafe(format!("SELECT {function}(7234)"))).execute(connection).await.map(drop)
    }
}
