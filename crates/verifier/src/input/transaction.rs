//! Transactions, as a node hands them to a prover (zksync-era's `Transaction`).

use primitive_types::{H256, U256};
use serde::{Deserialize, Serialize};

use super::{Address, ProtocolVersionId, hex_bytes};
use crate::limits;

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The fields that depend on the transaction's origin.
    pub common_data: ExecuteTransactionCommon,
    /// The call.
    pub execute: Execute,
    /// When the node received it. Not used.
    pub received_timestamp_ms: u64,
    /// As the node received it. Not used.
    #[serde(default, with = "hex_bytes::option")]
    pub raw_bytes: Option<Vec<u8>>,
}

/// The fields that depend on a transaction's origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecuteTransactionCommon {
    /// A priority transaction from L1.
    L1(L1TxCommonData),
    /// A transaction that its initiator signed.
    L2(L2TxCommonData),
    /// The transaction of a protocol upgrade.
    ProtocolUpgrade(ProtocolUpgradeTxCommonData),
}

/// A transaction's call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execute {
    /// The recipient; `None` for the deployment of an EVM contract.
    pub contract_address: Option<Address>,
    /// The calldata.
    #[serde(with = "hex_bytes")]
    pub calldata: Vec<u8>,
    /// The amount for the recipient, in wei.
    pub value: U256,
    /// Bytecodes that the transaction makes known.
    #[serde(default, deserialize_with = "limits::list_or_null::<{ limits::MAX_FACTORY_DEPENDENCIES }, _, _>")]
    pub factory_deps: Vec<Vec<u8>>,
}

/// The kinds of transactions that are signed, and those of L1 that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named as the specifications are")]
pub enum TransactionType {
    LegacyTransaction = 0,
    EIP2930Transaction = 1,
    EIP1559Transaction = 2,
    EIP712Transaction = 0x71,
    PriorityOpTransaction = 0xff,
    ProtocolUpgradeTransaction = 0xfe,
}

impl TransactionType {
    /// Whether Ethereum has transactions of this kind, too.
    pub fn is_ethereum_type(self) -> bool {
        matches!(self, Self::LegacyTransaction | Self::EIP2930Transaction | Self::EIP1559Transaction)
    }
}

/// The fields of a signed transaction besides its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L2TxCommonData {
    /// The number of transactions that its initiator had sent before.
    pub nonce: u32,
    /// The limits on its fee.
    pub fee: Fee,
    /// The account that sends it.
    pub initiator_address: Address,
    /// The account's signature; most accounts take 65 bytes, r ‖ s ‖ v.
    pub signature: Vec<u8>,
    /// Its kind.
    pub transaction_type: TransactionType,
    /// The original bytes. For a legacy transaction they show whether a chain id was signed; nothing else in them is
    /// used.
    pub input: Option<InputData>,
    /// The account that pays for it.
    pub paymaster_params: PaymasterParams,
}

/// A transaction as it was sent, and the hash that its node computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputData {
    /// The hash. A claim; not used.
    pub hash: H256,
    /// The encoding.
    pub data: Vec<u8>,
}

/// The limits on a transaction's fee.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// The most gas that it may use.
    pub gas_limit: U256,
    /// The most that it pays per gas, in wei.
    pub max_fee_per_gas: U256,
    /// The most that the operator gets per gas beyond the base fee, in wei.
    pub max_priority_fee_per_gas: U256,
    /// The most gas that it pays per published byte.
    pub gas_per_pubdata_limit: U256,
}

/// The account that pays for a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymasterParams {
    /// The paymaster; zero where the initiator pays.
    pub paymaster: Address,
    /// The paymaster's calldata.
    pub paymaster_input: Vec<u8>,
}

/// The fields of a priority transaction besides its call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L1TxCommonData {
    /// The sender on L1.
    pub sender: Address,
    /// The number of priority transactions before it.
    pub serial_id: u64,
    /// Not used.
    pub layer_2_tip_fee: U256,
    /// Not used.
    pub full_fee: U256,
    /// The gas price that it pays, in wei.
    pub max_fee_per_gas: U256,
    /// The most gas that it may use.
    pub gas_limit: U256,
    /// The gas that it pays per published byte.
    pub gas_per_pubdata_limit: U256,
    /// Not used.
    pub op_processing_type: OpProcessingType,
    /// Not used.
    pub priority_queue_type: PriorityQueueType,
    /// The hash that L1 knows it by.
    pub canonical_tx_hash: H256,
    /// The amount that is minted for it, in wei.
    pub to_mint: U256,
    /// The recipient of what is left unused.
    pub refund_recipient: Address,
    /// Not used, like the two fields after it.
    #[serde(default)]
    pub deadline_block: u64,
    /// Not used.
    #[serde(default)]
    pub eth_hash: H256,
    /// Not used.
    #[serde(default)]
    pub eth_block: u64,
}

/// Which trees a priority transaction may touch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "not used")]
pub enum OpProcessingType {
    #[default]
    Common,
    OnlyRollup,
}

/// The queue that a priority transaction waited in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "not used")]
pub enum PriorityQueueType {
    #[default]
    Deque,
    HeapBuffer,
    Heap,
}

/// The fields of an upgrade transaction besides its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolUpgradeTxCommonData {
    /// The sender on L1.
    pub sender: Address,
    /// The version that the chain is upgraded to.
    pub upgrade_id: ProtocolVersionId,
    /// The gas price that it pays, in wei.
    pub max_fee_per_gas: U256,
    /// The most gas that it may use.
    pub gas_limit: U256,
    /// The gas that it pays per published byte.
    pub gas_per_pubdata_limit: U256,
    /// The hash that L1 knows it by.
    pub canonical_tx_hash: H256,
    /// The amount that is minted for it, in wei.
    pub to_mint: U256,
    /// The recipient of what is left unused.
    pub refund_recipient: Address,
    /// Not used, like the field after it.
    #[serde(default)]
    pub eth_hash: H256,
    /// Not used.
    #[serde(default)]
    pub eth_block: u64,
}
