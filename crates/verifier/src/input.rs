//! The batch input: what a prover is given to re-execute one batch.
//!
//! The wire format is zksync-era 29.x's (`TeeVerifierInput` of its `zksync_tee_prover_interface`, whose parts come from
//! `zksync_prover_interface`). Those two crates do not build on stable Rust, so the types are defined here, field for
//! field. Everything in them is a claim of whoever sends it; [`verify`](crate::verify()) decides what is true.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use thiserror::Error;
use zksync_types::{
    L1BatchNumber, ProtocolVersionId, U256, block::L2BlockExecutionData, commitment::PubdataParams,
    witness_block_state::WitnessStorageState,
};
use zksync_vm_interface::{L1BatchEnv, SystemEnv};

use crate::limits;

/// The largest input that is read, in bytes after decompression. 2,000 transactions make 32 MB of JSON; a full batch
/// stays well under this.
pub const MAX_INPUT_BYTES: u64 = 1 << 30;

/// A decoder asks for a few bytes at a time, a decompressor gives them quicker in larger pieces.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// All that is needed to re-execute one batch and to check it against the Merkle tree: `V1` on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BatchInput {
    /// Code and storage that the run needs.
    pub vm_run_data: VmRunData,
    /// Merkle paths of the slots that the batch touched.
    pub merkle_paths: MerklePaths,
    /// The blocks with their transactions; the last block is empty.
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_BLOCKS }, _, _>")]
    pub l2_blocks_execution_data: Vec<L2BlockExecutionData>,
    /// Parameters of this batch: number, timestamp, fees, the previous batch's root.
    pub l1_batch_env: L1BatchEnv,
    /// Parameters of the chain: its id, protocol version and base contracts.
    pub system_env: SystemEnv,
    /// How the batch's data is published.
    pub pubdata_params: PubdataParams,
}

/// Code and storage that the run needs (zksync-era's `VMRunWitnessInputData`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmRunData {
    /// The batch's number.
    pub l1_batch_number: L1BatchNumber,
    /// Bytecodes by their hash, each as a list of 32-byte words.
    #[serde(deserialize_with = "limits::map::<{ limits::MAX_BYTECODES }, _, _, _>")]
    pub used_bytecodes: BTreeMap<U256, Vec<[u8; 32]>>,
    /// The bootloader's memory at the start: word index and word. Not used.
    #[serde(deserialize_with = "limits::list::<{ limits::MAX_HEAP_WORDS }, _, _>")]
    pub initial_heap_content: Vec<(usize, U256)>,
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
    pub storage_refunds: Vec<u32>,
    /// Cost in published bytes of each storage access. Not used.
    pub pubdata_costs: Vec<i32>,
    /// Storage values as the sequencer saw them.
    pub witness_block_state: WitnessStorageState,
}

/// Merkle paths of the slots that the batch touched (zksync-era's `WitnessInputMerklePaths`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MerklePaths {
    /// One entry a slot.
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
    /// Sibling hashes from the leaf level up. In the compact form a later entry lacks the first ones, which then equal
    /// the first entry's.
    pub merkle_paths: Vec<ByteArray<32>>,
    /// The hashed key; its 32 bytes read as a little-endian number.
    pub leaf_hashed_key: U256,
    /// The leaf's index: of an existing leaf its own, of a first write the one it will get, 0 for an absent slot.
    pub leaf_enumeration_index: u64,
    /// The value after, for a write; zeros for a read.
    pub value_written: [u8; 32],
    /// The value before.
    pub value_read: [u8; 32],
}

/// The envelope that names the version of the input.
#[derive(Serialize, Deserialize)]
enum Envelope<T> {
    V1(T),
}

