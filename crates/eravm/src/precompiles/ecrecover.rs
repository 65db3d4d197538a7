//! Recovery of a signer's address from a signature over secp256k1.

use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use sha3::{Digest, Keccak256};

use crate::{
    Address, Limit, U256,
    memory::Memory,
    precompiles::{PrecompileCall, Recoveries},
};

/// The result of a recovery that was made in advance of the call that asks for it. Only the recovery itself makes one.
#[derive(Debug, Clone)]
pub struct Recovery {
    input: [u8; 128],
    address: Option<Address>,
}

impl Recovery {
    /// Recovers the signer of a digest. `v` is 0 or 1; with any other value there is no signer.
    pub fn new(digest: [u8; 32], v: u8, r: [u8; 32], s: [u8; 32]) -> Self {
        let mut v_word = [0; 32];
        v_word[31] = v;
        let mut input = [0; 128];
        input.copy_from_slice([digest, v_word, r, s].as_flattened());
        Self { input, address: recovered(&input) }
    }

    /// The address; `None` if the signature is invalid.
    pub fn address(&self) -> Option<Address> {
        self.address
    }

    /// Digest, v, r and s, 32 bytes each, as the precompile reads them.
    pub(crate) fn input(&self) -> [u8; 128] {
        self.input
    }
}

/// Writes a mark of success and the address, or two zeros.
pub(super) fn recover(call: &PrecompileCall, memory: &mut Memory, recoveries: &Recoveries) -> Result<(), Limit> {
    let words: [_; 4] = call.words(memory, 0);
    let mut input = [0; 128];
    input.copy_from_slice(words.as_flattened());
    // The contract never passes any other.
    if input[63] > 1 {
        return Err(Limit::PrecompileInput);
    }
    let address = match recoveries.get(&input) {
        Some(recovery) => recovery.address,
        None => recovered(&input),
    };
    let success = U256::from(u8::from(address.is_some()));
    call.write(memory, [success, address.map_or(U256::ZERO, |address| U256::from_be_slice(&address))])
}

fn recovered(input: &[u8; 128]) -> Option<Address> {
    let (digest, rest) = input.split_first_chunk::<32>()?;
    let (v, signature) = rest.split_first_chunk::<32>()?;
    let id = RecoveryId::from_i32(i32::from(v[31])).ok().filter(|_| v[31] <= 1)?;
    let signature = RecoverableSignature::from_compact(signature, id).ok()?;
    let key = SECP256K1.recover_ecdsa(&Message::from_slice(digest).ok()?, &signature).ok()?;
    let (_, point) = key.serialize_uncompressed().split_first().map(|(tag, point)| (*tag, Keccak256::digest(point)))?;
    let mut address = [0; 20];
    address.copy_from_slice(&point[12..]);
    Some(address)
}
