//! Columns as types. Every row is read through these functions, so that each type is decoded in one way.

use std::error::Error;

use sqlx::{ColumnIndex, Row, any::AnyRow};
use tee_api::{JobStatus, KeyStanding, PublicKey, Signature, TeeType};
use tee_verifier::{Address, H256};

/// Unwraps a value that this crate wrote itself.
pub(super) fn decoded<T, E: Error + Send + Sync + 'static>(value: Result<T, E>) -> Result<T, sqlx::Error> {
    value.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// A batch's number.
pub(super) fn number(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<u32, sqlx::Error> {
    decoded(u32::try_from(row.try_get::<i64, _>(column)?))
}

/// The same for a nullable column.
pub(super) fn optional_number(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<Option<u32>, sqlx::Error> {
    row.try_get::<Option<i64>, _>(column)?.map(|stored| decoded(u32::try_from(stored))).transpose()
}

/// A count, or a number of bytes.
pub(super) fn count(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<u64, sqlx::Error> {
    decoded(u64::try_from(row.try_get::<i64, _>(column)?))
}

/// Whether a count is above zero.
pub(super) fn any(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<bool, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)? > 0)
}

/// A root or another hash.
pub(super) fn hash(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<H256, sqlx::Error> {
    decoded(<[u8; 32]>::try_from(row.try_get::<&[u8], _>(column)?)).map(H256)
}

/// The same for a nullable column.
pub(super) fn optional_hash(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<Option<H256>, sqlx::Error> {
    row.try_get::<Option<&[u8]>, _>(column)?.map(|bytes| decoded(<[u8; 32]>::try_from(bytes)).map(H256)).transpose()
}

/// An address.
pub(super) fn address(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<Address, sqlx::Error> {
    decoded(<[u8; 20]>::try_from(row.try_get::<&[u8], _>(column)?)).map(Address::from)
}

/// A type of enclave.
pub(super) fn tee_type(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<TeeType, sqlx::Error> {
    decoded(row.try_get::<&str, _>(column)?.parse())
}

/// The status of a job.
pub(super) fn job_status(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<JobStatus, sqlx::Error> {
    decoded(row.try_get::<&str, _>(column)?.parse())
}

/// Whether a key may sign.
pub(super) fn standing(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<KeyStanding, sqlx::Error> {
    decoded(row.try_get::<&str, _>(column)?.parse())
}

/// A key.
pub(super) fn pubkey(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<PublicKey, sqlx::Error> {
    decoded(PublicKey::from_bytes(row.try_get(column)?))
}

/// A signature of a root.
pub(super) fn signature(row: &AnyRow, column: impl ColumnIndex<AnyRow>) -> Result<Signature, sqlx::Error> {
    decoded(Signature::from_bytes(row.try_get(column)?))
}
