//! What provers sign for contracts on an EVM: a statement for exactly one verifying contract, and a proof that a key
//! exists, so that it can be registered.
//!
//! The contracts are in the project's `contracts/`. A relayer talks to them, and tells a server with [`SigningRequest`]s what it wants
//! signed; provers fetch the requests from the server.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tee_verifier::{Address, H256, keccak256};
use thiserror::Error;

use crate::{
    PublicKey, Quote, Signature, SignatureError, Statement,
    statement::hash_words,
    wire::plain_hex::{self, address},
};

/// Separates signatures for a contract from all others.
const BOUND_DOMAIN: &[u8] = b"tee-prover-gateway/statement/bound/v1";
/// Separates the signatures by which keys are registered from all others.
const REGISTRATION_DOMAIN: &[u8] = b"tee-prover-gateway/registration/v1";

/// The most contracts for which a statement is signed.
pub const MAX_CONTRACTS: usize = 8;

/// A contract on a settlement chain. As text `1:0xc0c0…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Contract {
    /// The chain that the contract is on (EIP-155).
    pub settlement_chain_id: u64,
    /// Its address.
    #[serde(with = "address", rename = "contract")]
    pub address: Address,
}

/// A signature of a statement that only one contract accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundSignature {
    /// The contract.
    #[serde(flatten)]
    pub contract: Contract,
    /// The signature of [`Statement::bound_digest`].
    pub signature: Signature,
}

/// A relayer's request to provers: to sign statements for a contract, and to prove that their keys exist, so that these
/// can be registered.
///
/// A server keeps one for each contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SigningRequest {
    /// The chain that the contracts are on (EIP-155).
    pub settlement_chain_id: u64,
    /// The `ProofVerifier` that statements are signed for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "20 bytes in hex"))]
    #[serde(with = "address")]
    pub proof_verifier: Address,
    /// The `KeyRegistry` that keys are registered in.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "20 bytes in hex"))]
    #[serde(with = "address")]
    pub key_registry: Address,
    /// A recent block of the settlement chain.
    pub block_number: u64,
    /// Its hash.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "32 bytes in hex"))]
    #[serde(with = "plain_hex")]
    pub block_hash: H256,
}

/// A key's signature of a recent block, for a `KeyRegistry`: body of `POST /tee/registration_signatures`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationSignature {
    /// The key.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "33 bytes in hex"))]
    pub pubkey: PublicKey,
    /// What it was asked for.
    #[serde(flatten)]
    pub request: SigningRequest,
    /// The signature of [`SigningRequest::registration_digest`].
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "65 bytes in hex"))]
    pub signature: Signature,
}

/// What a contract needs to register a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationEntry {
    /// What the key signed.
    #[serde(flatten)]
    pub signed: RegistrationSignature,
    /// The quote that vouches for it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "a quote in hex"))]
    pub attestation: Quote,
}

/// The text is not a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a chain id and an address, such as 1:0x0000000000000000000000000000000000000001")]
pub struct ContractError;

impl Statement {
    /// The 32 bytes that are signed for exactly one contract: keccak256 of Solidity's `abi.encode(bytes32 domain, uint256
    /// settlementChainId, address verifyingContract, bytes32 digest)`.
    pub fn bound_digest(&self, contract: &Contract) -> H256 {
        hash_words(&[
            H256(keccak256(BOUND_DOMAIN)),
            H256::from_low_u64_be(contract.settlement_chain_id),
            contract.address.into(),
            self.digest(),
        ])
    }
}

impl SigningRequest {
    /// The contract for which statements are signed.
    pub fn contract(&self) -> Contract {
        Contract { settlement_chain_id: self.settlement_chain_id, address: self.proof_verifier }
    }

    /// The 32 bytes by which a key proves that it exists: keccak256 of Solidity's `abi.encode(bytes32 domain, uint256
    /// settlementChainId, address keyRegistry, uint256 blockNumber, bytes32 blockHash)`.
    pub fn registration_digest(&self) -> H256 {
        hash_words(&[
            H256(keccak256(REGISTRATION_DOMAIN)),
            H256::from_low_u64_be(self.settlement_chain_id),
            self.key_registry.into(),
            H256::from_low_u64_be(self.block_number),
            self.block_hash,
        ])
    }
}

