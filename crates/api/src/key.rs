//! The key in the enclave, and its public half.

use std::{fmt, str::FromStr};

use secp256k1::{Message, SECP256K1, SecretKey};
use serde::{Deserialize, Serialize};
use tee_verifier::{Address, H256, VerifiedBatch, keccak256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{BoundSignature, Contract, RegistrationSignature, Signature, SignedStatement, SigningRequest, Statement};

/// The signing key. It exists in only one enclave: `Debug` does not show it, and it is erased when dropped.
pub struct SigningKey(SecretKey);

/// What a prover signs about a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBatch {
    /// The signature of the bare root after the batch, as in zksync-era; 65 bytes.
    pub signature: Signature,
    /// The statement with its signature.
    pub statement: SignedStatement,
}

/// A compressed secp256k1 public key, a point on the curve. On the wire 33 bytes in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(secp256k1::PublicKey);

/// Why bytes are not a key. The error does not show the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The text is not hexadecimal.
    #[error("public key: not hexadecimal")]
    NotHex,
    /// The length is not 33 bytes.
    #[error("public key: {got} bytes, a compressed key has 33")]
    Length {
        /// The number of bytes.
        got: usize,
    },
    /// The bytes are not a point on the curve.
    #[error("public key: not a point on the curve")]
    NotOnCurve,
    /// The secret key is not 64 hexadecimal characters or is out of range.
    #[error("signing key: not 64 hexadecimal characters that make a secp256k1 key")]
    Secret,
    /// The operating system returned no random bytes.
    #[error("signing key: the operating system gave no random bytes")]
    NoEntropy,
}

impl SigningKey {
    /// Makes a key from the operating system's entropy.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            getrandom::getrandom(bytes.as_mut()).map_err(|_| KeyError::NoEntropy)?;
            // Fails for one draw in 2^128.
            if let Ok(key) = SecretKey::from_slice(bytes.as_ref()) {
                return Ok(Self(key));
            }
        }
    }

    /// Reads a key of 64 hexadecimal characters.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut()).map_err(|_| KeyError::Secret)?;
        SecretKey::from_slice(bytes.as_ref()).map(Self).map_err(|_| KeyError::Secret)
    }

    /// The key as 64 hexadecimal characters, to be handed to the process that is started in the same enclave.
    pub fn expose_hex(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(self.0.secret_bytes());
        Zeroizing::new(hex::encode(bytes.as_ref()))
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public_key(SECP256K1))
    }

    /// Signs a verified batch: the bare root, the statement, and the statement for each of the contracts. Nothing can be signed for a
    /// batch that was not verified.
    pub fn sign(&self, batch: &VerifiedBatch, contracts: &[Contract]) -> SignedBatch {
        self.sign_statement(Statement::of(batch), contracts)
    }

    pub(crate) fn sign_statement(&self, statement: Statement, contracts: &[Contract]) -> SignedBatch {
        let bound = contracts.iter().map(|contract| BoundSignature {
            contract: *contract,
            signature: self.sign_hash(statement.bound_digest(contract)),
        });
        SignedBatch {
            signature: self.sign_hash(statement.root),
            statement: SignedStatement {
                signature: self.sign_hash(statement.digest()),
                bound: bound.collect(),
                statement,
            },
        }
    }

    /// Proves that the key exists, so that it can be registered. The digest has its own domain, so the signature never
    /// passes for one of a batch, whatever was requested.
    pub fn sign_registration(&self, request: &SigningRequest) -> RegistrationSignature {
        RegistrationSignature {
            pubkey: self.public_key(),
            request: *request,
            signature: self.sign_hash(request.registration_digest()),
        }
    }

    /// RFC 6979 and low-s, as libsecp256k1 always does.
    pub(crate) fn sign_hash(&self, hash: H256) -> Signature {
        let message = Message::from(Hashed(hash));
        Signature::from_recoverable(&SECP256K1.sign_ecdsa_recoverable(&message, &self.0))
    }
}

/// Turns a 32-byte hash into a message without the fallible constructor.
struct Hashed(H256);

impl secp256k1::ThirtyTwoByteHash for Hashed {
    fn into_32(self) -> [u8; 32] {
        self.0.0
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl PublicKey {
    /// Reads a compressed key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 33 {
            return Err(KeyError::Length { got: bytes.len() });
        }
        secp256k1::PublicKey::from_slice(bytes).map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// The compressed key.
    pub fn to_bytes(&self) -> [u8; 33] {
        self.0.serialize()
    }

    /// The key's Ethereum address: the last 20 bytes of keccak256 of the uncompressed key without its first byte.
    pub fn address(&self) -> Address {
        let [_, point @ ..] = self.0.serialize_uncompressed();
        Address::from_slice(&keccak256(&point)[12..])
    }

    pub(crate) fn point(&self) -> &secp256k1::PublicKey {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&hex::decode(text).map_err(|_| KeyError::NotHex)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::tests::example;

    /// The first account of the test mnemonic that Hardhat and Anvil document.
    const KNOWN_SECRET: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const KNOWN_ADDRESS: &str = "f39fd6e51aad88f6f4ce6ab8827279cfffb92266";

    #[test]
    fn the_address_of_a_known_key_is_known() {
        let key = SigningKey::from_hex(KNOWN_SECRET).unwrap();
        assert_eq!(hex::encode(key.public_key().address()), KNOWN_ADDRESS);
    }

    #[test]
    fn a_key_survives_the_way_through_hex() {
        let key = SigningKey::random().unwrap();
        assert_eq!(SigningKey::from_hex(&key.expose_hex()).unwrap().public_key(), key.public_key());
        let text = key.public_key().to_string();
        assert_eq!(text.parse(), Ok(key.public_key()));
        assert_ne!(SigningKey::random().unwrap().public_key(), key.public_key());
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let key = SigningKey::from_hex(KNOWN_SECRET).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        for text in ["", "00", &"00".repeat(32), &"zz".repeat(32), &KNOWN_SECRET[1..], order] {
            assert_eq!(SigningKey::from_hex(text).err(), Some(KeyError::Secret), "{text}");
        }
        let key = SigningKey::random().unwrap().public_key();
        let uncompressed = hex::encode(key.0.serialize_uncompressed());
        assert_eq!(uncompressed.parse::<PublicKey>(), Err(KeyError::Length { got: 65 }));
        assert_eq!("".parse::<PublicKey>(), Err(KeyError::Length { got: 0 }));
        assert_eq!("0x".parse::<PublicKey>(), Err(KeyError::NotHex));
        assert_eq!("05".repeat(33).parse::<PublicKey>(), Err(KeyError::NotOnCurve));
        // x = 5 has no point on the curve.
        assert_eq!(format!("02{:064x}", 5).parse::<PublicKey>(), Err(KeyError::NotOnCurve));
    }

    #[test]
    fn signing_is_deterministic_and_both_signatures_verify() {
        let key = SigningKey::random().unwrap();
        let signed = key.sign_statement(example(), &[]);
        assert_eq!(signed, key.sign_statement(example(), &[]));
        assert_eq!(signed.signature.to_bytes().len(), 65);
        assert_eq!(signed.signature.verify(example().root, &key.public_key()), Ok(()));
        assert_eq!(signed.statement.verify(&key.public_key()), Ok(()));
        let other = SigningKey::random().unwrap().public_key();
        assert!(signed.signature.verify(example().root, &other).is_err());
        assert!(signed.statement.verify(&other).is_err());
    }
}
