//! Hashes of transactions: the one that is signed, and the one that a transaction is known by.
//!
//! They are computed as the chain's system contracts do it (`TransactionHelper` and `BootloaderUtilities` of
//! era-contracts): from a transaction's fields, not from the bytes that its node received.

use alloy_rlp::{Encodable, Header};
use primitive_types::{H256, U256};

use crate::{
    hash::{era_code_hash, keccak256},
    input::{Address, Execute, L2ChainId, L2TxCommonData, Transaction, TransactionType},
    machine::BootloaderTransaction,
};

const DOMAIN_TYPE: &[u8] = b"EIP712Domain(string name,string version,uint256 chainId)";
const TRANSACTION_TYPE: &[u8] = b"Transaction(uint256 txType,uint256 from,uint256 to,uint256 gasLimit,\
uint256 gasPerPubdataByteLimit,uint256 maxFeePerGas,uint256 maxPriorityFeePerGas,uint256 paymaster,uint256 nonce,\
uint256 value,bytes data,bytes32[] factoryDeps,bytes paymasterInput)";
/// The smallest `v` of a legacy signature that names a chain (EIP-155).
const FIRST_V_WITH_CHAIN: u64 = 35;
/// The first item of a legacy transaction's list that belongs to the signature: `v`.
const LEGACY_V: usize = 6;

/// The hashes of a signed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionHashes {
    /// The hash that its initiator signs.
    pub signed: H256,
    /// The hash that identifies it.
    pub transaction: H256,
}

/// The hashes of a signed transaction. `None` if it has none: its signature cannot be encoded, or its type is one that
/// L1 sends. No bootloader runs such a transaction.
pub fn transaction_hashes(
    common: &L2TxCommonData,
    execute: &Execute,
    chain_id: L2ChainId,
) -> Option<TransactionHashes> {
    let signed = signed_hash(common, execute, chain_id)?;
    let transaction = match common.transaction_type {
        TransactionType::EIP712Transaction => keccak256([signed.0, keccak256(&common.signature)].as_flattened()),
        _ => {
            let mut fields = ethereum_fields(common, execute, chain_id)?;
            fields.extend(signature_fields(common, chain_id)?);
            keccak256(&encode(common.transaction_type, &fields))
        }
    };
    Some(TransactionHashes { signed, transaction: H256(transaction) })
}

/// The hash that a transaction's initiator signs. `None` if its type is one that L1 sends.
pub fn signed_hash(common: &L2TxCommonData, execute: &Execute, chain_id: L2ChainId) -> Option<H256> {
    if common.transaction_type == TransactionType::EIP712Transaction {
        return Some(typed_data_hash(common, execute, chain_id));
    }
    let mut fields = ethereum_fields(common, execute, chain_id)?;
    if common.names_chain() {
        fields.extend([Field::number(chain_id.as_u64()), Field::number(0), Field::number(0)]);
    }
    Some(H256(keccak256(&encode(common.transaction_type, &fields))))
}

/// The hash by which L1 knows a transaction that it sends: the hash of its encoding.
pub fn l1_transaction_hash(transaction: &Transaction) -> H256 {
    H256(keccak256(&BootloaderTransaction::new(transaction).encode()))
}

impl L2TxCommonData {
    /// Whether this is a legacy transaction whose initiator signed a chain's id with it (EIP-155). Only the bytes that
    /// its node received show it.
    pub(crate) fn names_chain(&self) -> bool {
        self.transaction_type == TransactionType::LegacyTransaction
            && self.input.as_ref().and_then(|input| legacy_v(&input.data)).is_some_and(|v| v >= FIRST_V_WITH_CHAIN)
    }
}

/// `v` of an encoded legacy transaction.
fn legacy_v(mut encoded: &[u8]) -> Option<u64> {
    let mut fields = Header::decode_bytes(&mut encoded, true).ok()?;
    for _ in 0..LEGACY_V {
        Header::decode_bytes(&mut fields, false).ok()?;
    }
    alloy_rlp::Decodable::decode(&mut fields).ok()
}

/// A field of a list in RLP.
enum Field<'a> {
    Bytes(&'a [u8]),
    /// A number, without leading zeros.
    Number(U256),
    EmptyList,
}

impl Field<'_> {
    fn number(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl Encodable for Field<'_> {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        match self {
            Self::Bytes(bytes) => bytes.encode(out),
            Self::Number(number) => {
                let mut bytes = [0; 32];
                number.to_big_endian(&mut bytes);
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                bytes.get(zeros..).unwrap_or_default().encode(out);
            }
            Self::EmptyList => Header { list: true, payload_length: 0 }.encode(out),
        }
    }
}

