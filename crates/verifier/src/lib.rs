//! Re-executes a ZK Stack batch against the Merkle root before it and gives the root after it.
//!
//! [`verify()`] is the whole story; the other modules are its steps.

mod code;
mod completion;
mod execution;
mod hash;
pub mod input;
mod limits;
mod machine;
mod parameters;
mod pins;
mod rejection;
mod shape;
mod signatures;
mod storage;
mod transaction_hash;
mod tree;
mod verified;
mod verify;

pub use primitive_types::{H256, U256};

pub use self::{
    completion::{CompletionError, SlotPath, add_read_paths, completes, slots_without_path},
    execution::{BatchOutcome, Run, run},
    hash::{era_code_hash, keccak256},
    input::{
        Address, BatchInput, InputError, InputForm, L1BatchNumber, L2ChainId, MAX_INPUT_BYTES, MerklePath, MerklePaths,
        ProtocolVersionId, StorageKey, VmRunData,
    },
    machine::{ContractEvent, State, TransactionOutcome, storage_key},
    pins::{ChainFile, ChainPins, CodePin, PinMismatch, Pins, PinsError},
    rejection::Rejection,
    transaction_hash::{TransactionHashes, l1_transaction_hash, signed_hash, transaction_hashes},
    verified::{CodeHashes, VerifiedBatch},
    verify::{Options, verify},
};
