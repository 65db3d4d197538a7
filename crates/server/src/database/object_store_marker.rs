//! `object_store_marker`: what the object store must hold to be the one with the batches' inputs.

use sqlx::Row;

use super::Database;

/// The marker that the object store must hold.
#[derive(Debug)]
pub(crate) struct Marker {
    pub(crate) content: String,
    /// Whether the marker was in the object store before.
    pub(crate) confirmed: bool,
}

impl Database {
    /// The marker. `new` becomes its content if there is none yet.
    pub(crate) async fn object_store_marker(&self, new: String) -> Result<Marker, sqlx::Error> {
        self.transaction(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO object_store_marker (id, content, confirmed) VALUES (1, $1, 0) ON CONFLICT DO NOTHING",
                )
                .bind(new)
                .execute(&mut *connection)
                .await?;
                let row = sqlx::query("SELECT content, confirmed FROM object_store_marker WHERE id = 1")
                    .fetch_one(connection)
                    .await?;
                Ok(Marker { content: row.try_get("content")?, confirmed: row.try_get::<i64, _>("confirmed")? != 0 })
            })
        })
        .await
    }

    /// Notes that the object store holds the marker with this content. The first note stays.
    pub(crate) async fn confirm_object_store_marker(&self, content: String) -> Result<(), sqlx::Error> {
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE object_store_marker SET content = $1, confirmed = 1 WHERE confirmed = 0")
                    .bind(content)
                    .execute(connection)
                    .await
                    .map(drop)
            })
        })
        .await
    }
}