/// Why bytes are not a batch input.
#[derive(Debug, Error)]
pub enum InputError {
    /// Not the JSON form.
    #[error("not a batch input in JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// Not the CBOR form.
    #[error("not a batch input in CBOR: {0}")]
    Cbor(#[source] cbor4ii::serde::DecodeError<io::Error>),
    /// Larger than [`MAX_INPUT_BYTES`].
    #[error("the input is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Bytes follow the input.
    #[error("bytes follow the end of the input")]
    TrailingBytes,
}

impl PartialEq for BatchInput {
    /// Everything counts. zksync-era's transactions compare by the hash that they claim, and panic where they claim none: so
    /// a forged input would pass for the honest one, or bring its receiver down.
    fn eq(&self, other: &Self) -> bool {
        let Self { vm_run_data, merkle_paths, l2_blocks_execution_data, l1_batch_env, system_env, pubdata_params } =
            self;
        *vm_run_data == other.vm_run_data
            && *merkle_paths == other.merkle_paths
            && *l1_batch_env == other.l1_batch_env
            && *system_env == other.system_env
            && *pubdata_params == other.pubdata_params
            && equal_blocks(l2_blocks_execution_data, &other.l2_blocks_execution_data)
    }
}

fn equal_blocks(one: &[L2BlockExecutionData], other: &[L2BlockExecutionData]) -> bool {
    match (serde_json::to_vec(one), serde_json::to_vec(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

impl BatchInput {
    /// Reads the JSON form, `{"V1": {…}}`.
    pub fn from_json(json: &[u8]) -> Result<Self, InputError> {
        if json.len() as u64 > MAX_INPUT_BYTES {
            return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES });
        }
        let Envelope::V1(input) = serde_json::from_slice(json).map_err(InputError::Json)?;
        Ok(input)
    }

    /// Reads the CBOR form, the same structure as the JSON form, as it arrives.
    pub fn from_cbor(cbor: impl Read) -> Result<Self, InputError> {
        let mut limited = BufReader::with_capacity(READ_BUFFER_BYTES, cbor.take(MAX_INPUT_BYTES + 1));
        let decoded = cbor4ii::serde::from_reader(&mut limited);
        if limited.get_ref().limit() == 0 {
            return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES });
        }
        let Envelope::V1(input) = decoded.map_err(InputError::Cbor)?;
        match limited.fill_buf() {
            Ok([]) => Ok(input),
            _ => Err(InputError::TrailingBytes),
        }
    }

    /// Writes the JSON form.
    pub fn to_json(&self, to: impl Write) -> Result<(), io::Error> {
        serde_json::to_writer(to, &Envelope::V1(self)).map_err(io::Error::from)
    }

    /// Writes the CBOR form.
    pub fn to_cbor(&self, to: impl Write) -> Result<(), io::Error> {
        let mut buffered = BufWriter::new(to);
        cbor4ii::serde::to_writer(&mut buffered, &Envelope::V1(self)).map_err(io::Error::other)?;
        buffered.flush()
    }

    /// Number of transactions in all blocks.
    pub fn transaction_count(&self) -> usize {
        self.l2_blocks_execution_data.iter().map(|block| block.txs.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use zksync_types::{
        Execute, ExecuteTransactionCommon, H256, InputData, L2BlockNumber, Transaction, l2::L2TxCommonData,
    };

    use super::*;

    fn block(input: Option<InputData>, nonce: u32) -> [L2BlockExecutionData; 1] {
        let common = L2TxCommonData { input, nonce: nonce.into(), ..L2TxCommonData::default() };
        let transaction = Transaction {
            common_data: ExecuteTransactionCommon::L2(common),
            execute: Execute::default(),
            received_timestamp_ms: 0,
            raw_bytes: None,
        };
        [L2BlockExecutionData {
            number: L2BlockNumber(1),
            timestamp: 1,
            prev_block_hash: H256::zero(),
            virtual_blocks: 1,
            txs: vec![transaction],
            interop_roots: vec![],
        }]
    }

    #[test]
    fn transactions_under_one_claimed_hash_differ_in_what_they_do() {
        let claimed = || Some(InputData { hash: H256::repeat_byte(7), data: vec![] });
        assert!(equal_blocks(&block(claimed(), 1), &block(claimed(), 1)));
        assert!(!equal_blocks(&block(claimed(), 1), &block(claimed(), 2)));
    }

    #[test]
    fn transactions_that_claim_no_hash_can_be_compared() {
        assert!(equal_blocks(&block(None, 1), &block(None, 1)));
        assert!(!equal_blocks(&block(None, 1), &block(None, 2)));
    }
}
