//! The standing of keys: whether their quotes are accepted.
//!
//! `verdict` says `unjudged`, `accepted`, `refused: …` or `revoked: …`; a key without standing has a `revoked_at`. One
//! that was refused may come back, one that somebody revoked does not.

use sqlx::Row;
use tee_api::{PublicKey, Quote};

use super::{
    Storage,
    contradictions::{alarm_of_key, displace_of_key},
    decoded,
    patience::Within,
};
use crate::attestations::Judged;

/// Why a key has no standing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its quote is not accepted now.
    Refused {
        /// The rules that it breaks.
        reason: String,
    },
    /// Somebody took it away for good.
    Revoked {
        /// What that person said.
        reason: String,
    },
}

/// A key that may be judged again.
#[derive(Debug)]
pub(crate) struct KeyToJudge {
    pub(crate) pubkey: PublicKey,
    pub(crate) quote: Quote,
    pub(crate) stands: bool,
}

impl Storage {
    /// All keys but those that somebody revoked.
    pub(crate) async fn keys_to_judge(&self) -> Result<Vec<KeyToJudge>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT pubkey, quote, revoked_at FROM tee_attestations WHERE verdict NOT LIKE 'revoked%' ORDER BY pubkey",
        )
        .fetch_all(&self.pool)
        .within()
        .await?;
        rows.iter()
            .map(|row| {
                Ok(KeyToJudge {
                    pubkey: decoded(PublicKey::from_bytes(row.try_get("pubkey")?))?,
                    quote: decoded(Quote::new(row.try_get("quote")?))?,
                    stands: row.try_get::<Option<i64>, _>("revoked_at")?.is_none(),
                })
            })
            .collect()
    }

    /// Takes a key its standing and, if wanted, has the batches proven again that lack proofs without it; says how many
    /// those are. A key that somebody revoked stays revoked.
    pub(crate) async fn end_standing(
        &self,
        pubkey: &PublicKey,
        standing: Standing,
        reprove: bool,
        now_ms: i64,
    ) -> Result<u64, sqlx::Error> {
        let pubkey = pubkey.to_bytes().to_vec();
        let verdict = match standing {
            Standing::Refused { reason } => format!("refused: {reason}"),
            Standing::Revoked { reason } => format!("revoked: {reason}"),
        };
        let required = self.rules.required_of_types();
        self.long_transaction(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_attestations SET verdict = $2, revoked_at = COALESCE(revoked_at, $3)
                     WHERE pubkey = $1 AND verdict NOT LIKE 'revoked%'",
                )
                .bind(pubkey.as_slice())
                .bind(verdict)
                .bind(now_ms)
                .execute(&mut *connection)
                .await?;
                let mut requeued = 0;
                for (tee_type, required) in required.into_iter().filter(|_| reprove) {
                    requeued += sqlx::query(
                        "UPDATE tee_proof_generation_details
                         SET status = 'ready_to_be_proven', attempts = 0, claimable_at = $2, lease_id = NULL,
                             lease_expires_at = NULL, created_at = $2, updated_at = $2
                         WHERE tee_type = $3 AND status = 'generated'
                             AND l1_batch_number IN
                                 (SELECT l1_batch_number FROM tee_proofs WHERE pubkey = $1 AND tee_type = $3)
                             AND (SELECT COUNT(*) FROM tee_proofs
                                  JOIN tee_attestations ON tee_attestations.pubkey = tee_proofs.pubkey
                                  WHERE tee_proofs.l1_batch_number = tee_proof_generation_details.l1_batch_number
                                      AND tee_proofs.tee_type = $3 AND tee_attestations.revoked_at IS NULL) < $4",
                    )
                    .bind(pubkey.as_slice())
                    .bind(now_ms)
                    .bind(tee_type.as_str())
                    .bind(i64::from(required))
                    .execute(&mut *connection)
                    .await?
                    .rows_affected();
                }
                Ok(requeued)
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
                    "UPDATE tee_attestations SET passed_at = $2, valid_until = $3, suspended_at = NULL
                     WHERE pubkey = $1 AND revoked_at IS NULL",
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

    /// Suspends the keys in force whose quotes last passed before a time. Says how many it suspends now.
    pub(crate) async fn suspend_unjudged(&self, passed_before_ms: i64, now_ms: i64) -> Result<u64, sqlx::Error> {
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE tee_attestations SET suspended_at = $2
                     WHERE revoked_at IS NULL AND suspended_at IS NULL AND verdict <> 'unjudged' AND passed_at < $1",
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

    /// Gives a key its standing back whose quote is accepted again.
    pub(crate) async fn restore_standing(
        &self,
        pubkey: &PublicKey,
        judged: &Judged,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        let pubkey = pubkey.to_bytes().to_vec();
        let collateral = judged.collateral.clone().into_bytes();
        let lock_rows = !self.is_sqlite();
        let required = self.rules.required_of_types();
        let valid_until_ms = judged.valid_until_ms();
        let key = pubkey.clone();
        let displaced = self
            .long_transaction(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE tee_attestations
                         SET verdict = 'accepted', revoked_at = NULL, collateral = $2, judged_at = $3, passed_at = $3,
                             valid_until = $4, suspended_at = NULL
                         WHERE pubkey = $1 AND verdict LIKE 'refused%'",
                    )
                    .bind(key.as_slice())
                    .bind(collateral)
                    .bind(now_ms)
                    .bind(valid_until_ms)
                    .execute(&mut *connection)
                    .await?;
                    let displaced = displace_of_key(connection, &key, lock_rows).await?;
                    for (tee_type, required) in required {
                        // What its proofs suffice for again need not be proven again.
                        sqlx::query(
                            "UPDATE tee_proof_generation_details
                             SET status = 'generated', claimable_at = NULL, lease_id = NULL, lease_expires_at = NULL,
                                 error_kind = NULL, error = NULL, updated_at = $2
                             WHERE tee_type = $3 AND status <> 'generated'
                                 AND l1_batch_number IN
                                     (SELECT l1_batch_number FROM tee_proofs WHERE pubkey = $1 AND tee_type = $3)
                                 AND (SELECT COUNT(*) FROM tee_proofs
                                      JOIN tee_attestations ON tee_attestations.pubkey = tee_proofs.pubkey
                                      WHERE tee_proofs.l1_batch_number = tee_proof_generation_details.l1_batch_number
                                          AND tee_proofs.tee_type = $3 AND tee_attestations.revoked_at IS NULL) >= $4",
                        )
                        .bind(key.as_slice())
                        .bind(now_ms)
                        .bind(tee_type.as_str())
                        .bind(i64::from(required))
                        .execute(&mut *connection)
                        .await?;
                    }
                    Ok(displaced)
                })
            })
            .await?;
        alarm_of_key(&pubkey, displaced);
        Ok(())
    }
}
