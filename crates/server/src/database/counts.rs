//! Counts of things that should be rare, for metrics.

use sqlx::Row;

use super::{Database, columns};

/// Counts of things that should be rare.
#[derive(Debug)]
pub(crate) struct StateCounts {
    pub(crate) disagreements: u64,
    pub(crate) keys_in_force: u64,
    pub(crate) keys_revoked: u64,
    /// The keys in force that are suspended.
    pub(crate) keys_suspended: u64,
    /// The oldest of the times at which the quotes of keys in force last passed, in milliseconds since 1970.
    pub(crate) oldest_judgement_ms: Option<i64>,
    /// The earliest end of the collateral of any key in force, in milliseconds since 1970.
    pub(crate) first_collateral_end_ms: Option<i64>,
    pub(crate) incomplete_inputs: u64,
}

impl Database {
    /// Counts for metrics.
    pub(crate) async fn state_counts(&self) -> Result<StateCounts, sqlx::Error> {
        let query = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM tee_proof_disagreements WHERE resolved_at IS NULL),
                 (SELECT COUNT(*) FROM tee_attestations WHERE standing IN ('unjudged', 'accepted', 'suspended')),
                 (SELECT COUNT(*) FROM tee_attestations WHERE standing IN ('refused', 'revoked')),
                 (SELECT COUNT(*) FROM tee_attestations WHERE standing = 'suspended'),
                 (SELECT MIN(passed_at) FROM tee_attestations WHERE standing IN ('unjudged', 'accepted', 'suspended')),
                 (SELECT MIN(valid_until) FROM tee_attestations WHERE standing IN ('unjudged', 'accepted', 'suspended')),
                 (SELECT COUNT(*) FROM input_completions WHERE due_at IS NOT NULL)",
        );
        let row = self.readers.fetch_one(query).await?;
        let count = |index: usize| columns::count(&row, index);
        Ok(StateCounts {
            disagreements: count(0)?,
            keys_in_force: count(1)?,
            keys_revoked: count(2)?,
            keys_suspended: count(3)?,
            oldest_judgement_ms: row.try_get(4)?,
            first_collateral_end_ms: row.try_get(5)?,
            incomplete_inputs: count(6)?,
        })
    }
}
