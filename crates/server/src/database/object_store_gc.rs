//! `object_store_gc`: how much needless data was deleted from the object store.

use sqlx::Row;

use super::{
    Database,
    columns::{self, decoded},
};

/// What all runs of `gc` have deleted so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GcTotals {
    pub(crate) ended_at_ms: Option<i64>,
    pub(crate) deleted_blobs: u64,
    pub(crate) deleted_bytes: u64,
}

impl Database {
    /// Adds what a run of `gc` deleted.
    pub(crate) async fn note_gc(&self, blobs: u64, bytes: u64, now_ms: i64) -> Result<(), sqlx::Error> {
        let (blobs, bytes) = (decoded(i64::try_from(blobs))?, decoded(i64::try_from(bytes))?);
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE object_store_gc SET ended_at = $1, deleted_blobs = deleted_blobs + $2,
                         deleted_bytes = deleted_bytes + $3 WHERE id = 1",
                )
                .bind(now_ms)
                .bind(blobs)
                .bind(bytes)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .await
    }

    /// The totals of all runs of `gc`.
    pub(crate) async fn gc_totals(&self) -> Result<GcTotals, sqlx::Error> {
        let query = sqlx::query("SELECT ended_at, deleted_blobs, deleted_bytes FROM object_store_gc WHERE id = 1");
        let row = self.readers.fetch_one(query).await?;
        let count = |column: &str| columns::count(&row, column);
        Ok(GcTotals {
            ended_at_ms: row.try_get("ended_at")?,
            deleted_blobs: count("deleted_blobs")?,
            deleted_bytes: count("deleted_bytes")?,
        })
    }
}
