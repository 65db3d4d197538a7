//! `batch_transactions`: which batch a transaction is in, as long as the batch's input is kept.

use sqlx::{AnyConnection, AssertSqlSafe, any::AnyRow};
use tee_verifier::H256;

use crate::database::{Database, columns};

/// How many rows one statement inserts.
const ROWS: usize = 500;

/// How many bytes of a hash the index holds.
const INDEXED_BYTES: usize = 8;

pub(in crate::database) const PLACES_OF_TRANSACTION: &str = "SELECT l1_batch_number, position FROM batch_transactions
     WHERE SUBSTR(hash, 1, 8) = $1 AND hash = $2 ORDER BY l1_batch_number, position LIMIT $3";

/// A transaction of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransactionRow {
    /// Its place in the batch, from 1.
    pub(crate) position: u32,
    pub(crate) hash: H256,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransactionPlace {
    pub(crate) number: u32,
    /// Its place in the batch, from 1.
    pub(crate) position: u32,
}

impl Database {
    /// The places of a transaction in the inputs that are kept. There is more than one only if an input has what belongs elsewhere.
    pub(crate) async fn places_of_transaction(
        &self,
        hash: H256,
        limit: u32,
    ) -> Result<Vec<TransactionPlace>, sqlx::Error> {
        let query = sqlx::query(PLACES_OF_TRANSACTION)
            .bind(hash.as_bytes().iter().take(INDEXED_BYTES).copied().collect::<Vec<_>>())
            .bind(hash.as_bytes().to_vec())
            .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        let read = |row: &AnyRow| {
            Ok(TransactionPlace {
                number: columns::number(row, "l1_batch_number")?,
                position: columns::number(row, "position")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Sets the transactions of a batch.
pub(super) async fn set_transactions(
    connection: &mut AnyConnection,
    number: u32,
    transactions: &[TransactionRow],
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM batch_transactions WHERE l1_batch_number = $1")
        .bind(i64::from(number))
        .execute(&mut *connection)
        .await?;
    for rows in transactions.chunks(ROWS) {
        let values: Vec<_> = (0..rows.len()).map(|row| format!("($1, ${}, ${})", 2 * row + 2, 2 * row + 3)).collect();
        let statement =
            format!("INSERT INTO batch_transactions (l1_batch_number, position, hash) VALUES {}", values.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(statement)).persistent(rows.len() == ROWS).bind(i64::from(number));
        for TransactionRow { position, hash } in rows {
            query = query.bind(i64::from(*position)).bind(hash.as_bytes().to_vec());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes the transactions of the batches of a range, its end not included, whose inputs are retired.
pub(super) async fn delete_retired_transactions(
    connection: &mut AnyConnection,
    first: i64,
    end: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM batch_transactions WHERE l1_batch_number IN
             (SELECT number FROM batches WHERE number >= $1 AND number < $2 AND input_retired_at IS NOT NULL)",
    )
    .bind(first)
    .bind(end)
    .execute(connection)
    .await
    .map(drop)
}
