//! Stores a proof and ends its job, whatever else happens to the batch and the key at that moment.

use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tee_api::{JobStatus, KeyStanding, LeaseId, SubmitProof};
use tee_verifier::H256;

use super::{RootFit, Roots};
use crate::database::{
    Database, JobFailure, ProverName, columns, disagreements,
    job_failures::{forget_failures, rest_from_job},
    jobs::FailedLease,
    provers::note_success,
};

/// A proof whose signature, key and root are valid.
#[derive(Debug)]
pub(crate) struct NewProof {
    pub(crate) number: u32,
    pub(crate) submission: SubmitProof,
    /// The statement in JSON.
    pub(crate) statement: Option<String>,
    /// The lease that it was made under. Provers of zksync-era have none.
    pub(crate) lease: Option<LeaseId>,
    /// Who sent it.
    pub(crate) prover: ProverName,
}

/// The outcome of storing a proof.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordedProof {
    Accepted,
    /// Accepted, and kept as a disagreement with the next batch, which starts from another root.
    Disputed {
        next_starts_from: H256,
    },
    /// This key's proof of this root was accepted before.
    Known,
    /// The key was refused or revoked. Nothing was stored.
    RevokedKey,
    /// The key is suspended, since it could not be judged for too long. Nothing was stored.
    SuspendedKey,
    /// The root differs from the batch's root, which has just become known. Nothing was stored.
    WrongRoot,
    /// This key's signature of this root was accepted for another batch, and nothing ties the signature to this batch.
    /// Nothing was stored.
    ReusedRoot,
    /// An accepted proof of the batch has another root. The proof is kept as a disagreement.
    Disagrees {
        accepted: H256,
    },
}

/// How long a prover rests from a job that its key has proven already, in milliseconds.
const REPEATED_REST_MS: i64 = 10_000;

const DISAGREEMENT: JobFailure<'static> =
    JobFailure { kind: "disagreeing_root", error: "another proof of this batch has another root" };

impl Database {
    /// Stores a proof and ends its job, in one transaction that is on disk when this returns.
    pub(crate) async fn record_proof(&self, proof: NewProof, now_ms: i64) -> Result<RecordedProof, sqlx::Error> {
        // SQLite has one writer at a time. Elsewhere these locks order events. Proofs of one batch come one after
        // another; otherwise two at the same time would not see that they disagree. A key's refusal or revocation comes
        // before its proof is checked, or after it is stored.
        let lock_rows = !self.is_sqlite();
        let required_proofs = self.rules.required_proofs(proof.submission.tee_type);
        let failed_lease = proof.lease.as_ref().map(|lease| self.failed_lease(lease, DISAGREEMENT, now_ms));
        // Otherwise one bare root, sent for two batches at the same time, would be accepted for both.
        let key_lock = if proof.statement.is_some() { "SHARE" } else { "NO KEY UPDATE" };
        self.transaction(move |connection| {
            Box::pin(async move {
                if lock_rows {
                    sqlx::query(AssertSqlSafe(format!(
                        "SELECT 1 FROM tee_attestations, batches WHERE pubkey = $1 AND number = $2
                         FOR {key_lock} OF tee_attestations FOR NO KEY UPDATE OF batches",
                    )))
                    .bind(proof.submission.pubkey.to_bytes().as_slice())
                    .bind(i64::from(proof.number))
                    .execute(&mut *connection)
                    .await?;
                }
                proof.record(connection, required_proofs, failed_lease, now_ms).await
            })
        })
        .await
    }
}

