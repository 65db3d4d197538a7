//! Blocks of a batch.

use primitive_types::H256;
use serde::{Deserialize, Serialize};

use super::{L2ChainId, Transaction};
use crate::{hash::keccak256, limits};

/// A block with its transactions (zksync-era's `L2BlockExecutionData`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2BlockExecutionData {
    /// Its number in the chain.
    pub number: u32,
    /// When it began, in seconds since 1970.
    pub timestamp: u64,
    /// Hash of the block before.
    pub prev_block_hash: H256,
    /// Virtual blocks that it makes.
    pub virtual_blocks: u32,
    /// Its transactions; empty in the last block of a batch.
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_TRANSACTIONS }, _, _>")]
    pub txs: Vec<Transaction>,
    /// Roots of other chains that it takes in.
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_INTEROP_ROOTS }, _, _>")]
    pub interop_roots: Vec<InteropRoot>,
}

/// The first block, as the batch's environment describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2BlockEnv {
    /// Its number in the chain.
    pub number: u32,
    /// When it began, in seconds since 1970.
    pub timestamp: u64,
    /// Hash of the block before.
    pub prev_block_hash: H256,
    /// Virtual blocks that it makes.
    pub max_virtual_blocks_to_create: u32,
    /// Roots of other chains that it takes in.
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_INTEROP_ROOTS }, _, _>")]
    pub interop_roots: Vec<InteropRoot>,
}

/// The root of messages of another chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteropRoot {
    /// The other chain.
    pub chain_id: L2ChainId,
    /// Its block.
    pub block_number: u32,
    /// One side: the root.
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_INTEROP_ROOT_SIDES }, _, _>")]
    pub sides: Vec<H256>,
}

impl L2BlockExecutionData {
    /// The block's hash: `keccak256(number ‖ timestamp ‖ previous hash ‖ rolling hash of the transactions' hashes)`, each a
    /// word.
    pub fn hash(&self, transaction_hashes: impl IntoIterator<Item = H256>) -> H256 {
        let rolling = transaction_hashes
            .into_iter()
            .fold([0; 32], |rolling, H256(hash)| keccak256([rolling, hash].as_flattened()));
        let number = |number: u64| H256::from_low_u64_be(number).0;
        let words = [number(self.number.into()), number(self.timestamp), self.prev_block_hash.0, rolling];
        H256(keccak256(words.as_flattened()))
    }
}
