//! What happens to a key whose quote is judged again.

use sqlx::{Row, any::AnyRow};
use tee_api::{PublicKey, Quote};

use super::Judged;
use crate::database::{
    Database,
    columns::{self, decoded},
    patience::Within,
};

/// A key that may be judged again.
#[derive(Debug)]
pub(crate) struct KeyToJudge {
    pub(crate) pubkey: PublicKey,
    pub(crate) quote: Quote,
    pub(crate) stands: bool,
}

impl KeyToJudge {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            pubkey: columns::pubkey(row, "pubkey")?,
            quote: decoded(Quote::new(row.try_get("quote")?))?,
            stands: row.try_get::<Option<i64>, _>("revoked_at")?.is_none(),
        })
    }
}

impl Database {
    /// All keys except those that somebody revoked. A row that cannot be read is logged and left out.
    pub(crate) async fn keys_to_judge(&self) -> Result<Vec<KeyToJudge>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT pubkey, quote, revoked_at FROM tee_attestations WHERE standing <> 'revoked' ORDER BY pubkey",
        )
        .fetch_all(&self.pool)
        .within()
        .await?;
        let read = |row| {
            KeyToJudge::read(row)
                .inspect_err(
                    |error| tracing::error!(%error, "ALARM: a registered key cannot be read, so it cannot be judged again"),
                )
                .ok()
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Refuses a key whose quote is not accepted now. It makes no new proofs, and its earlier proofs count: only a revocation makes
    /// batches ready again. False if it was refused for this reason before, or revoked.
    pub(crate) async fn refuse(&self, pubkey: &PublicKey, reason: &str, now_ms: i64) -> Result<bool, sqlx::Error> {
        let (pubkey, reason) = (pubkey.to_bytes().to_vec(), reason.to_owned());
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_attestations SET standing = 'refused', standing_reason = $2,
                         revoked_at = COALESCE(revoked_at, $3)
                     WHERE pubkey = $1 AND standing <> 'revoked' AND (standing <> 'refused' OR standing_reason <> $2)",
                )
                .bind(pubkey)
                .bind(reason)
                .bind(now_ms)
                .execute(connection)
                .await
                .map(|result| result.rows_affected() > 0)
            })
        })
        .await
    }

    /// Notes that a key's quote passed once more.
    pub(crate) async fn note_passed(
        &self,
        pubkey: &PublicKey,
        judged: &Judged,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        let (pubkey, valid_until_ms) = (pubkey.to_bytes().to_vec(), judged.valid_until_ms());
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_attestations SET passed_at = $2, valid_until = $3, suspended_at = NULL,
                         standing = CASE WHEN standing = 'suspended' THEN 'accepted' ELSE standing END
                     WHERE pubkey = $1 AND standing IN ('unjudged', 'accepted', 'suspended')",
                )
                .bind(pubkey)
                .bind(now_ms)
                .bind(valid_until_ms)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .await
    }

    /// Suspends the keys in force whose quotes last passed before a time. Returns how many were suspended now.
    pub(crate) async fn suspend_unjudged(&self, passed_before_ms: i64, now_ms: i64) -> Result<u64, sqlx::Error> {
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_attestations SET standing = 'suspended', suspended_at = $2
                     WHERE standing = 'accepted' AND passed_at < $1",
                )
                .bind(passed_before_ms)
                .bind(now_ms)
                .execute(connection)
                .await
                .map(|result| result.rows_affected())
            })
        })
        .await
    }

    /// Restores a key whose quote is accepted again. Its proofs counted all along.
    pub(crate) async fn restore_standing(
        &self,
        pubkey: &PublicKey,
        judged: &Judged,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        let pubkey = pubkey.to_bytes().to_vec();
        let (collateral, valid_until_ms) = (judged.collateral.clone().into_bytes(), judged.valid_until_ms());
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_attestations
                     SET standing = 'accepted', standing_reason = NULL, revoked_at = NULL, collateral = $2, judged_at = $3, passed_at = $3,
                         valid_until = $4, suspended_at = NULL
                     WHERE pubkey = $1 AND standing = 'refused'",
                )
                .bind(pubkey)
                .bind(collateral)
                .bind(now_ms)
                .bind(valid_until_ms)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .await
    }
}
