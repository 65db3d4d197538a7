//! `good_collateral`: the collateral under which quotes were last found genuine, by kind of platform.

use sqlx::Row;
use tee_api::{PublicKey, Quote};

use super::{
    Database,
    columns::{self, decoded},
    patience::Within,
};

/// Collateral, with a quote that was found genuine under it.
#[derive(Debug, Clone)]
pub(crate) struct KeptCollateral {
    pub(crate) platform: String,
    pub(crate) quote: Quote,
    pub(crate) pubkey: PublicKey,
    /// The collateral in JSON.
    pub(crate) collateral: Vec<u8>,
}

impl Database {
    /// Stores collateral in place of the earlier one for its kind of platform.
    pub(crate) async fn keep_collateral(&self, kept: KeptCollateral, now_ms: i64) -> Result<(), sqlx::Error> {
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO good_collateral (platform, quote, pubkey, collateral, kept_at) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (platform) DO UPDATE
                     SET quote = excluded.quote, pubkey = excluded.pubkey, collateral = excluded.collateral,
                         kept_at = excluded.kept_at",
                )
                .bind(kept.platform)
                .bind(kept.quote.as_bytes().to_vec())
                .bind(kept.pubkey.to_bytes().to_vec())
                .bind(kept.collateral)
                .bind(now_ms)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .await
    }

    /// All stored collateral. It is not verified here.
    pub(crate) async fn kept_collateral(&self) -> Result<Vec<KeptCollateral>, sqlx::Error> {
        let rows = sqlx::query("SELECT platform, quote, pubkey, collateral FROM good_collateral")
            .fetch_all(&self.pool)
            .within()
            .await?;
        rows.iter()
            .map(|row| {
                Ok(KeptCollateral {
                    platform: row.try_get("platform")?,
                    quote: decoded(Quote::new(row.try_get("quote")?))?,
                    pubkey: columns::pubkey(row, "pubkey")?,
                    collateral: row.try_get("collateral")?,
                })
            })
            .collect()
    }
}
