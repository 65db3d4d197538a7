//! Verification of one batch.

use crate::{BatchInput, Rejection, VerifiedBatch};
use zksync_types::L2ChainId;

/// What the caller knows about the chain.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Reject batches of any other chain.
    pub chain_id: Option<L2ChainId>,
}

/// Verifies a batch.
pub fn verify(_input: BatchInput, _options: Options) -> Result<VerifiedBatch, Rejection> {
    todo!()
}
