//! The one connection that writes to SQLite. Writes that wait while the disk takes a commit go together into the next commit: a
//! commit costs one disk flush, however much it holds.

use std::{io, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::patience::SQLITE_BUSY_MS;

/// The most writes in one commit, and the most that wait for the next one.
const MAX_GROUP: usize = 128;

/// How long a connection has to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// WAL lets readers continue during a write. FULL lets an acknowledged proof survive a power cut.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";

/// A write. It runs in the group's transaction, unless that has failed already. It returns a function that answers the waiting
/// caller, to be called when the outcome of the commit is known, and whether the write made the whole group fail.
type Write = Box<dyn for<'c> FnOnce(Result<&'c mut AnyConnection, GroupFailed>) -> BoxFuture<'c, Written> + Send>;

struct Written {
    answer: Box<dyn FnOnce(Result<(), GroupFailed>) + Send>,
    failed: Option<GroupFailed>,
}

/// Why nothing of a group is on disk.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
struct GroupFailed(String);

impl GroupFailed {
    /// After these errors SQLite has rolled the whole transaction back, or the connection is gone.
    fn of(error: &sqlx::Error) -> Option<Self> {
        const NO_MEMORY: i32 = 7;
        const IO: i32 = 10;
        const CORRUPT: i32 = 11;
        const FULL: i32 = 13;
        let fatal = match error {
            sqlx::Error::Database(error) => {
                let code = error.code().and_then(|code| code.parse::<i32>().ok());
                // The low byte is the kind; the rest gives details.
                code.is_some_and(|code| [NO_MEMORY, IO, CORRUPT, FULL].contains(&(code & 0xff)))
            }
            sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => true,
            _ => false,
        };
        fatal.then(|| Self(error.to_string()))
    }
}

impl From<GroupFailed> for sqlx::Error {
    fn from(failed: GroupFailed) -> Self {
        Self::Io(io::Error::other(failed))
    }
}

/// A handle to the task that writes.
#[derive(Debug, Clone)]
pub(super) struct SqliteWriter {
    writes: mpsc::Sender<Write>,
    closing: CancellationToken,
    task: TaskTracker,
}

impl SqliteWriter {
    /// Connects, and writes in the background from then on.
    pub(super) async fn start(url: &str) -> Result<Self, sqlx::Error> {
        let connection = connect(url).await?;
        let (writes, received) = mpsc::channel(MAX_GROUP);
        let (closing, task) = (CancellationToken::new(), TaskTracker::new());
        task.spawn(write_groups(url.to_owned(), connection, received, closing.clone()));
        task.close();
        Ok(Self { writes, closing, task })
    }

    /// Runs a write of one statement, which is atomic by itself.
    pub(super) async fn statement<T, F>(&self, write: F) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |connection| {
            async move {
                let result = match connection {
                    Ok(connection) => write(connection).await,
                    Err(failed) => Err(failed.into()),
                };
                let failed = result.as_ref().err().and_then(GroupFailed::of);
                let answer = Box::new(move |committed: Result<(), GroupFailed>| {
                    // The caller may be gone.
                    let _ = answer.send(result.and_then(|value| committed.map(|()| value).map_err(Into::into)));
                });
                Written { answer, failed }
            }
            .boxed()
        });
        self.writes.send(write).await.map_err(|_| sqlx::Error::PoolClosed)?;
        answered.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// Runs a write of several statements. An error undoes all of them, and nothing else in the group.
    pub(super) async fn transaction<T, F>(&self, write: F) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        self.statement(|connection| {
            async move {
                let mut savepoint = connection.begin().await?;
                let value = write(&mut savepoint).await?;
                savepoint.commit().await?;
                Ok(value)
            }
            .boxed()
        })
        .await
    }

    /// Waits for the writes that were handed in, and closes the file.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }
}

/// A connection that may write.
pub(super) async fn connect(url: &str) -> Result<AnyConnection, sqlx::Error> {
    let mut connection = AnyConnection::connect(url).await?;
    let busy_timeout = format!("PRAGMA busy_timeout = {SQLITE_BUSY_MS}");
    sqlx::raw_sql(AssertSqlSafe(busy_timeout)).execute(&mut connection).await?;
    sqlx::raw_sql(PRAGMAS).execute(&mut connection).await?;
    Ok(connection)
}

async fn write_groups(
    url: String,
    connection: AnyConnection,
    mut received: mpsc::Receiver<Write>,
    closing: CancellationToken,
) {
    let mut connection = Some(connection);
    let mut group = Vec::with_capacity(MAX_GROUP);
    loop {
        tokio::select! {
            biased;
            taken = received.recv_many(&mut group, MAX_GROUP) => {
                if taken == 0 {
                    break;
                }
                let mut answers = Vec::with_capacity(taken);
                let committed = commit(&url, &mut connection, group.drain(..), &mut answers).await;
                if let Err(error) = &committed {
                    tracing::error!(%error, writes = taken, "the database did not accept writes; reopening its file");
                    // The state of the connection after a failed transaction is unknown.
                    close(connection.take()).await;
                }
                answers.into_iter().for_each(|written: Written| (written.answer)(committed.clone()));
            }
            () = closing.cancelled(), if !received.is_closed() => received.close(),
        }
    }
    close(connection).await;
}

