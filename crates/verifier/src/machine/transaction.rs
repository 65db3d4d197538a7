//! Transactions as the bootloader takes them.

use tee_eravm::{Address, U256};

use crate::{
    hash::era_code_hash,
    input::{ExecuteTransactionCommon, Transaction, TransactionType},
    machine::abi::Encoder,
};

/// The gas that a transaction can spend on computation; the rest can only pay for what it publishes.
const MAX_COMPUTATION_GAS: u64 = 80_000_000;
/// Gas for a transaction's place in the batch.
const SLOT_GAS: u32 = 10_000;
/// Gas for each word of its encoding.
const WORD_GAS: u32 = 10;
/// The gas per byte of pubdata of a transaction of an Ethereum type, which does not state it.
const ETHEREUM_PUBDATA_GAS: u64 = 50_000;

/// A transaction as the bootloader takes it.
#[derive(Debug, Clone)]
pub(crate) struct BootloaderTransaction<'a> {
    kind: u8,
    from: Address,
    to: Address,
    gas_limit: U256,
    gas_per_pubdata_limit: U256,
    max_fee_per_gas: U256,
    max_priority_fee_per_gas: U256,
    paymaster: Address,
    nonce: U256,
    value: U256,
    reserved: [U256; 4],
    calldata: &'a [u8],
    signature: &'a [u8],
    paymaster_input: &'a [u8],
    pub(crate) dependencies: &'a [Vec<u8>],
    /// The hashes of the dependencies.
    pub(crate) dependency_hashes: Vec<[u8; 32]>,
    /// Whether L1 sent it: then the operator publishes nothing of it.
    pub(crate) is_from_l1: bool,
}

impl<'a> BootloaderTransaction<'a> {
    pub(crate) fn new(transaction: &'a Transaction) -> Self {
        let execute = &transaction.execute;
        let base = Self {
            kind: 0,
            from: [0; 20],
            to: execute.contract_address.unwrap_or_default().0,
            gas_limit: U256::ZERO,
            gas_per_pubdata_limit: U256::ZERO,
            max_fee_per_gas: U256::ZERO,
            max_priority_fee_per_gas: U256::ZERO,
            paymaster: [0; 20],
            nonce: U256::ZERO,
            value: word(execute.value),
            reserved: [U256::ZERO; 4],
            calldata: &execute.calldata,
            signature: &[],
            paymaster_input: &[],
            dependencies: &execute.factory_deps,
            dependency_hashes: execute.factory_deps.iter().map(|code| era_code_hash(code)).collect(),
            is_from_l1: true,
        };
        match &transaction.common_data {
            ExecuteTransactionCommon::L2(common) => Self {
                kind: common.transaction_type as u8,
                from: common.initiator_address.0,
                gas_limit: word(common.fee.gas_limit),
                gas_per_pubdata_limit: if common.transaction_type.is_ethereum_type() {
                    U256::from(ETHEREUM_PUBDATA_GAS)
                } else {
                    word(common.fee.gas_per_pubdata_limit)
                },
                max_fee_per_gas: word(common.fee.max_fee_per_gas),
                max_priority_fee_per_gas: word(common.fee.max_priority_fee_per_gas),
                paymaster: common.paymaster_params.paymaster.0,
                nonce: U256::from(common.nonce),
                reserved: [
                    U256::from(u8::from(common.names_chain())),
                    U256::from(u8::from(execute.contract_address.is_none())),
                    U256::ZERO,
                    U256::ZERO,
                ],
                signature: &common.signature,
                paymaster_input: &common.paymaster_params.paymaster_input,
                is_from_l1: false,
                ..base
            },
            ExecuteTransactionCommon::L1(common) => Self {
                kind: TransactionType::PriorityOpTransaction as u8,
                from: common.sender.0,
                gas_limit: word(common.gas_limit),
                gas_per_pubdata_limit: word(common.gas_per_pubdata_limit),
                max_fee_per_gas: word(common.max_fee_per_gas),
                nonce: U256::from(common.serial_id),
                reserved: [
                    word(common.to_mint),
                    U256::from_be_slice(common.refund_recipient.as_bytes()),
                    U256::ZERO,
                    U256::ZERO,
                ],
                ..base
            },
            ExecuteTransactionCommon::ProtocolUpgrade(common) => Self {
                kind: TransactionType::ProtocolUpgradeTransaction as u8,
                from: common.sender.0,
                gas_limit: word(common.gas_limit),
                gas_per_pubdata_limit: word(common.gas_per_pubdata_limit),
                max_fee_per_gas: word(common.max_fee_per_gas),
                nonce: U256::from(common.upgrade_id.number()),
                reserved: [
                    word(common.to_mint),
                    U256::from_be_slice(common.refund_recipient.as_bytes()),
                    U256::ZERO,
                    U256::ZERO,
                ],
                ..base
            },
        }
    }

    /// The ABI encoding of the transaction. The hash of an L1 transaction is taken of it, too.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(19);
        encoder.number(U256::from(self.kind));
        encoder.address(&self.from);
        encoder.address(&self.to);
        encoder.number(self.gas_limit);
        encoder.number(self.gas_per_pubdata_limit);
        encoder.number(self.max_fee_per_gas);
        encoder.number(self.max_priority_fee_per_gas);
        encoder.address(&self.paymaster);
        encoder.number(self.nonce);
        encoder.number(self.value);
        for word in self.reserved {
            encoder.number(word);
        }
        encoder.bytes(self.calldata);
        encoder.bytes(self.signature);
        encoder.words(&self.dependency_hashes);
        encoder.bytes(self.paymaster_input);
        encoder.bytes(&[]);
        let mut encoded = U256::from(32).to_be_bytes::<32>().to_vec();
        encoded.extend(encoder.finish());
        encoded
    }

    /// Its gas limit for computation.
    pub(crate) fn trusted_gas_limit(&self) -> U256 {
        self.gas_limit.min(U256::from(MAX_COMPUTATION_GAS))
    }

    /// The gas for a transaction's place in the batch, if its encoding has this many words.
    pub(crate) fn overhead_gas(words: u32) -> u32 {
        SLOT_GAS.max(words.saturating_mul(WORD_GAS))
    }
}

fn word(number: primitive_types::U256) -> U256 {
    U256::from_limbs(number.0)
}
