//! Re-executes a ZK Stack batch against the Merkle root before it and gives the root after it.

mod input;
mod rejection;
mod verified;
mod verify;

pub use self::{
    input::{BatchInput, InputError, MAX_INPUT_BYTES, MerklePath, MerklePaths, VmRunData},
    rejection::Rejection,
    verified::{CodeHashes, VerifiedBatch},
    verify::{Options, verify},
};
