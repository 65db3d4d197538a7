//! The batch input: what a prover is given to re-execute one batch.
//!
//! The wire format is zksync-era's: up to version 29 `TeeVerifierInput` of its `zksync_tee_prover_interface`, whose parts come
//! from `zksync_prover_interface`, `zksync_types` and `zksync_vm_interface`; from version 31 on what its nodes serve under
//! `/airbender`. The types are defined here, field for field. Everything in them is a claim of whoever sends it;
//! [`verify`](crate::verify()) decides what is true.
//!
//! - `block`, `transaction`, `environment`, `pubdata`: the batch.
//! - `witness`: the storage, code and paths that it needs.
//! - `identifiers`: numbers and keys.
//! - `form`: the two forms of the whole.

mod block;
mod environment;
mod form;
mod hex_bytes;
mod identifiers;
mod pubdata;
mod transaction;
mod witness;

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::form::Form;
pub use self::{
    block::{InteropRoot, L2BlockEnv, L2BlockExecutionData},
    environment::{
        BaseSystemContracts, BatchFeeInput, L1BatchEnv, L1PeggedBatchFeeModelInput,
        PubdataIndependentBatchFeeModelInput, SettlementLayer, SettlementLayerKind, SystemContractCode, SystemEnv,
        TxExecutionMode,
    },
    identifiers::{Address, L1BatchNumber, L2ChainId, ParseChainIdError, ProtocolVersionId, StorageKey},
    pubdata::{CommitmentScheme, PubdataParams, PubdataType, PubdataValidator},
    transaction::{
        Execute, ExecuteTransactionCommon, Fee, InputData, L1TxCommonData, L2TxCommonData, OpProcessingType,
        PaymasterParams, PriorityQueueType, ProtocolUpgradeTxCommonData, Transaction, TransactionType,
    },
    witness::{BlobHash, CommitmentInput, MerklePath, MerklePaths, VmRunData, WitnessStorageState},
};
use crate::limits;

/// The largest input that is read, in bytes after decompression. 2,000 transactions make 32 MB of JSON; a full batch
/// stays well under this.
pub const MAX_INPUT_BYTES: u64 = 1 << 30;

/// A decoder asks for a few bytes at a time, a decompressor gives them quicker in larger pieces.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// All that is needed to re-execute one batch and to check it against the Merkle tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// What a ZK prover needs beside it. Not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment_input: Option<CommitmentInput>,
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

impl BatchInput {
    /// Reads the JSON form: `{"V1": {…}}`, or flat.
    pub fn from_json(json: &[u8]) -> Result<Self, InputError> {
        if json.len() as u64 > MAX_INPUT_BYTES {
            return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES });
        }
        let Form(input) = serde_json::from_slice(json).map_err(InputError::Json)?;
        Ok(input)
    }

    /// Reads the CBOR form, the same structure as the JSON form, as it arrives.
    pub fn from_cbor(cbor: impl Read) -> Result<Self, InputError> {
        let mut limited = BufReader::with_capacity(READ_BUFFER_BYTES, cbor.take(MAX_INPUT_BYTES + 1));
        let decoded = cbor4ii::serde::from_reader(&mut limited);
        if limited.get_ref().limit() == 0 {
            return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES });
        }
        let Form(input) = decoded.map_err(InputError::Cbor)?;
        match limited.fill_buf() {
            Ok([]) => Ok(input),
            _ => Err(InputError::TrailingBytes),
        }
    }

    /// Writes the JSON form: flat from version 31 on.
    pub fn to_json(&self, to: impl Write) -> Result<(), io::Error> {
        serde_json::to_writer(to, &Form(self)).map_err(io::Error::from)
    }

    /// Writes the CBOR form.
    pub fn to_cbor(&self, to: impl Write) -> Result<(), io::Error> {
        let mut buffered = BufWriter::new(to);
        cbor4ii::serde::to_writer(&mut buffered, &Form(self)).map_err(io::Error::other)?;
        buffered.flush()
    }

    /// Number of transactions in all blocks.
    pub fn transaction_count(&self) -> usize {
        self.l2_blocks_execution_data.iter().map(|block| block.txs.len()).sum()
    }
}
