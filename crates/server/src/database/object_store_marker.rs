//! `object_store_marker`: what the object store must hold to be the one that the batches' inputs lie in.

use sqlx::Row;

use super::Database;

/// What must lie in the object store.
#[derive(Debug)]
pub(crate) struct Marker {
    pub(crate) content: String,
    /// It has lain there before.
    pub(crate) confirmed: bool,
}

impl Database {
    /// The marker. `new` becomes its content where there is none yet.
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

    /// Notes that the marker lies in the object store, with this content. What was noted first stays.
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
