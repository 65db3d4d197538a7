//! Lists and counts for people and scrapers, on separate connections: however long they take, provers find a
//! connection. The database itself interrupts a statement that takes too long. Otherwise it would continue after its
//! reader left, while others wait for its connection.

use std::time::{Duration, Instant};

use sqlx::{
    Any, AnyPool, Execute, SqliteConnection, SqlitePool,
    any::{AnyArguments, AnyRow},
    query::Query,
    sqlite::{SqliteArguments, SqlitePoolOptions},
};

use super::patience::{self, Within};

/// The most connections for listings and counts.
const MAX_READERS: u32 = 4;

/// How many SQLite instructions run between two looks at the clock. They take far less than a millisecond.
const INSTRUCTIONS: i32 = 1000;

/// Connections that only read.
#[derive(Debug, Clone)]
pub(super) enum Readers {
    /// SQLite's own kind of connection: through [`Any`] no statement can be interrupted.
    Sqlite(SqlitePool),
    Postgres(AnyPool),
}

impl Readers {
    /// Connects. No statement takes longer than `time`.
    pub(super) async fn connect(url: &str, time: Duration) -> Result<Self, sqlx::Error> {
        if !url.starts_with("sqlite:") {
            let set = format!("SET statement_timeout = {}", time.as_millis());
            return Ok(Self::Postgres(super::connect(url, MAX_READERS, Some(set)).await?));
        }
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(patience::ACQUIRE)
            .max_connections(MAX_READERS)
            .test_before_acquire(false)
            // Each connection is taken for one statement.
            .after_connect(move |connection, _| Box::pin(break_off(connection, time)))
            .before_acquire(move |connection, _| {
                Box::pin(async move { break_off(connection, time).await.map(|()| true) })
            })
            .connect(url);
        Ok(Self::Sqlite(pool.await?))
    }

    pub(super) async fn fetch_all(&self, query: Query<'_, Any, AnyArguments>) -> Result<Vec<AnyRow>, sqlx::Error> {
        let mut query = query;
        let rows = async {
            match self {
                Self::Postgres(pool) => query.fetch_all(pool).await,
                Self::Sqlite(pool) => {
                    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
                    let arguments: SqliteArguments = arguments.convert_into().map_err(sqlx::Error::Encode)?;
                    let rows = sqlx::query_with(query.sql(), arguments).fetch_all(pool).await?;
                    rows.iter().map(AnyRow::try_from).collect()
                }
            }
        };
        rows.within().await
    }

    /// The first row.
    pub(super) async fn fetch_one(&self, query: Query<'_, Any, AnyArguments>) -> Result<AnyRow, sqlx::Error> {
        self.fetch_all(query).await?.into_iter().next().ok_or(sqlx::Error::RowNotFound)
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Makes SQLite interrupt what the connection is still working on after a time from now.
async fn break_off(connection: &mut SqliteConnection, after: Duration) -> Result<(), sqlx::Error> {
    let taken = Instant::now();
    connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || taken.elapsed() < after);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::is_unavailable;

    #[tokio::test]
    async fn sqlite_breaks_off_what_takes_too_long_and_the_next_ones_find_a_connection() {
        const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("a.sqlite").display());
        let readers = Readers::connect(&url, Duration::from_millis(300)).await.unwrap();
        // Twice, on new connections and on used ones, whether the caller waits for the error or has gone.
        for _ in 0..2 {
            let started = Instant::now();
            let endless = (0..MAX_READERS).map(|_| readers.fetch_all(sqlx::query(ENDLESS)));
            for outcome in futures::future::join_all(endless).await {
                let error = outcome.map(drop).unwrap_err();
                assert!(is_unavailable(&error), "{error:?}");
            }
            let gone = (0..MAX_READERS).map(|_| readers.fetch_all(sqlx::query(ENDLESS)));
            let gone = futures::future::join_all(gone);
            assert!(tokio::time::timeout(Duration::from_millis(50), gone).await.is_err());
            let row = readers.fetch_one(sqlx::query("SELECT $1 + 1").bind(1_i64)).await.unwrap();
            assert_eq!(sqlx::Row::get::<i64, _>(&row, 0), 2);
            assert!(started.elapsed() < patience::ACQUIRE, "{:?}", started.elapsed());
        }
        readers.close().await;
    }
}
