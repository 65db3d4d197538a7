//! Hash functions of the chain.

use sha2::{Digest, Sha256};
use sha3::Keccak256;

/// Keccak-256.
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// The place of a slot in the tree: Blake2s-256 of the address, padded to a word, and the slot.
pub(crate) fn slot_key(address: &[u8; 20], slot: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 64];
    let (padded, key) = bytes.split_at_mut(32);
    if let Some(low) = padded.get_mut(12..) {
        low.copy_from_slice(address);
    }
    key.copy_from_slice(slot);
    *blake2s_simd::blake2s(&bytes).as_array()
}

/// The largest bytecode, in words.
const MAX_CODE_WORDS: usize = (1 << 16) - 1;

/// Kinds of code, by the first byte of the hash that it is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeKind {
    Era = 1,
    Evm = 2,
}

/// Whether bytes can be a bytecode: an odd number of words, and no more than the length in a hash can say.
pub(crate) fn is_bytecode(code: &[u8]) -> bool {
    let words = code.len() / 32;
    code.len().is_multiple_of(32) && !words.is_multiple_of(2) && words <= MAX_CODE_WORDS
}

/// The hash by which EraVM code is known: version, marker, length in words, and 28 bytes of its SHA-256.
pub fn era_code_hash(code: &[u8]) -> [u8; 32] {
    // Code whose length does not fit is refused where it is read.
    let words = u16::try_from(code.len().div_ceil(32)).unwrap_or(u16::MAX);
    code_hash(CodeKind::Era, words, code)
}

/// The hash by which code is known. `length` is in words for EraVM code, and in bytes without the padding for EVM code.
pub(crate) fn code_hash(kind: CodeKind, length: u16, code: &[u8]) -> [u8; 32] {
    let mut hash: [u8; 32] = Sha256::digest(code).into();
    let [high, low] = length.to_be_bytes();
    if let Some(header) = hash.first_chunk_mut() {
        *header = [kind as u8, 0, high, low];
    }
    hash
}
