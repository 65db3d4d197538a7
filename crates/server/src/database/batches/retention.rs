//! Inputs that nobody needs any more: which batches had theirs deleted.

use sqlx::{AssertSqlSafe, Row};

use super::transactions::delete_retired_transactions;
use crate::database::{Database, columns};

/// How many batch numbers are looked at in one statement.
const CHUNK: i64 = 1000;

/// How many inputs are retired in one transaction. Their transactions go with them, thousands of each, and other writes wait.
const MAX_RETIRED: i64 = 50;

/// Selects the batches of a range, its end not included, whose input has not been needed since a time: each of their jobs was
/// finished by then, and no disagreement is open. Jobs of type `none` do not count, since they end without a proof.
const RETIRABLE: &str = "b.number >= $1 AND b.number < $2 AND b.input_retired_at IS NULL
     AND COALESCE(b.input_put_back_at, b.created_at) <= $3
     AND EXISTS (SELECT 1 FROM tee_proof_generation_details j
         WHERE j.l1_batch_number = b.number AND j.tee_type <> 'none' AND j.status = 'generated')
     AND NOT EXISTS (SELECT 1 FROM tee_proof_generation_details j
         WHERE j.l1_batch_number = b.number AND j.tee_type <> 'none' AND (j.status <> 'generated' OR j.updated_at > $3))
     AND NOT EXISTS (SELECT 1 FROM tee_proof_disagreements d
         WHERE d.l1_batch_number = b.number AND d.resolved_at IS NULL)";

/// Where a chunk of batches ended.
#[derive(Debug)]
pub(crate) struct Retirable {
    /// The first and the last batch whose input nobody needs any more, if there are any.
    pub(crate) batches: Option<(u32, u32)>,
    /// Where the next chunk begins; `None` at the end of all batches.
    pub(crate) next: Option<u32>,
}

/// An input that the database no longer relies on.
#[derive(Debug)]
pub(crate) struct RetiredInput {
    pub(crate) input_key: String,
    /// The size of both forms together.
    pub(crate) bytes: u64,
}

impl Database {
    /// Searches a chunk of batches, beginning with `from`, for inputs that have not been needed since a time.
    pub(crate) async fn retirable_inputs(&self, from: u32, since_ms: i64) -> Result<Retirable, sqlx::Error> {
        let query = sqlx::query("SELECT MIN(number) FROM batches WHERE number >= $1 AND input_retired_at IS NULL")
            .bind(i64::from(from));
        let row = self.readers.fetch_one(query).await?;
        let Some(first) = row.try_get::<Option<i64>, _>(0)? else {
            return Ok(Retirable { batches: None, next: None });
        };
        let end = first.saturating_add(CHUNK);
        let query =
            sqlx::query(AssertSqlSafe(retirable_statement())).bind(first).bind(end).bind(since_ms).bind(MAX_RETIRED);
        let rows = self.readers.fetch_all(query).await?;
        let numbers = rows.iter().map(|row| columns::number(row, "number")).collect::<Result<Vec<_>, _>>()?;
        let batches = numbers.first().copied().zip(numbers.last().copied());
        // After a full chunk, the same range may hold more.
        let next = match batches {
            Some((_, last)) if rows.len() as i64 == MAX_RETIRED => last.checked_add(1),
            _ => u32::try_from(end).ok(),
        };
        Ok(Retirable { batches, next })
    }

    /// Marks the inputs of these batches as deleted, except those that are needed again by now, and returns their keys. From then on
    /// nothing relies on these inputs.
    pub(crate) async fn retire_inputs(
        &self,
        (first, last): (u32, u32),
        since_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<RetiredInput>, sqlx::Error> {
        let (first, end) = (i64::from(first), i64::from(last) + 1);
        let rows = self.transaction(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query(AssertSqlSafe(format!(
                    "UPDATE batches AS b SET input_retired_at = $4 WHERE {RETIRABLE}
                     RETURNING input_key, json_bytes, cbor_bytes"
                )))
                .bind(first)
                .bind(end)
                .bind(since_ms)
                .bind(now_ms)
                .fetch_all(&mut *connection)
                .await?;
                // Jobs of type `none` have nothing left to try.
                sqlx::query(
                    "UPDATE tee_proof_generation_details
                     SET status = 'permanently_ignored', claimable_at = NULL, error_kind = 'input_retired',
                         error = 'its input was deleted', updated_at = $3
                     WHERE l1_batch_number >= $1 AND l1_batch_number < $2 AND tee_type = 'none' AND claimable_at IS NOT NULL
                         AND EXISTS (SELECT 1 FROM batches WHERE number = l1_batch_number AND input_retired_at IS NOT NULL)",
                )
                .bind(first)
                .bind(end)
                .bind(now_ms)
                .execute(&mut *connection)
                .await?;
                delete_retired_transactions(connection, first, end).await?;
                Ok(rows)
            })
        });
        let bytes = |row: &sqlx::any::AnyRow, column: &str| columns::count(row, column);
        let retired = rows.await?;
        retired
            .iter()
            .map(|row| {
                let bytes = bytes(row, "json_bytes")?.saturating_add(bytes(row, "cbor_bytes")?);
                Ok(RetiredInput { input_key: row.try_get("input_key")?, bytes })
            })
            .collect()
    }
}

pub(in crate::database) fn retirable_statement() -> String {
    format!("SELECT b.number FROM batches b WHERE {RETIRABLE} ORDER BY b.number LIMIT $4")
}
