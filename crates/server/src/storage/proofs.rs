//! `tee_proofs`: accepted proofs, and those that contradict them.

use sqlx::{Row, Sqlite, Transaction};
use tee_api::{LeaseId, SubmitProof};
use zksync_types::H256;

use super::{Storage, hash};

/// A proof whose signature, key and root are in order.
#[derive(Debug)]
pub(crate) struct NewProof<'a> {
    pub(crate) number: u32,
    pub(crate) submission: &'a SubmitProof,
    /// The statement in JSON.
    pub(crate) statement: Option<String>,
    /// The lease that it was made under; provers of zksync-era have none.
    pub(crate) lease: Option<&'a LeaseId>,
}

/// What became of a proof.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordedProof {
    Accepted,
    /// This key's proof of this root was accepted before.
    Known,
    /// The batch is not this lease's any more. Nothing was stored.
    StaleLease,
    /// An accepted proof of the batch says another root. Kept as a disagreement.
    Disagrees {
        accepted: H256,
    },
}

impl Storage {
    /// Stores a proof and ends its job, in one transaction that is on disk when this returns.
    pub(crate) async fn record_proof(&self, proof: &NewProof<'_>, now_ms: i64) -> Result<RecordedProof, sqlx::Error> {
        let mut transaction = self.begin().await?;
        if proof.is_known(&mut transaction).await? {
            return Ok(RecordedProof::Known);
        }
        if !proof.lease_is_current(&mut transaction).await? {
            return Ok(RecordedProof::StaleLease);
        }
        let outcome = match proof.other_root(&mut transaction).await? {
            Some(accepted) => {
                proof.insert_disagreement(&mut transaction, accepted, now_ms).await?;
                RecordedProof::Disagrees { accepted }
            }
            None => {
                proof.insert(&mut transaction, now_ms).await?;
                proof.end_job(&mut transaction, now_ms).await?;
                RecordedProof::Accepted
            }
        };
        transaction.commit().await?;
        Ok(outcome)
    }
}

impl NewProof<'_> {
    async fn is_known(&self, transaction: &mut Transaction<'static, Sqlite>) -> Result<bool, sqlx::Error> {
        let row = sqlx::query(
            "SELECT 1 FROM tee_proofs WHERE l1_batch_number = $1 AND tee_type = $2 AND pubkey = $3 AND proof = $4",
        )
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .bind(self.submission.pubkey.to_bytes().as_slice())
        .bind(self.submission.proof.as_bytes())
        .fetch_optional(&mut **transaction)
        .await?;
        Ok(row.is_some())
    }

    async fn lease_is_current(&self, transaction: &mut Transaction<'static, Sqlite>) -> Result<bool, sqlx::Error> {
        let Some(lease) = self.lease else { return Ok(true) };
        let row = sqlx::query(
            "SELECT 1 FROM tee_proof_generation_details
             WHERE lease_id = $1 AND l1_batch_number = $2 AND tee_type = $3 AND status = 'picked_by_prover'",
        )
        .bind(lease.as_str())
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
        Ok(row.is_some())
    }

    /// Another root that an accepted proof of the batch says, whatever its TEE type.
    async fn other_root(&self, transaction: &mut Transaction<'static, Sqlite>) -> Result<Option<H256>, sqlx::Error> {
        let row = sqlx::query("SELECT proof FROM tee_proofs WHERE l1_batch_number = $1 AND proof <> $2 LIMIT 1")
            .bind(i64::from(self.number))
            .bind(self.submission.proof.as_bytes())
            .fetch_optional(&mut **transaction)
            .await?;
        row.map(|row| hash(row.try_get(0)?)).transpose()
    }

    async fn insert(&self, transaction: &mut Transaction<'static, Sqlite>, now_ms: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO tee_proofs (l1_batch_number, tee_type, pubkey, signature, proof, statement, received_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .bind(self.submission.pubkey.to_bytes().as_slice())
        .bind(self.submission.signature.to_bytes())
        .bind(self.submission.proof.as_bytes())
        .bind(&self.statement)
        .bind(now_ms)
        .execute(&mut **transaction)
        .await
        .map(drop)
    }

    /// The batch is proven, whoever has it in work. A proof may come without a job, when its prover took the input
    /// without a claim.
    async fn end_job(&self, transaction: &mut Transaction<'static, Sqlite>, now_ms: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO tee_proof_generation_details (l1_batch_number, tee_type, status, created_at, updated_at)
             VALUES ($1, $2, 'generated', $3, $3)
             ON CONFLICT (l1_batch_number, tee_type) DO UPDATE
             SET status = 'generated', lease_id = NULL, lease_expires_at = NULL, error_kind = NULL, error = NULL,
                 updated_at = $3",
        )
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .bind(now_ms)
        .execute(&mut **transaction)
        .await
        .map(drop)
    }

    /// One a key, so that a key cannot fill the table. The job under its lease fails, or it would be proven again and
    /// again.
    async fn insert_disagreement(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        accepted: H256,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO tee_proof_disagreements
                 (l1_batch_number, tee_type, pubkey, signature, proof, accepted_proof, received_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT DO NOTHING",
        )
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .bind(self.submission.pubkey.to_bytes().as_slice())
        .bind(self.submission.signature.to_bytes())
        .bind(self.submission.proof.as_bytes())
        .bind(accepted.as_bytes())
        .bind(now_ms)
        .execute(&mut **transaction)
        .await?;
        sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = 'failed', lease_id = NULL, lease_expires_at = NULL, error_kind = 'disagreeing_root',
                 error = 'another proof of this batch says another root', updated_at = $2
             WHERE lease_id = $1",
        )
        .bind(self.lease.map(LeaseId::as_str))
        .bind(now_ms)
        .execute(&mut **transaction)
        .await
        .map(drop)
    }
}
