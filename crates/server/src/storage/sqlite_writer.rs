//! The one connection that writes to SQLite. What waits while the disk takes a commit goes into the next one together: a
//! commit costs a disk flush, however much is in it.

use futures::{FutureExt, future::BoxFuture};
use sqlx::{AnyConnection, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The most writes in one commit, and the most that wait for the next.
const MAX_GROUP: usize = 128;

/// WAL lets readers go on; FULL lets an acknowledged proof survive a power cut.
const PRAGMAS: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";

/// Runs in the group's transaction and gives what answers the one who waits, once the commit went well or not.
type Write = Box<dyn for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Answer> + Send>;
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

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
        task.spawn(write_groups(connection, received, closing.clone()));
        task.close();
        Ok(Self { writes, closing, task })
    }

    /// Runs a write of one statement, which is whole or not at all by itself.
    pub(super) async fn statement<T, F>(&self, write: F) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |connection| {
            async move {
                let result = write(connection).await;
                Box::new(move |committed: Result<(), String>| {
                    // Who asked may be gone.
                    let _ = answer.send(result.and_then(|value| match committed {
                        Ok(()) => Ok(value),
                        Err(error) => Err(sqlx::Error::Protocol(error)),
                    }));
                }) as Answer
            }
            .boxed()
        });
        self.writes.send(write).await.map_err(|_| sqlx::Error::PoolClosed)?;
        answered.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// Runs a write of several statements: an error undoes all of them, and nothing else in the group.
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
    sqlx::raw_sql(PRAGMAS).execute(&mut connection).await?;
    Ok(connection)
}

async fn write_groups(mut connection: AnyConnection, mut received: mpsc::Receiver<Write>, closing: CancellationToken) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    loop {
        tokio::select! {
            biased;
            taken = received.recv_many(&mut group, MAX_GROUP) => {
                if taken == 0 {
                    break;
                }
                let mut answers = Vec::with_capacity(taken);
                let committed = commit(&mut connection, group.drain(..), &mut answers).await;
                let committed = committed.map_err(|error| error.to_string());
                answers.into_iter().for_each(|answer| answer(committed.clone()));
            }
            () = closing.cancelled(), if !received.is_closed() => received.close(),
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database did not close well");
    }
}

/// Holds the write lock from its start: what a write reads stays true until the commit.
async fn commit(
    connection: &mut AnyConnection,
    group: impl Iterator<Item = Write>,
    answers: &mut Vec<Answer>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for write in group {
        answers.push(write(&mut transaction).await);
    }
    transaction.commit().await
}
