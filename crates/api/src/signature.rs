//! Signatures over 32-byte hashes.

use std::{fmt, str::FromStr};

use secp256k1::{
    Message, SECP256K1,
    ecdsa::{self, RecoverableSignature, RecoveryId},
};
use serde::{Deserialize, Serialize};
use tee_verifier::H256;
use thiserror::Error;

use crate::PublicKey;

/// A low-s ECDSA signature on secp256k1: r ‖ s ‖ v with v = 27 or 28, or only r ‖ s, as older provers send it. On the wire it is in
/// hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature {
    compact: [u8; 64],
    /// 0 or 1; `None` for a signature of 64 bytes.
    recovery_id: Option<u8>,
}

/// Why bytes are not a signature, or not a valid one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The text is not hexadecimal.
    #[error("signature: not hexadecimal")]
    NotHex,
    /// The length is neither 64 nor 65 bytes.
    #[error("signature: {got} bytes, must be 65, or 64 without the recovery id")]
    Length {
        /// The number of bytes.
        got: usize,
    },
    /// The last byte is neither 27 nor 28.
    #[error("signature: the last byte is {got}, must be 27 or 28")]
    RecoveryId {
        /// The last byte.
        got: u8,
    },
    /// r or s is zero or not below the group's order.
    #[error("signature: r or s is out of range")]
    OutOfRange,
    /// s is in the upper half: anyone who sees a signature can turn it into this second form.
    #[error("signature: s is in the upper half of its range")]
    HighS,
    /// It is a signature of another hash or by another key.
    #[error("signature: was not made by this key over this hash")]
    Mismatch,
}

impl Signature {
    /// Reads 64 or 65 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let (compact, recovery_id) = match bytes.split_first_chunk::<64>() {
            Some((compact, [])) => (*compact, None),
            Some((compact, [v @ (27 | 28)])) => (*compact, Some(v - 27)),
            Some((_, [v])) => return Err(SignatureError::RecoveryId { got: *v }),
            _ => return Err(SignatureError::Length { got: bytes.len() }),
        };
        let parsed = ecdsa::Signature::from_compact(&compact).map_err(|_| SignatureError::OutOfRange)?;
        let (r, s) = compact.split_at(32);
        if [r, s].iter().any(|scalar| scalar.iter().all(|byte| *byte == 0)) {
            return Err(SignatureError::OutOfRange);
        }
        let mut normalized = parsed;
        normalized.normalize_s();
        if normalized != parsed {
            return Err(SignatureError::HighS);
        }
        Ok(Self { compact, recovery_id })
    }

    /// The original bytes, 64 or 65.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.compact.to_vec();
        bytes.extend(self.recovery_id.map(|id| id + 27));
        bytes
    }

    /// Checks that `key` signed `hash` itself, without hashing it again. A signature without recovery id is compared with the key under
    /// both ids: half of all signatures need the second.
    pub fn verify(&self, hash: H256, key: &PublicKey) -> Result<(), SignatureError> {
        let message = Message::from_slice(hash.as_bytes()).map_err(|_| SignatureError::Mismatch)?;
        let ids = match self.recovery_id {
            Some(id) => id..=id,
            None => 0..=1,
        };
        let recovers = ids.into_iter().any(|id| {
            RecoveryId::from_i32(id.into())
                .and_then(|id| RecoverableSignature::from_compact(&self.compact, id))
                .and_then(|signature| SECP256K1.recover_ecdsa(&message, &signature))
                .is_ok_and(|recovered| recovered == *key.point())
        });
        if recovers { Ok(()) } else { Err(SignatureError::Mismatch) }
    }

    /// A new signature. Its recovery id is 0 or 1: ids 2 and 3 need an r that nobody can find.
    pub(crate) fn from_recoverable(signature: &RecoverableSignature) -> Self {
        let (recovery_id, compact) = signature.serialize_compact();
        Self { compact, recovery_id: Some((recovery_id.to_i32() & 1) as u8) }
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        Self::from_bytes(&hex::decode(text).map_err(|_| SignatureError::NotHex)?)
    }
}

impl TryFrom<String> for Signature {
    type Error = SignatureError;

    fn try_from(text: String) -> Result<Self, SignatureError> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        signature.to_string()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

#[cfg(test)]
mod tests {
    use secp256k1::SecretKey;

    use super::*;

    fn signed(secret: u8, hash: H256) -> (Signature, PublicKey) {
        let secret = SecretKey::from_slice(&[secret; 32]).unwrap();
        let message = Message::from_slice(hash.as_bytes()).unwrap();
        let signature = Signature::from_recoverable(&SECP256K1.sign_ecdsa_recoverable(&message, &secret));
        (signature, PublicKey::from_bytes(&secret.public_key(SECP256K1).serialize()).unwrap())
    }

    #[test]
    fn signatures_of_both_recovery_ids_verify_with_and_without_it() {
        let mut seen = [false; 2];
        for byte in 1..=32 {
            let hash = H256::repeat_byte(byte);
            let (signature, key) = signed(7, hash);
            let bytes = signature.to_bytes();
            seen[usize::from(bytes[64] - 27)] = true;
            let bare = Signature::from_bytes(&bytes[..64]).unwrap();
            assert_eq!(bare.to_bytes(), &bytes[..64]);
            assert_eq!(signature.verify(hash, &key), Ok(()));
            assert_eq!(bare.verify(hash, &key), Ok(()));
            let (_, other) = signed(8, hash);
            assert_eq!(bare.verify(hash, &other), Err(SignatureError::Mismatch));
            assert_eq!(bare.verify(H256::zero(), &key), Err(SignatureError::Mismatch));
        }
        assert_eq!(seen, [true; 2]);
    }

    #[test]
    fn the_other_recovery_id_is_a_mismatch() {
        let hash = H256::repeat_byte(1);
        let (signature, key) = signed(7, hash);
        let mut bytes = signature.to_bytes();
        bytes[64] = if bytes[64] == 27 { 28 } else { 27 };
        assert_eq!(Signature::from_bytes(&bytes).unwrap().verify(hash, &key), Err(SignatureError::Mismatch));
    }

    #[test]
    fn what_is_not_a_signature_is_refused() {
        let (signature, _) = signed(7, H256::repeat_byte(1));
        let good = signature.to_bytes();
        for length in [0, 1, 63, 66, 130] {
            assert_eq!(Signature::from_bytes(&vec![1; length]), Err(SignatureError::Length { got: length }));
        }
        for v in [0, 1, 26, 29, 255] {
            let mut bytes = good.clone();
            bytes[64] = v;
            assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::RecoveryId { got: v }));
        }
        for scalar in [[0; 32], [0xff; 32]] {
            for place in [0..32, 32..64] {
                let mut bytes = good.clone();
                bytes[place].copy_from_slice(&scalar);
                assert_eq!(Signature::from_bytes(&bytes), Err(SignatureError::OutOfRange));
            }
        }
        assert_eq!("0x00".parse::<Signature>(), Err(SignatureError::NotHex));
    }

    #[test]
    fn the_malleable_twin_is_refused() {
        let (signature, _) = signed(7, H256::repeat_byte(1));
        let s = SecretKey::from_slice(&signature.compact[32..]).unwrap().negate();
        let mut twin = signature.to_bytes();
        twin[32..64].copy_from_slice(&s.secret_bytes());
        assert_eq!(Signature::from_bytes(&twin[..64]), Err(SignatureError::HighS));
    }
}
