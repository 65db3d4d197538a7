//! Accounts of the devnet. Their keys are public: they are derived from small numbers.

use zksync_types::{
    Address, CONTRACT_FORCE_DEPLOYER_ADDRESS, Execute, ExecuteTransactionCommon, H256, K256PrivateKey, L2ChainId,
    Nonce, PriorityOpId, ProtocolVersionId, Transaction, U256, abi,
    fee::Fee,
    l1::{L1TxCommonData, OpProcessingType, PriorityQueueType},
    l2::L2Tx,
    protocol_upgrade::ProtocolUpgradeTxCommonData,
    web3::keccak256,
};

/// Gas that a transaction may use.
const GAS_LIMIT: u64 = 30_000_000;
/// Most that a transaction pays for gas, in wei: 1 gwei.
const MAX_FEE_PER_GAS_WEI: u64 = 1_000_000_000;
/// Most gas that a transaction pays for a published byte.
const GAS_PER_PUBDATA_BYTE: u64 = 50_000;
/// Gas that an L1 transaction may use.
const L1_GAS_LIMIT: u64 = 2_000_000;
/// Gas that an upgrade transaction may use.
const UPGRADE_GAS_LIMIT: u64 = 72_000_000;
/// What L1 charges for a published byte, in gas (`REQUIRED_L1_TO_L2_GAS_PER_PUBDATA_BYTE`).
const L1_GAS_PER_PUBDATA_BYTE: u64 = 800;

/// An account with its nonce. Those with numbers under 16 have funds.
#[derive(Debug, Clone)]
pub struct Account {
    key: K256PrivateKey,
    nonce: u32,
}

/// What a transaction does.
#[derive(Debug, Clone)]
pub struct Call {
    /// The recipient.
    pub to: Address,
    /// What it is paid, in wei.
    pub value: U256,
    /// What it is called with.
    pub calldata: Vec<u8>,
    /// Bytecodes that are published with the transaction.
    pub factory_deps: Vec<Vec<u8>>,
}

impl Call {
    /// A payment in wei.
    pub fn transfer(to: Address, value: U256) -> Self {
        Self { to, value, calldata: vec![], factory_deps: vec![] }
    }
}

impl Account {
    /// The account of a number, at nonce 0.
    pub fn new(number: u32) -> Self {
        let secret = keccak256(format!("devnet account {number}").as_bytes());
        let key = K256PrivateKey::from_bytes(H256(secret)).expect("a hash is a valid key but for one in 2^127");
        Self { key, nonce: 0 }
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Its key, which is public.
    pub fn key(&self) -> &K256PrivateKey {
        &self.key
    }

    /// The account's next transaction, of EIP-712, signed.
    pub fn sign(&mut self, call: Call, chain_id: L2ChainId) -> Transaction {
        let fee = Fee {
            gas_limit: GAS_LIMIT.into(),
            max_fee_per_gas: MAX_FEE_PER_GAS_WEI.into(),
            max_priority_fee_per_gas: U256::zero(),
            gas_per_pubdata_limit: GAS_PER_PUBDATA_BYTE.into(),
        };
        let nonce = Nonce(self.nonce);
        self.nonce += 1;
        let signed = L2Tx::new_signed(
            Some(call.to),
            call.calldata,
            nonce,
            fee,
            call.value,
            chain_id,
            &self.key,
            call.factory_deps,
            Default::default(),
        );
        signed.expect("a transaction with all its fields can be signed").into()
    }
}

/// A deposit from L1: the `serial_id`-th priority transaction.
pub fn deposit(serial_id: u64, to: Address, value: U256) -> Transaction {
    let full_fee = U256::from(L1_GAS_LIMIT) * U256::from(MAX_FEE_PER_GAS_WEI);
    let common = L1TxCommonData {
        sender: to,
        serial_id: PriorityOpId(serial_id),
        layer_2_tip_fee: U256::zero(),
        full_fee,
        max_fee_per_gas: MAX_FEE_PER_GAS_WEI.into(),
        gas_limit: L1_GAS_LIMIT.into(),
        gas_per_pubdata_limit: L1_GAS_PER_PUBDATA_BYTE.into(),
        op_processing_type: OpProcessingType::Common,
        priority_queue_type: PriorityQueueType::Deque,
        canonical_tx_hash: H256::zero(),
        to_mint: value + full_fee,
        refund_recipient: to,
        eth_block: 0,
    };
    let execute = Execute { contract_address: Some(to), calldata: vec![], value, factory_deps: vec![] };
    from_l1(ExecuteTransactionCommon::L1(common), execute)
}

/// The transaction of an upgrade to a protocol version; it must be a batch's first.
pub fn upgrade(version: ProtocolVersionId, to: Address, calldata: Vec<u8>) -> Transaction {
    let common = ProtocolUpgradeTxCommonData {
        sender: CONTRACT_FORCE_DEPLOYER_ADDRESS,
        upgrade_id: version,
        gas_limit: UPGRADE_GAS_LIMIT.into(),
        gas_per_pubdata_limit: L1_GAS_PER_PUBDATA_BYTE.into(),
        ..ProtocolUpgradeTxCommonData::default()
    };
    let execute = Execute { contract_address: Some(to), calldata, value: U256::zero(), factory_deps: vec![] };
    from_l1(ExecuteTransactionCommon::ProtocolUpgrade(common), execute)
}

/// A transaction that L1 sends, under the hash that L1 knows it by.
fn from_l1(common_data: ExecuteTransactionCommon, execute: Execute) -> Transaction {
    let mut transaction = Transaction { common_data, execute, received_timestamp_ms: 0, raw_bytes: None };
    let hash = match abi::Transaction::try_from(transaction.clone()) {
        Ok(abi::Transaction::L1 { tx, .. }) => tx.hash(),
        _ => unreachable!("an L1 transaction encodes as one"),
    };
    match &mut transaction.common_data {
        ExecuteTransactionCommon::L1(common) => common.canonical_tx_hash = hash,
        ExecuteTransactionCommon::ProtocolUpgrade(common) => common.canonical_tx_hash = hash,
        ExecuteTransactionCommon::L2(_) => unreachable!("L1 sends none of these"),
    }
    transaction
}
