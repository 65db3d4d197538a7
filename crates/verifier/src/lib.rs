//! Re-executes a ZK Stack batch against the Merkle root before it and gives the root after it.
//!
//! [`verify()`] is the whole story; the other modules are its steps. It takes a [`BatchInput`], which is read from JSON or CBOR
//! and proves nothing by itself, and gives a [`VerifiedBatch`], which nothing else can make, or the [`Rejection`] of one check.
//! [`Options`] say which chain and code the caller relies on: a batch brings its own bootloader with it.
//!
//! The library has no I/O, no clock, no global state, and logs nothing. Every input ends in a result or an error, never in a
//! panic. One thread is started beside the caller's, for signatures and the tree.
//!
//! ```
//! use tee_devnet::{Chain, Genesis, Load};
//! use tee_verifier::{BatchInput, InputForm, Options, verify};
//!
//! // A node seals a batch and writes its input.
//! let mut chain = Chain::new(Genesis::sepolia()?);
//! let sealed = chain.seal(Load { transactions: 2, cold_reads: 0, l1_transactions: 1 })?;
//! let mut cbor = Vec::new();
//! sealed.input.to_cbor(&mut cbor)?;
//!
//! // Somebody else verifies it.
//! let mut input = BatchInput::read(&cbor[..], InputForm::Cbor, 1 << 20)?;
//! let options = Options::pinned(chain.pins());
//! let verified = verify(input.clone(), &options)?;
//! assert_eq!(verified.root(), sealed.root);
//!
//! // A batch that hides a slot of its witness is rejected.
//! input.merkle_paths.merkle_paths.pop();
//! assert!(verify(input, &options).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The project's `docs/SOUNDNESS.md` says which attack each check stops.

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