/// Encodes the type (except for legacy transactions) and the list of fields.
fn encode(kind: TransactionType, fields: &[Field<'_>]) -> Vec<u8> {
    let mut encoded = match kind {
        TransactionType::LegacyTransaction => Vec::new(),
        kind => vec![kind as u8],
    };
    alloy_rlp::encode_list::<_, Field<'_>>(fields, &mut encoded);
    encoded
}

/// The fields of a transaction that Ethereum knows, without its signature.
fn ethereum_fields<'a>(
    common: &'a L2TxCommonData,
    execute: &'a Execute,
    chain_id: L2ChainId,
) -> Option<Vec<Field<'a>>> {
    let nonce = Field::number(common.nonce.into());
    let gas_limit = Field::Number(common.fee.gas_limit);
    let max_fee = Field::Number(common.fee.max_fee_per_gas);
    let to = Field::Bytes(execute.contract_address.as_ref().map_or(&[], Address::as_bytes));
    let (value, data) = (Field::Number(execute.value), Field::Bytes(&execute.calldata));
    let chain_id = Field::number(chain_id.as_u64());
    Some(match common.transaction_type {
        TransactionType::LegacyTransaction => vec![nonce, max_fee, gas_limit, to, value, data],
        TransactionType::EIP2930Transaction => {
            vec![chain_id, nonce, max_fee, gas_limit, to, value, data, Field::EmptyList]
        }
        TransactionType::EIP1559Transaction => {
            let priority_fee = Field::Number(common.fee.max_priority_fee_per_gas);
            vec![chain_id, nonce, priority_fee, max_fee, gas_limit, to, value, data, Field::EmptyList]
        }
        // The bootloader would run a user's transaction of these types as one from L1: without any signature.
        TransactionType::PriorityOpTransaction | TransactionType::ProtocolUpgradeTransaction => return None,
        TransactionType::EIP712Transaction => return None,
    })
}

/// `v`, r and s. The system contracts accept only v = 27 and 28, and convert it to what the transaction's type has.
fn signature_fields(common: &L2TxCommonData, chain_id: L2ChainId) -> Option<[Field<'_>; 3]> {
    let (r, rest) = common.signature.split_first_chunk::<32>()?;
    let (s, v) = rest.split_first_chunk::<32>()?;
    let parity = match v {
        [27] => 0,
        [28] => 1,
        _ => return None,
    };
    let v = match common.transaction_type {
        TransactionType::LegacyTransaction if common.names_chain() => {
            let twice = chain_id.as_u64().checked_mul(2)?;
            FIRST_V_WITH_CHAIN.checked_add(parity)?.checked_add(twice)?
        }
        TransactionType::LegacyTransaction => 27_u64.checked_add(parity)?,
        _ => parity,
    };
    Some([Field::number(v), Field::Number(U256::from_big_endian(r)), Field::Number(U256::from_big_endian(s))])
}

/// The hash of typed data (EIP-712).
fn typed_data_hash(common: &L2TxCommonData, execute: &Execute, chain_id: L2ChainId) -> H256 {
    let number = |number: U256| {
        let mut bytes = [0; 32];
        number.to_big_endian(&mut bytes);
        bytes
    };
    let address = |address: &Address| H256::from(*address).0;
    let domain = [keccak256(DOMAIN_TYPE), keccak256(b"zkSync"), keccak256(b"2"), number(chain_id.as_u64().into())];
    let dependencies: Vec<_> = execute.factory_deps.iter().map(|code| era_code_hash(code)).collect();
    let transaction = [
        keccak256(TRANSACTION_TYPE),
        number((common.transaction_type as u32).into()),
        address(&common.initiator_address),
        address(&execute.contract_address.unwrap_or_default()),
        number(common.fee.gas_limit),
        number(common.fee.gas_per_pubdata_limit),
        number(common.fee.max_fee_per_gas),
        number(common.fee.max_priority_fee_per_gas),
        address(&common.paymaster_params.paymaster),
        number(common.nonce.into()),
        number(execute.value),
        keccak256(&execute.calldata),
        keccak256(dependencies.as_flattened()),
        keccak256(&common.paymaster_params.paymaster_input),
    ];
    let hashes = [keccak256(domain.as_flattened()), keccak256(transaction.as_flattened())];
    H256(keccak256(&[b"\x19\x01", hashes.as_flattened()].concat()))
}
