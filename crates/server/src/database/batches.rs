//! `batches`: the batches to prove.

mod retention;
mod transactions;

use std::collections::{HashMap, HashSet};

use sqlx::{Any, AnyConnection, AssertSqlSafe, Executor, Row, any::AnyRow};
use tee_verifier::{H256, InputForm};

use self::transactions::set_transactions;
pub(crate) use self::transactions::{TransactionPlace, TransactionRow};
pub(super) use self::{retention::retirable_statement, transactions::PLACES_OF_TRANSACTION};
use super::{
    Database,
    columns::{self, decoded},
    disagreements::{RootSource, alarm_displaced, displace},
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
    /// Whether the input was deleted because nobody needs it any more.
    pub(crate) input_is_retired: bool,
}

/// What a blob in the object store must match.
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
    pub(crate) transactions: Vec<TransactionRow>,
}

/// The outcome of an insertion.
#[derive(Debug)]
pub(crate) enum InsertedBatch {
    New,
    /// The number is taken.
    Known(Batch),
}

/// A batch, without its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntry {
    /// The batch's number.
    pub number: u32,
    /// The size of the input in JSON, compressed.
    pub json_bytes: u64,
    /// The size of the input in CBOR, compressed.
    pub cbor_bytes: u64,
    /// The root before the batch, where it is known.
    pub previous_root: Option<H256>,
    /// The root after the batch, where it is known.
    pub expected_root: Option<H256>,
    /// When the chain sealed it, in milliseconds since 1970.
    pub sealed_at_ms: Option<i64>,
    /// Where it came from, for people.
    pub source: String,
    /// When it was added, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When its input was deleted because nobody needed it any more, in milliseconds since 1970.
    pub input_retired_at_ms: Option<i64>,
}

const COLUMNS: &str = "SELECT input_key, json_bytes, json_sha256, cbor_bytes, cbor_sha256, previous_root, \
                       expected_root, input_retired_at FROM batches WHERE number = $1";

/// Two subqueries of one row each: an index answers both.
pub(super) const PRESENT_INPUTS: &str = "SELECT (SELECT MIN(number) FROM batches WHERE input_retired_at IS NULL),
     (SELECT MAX(number) FROM batches WHERE input_retired_at IS NULL)";

impl Batch {
    /// What the blob of this form in the object store must match.
    pub(crate) fn blob(&self, form: InputForm) -> &BlobInfo {
        match form {
            InputForm::Json => &self.json,
            InputForm::Cbor => &self.cbor,
        }
    }
}

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
            set_transactions(connection, new.number, &new.transactions).await?;
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
            // Its previous root is the root of the batch before, unless that has an expected root.
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

    /// Replaces the input of a batch whose stored input cannot be read, and makes the jobs that waited for it ready. False if
    /// somebody else has replaced it meanwhile.
    pub(crate) async fn replace_input(
        &self,
        number: u32,
        lost: Batch,
        new: Batch,
        transactions: Vec<TransactionRow>,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let replaced = self
            .transaction(move |connection| {
                Box::pin(async move {
                    if !swap_input(connection, number, lost, new, now_ms).await? {
                        return Ok(false);
                    }
                    set_transactions(connection, number, &transactions).await?;
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

    /// The numbers from `first` to `last` that have no batch. For ranges of thousands, not millions.
    pub(crate) async fn lacking_batches(&self, first: u32, last: u32) -> Result<Vec<u32>, sqlx::Error> {
        let rows = sqlx::query("SELECT number FROM batches WHERE number >= $1 AND number <= $2")
            .bind(i64::from(first))
            .bind(i64::from(last))
            .fetch_all(&self.pool)
            .within()
            .await?;
        let present: HashSet<u32> = rows.iter().map(|row| columns::number(row, 0)).collect::<Result<_, _>>()?;
        Ok((first..=last).filter(|number| !present.contains(number)).collect())
    }

    /// The lowest and the highest batch.
    pub(crate) async fn present_batches(&self) -> Result<(Option<u32>, Option<u32>), sqlx::Error> {
        // Two subqueries of one row each: an index answers each of them, but would not answer both in one.
        let row = sqlx::query("SELECT (SELECT MIN(number) FROM batches), (SELECT MAX(number) FROM batches)")
            .fetch_one(&self.pool)
            .within()
            .await?;
        let read = |index: usize| columns::optional_number(&row, index);
        Ok((read(0)?, read(1)?))
    }

    /// The batch that was added last.
    pub(crate) async fn latest_batch(&self) -> Result<Option<Batch>, sqlx::Error> {
        match self.present_batches().await? {
            (_, Some(latest)) => self.batch(latest).await,
            _ => Ok(None),
        }
    }

    /// The lowest and the highest batch whose input is available.
    pub(crate) async fn present_inputs(&self) -> Result<(Option<u32>, Option<u32>), sqlx::Error> {
        let row = sqlx::query(PRESENT_INPUTS).fetch_one(&self.pool).within().await?;
        let read = |index: usize| columns::optional_number(&row, index);
        Ok((read(0)?, read(1)?))
    }

    /// The keys of these batches' inputs. Retired inputs are left out.
    pub(crate) async fn input_keys(&self, numbers: &[u32]) -> Result<HashMap<u32, String>, sqlx::Error> {
        let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
        if numbers.is_empty() {
            return Ok(HashMap::new());
        }
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT number, input_key FROM batches WHERE input_retired_at IS NULL AND number IN ({})",
            numbers.join(",")
        )));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(|row| Ok((columns::number(row, "number")?, row.try_get("input_key")?))).collect()
    }

    /// Batches with higher numbers than `after`, by number.
    pub(crate) async fn batches(&self, after: Option<u32>, limit: u32) -> Result<Vec<BatchEntry>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT number, json_bytes, cbor_bytes, previous_root, expected_root, sealed_at, source, created_at,
                 input_retired_at
             FROM batches WHERE number > $1 ORDER BY number LIMIT $2",
        )
        .bind(after.map_or(-1, i64::from))
        .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(BatchEntry::read).collect()
    }
}

/// Replaces a batch's input. False if the batch has another input by now.
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

/// The range of numbers that a filter selects.
pub(super) fn range(number: Option<u32>) -> (i64, i64) {
    number.map_or((0, u32::MAX.into()), |number| (number.into(), number.into()))
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
            Ok(BlobInfo { bytes: columns::count(row, bytes)?, sha256: columns::hash(row, sha256)?.0 })
        };
        let root = |column: &str| columns::optional_hash(row, column);
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

impl BatchEntry {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let bytes = |column: &str| columns::count(row, column);
        let root = |column: &str| columns::optional_hash(row, column);
        Ok(Self {
            number: columns::number(row, "number")?,
            json_bytes: bytes("json_bytes")?,
            cbor_bytes: bytes("cbor_bytes")?,
            previous_root: root("previous_root")?,
            expected_root: root("expected_root")?,
            sealed_at_ms: row.try_get("sealed_at")?,
            source: row.try_get("source")?,
            created_at_ms: row.try_get("created_at")?,
            input_retired_at_ms: row.try_get("input_retired_at")?,
        })
    }
}
