//! Keccak-256, and the rounds of SHA-256.

use sha2::compress256;
use sha3::{Digest, Keccak256};

use crate::{Limit, U256, memory::Memory, precompiles::PrecompileCall};

/// A hash of more bytes costs 94 million gas, more than a transaction can have.
const MAX_KECCAK_BYTES: u32 = 320 << 20;
/// More rounds, at 7 gas each, cost more gas than a transaction can have.
const MAX_SHA256_ROUNDS: u64 = 80_000_000 / 7 + 1;
/// A few blocks of the endless zeros that follow the bytes of a page.
const ZEROS: [u8; 136 * 8] = [0; 136 * 8];
/// The state that SHA-256 starts from.
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Hashes bytes.
pub(super) fn keccak256(call: &PrecompileCall, memory: &mut Memory) -> Result<(), Limit> {
    if call.input_length > MAX_KECCAK_BYTES {
        return Err(Limit::PrecompileRounds);
    }
    let length = call.input_length as usize;
    let bytes = memory.page_bytes(call.read_page).get(call.input_offset as usize..).unwrap_or_default();
    let (bytes, _) = bytes.split_at(length.min(bytes.len()));
    let mut hasher = Keccak256::new();
    hasher.update(bytes);
    let mut zeros = length - bytes.len();
    while zeros > 0 {
        let (part, _) = ZEROS.split_at(zeros.min(ZEROS.len()));
        hasher.update(part);
        zeros -= part.len();
    }
    call.write(memory, [U256::from_be_bytes::<32>(hasher.finalize().into())])
}

/// Runs rounds over blocks that the contract has padded, and writes the state. Without rounds it writes nothing.
pub(super) fn sha256(call: &PrecompileCall, memory: &mut Memory) -> Result<(), Limit> {
    if call.rounds > MAX_SHA256_ROUNDS {
        return Err(Limit::PrecompileRounds);
    }
    if call.rounds == 0 {
        return Ok(());
    }
    let mut state = SHA256_START;
    for round in 0..call.rounds as usize {
        let words: [_; 2] = call.words(memory, round * 2);
        let mut block = [0; 64];
        block.copy_from_slice(words.as_flattened());
        compress256(&mut state, &[block.into()]);
    }
    let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_be_bytes()).collect();
    call.write(memory, [U256::from_be_slice(&bytes)])
}
