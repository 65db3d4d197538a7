//! The storage slots in which the system contracts keep a chain's state.

use tee_verifier::{Address, H256, StorageKey, keccak256};

const ACCOUNT_CODE_STORAGE: u64 = 0x8002;
const KNOWN_CODES: u64 = 0x8004;
const NONCES: u64 = 0x8003;
const BASE_TOKEN: u64 = 0x800a;

/// The hash of an account's code.
pub fn account_code(address: &Address) -> StorageKey {
    slot(ACCOUNT_CODE_STORAGE, (*address).into())
}

/// Whether the code with a hash is known.
pub fn known_code(hash: &H256) -> StorageKey {
    slot(KNOWN_CODES, *hash)
}

/// An account's nonce in the lower 128 bits, and its deployment nonce above them.
pub fn nonces(address: &Address) -> StorageKey {
    slot(NONCES, mapping(address, 0))
}

/// An account's balance, in wei.
pub fn balance(address: &Address) -> StorageKey {
    slot(BASE_TOKEN, mapping(address, 0))
}

/// The slot of an address in a mapping with the given slot.
pub fn mapping(address: &Address, slot: u64) -> H256 {
    H256(keccak256([H256::from(*address).0, H256::from_low_u64_be(slot).0].as_flattened()))
}

fn slot(contract: u64, key: H256) -> StorageKey {
    StorageKey::new(Address::from_low_u64_be(contract), key)
}
