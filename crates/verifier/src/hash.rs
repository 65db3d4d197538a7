//! Hash functions of the chain.

use sha2::{Digest, Sha256};

/// Keccak-256.
pub(crate) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    zksync_types::web3::keccak256(bytes)
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

/// The hash by which EraVM code is known: version, marker, length in words, and 28 bytes of its SHA-256.
pub(crate) fn era_code_hash(code: &[u8]) -> [u8; 32] {
    let mut hash: [u8; 32] = Sha256::digest(code).into();
    // Longer code than the length can tell is refused where it is read.
    let words = u16::try_from(code.len().div_ceil(32)).unwrap_or(u16::MAX);
    let [high, low] = words.to_be_bytes();
    if let Some(header) = hash.first_chunk_mut() {
        *header = [1, 0, high, low];
    }
    hash
}
