//! `write_probe`: whether the database accepts writes.

use std::time::Duration;

use tokio::time::Instant;

use super::Database;

/// How long the result of a probe write is trusted.
const TRUSTED_WRITE: Duration = Duration::from_secs(1);

impl Database {
    /// Checks that the database accepts a write: a database whose disk is full still answers reads. Callers within a
    /// second share the last success.
    pub(crate) async fn ping(&self, now_ms: i64) -> Result<(), sqlx::Error> {
        let mut written = self.last_write.lock().await;
        if written.is_some_and(|written| written.elapsed() < TRUSTED_WRITE) {
            return Ok(());
        }
        self.statement(move |connection| {
            Box::pin(async move {
                let probe = sqlx::query("UPDATE write_probe SET written_at = $1 WHERE id = 1");
                probe.bind(now_ms).execute(connection).await
            })
        })
        .await?;
        *written = Some(Instant::now());
        Ok(())
    }

    /// How long ago the last successful probe write was, if there was one.
    pub(crate) async fn last_write_age(&self) -> Option<Duration> {
        self.last_write.lock().await.map(|written| written.elapsed())
    }
}