impl NewProof {
    async fn record(
        &self,
        connection: &mut AnyConnection,
        required_proofs: u32,
        failed_lease: Option<FailedLease>,
        now_ms: i64,
    ) -> Result<RecordedProof, sqlx::Error> {
        let known = self.known(connection).await?;
        if let KeyStanding::Refused | KeyStanding::Revoked = known.key {
            return Ok(RecordedProof::RevokedKey);
        }
        if known.is_accepted {
            // The batch was requeued by hand, or lacks another key's proof.
            if known.lease_is_current || self.lease.is_none() {
                match self.suffices(connection, required_proofs).await? {
                    true => self.end_job(connection, true, now_ms).await?,
                    false if known.lease_is_current => self.leave_to_others(connection, now_ms).await?,
                    false => {}
                }
            }
            return Ok(RecordedProof::Known);
        }
        if known.key == KeyStanding::Suspended {
            return Ok(RecordedProof::SuspendedKey);
        }
        let fit = known.roots.fit(self.submission.proof, self.statement.is_some());
        match fit {
            RootFit::Wrong => return Ok(RecordedProof::WrongRoot),
            RootFit::Unknown if self.statement.is_none() && known.other_batches > 0 => {
                return Ok(RecordedProof::ReusedRoot);
            }
            RootFit::Right | RootFit::Unknown | RootFit::Disputed { .. } => {}
        }
        if let Some(accepted) = known.other_root {
            disagreements::insert(connection, self, accepted, now_ms).await?;
            if let Some(failed_lease) = failed_lease {
                // Otherwise the batch would be proven again and again.
                failed_lease.record(connection).await?;
            }
            return Ok(RecordedProof::Disagrees { accepted });
        }
        self.insert(connection, now_ms).await?;
        if known.has_failed {
            note_success(connection, &self.prover, self.submission.tee_type).await?;
        }
        let suffices = self.suffices(connection, required_proofs).await?;
        self.end_job(connection, suffices, now_ms).await?;
        if !suffices {
            // The batch can be proven: earlier failures were not its fault and do not count towards giving it up.
            forget_failures(connection, self.number.into(), self.submission.tee_type.as_str()).await?;
        }
        if let RootFit::Disputed { next_starts_from } = fit {
            disagreements::insert(connection, self, next_starts_from, now_ms).await?;
            return Ok(RecordedProof::Disputed { next_starts_from });
        }
        Ok(RecordedProof::Accepted)
    }

    /// Reads what the database knows about this proof's key, lease and batch.
    async fn known(&self, connection: &mut AnyConnection) -> Result<Known, sqlx::Error> {
        let row = sqlx::query(
            "SELECT
                 (SELECT standing FROM tee_attestations WHERE pubkey = $3) AS standing,
                 (SELECT COUNT(*) FROM tee_proofs
                     WHERE l1_batch_number = $1 AND tee_type = $2 AND pubkey = $3 AND proof = $4) AS known,
                 (SELECT COUNT(*) FROM tee_proof_generation_details
                     WHERE lease_id = $5 AND l1_batch_number = $1 AND tee_type = $2) AS leases,
                 (SELECT proof FROM tee_proofs JOIN tee_attestations ON tee_attestations.pubkey = tee_proofs.pubkey
                     WHERE l1_batch_number = $1 AND proof <> $4 AND standing <> 'revoked' LIMIT 1) AS other_root,
                 (SELECT COUNT(*) FROM tee_proofs
                     WHERE pubkey = $3 AND proof = $4 AND l1_batch_number <> $1) AS other_batches,
                 (SELECT COUNT(*) FROM tee_provers
                     WHERE name = $6 AND tee_type = $2 AND failures_in_a_row > 0) AS failing_provers,
                 (SELECT previous_root FROM batches WHERE number = $1) AS previous_root,
                 (SELECT expected_root FROM batches WHERE number = $1) AS expected_root,
                 (SELECT previous_root FROM batches WHERE number = $1 + 1) AS next_starts_from",
        )
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .bind(self.submission.pubkey.to_bytes().as_slice())
        .bind(self.submission.proof.as_bytes())
        .bind(self.lease.as_ref().map(LeaseId::as_str))
        .bind(self.prover.as_str())
        .fetch_one(connection)
        .await?;
        Ok(Known {
            key: columns::standing(&row, "standing")?,
            is_accepted: columns::any(&row, "known")?,
            lease_is_current: columns::any(&row, "leases")?,
            other_root: columns::optional_hash(&row, "other_root")?,
            other_batches: row.try_get("other_batches")?,
            has_failed: columns::any(&row, "failing_provers")?,
            roots: Roots::read(&row)?,
        })
    }

