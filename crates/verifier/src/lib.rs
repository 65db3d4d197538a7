//! Re-executes a ZK Stack batch against the Merkle root before it and gives the root after it.
//!
//! [`verify()`] is the whole story; the other modules are its steps.

mod code;
mod execution;
mod hash;
mod input;
mod limits;
mod machine;
mod parameters;
mod rejection;
mod shape;
mod signatures;
mod storage;
mod tree;
mod verified;
mod verify;

pub use self::{
    input::{BatchInput, InputError, MAX_INPUT_BYTES, MerklePath, MerklePaths, VmRunData},
    rejection::Rejection,
    verified::{CodeHashes, VerifiedBatch},
    verify::{Options, verify},
};
