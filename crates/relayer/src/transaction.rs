//! Transactions with a base fee and a tip (EIP-1559), and their signatures.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use secp256k1::{Message, SECP256K1, SecretKey};

/// The transaction type's number (EIP-2718).
const TYPE: u8 = 2;

/// A call of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) chain_id: u64,
    pub(crate) nonce: u64,
    pub(crate) max_priority_fee_per_gas: u128,
    pub(crate) max_fee_per_gas: u128,
    pub(crate) gas_limit: u64,
    pub(crate) to: Address,
    pub(crate) data: Bytes,
}

impl Transaction {
    /// The signed transaction, ready to be sent.
    pub(crate) fn signed(&self, key: &SecretKey) -> Vec<u8> {
        let message = Message::from(Hashed(self.signing_hash()));
        let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, key).serialize_compact();
        let (r, s) = compact.split_at(32);
        let signature = [U256::from(id.to_i32()), U256::from_be_slice(r), U256::from_be_slice(s)];
        self.encoded(&signature)
    }

    /// The hash to sign: keccak256 of the type and the list of fields without the signature.
    fn signing_hash(&self) -> B256 {
        keccak256(self.encoded(&[]))
    }

    fn encoded(&self, signature: &[U256]) -> Vec<u8> {
        let mut fields = Vec::new();
        self.chain_id.encode(&mut fields);
        self.nonce.encode(&mut fields);
        self.max_priority_fee_per_gas.encode(&mut fields);
        self.max_fee_per_gas.encode(&mut fields);
        self.gas_limit.encode(&mut fields);
        self.to.encode(&mut fields);
        // The value, and an empty access list.
        U256::ZERO.encode(&mut fields);
        self.data.encode(&mut fields);
        Header { list: true, payload_length: 0 }.encode(&mut fields);
        signature.iter().for_each(|number| number.encode(&mut fields));
        let mut encoded = vec![TYPE];
        Header { list: true, payload_length: fields.len() }.encode(&mut encoded);
        encoded.extend(fields);
        encoded
    }
}

/// Turns a 32-byte hash into a message without the fallible constructor.
struct Hashed(B256);

impl secp256k1::ThirtyTwoByteHash for Hashed {
    fn into_32(self) -> [u8; 32] {
        self.0.0
    }
}
