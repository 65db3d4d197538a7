//! Verification of a signature over secp256r1.

use p256::{
    EncodedPoint,
    ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier},
};

use crate::{Limit, U256, memory::Memory, precompiles::PrecompileCall};

/// Verifies a signature from digest, r, s, x and y. Writes whether signature and key are well formed, and whether the
/// signature is the key's.
pub(super) fn verify(call: &PrecompileCall, memory: &mut Memory) -> Result<(), Limit> {
    let [digest, r, s, x, y] = call.words(memory, 0);
    let verdict = key(&x, &y).zip(Signature::from_scalars(r, s).ok());
    let verdict = verdict.map(|(key, signature)| key.verify_prehash(&digest, &signature).is_ok());
    let flag = |flag: bool| U256::from(u8::from(flag));
    call.write(memory, [flag(verdict.is_some()), flag(verdict == Some(true))])
}

fn key(x: &[u8; 32], y: &[u8; 32]) -> Option<VerifyingKey> {
    let point = EncodedPoint::from_affine_coordinates(&(*x).into(), &(*y).into(), false);
    VerifyingKey::from_encoded_point(&point).ok()
}
