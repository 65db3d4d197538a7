//! The batch input: what a prover is given to re-execute one batch.
//!
//! The wire format is zksync-era's: up to version 29 `TeeVerifierInput` of its `zksync_tee_prover_interface`, whose
//! parts come from `zksync_prover_interface`, `zksync_types` and `zksync_vm_interface`; from version 31 on, what its
//! nodes serve under `/airbender`. The types are defined here, field for field. Everything in them is only a claim of
//! the sender; [`verify`](crate::verify()) decides what is true.
//!
//! - `block`, `transaction`, `environment`, `pubdata`: the batch.
//! - `witness`: the storage, code and paths that it needs.
//! - `identifiers`: numbers and keys.
//! - `kept`: lists that nothing here uses.
//! - `form`: the two forms of the whole.

mod block;
mod environment;
mod form;
mod hex_bytes;
mod identifiers;
mod kept;
mod pubdata;
mod transaction;
mod witness;

use std::{
    error::Error,
    io::{self, BufReader, BufWriter, Read, Write},
};

use cbor4ii::{
    core::{
        dec,
        error::DecodeError as CborError,
        utils::{IoReader, SliceReader},
    },
    serde::DecodeError,
};
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
    kept::Kept,
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

/// Inputs up to this size are read from memory, in two thirds of the time. The bytes of a larger one could fill more
/// memory than the batch itself.
const MAX_IN_MEMORY: u64 = 64 << 20;

/// The two forms of an input in bytes. Their content is the same; CBOR takes half the bytes and a third of the time to
/// read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputForm {
    /// zksync-era's.
    Json,
    /// The same structure in CBOR.
    Cbor,
}

impl InputForm {
    /// Its name in HTTP's `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => "application/cbor",
        }
    }

    /// The form of this media type, which is in lower case and without parameters.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        [Self::Json, Self::Cbor].into_iter().find(|form| form.media_type() == media_type)
    }

    /// The ending of file names in this form. It is also the form's name where a media type is too long.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Cbor => "cbor",
        }
    }
}

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
    /// Data for a ZK prover besides the batch. Not used.
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
    Cbor(#[source] Box<dyn Error + Send + Sync>),
    /// The bytes could not be read.
    #[error("the input cannot be read: {0}")]
    Read(#[source] io::Error),
    /// Larger than is allowed.
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
    /// Reads an input in one of its forms: at most `limit_bytes` bytes of it, and never more than [`MAX_INPUT_BYTES`].
    pub fn read(mut from: impl Read, form: InputForm, limit_bytes: u64) -> Result<Self, InputError> {
        Self::read_from(&mut from, form, limit_bytes)
    }

    /// Not generic, like `write_to`: the decoders are large, and each program would hold a copy for each kind of
    /// reader.
    fn read_from(from: &mut dyn Read, form: InputForm, limit_bytes: u64) -> Result<Self, InputError> {
        let limit = limit_bytes.min(MAX_INPUT_BYTES);
        // One byte more than allowed shows that the input is too large.
        let mut from = from.take(limit.saturating_add(1));
        let mut bytes = Vec::new();
        from.by_ref().take(MAX_IN_MEMORY).read_to_end(&mut bytes).map_err(InputError::Read)?;
        if from.limit() == 0 {
            return Err(InputError::TooLarge { limit });
        }
        if (bytes.len() as u64) < MAX_IN_MEMORY {
            return Self::from_bytes(&bytes, form);
        }

        let mut bytes = BufReader::with_capacity(1 << 16, bytes.chain(from));
        let read = match form {
            InputForm::Json => read_json(&mut bytes),
            InputForm::Cbor => read_cbor(IoReader::new(&mut bytes), |error| match error {
                DecodeError::Core(CborError::Read(error)) => InputError::Read(error),
                error => InputError::Cbor(error.into()),
            }),
        };
        let (_, rest) = bytes.get_ref().get_ref();
        // The decoder cannot tell the limit from the input's own end.
        if rest.limit() == 0 { Err(InputError::TooLarge { limit }) } else { read }
    }

    /// Reads an input in one of its forms.
    pub fn from_bytes(bytes: &[u8], form: InputForm) -> Result<Self, InputError> {
        match form {
            InputForm::Json => Self::from_json(bytes),
            InputForm::Cbor => Self::from_cbor(bytes),
        }
    }

    /// Reads the JSON form: `{"V1": {…}}`, or flat.
    pub fn from_json(json: &[u8]) -> Result<Self, InputError> {
        check_size(json)?;
        let Form(input) = serde_json::from_slice(json).map_err(InputError::Json)?;
        Ok(input)
    }

    /// Reads the CBOR form, the same structure as the JSON form.
    pub fn from_cbor(cbor: &[u8]) -> Result<Self, InputError> {
        check_size(cbor)?;
        read_cbor(SliceReader::new(cbor), |error| InputError::Cbor(error.into()))
    }

    /// Writes one of the forms.
    pub fn write(&self, mut to: impl Write, form: InputForm) -> Result<(), io::Error> {
        self.write_to(&mut to, form)
    }

    /// Writes the JSON form: flat from version 31 on.
    pub fn to_json(&self, to: impl Write) -> Result<(), io::Error> {
        self.write(to, InputForm::Json)
    }

    /// Writes the CBOR form.
    pub fn to_cbor(&self, to: impl Write) -> Result<(), io::Error> {
        self.write(to, InputForm::Cbor)
    }

    fn write_to(&self, to: &mut dyn Write, form: InputForm) -> Result<(), io::Error> {
        let mut buffered = BufWriter::with_capacity(1 << 16, to);
        match form {
            InputForm::Json => serde_json::to_writer(&mut buffered, &Form(self))?,
            InputForm::Cbor => cbor4ii::serde::to_writer(&mut buffered, &Form(self)).map_err(io::Error::other)?,
        }
        buffered.flush()
    }

    /// Number of transactions in all blocks.
    pub fn transaction_count(&self) -> usize {
        self.l2_blocks_execution_data.iter().map(|block| block.txs.len()).sum()
    }
}

/// Reads JSON as it arrives.
fn read_json(from: impl Read) -> Result<BatchInput, InputError> {
    match serde_json::from_reader(from) {
        Ok(Form(input)) => Ok(input),
        Err(error) if error.is_io() => Err(InputError::Read(error.into())),
        Err(error) => Err(InputError::Json(error)),
    }
}

fn read_cbor<'de, R: dec::Read<'de>>(
    from: R,
    fault: impl FnOnce(DecodeError<R::Error>) -> InputError,
) -> Result<BatchInput, InputError> {
    let mut decoder = cbor4ii::serde::Deserializer::new(from);
    let Form(input) = Deserialize::deserialize(&mut decoder).map_err(fault)?;
    match decoder.into_inner().fill(1) {
        Ok(rest) if rest.as_ref().is_empty() => Ok(input),
        _ => Err(InputError::TrailingBytes),
    }
}

fn check_size(bytes: &[u8]) -> Result<(), InputError> {
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(InputError::TooLarge { limit: MAX_INPUT_BYTES });
    }
    Ok(())
}
