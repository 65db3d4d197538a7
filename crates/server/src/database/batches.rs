//! `batches`: what there is to prove.

use std::collections::HashSet;

use sqlx::{Any, AnyConnection, Executor, Row, any::AnyRow};
use tee_verifier::{H256, InputForm};

use super::{
    Database,
    contradictions::{RootSource, alarm_displaced, displace},
    decoded, hash, number,
    patience::Within,
};

/// A batch, without its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Prefix of the input's paths in the object store.
    pub(crate) input_key: String,
    pub(crate) json: BlobInfo,
    pub(crate) cbor: BlobInfo,
    pub(crate) previous_root: Option<H256>,
    pub(crate) expected_root: Option<H256>,
    /// Its input was deleted, once it was needed no more.
    pub(crate) input_is_retired: bool,
}

impl Batch {
    /// What must lie in the object store of a form.
    pub(crate) fn blob(&self, form: InputForm) -> &BlobInfo {
        match form {
            InputForm::Json => &self.json,
            InputForm::Cbor => &self.cbor,
        }
    }
}

/// What a blob in the object store must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobInfo {
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// A batch to insert.
#[derive(Debug)]
pub(crate) struct NewBatchRow {
    pub(crate) number: u32,
    pub(crate) batch: Batch,
    pub(crate) sealed_at_ms: Option<i64>,
    pub(crate) source: String,
}

/// What became of an insertion.
#[derive(Debug)]
pub(crate) enum InsertedBatch {
    New,
    /// The number is taken.
    Known(Batch),
}

const COLUMNS: &str = "SELECT input_key, json_bytes, json_sha256, cbor_bytes, cbor_sha256, previous_root, \
                       expected_root, input_retired_at FROM batches WHERE number = $1";

impl Database {
    /// Inserts a batch with a job for each TEE type that has provers.
    pub(crate) async fn insert_batch(&self, new: NewBatchRow, now_ms: i64) -> Result<InsertedBatch, sqlx::Error> {
        let type_lock = self.type_lock("pg_advisory_xact_lock_shared");
        let required = self.rules.required_of_types();
        let before = new.number.checked_sub(1).zip(new.batch.previous_root);
        let (inserted, displaced) = self.transaction(move |connection| Box::pin(async move {
            let batch = &new.batch;
            let inserted = sqlx::query(
                "INSERT INTO batches (number, input_key, json_bytes, json_sha256, cbor_bytes, cbor_sha256, previous_root,
                     expected_root, sealed_at, source, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                 ON CONFLICT (number) DO NOTHING",
            )
            .bind(i64::from(new.number))
            .bind(&batch.input_key)
            .bind(decoded(i64::try_from(batch.json.bytes))?)
            .bind(batch.json.sha256.as_slice())
            .bind(decoded(i64::try_from(batch.cbor.bytes))?)
            .bind(batch.cbor.sha256.as_slice())
            .bind(batch.previous_root.as_ref().map(H256::as_bytes))
            .bind(batch.expected_root.as_ref().map(H256::as_bytes))
            .bind(new.sealed_at_ms)
            .bind(&new.source)
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
            if inserted.rows_affected() == 0 {
                let known = Batch::find(connection, new.number).await?.ok_or(sqlx::Error::RowNotFound)?;
                return Ok((InsertedBatch::Known(known), 0));
            }
            type_lock.take(connection).await?;
            sqlx::query(
                "INSERT INTO tee_proof_generation_details
                     (l1_batch_number, tee_type, status, claimable_at, created_at, updated_at)
                 SELECT $1, tee_type, 'ready_to_be_proven', $2, $2, $2 FROM claimed_tee_types
                 WHERE retired_at IS NULL",
            )
            .bind(i64::from(new.number))
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
            // Its previous root is the root of the batch before, where no other is known.
            let mut displaced = 0;
            if let Some((before, root)) = before {
                let lock = "UPDATE batches SET source = source WHERE number = $1 AND expected_root IS NULL";
                let locked = sqlx::query(lock).bind(i64::from(before)).execute(&mut *connection).await?;
                if locked.rows_affected() > 0 {
                    let root = (root, RootSource::NextBatch);
                    displaced = displace(connection, before, root, required, now_ms).await?;
                }
            }
            Ok((InsertedBatch::New, displaced))
        })).await?;
        if let Some((before, root)) = before {
            alarm_displaced(before, root, displaced);
        }
        self.jobs_added.notify_waiters();
        Ok(inserted)
    }