    async fn insert(&self, connection: &mut AnyConnection, now_ms: i64) -> Result<(), sqlx::Error> {
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
        .execute(connection)
        .await
        .map(drop)
    }

    /// Marks the batch as proven, whoever holds the lease. If more proofs are required, makes it ready for the next one, with all its
    /// attempts. A proof may come without a job, if its prover fetched the input without a claim.
    async fn end_job(&self, connection: &mut AnyConnection, suffices: bool, now_ms: i64) -> Result<(), sqlx::Error> {
        let (status, claimable_at) = match suffices {
            true => (JobStatus::Generated, None),
            false => (JobStatus::ReadyToBeProven, Some(now_ms)),
        };
        sqlx::query(
            "INSERT INTO tee_proof_generation_details
                 (l1_batch_number, tee_type, status, claimable_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $5)
             ON CONFLICT (l1_batch_number, tee_type) DO UPDATE
             SET status = excluded.status, claimable_at = excluded.claimable_at, lease_id = NULL,
                 lease_expires_at = NULL, error_kind = NULL, error = NULL, updated_at = excluded.updated_at,
                 attempts = CASE WHEN excluded.status = 'generated' THEN tee_proof_generation_details.attempts ELSE 0 END
             WHERE tee_proof_generation_details.status <> 'generated'",
        )
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .bind(status.as_str())
        .bind(claimable_at)
        .bind(now_ms)
        .execute(connection)
        .await
        .map(drop)
    }

    /// Makes the prover rest from the job for a short time, so that another one may come first, and does not count the
    /// attempt. This is for a key that proves again a batch that lacks another key's proof: it gains nothing and loses
    /// nothing.
    async fn leave_to_others(&self, connection: &mut AnyConnection, now_ms: i64) -> Result<(), sqlx::Error> {
        let row = sqlx::query(
            "UPDATE tee_proof_generation_details
             SET status = 'ready_to_be_proven', attempts = attempts - 1, claimable_at = $2, lease_id = NULL,
                 lease_expires_at = NULL, updated_at = $2
             WHERE lease_id = $1 RETURNING prover",
        )
        .bind(self.lease.as_ref().map(LeaseId::as_str))
        .bind(now_ms)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(prover) = row.map(|row| row.try_get::<Option<String>, _>("prover")).transpose()?.flatten() else {
            return Ok(());
        };
        let job = (i64::from(self.number), self.submission.tee_type.as_str());
        rest_from_job(connection, job, &prover, now_ms.saturating_add(REPEATED_REST_MS)).await
    }

    /// Whether the required number of keys have proven the batch.
    async fn suffices(&self, connection: &mut AnyConnection, required_proofs: u32) -> Result<bool, sqlx::Error> {
        if required_proofs <= 1 {
            return Ok(true);
        }
        let row = sqlx::query(
            "SELECT COUNT(*) FROM tee_proofs JOIN tee_attestations ON tee_attestations.pubkey = tee_proofs.pubkey
             WHERE l1_batch_number = $1 AND tee_proofs.tee_type = $2 AND standing <> 'revoked'",
        )
        .bind(i64::from(self.number))
        .bind(self.submission.tee_type.as_str())
        .fetch_one(connection)
        .await?;
        Ok(row.try_get::<i64, _>(0)? >= required_proofs.into())
    }
}

struct Known {
    key: KeyStanding,
    /// Whether this very proof was accepted before.
    is_accepted: bool,
    lease_is_current: bool,
    other_root: Option<H256>,
    /// For how many other batches the key's signature of this root was accepted.
    other_batches: i64,
    /// Whether the prover failed since its last accepted proof.
    has_failed: bool,
    roots: Roots,
}
