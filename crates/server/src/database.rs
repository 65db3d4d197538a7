//! The database: batches, jobs, proofs, attestations. All state that a restart must not lose is here.
//!
//! One file per table, or a folder of the same name. One SQL for SQLite and PostgreSQL, except for the row locks that PostgreSQL
//! needs, where SQLite has one writer at a time. It knows the clock, and nothing of who asks it.

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
    batches::{Batch, BlobInfo, InsertedBatch, NewBatchRow},
    completions::WantedCompletion,
    counts::StateCounts,
    good_collateral::KeptCollateral,
    jobs::{Claim, FailureCount, FinishedJob, JobFailure, JobRules, NoInput, ReportedFailure},
    keys::{Judged, KeyRecord, KeyToJudge, NewAttestation},
    patience::is_unavailable,
    proofs::{NewProof, ProofOfKey, RecordedProof, RootFit, Roots},
    provers::{ProverCount, ProverName},
    published::PublishedProof,
    signing_requests::RecordedSignature,
};
use self::{patience::Within, provers::AskedProvers, readers::Readers, sqlite_writer::SqliteWriter};
use crate::clock::{Clock, millis};

/// The most connections that read a SQLite file at the same time.
const MAX_SQLITE_READERS: u32 = 4;

/// The most connections to PostgreSQL. A commit there waits for its disk, and many can wait together; with more of them a small
/// machine is slower.
const MAX_POSTGRES_CONNECTIONS: u32 = 12;

/// A connection that was idle for longer is tried before it is used: PostgreSQL may have been restarted.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A handle to the database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// All connections to PostgreSQL; those that read SQLite.
    pool: AnyPool,
    readers: Readers,
    /// What writes to SQLite; PostgreSQL has as many writers as connections.
    sqlite_writer: Option<SqliteWriter>,
    rules: Arc<JobRules>,
    /// Which TEE types are known to have their jobs; only spares statements.
    prepared_tee_types: Arc<[OnceCell<()>; 3]>,
    asked: AskedProvers,
    /// When the database last took a write that was made to try it.
    last_write: Arc<Mutex<Option<Instant>>>,
    /// Told when this process makes a job claimable.
    jobs_added: Arc<Notify>,
    /// Told when this process learns of an input that lacks paths.
    completion_wanted: Arc<Notify>,
}

impl Database {
    /// Connects, makes a SQLite file that is not there, and applies the migrations. The time is a shared database's from then
    /// on.
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

    /// The time of a database that several machines share, in milliseconds since 1970; nothing of a file, whose servers share
    /// this machine's clock.
    pub(crate) async fn database_now_ms(&self) -> Result<Option<i64>, sqlx::Error> {
        if self.is_sqlite() {
            return Ok(None);
        }
        // In the middle of the question and the answer, as far as can be told.
        let asked = Instant::now();
        let row = sqlx::query("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")
            .fetch_one(&self.pool)
            .within()
            .await?;
        let now_ms: i64 = row.try_get(0)?;
        Ok(Some(now_ms.saturating_add(millis(asked.elapsed() / 2))))
    }

    /// Waits for what is being done and closes all connections.
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

    /// Runs a write of several statements: all of them are on disk when this returns, or none on an error. After an error of
    /// a database that did not answer in time they may be on disk all the same, as after a broken connection.
    async fn transaction<T, F>(&self, write: F) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        self.long_transaction(write).within().await
    }

    /// The same for a write of a great many rows, which takes as long as it takes.
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

    /// Tells when this process makes a job claimable.
    pub(crate) fn jobs_added(&self) -> Arc<Notify> {
        self.jobs_added.clone()
    }

    /// Tells when this process learns of an input that lacks paths.
    pub(crate) fn completion_wanted(&self) -> Arc<Notify> {
        self.completion_wanted.clone()
    }

    fn is_sqlite(&self) -> bool {
        self.sqlite_writer.is_some()
    }

    /// Keeps batches from coming in while a TEE type's jobs are made, or some batch would have none. SQLite's one writer
    /// needs no lock.
    fn type_lock(&self, function: &'static str) -> TypeLock {
        TypeLock((!self.is_sqlite()).then_some(function))
    }
}

/// Connections. Each begins with the statement that is given, if one is.
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

/// The lock between new batches, which share it, and a new TEE type.
#[derive(Debug, Clone, Copy)]
struct TypeLock(Option<&'static str>);

impl TypeLock {
    /// Takes it until the transaction's end.
    async fn take(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let Some(function) = self.0 else { return Ok(()) };
        // The number is this lock's alone.
        sqlx::raw_sql(AssertSqlSafe(format!("SELECT {function}(7234)"))).execute(connection).await.map(drop)
    }
}
