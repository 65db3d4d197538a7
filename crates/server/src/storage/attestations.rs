//! `tee_attestations`: the keys that may sign, with their quotes.

use sqlx::Row;
use tee_api::{PublicKey, Quote, TeeType};

use super::{Storage, decoded};

/// What is known of a registered key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attestation {
    pub(crate) tee_type: TeeType,
    pub(crate) revoked: bool,
}

/// A key to register.
#[derive(Debug)]
pub(crate) struct NewAttestation<'a> {
    pub(crate) pubkey: &'a PublicKey,
    pub(crate) quote: &'a Quote,
    pub(crate) tee_type: TeeType,
}

impl Storage {
    /// Registers a key, or replaces its quote by a newer one. The quote is not judged yet; a revoked key stays so.
    pub(crate) async fn register(&self, new: &NewAttestation<'_>, now_ms: i64) -> Result<(), sqlx::Error> {
        let pubkey = new.pubkey.to_bytes();
        let (quote, tee_type) = (new.quote.as_bytes().to_vec(), new.tee_type);
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO tee_attestations (pubkey, quote, tee_type, verdict, registered_at)
             VALUES ($1, $2, $3, 'unjudged', $4)
             ON CONFLICT (pubkey) DO UPDATE SET quote = excluded.quote, tee_type = excluded.tee_type,
                 verdict = excluded.verdict, registered_at = excluded.registered_at
             WHERE tee_attestations.quote <> excluded.quote",
                )
                .bind(pubkey.as_slice())
                .bind(quote)
                .bind(tee_type.as_str())
                .bind(now_ms)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .await
    }

    /// A registered key.
    pub(crate) async fn attestation(&self, pubkey: &PublicKey) -> Result<Option<Attestation>, sqlx::Error> {
        let row = sqlx::query("SELECT tee_type, revoked_at FROM tee_attestations WHERE pubkey = $1")
            .bind(pubkey.to_bytes().as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(Attestation {
                tee_type: decoded(row.try_get::<&str, _>("tee_type")?.parse())?,
                revoked: row.try_get::<Option<i64>, _>("revoked_at")?.is_some(),
            })
        })
        .transpose()
    }
}
