//! The state that a batch's run needs, and its proofs.

use std::collections::{BTreeMap, HashMap};

use primitive_types::{H256, U256};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::{Kept, L1BatchNumber, ProtocolVersionId, StorageKey};
use crate::limits;

/// Code and storage that the run needs (zksync-era's `VMRunWitnessInputData`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmRunData {
    /// The batch's number.
    pub l1_batch_number: L1BatchNumber,
    /// Bytecodes by their hash, each as a list of 32-byte words.
    #[serde(deserialize_with = "limits::map::<{ limits::MAX_BYTECODES }, _, _, _>")]
    pub used_bytecodes: BTreeMap<U256, Vec<[u8; 32]>>,
    /// The bootloader's memory at the start: word index and word. Not used.
    pub initial_heap_content: Kept<(usize, U256), { limits::MAX_HEAP_WORDS }>,
    /// The protocol version.
    pub protocol_version: ProtocolVersionId,
    /// The bootloader's code, as 32-byte words.
    pub bootloader_code: Vec<[u8; 32]>,
    /// Hash of the default account's code.
    pub default_account_code_hash: U256,
    /// Hash of the EVM emulator's code, where the chain has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evm_emulator_code_hash: Option<U256>,
    /// Gas given back for each storage access. Not used.
    pub storage_refunds: Kept<u32>,
    /// Cost in published bytes of each storage access. Not used.
    pub pubdata_costs: Kept<i32>,
    /// Storage values as the sequencer saw them.
    pub witness_block_state: WitnessStorageState,
}

/// Storage values as the sequencer saw them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WitnessStorageState {
    /// Values before the batch.
    #[serde(with = "limits::pairs")]
    pub read_storage_key: HashMap<StorageKey, H256>,
    /// Whether a write to a slot makes a new leaf.
    #[serde(with = "limits::pairs")]
    pub is_write_initial: HashMap<StorageKey, bool>,
}

/// Merkle paths of the slots that the batch touched (zksync-era's `WitnessInputMerklePaths`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MerklePaths {
    /// One entry per slot.
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_PATHS }, _, _>")]
    pub merkle_paths: Vec<MerklePath>,
    /// The index that the next new leaf will get.
    pub next_enumeration_index: u64,
}

/// One slot's leaf and the hashes beside its way to the root (zksync-era's `StorageLogMetadata`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MerklePath {
    /// Root after this entry, as the tree's owner computed it. A claim; not used.
    pub root_hash: ByteArray<32>,
    /// Whether the slot was written.
    pub is_write: bool,
    /// Whether the write makes a new leaf.
    pub first_write: bool,
    /// Sibling hashes from the leaf level up. Two compact forms leave out the first ones of a path: those that equal the
    /// first path's, which is whole; or those of empty subtrees.
    pub merkle_paths: Vec<ByteArray<32>>,
    /// The hashed key; its 32 bytes read as a little-endian number.
    pub leaf_hashed_key: U256,
    /// The leaf's index: its own for an existing leaf, the one that it will get for a first write, 0 for an absent
    /// slot.
    pub leaf_enumeration_index: u64,
    /// The value after, for a write; zeros for a read.
    pub value_written: [u8; 32],
    /// The value before.
    pub value_read: [u8; 32],
}

/// What a ZK prover needs besides the run, in inputs since version 31. Kept, not used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "not used")]
pub struct CommitmentInput {
    pub prev_batch_commitment: H256,
    pub prev_meta_hash: H256,
    pub prev_aux_hash: H256,
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_BLOBS }, _, _>")]
    pub blob_hashes: Vec<BlobHash>,
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_BLOBS }, _, _>")]
    pub blob_versioned_hashes: Vec<H256>,
}

/// Hashes of a blob. Kept, not used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "not used")]
pub struct BlobHash {
    pub commitment: H256,
    pub linear_hash: H256,
}