async fn close(connection: Option<AnyConnection>) {
    let Some(connection) = connection else { return };
    match timeout(CLOSE_TIMEOUT, connection.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the database did not close properly"),
        Err(_) => tracing::warn!("the database did not close in time"),
    }
}

/// Runs a group of writes in one transaction, which holds the write lock from its start: what a write reads stays true until the
/// commit. Each write gets its answer afterwards, whether it ran or not.
async fn commit(
    url: &str,
    connection: &mut Option<AnyConnection>,
    group: impl Iterator<Item = Write>,
    answers: &mut Vec<Written>,
) -> Result<(), GroupFailed> {
    let failed = |error: sqlx::Error| GroupFailed(error.to_string());
    let mut group = group;
    let begun = match opened(url, connection).await {
        Ok(connection) => connection.begin_with("BEGIN IMMEDIATE").await,
        Err(error) => Err(error),
    };
    let outcome = match begun {
        Err(error) => Err(failed(error)),
        Ok(mut transaction) => {
            let mut outcome = Ok(());
            for write in group.by_ref() {
                let written = write(Ok(&mut transaction)).await;
                outcome = written.failed.clone().map_or(Ok(()), Err);
                answers.push(written);
                if outcome.is_err() {
                    break;
                }
            }
            match outcome {
                Ok(()) => transaction.commit().await.map_err(failed),
                Err(failed) => Err(failed),
            }
        }
    };
    if let Err(failed) = &outcome {
        for write in group {
            answers.push(write(Err(failed.clone())).await);
        }
    }
    outcome
}

async fn opened<'c>(
    url: &str,
    connection: &'c mut Option<AnyConnection>,
) -> Result<&'c mut AnyConnection, sqlx::Error> {
    let open = match connection.take() {
        Some(open) => open,
        None => connect(url).await?,
    };
    Ok(connection.insert(open))
}

#[cfg(test)]
mod tests {
    use futures::TryFutureExt;

    use super::*;

    async fn writer(folder: &tempfile::TempDir) -> SqliteWriter {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("a.sqlite").display());
        let writer = SqliteWriter::start(&url).await.unwrap();
        sql(&writer, "CREATE TABLE a (id BIGINT PRIMARY KEY, data BLOB)").await.unwrap();
        sql(&writer, "CREATE TABLE b (a BIGINT REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)").await.unwrap();
        writer
    }

    async fn sql(writer: &SqliteWriter, sql: &'static str) -> Result<(), sqlx::Error> {
        writer.statement(move |connection| sqlx::raw_sql(sql).execute(connection).map_ok(drop).boxed()).await
    }

    /// The same error as on a full disk: the file may have no more pages.
    const FULL: &str = "PRAGMA max_page_count = 8";
    const LARGE: &str = "INSERT INTO a VALUES (1, zeroblob(1000000))";

    #[tokio::test]
    async fn after_a_full_disk_the_file_is_opened_anew_and_writes_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        sql(&writer, FULL).await.unwrap();
        // In one group, each gets the true error, including those whose turn never came, and none is kept.
        let (small, large, later) = tokio::join!(
            sql(&writer, "INSERT INTO a VALUES (2, NULL)"),
            sql(&writer, LARGE),
            sql(&writer, "INSERT INTO a VALUES (3, NULL)"),
        );
        for error in [small, large, later] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("database or disk is full"), "{error}");
        }
        for _ in 0..3 {
            sql(&writer, "INSERT INTO a VALUES (2, NULL) ON CONFLICT DO NOTHING").await.unwrap();
        }
        // The limit ended with the connection.
        sql(&writer, LARGE).await.unwrap();
        sql(&writer, "INSERT INTO a VALUES (3, NULL)").await.unwrap();
        writer.close().await;
    }

    #[tokio::test]
    async fn after_a_transaction_on_a_full_disk_writes_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        sql(&writer, FULL).await.unwrap();
        let full = writer
            .transaction(|connection| sqlx::raw_sql(LARGE).execute(connection).map_ok(drop).boxed())
            .await
            .unwrap_err();
        assert!(full.to_string().contains("database or disk is full"), "{full}");
        writer.transaction(|connection| sqlx::raw_sql(LARGE).execute(connection).map_ok(drop).boxed()).await.unwrap();
        writer.close().await;
    }

    #[tokio::test]
    async fn a_failed_commit_is_every_waiters_error_and_the_next_one_goes_well() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let (orphan, good) =
            tokio::join!(sql(&writer, "INSERT INTO b VALUES (77)"), sql(&writer, "INSERT INTO a VALUES (1, NULL)"));
        for error in [orphan, good] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("FOREIGN KEY"), "{error}");
        }
        sql(&writer, "INSERT INTO a VALUES (1, NULL)").await.unwrap();
        writer.close().await;
    }
}