    /// Replaces the input of a batch whose own cannot be read, and has the jobs tried that waited for it. False where
    /// somebody else has replaced it meanwhile.
    pub(crate) async fn replace_input(
        &self,
        number: u32,
        lost: Batch,
        new: Batch,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let replaced = self
            .transaction(move |connection| {
                Box::pin(async move {
                    if !swap_input(connection, number, lost, new, now_ms).await? {
                        return Ok(false);
                    }
                    sqlx::query(
                        "UPDATE tee_proof_generation_details
                         SET status = 'ready_to_be_proven', claimable_at = $2, error_kind = NULL, error = NULL,
                             updated_at = $2
                         WHERE l1_batch_number = $1 AND error_kind IN ('unreadable_input', 'input_retired')
                             AND status IN ('failed', 'permanently_ignored')",
                    )
                    .bind(i64::from(number))
                    .bind(now_ms)
                    .execute(connection)
                    .await?;
                    Ok(true)
                })
            })
            .await?;
        self.jobs_added.notify_waiters();
        Ok(replaced)
    }

    /// A batch by its number.
    pub(crate) async fn batch(&self, number: u32) -> Result<Option<Batch>, sqlx::Error> {
        Batch::find(&self.pool, number).within().await
    }

    /// Those from `first` to `last` that are not there. For ranges of thousands, not millions.
    pub(crate) async fn lacking_batches(&self, first: u32, last: u32) -> Result<Vec<u32>, sqlx::Error> {
        let rows = sqlx::query("SELECT number FROM batches WHERE number >= $1 AND number <= $2")
            .bind(i64::from(first))
            .bind(i64::from(last))
            .fetch_all(&self.pool)
            .within()
            .await?;
        let present: HashSet<u32> = rows.iter().map(|row| number(row.try_get(0)?)).collect::<Result<_, _>>()?;
        Ok((first..=last).filter(|number| !present.contains(number)).collect())
    }

    /// The lowest and the highest batch.
    pub(crate) async fn present_batches(&self) -> Result<(Option<u32>, Option<u32>), sqlx::Error> {
        // Two statements of one row each: an index answers them, where it does not answer both in one.
        let row = sqlx::query("SELECT (SELECT MIN(number) FROM batches), (SELECT MAX(number) FROM batches)")
            .fetch_one(&self.pool)
            .within()
            .await?;
        let read = |index: usize| row.try_get::<Option<i64>, _>(index)?.map(number).transpose();
        Ok((read(0)?, read(1)?))
    }
}

/// Replaces a batch's input. False where it has another one by now.
pub(super) async fn swap_input(
    connection: &mut AnyConnection,
    number: u32,
    old: Batch,
    new: Batch,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE batches SET input_key = $3, json_bytes = $4, json_sha256 = $5, cbor_bytes = $6, cbor_sha256 = $7,
             input_retired_at = NULL, input_put_back_at = $8
         WHERE number = $1 AND input_key = $2",
    )
    .bind(i64::from(number))
    .bind(old.input_key)
    .bind(new.input_key)
    .bind(decoded(i64::try_from(new.json.bytes))?)
    .bind(new.json.sha256.as_slice())
    .bind(decoded(i64::try_from(new.cbor.bytes))?)
    .bind(new.cbor.sha256.as_slice())
    .bind(now_ms)
    .execute(connection)
    .await
    .map(|result| result.rows_affected() > 0)
}

impl Batch {
    pub(super) async fn find(
        database: impl Executor<'_, Database = Any>,
        number: u32,
    ) -> Result<Option<Self>, sqlx::Error> {
        let row = sqlx::query(COLUMNS).bind(i64::from(number)).fetch_optional(database).await?;
        row.as_ref().map(Self::read).transpose()
    }

    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let blob = |bytes: &str, sha256: &str| -> Result<BlobInfo, sqlx::Error> {
            Ok(BlobInfo {
                bytes: decoded(u64::try_from(row.try_get::<i64, _>(bytes)?))?,
                sha256: hash(row.try_get(sha256)?)?.0,
            })
        };
        let root = |column: &str| row.try_get::<Option<&[u8]>, _>(column)?.map(hash).transpose();
        Ok(Self {
            input_key: row.try_get("input_key")?,
            json: blob("json_bytes", "json_sha256")?,
            cbor: blob("cbor_bytes", "cbor_sha256")?,
            previous_root: root("previous_root")?,
            expected_root: root("expected_root")?,
            input_is_retired: row.try_get::<Option<i64>, _>("input_retired_at")?.is_some(),
        })
    }
}