impl RegistrationSignature {
    /// Checks that the key signed.
    pub fn verify(&self) -> Result<(), SignatureError> {
        self.signature.verify(self.request.registration_digest(), &self.pubkey)
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:0x{}", self.settlement_chain_id, hex::encode(self.address))
    }
}

impl FromStr for Contract {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, ContractError> {
        let (chain_id, digits) = text.split_once(":0x").ok_or(ContractError)?;
        let mut address = Address::zero();
        hex::decode_to_slice(digits, address.as_bytes_mut()).map_err(|_| ContractError)?;
        Ok(Self { settlement_chain_id: chain_id.parse().map_err(|_| ContractError)?, address })
    }
}

#[cfg(test)]
mod tests {
    use ethabi::Token;
    use serde_json::json;

    use super::*;
    use crate::{SigningKey, statement::tests::example};

    fn request() -> SigningRequest {
        SigningRequest {
            settlement_chain_id: 11_155_111,
            proof_verifier: Address::repeat_byte(0xc0),
            key_registry: Address::repeat_byte(0xc1),
            block_number: 9_000_000,
            block_hash: H256::repeat_byte(0xbb),
        }
    }

    #[test]
    fn the_digests_are_soliditys_abi_encoding() {
        let request = request();
        let word = |hash: H256| Token::FixedBytes(hash.as_bytes().to_vec());
        let domain = |text: &[u8]| Token::FixedBytes(keccak256(text).to_vec());
        let bound = ethabi::encode(&[
            domain(b"tee-prover-gateway/statement/bound/v1"),
            Token::Uint(11_155_111.into()),
            Token::Address([0xc0; 20].into()),
            word(example().digest()),
        ]);
        assert_eq!(example().bound_digest(&request.contract()), H256(keccak256(&bound)));
        let registration = ethabi::encode(&[
            domain(b"tee-prover-gateway/registration/v1"),
            Token::Uint(11_155_111.into()),
            Token::Address([0xc1; 20].into()),
            Token::Uint(9_000_000.into()),
            word(H256::repeat_byte(0xbb)),
        ]);
        assert_eq!(request.registration_digest(), H256(keccak256(&registration)));
    }

    #[test]
    fn a_registration_is_signed_for_one_key_registry_and_block() {
        let key = SigningKey::from_hex(&"07".repeat(32)).unwrap();
        let signed = key.sign_registration(&request());
        assert_eq!(signed.verify(), Ok(()));
        let changes: [fn(&mut SigningRequest); 4] = [
            |request| request.settlement_chain_id += 1,
            |request| request.key_registry.0[0] ^= 1,
            |request| request.block_number += 1,
            |request| request.block_hash.0[0] ^= 1,
        ];
        for change in changes {
            let mut other = signed.clone();
            change(&mut other.request);
            assert_eq!(other.verify(), Err(SignatureError::Mismatch));
        }
    }

    #[test]
    fn the_json_form_is_flat_with_plain_hex() {
        let signed = SigningKey::from_hex(&"07".repeat(32)).unwrap().sign_registration(&request());
        let expected = json!({
            "pubkey": signed.pubkey.to_string(), "settlement_chain_id": 11_155_111, "proof_verifier": "c0".repeat(20),
            "key_registry": "c1".repeat(20), "block_number": 9_000_000, "block_hash": "bb".repeat(32),
            "signature": hex::encode(signed.signature.to_bytes()),
        });
        assert_eq!(serde_json::to_value(&signed).unwrap(), expected);
        assert_eq!(serde_json::from_value::<RegistrationSignature>(expected).unwrap(), signed);
    }

    #[test]
    fn a_contract_is_a_chain_and_an_address() {
        let contract = request().contract();
        let text = format!("11155111:0x{}", "c0".repeat(20));
        assert_eq!(contract.to_string(), text);
        assert_eq!(text.parse(), Ok(contract));
        for text in
            ["", "1", "1:", "1:0x", "x:0xc0", &text[..text.len() - 1], &format!("{text}0"), &text.replace("0x", "")]
        {
            assert_eq!(text.parse::<Contract>(), Err(ContractError), "{text}");
        }
    }
}
