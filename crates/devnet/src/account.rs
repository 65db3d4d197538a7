//! Accounts of the devnet. Their keys are public: they are derived from small numbers.

use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use tee_verifier::{
    Address, H256, L2ChainId, ProtocolVersionId, U256,
    input::{
        Execute, ExecuteTransactionCommon, Fee, InputData, L1TxCommonData, L2TxCommonData, PaymasterParams,
        ProtocolUpgradeTxCommonData, Transaction, TransactionType,
    },
    keccak256, l1_transaction_hash, signed_hash, transaction_hashes,
};

/// The sender of upgrades: the contract that deploys by force.
const FORCE_DEPLOYER: u64 = 0x8007;
/// The gas limit of a transaction.
const GAS_LIMIT: u64 = 30_000_000;
/// The highest gas price of a transaction, in wei: 1 gwei.
const MAX_FEE_PER_GAS_WEI: u64 = 1_000_000_000;
/// The most gas that a transaction pays for a published byte.
const GAS_PER_PUBDATA_BYTE: u64 = 50_000;
/// The gas limit of an L1 transaction.
const L1_GAS_LIMIT: u64 = 2_000_000;
/// The gas limit of an upgrade transaction.
const UPGRADE_GAS_LIMIT: u64 = 72_000_000;
/// What L1 charges for a published byte, in gas (`REQUIRED_L1_TO_L2_GAS_PER_PUBDATA_BYTE`).
const L1_GAS_PER_PUBDATA_BYTE: u64 = 800;

/// An account with its nonce. Those with numbers under 16 have funds.
#[derive(Debug, Clone)]
pub struct Account {
    key: SecretKey,
    nonce: u32,
}

/// The content of a transaction.
#[derive(Debug, Clone)]
pub struct Call {
    /// The recipient.
    pub to: Address,
    /// The amount, in wei.
    pub value: U256,
    /// The calldata.
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
    /// The account with this number, at nonce 0.
    pub fn new(number: u32) -> Self {
        let secret = keccak256(format!("devnet account {number}").as_bytes());
        let key = SecretKey::from_slice(&secret).expect("a hash is a valid key, except one in 2^127");
        Self { key, nonce: 0 }
    }

    /// Continues from a nonce that the chain knows.
    pub(crate) fn set_nonce(&mut self, nonce: u32) {
        self.nonce = nonce;
    }

    /// Its address.
    pub fn address(&self) -> Address {
        let public = PublicKey::from_secret_key(SECP256K1, &self.key).serialize_uncompressed();
        Address::from_slice(&keccak256(&public[1..])[12..])
    }

    /// Its key, which is public.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The account's next transaction (EIP-712), signed.
    pub fn sign(&mut self, call: Call, chain_id: L2ChainId) -> Transaction {
        let transaction = self.transaction(call);
        self.sign_transaction(transaction, chain_id)
    }

    /// The account's next transaction (EIP-712), without a signature.
    pub fn transaction(&mut self, call: Call) -> Transaction {
        let common = L2TxCommonData {
            nonce: self.nonce,
            fee: Fee {
                gas_limit: GAS_LIMIT.into(),
                max_fee_per_gas: MAX_FEE_PER_GAS_WEI.into(),
                max_priority_fee_per_gas: U256::zero(),
                gas_per_pubdata_limit: GAS_PER_PUBDATA_BYTE.into(),
            },
            initiator_address: self.address(),
            signature: vec![],
            transaction_type: TransactionType::EIP712Transaction,
            input: None,
            paymaster_params: PaymasterParams::default(),
        };
        self.nonce += 1;
        let Call { to, value, calldata, factory_deps } = call;
        Transaction {
            common_data: ExecuteTransactionCommon::L2(common),
            execute: Execute { contract_address: Some(to), calldata, value, factory_deps },
            received_timestamp_ms: 0,
            raw_bytes: None,
        }
    }

    /// Signs a transaction again, with its present fields.
    pub fn sign_transaction(&self, mut transaction: Transaction, chain_id: L2ChainId) -> Transaction {
        let Transaction { common_data: ExecuteTransactionCommon::L2(common), execute, .. } = &mut transaction else {
            return transaction;
        };
        let signed = signed_hash(common, execute, chain_id).expect("no transaction of L1");
        common.signature = self.sign_hash(signed);
        // The claimed hash has no effect, but the chain's own nodes set it.
        if let Some(hashes) = transaction_hashes(common, execute, chain_id) {
            let data = common.input.take().map(|input| input.data).unwrap_or_default();
            common.input = Some(InputData { hash: hashes.transaction, data });
        }
        transaction
    }

    /// A signature as accounts take it: r ‖ s ‖ v, v = 27 or 28.
    pub fn sign_hash(&self, hash: H256) -> Vec<u8> {
        let message = Message::from_slice(hash.as_bytes()).expect("a hash has 32 bytes");
        let (recovery, signature) = SECP256K1.sign_ecdsa_recoverable(&message, &self.key).serialize_compact();
        [signature.as_slice(), &[27 + recovery.to_i32() as u8]].concat()
    }
}

/// A deposit from L1: the `serial_id`-th priority transaction.
pub fn deposit(serial_id: u64, to: Address, value: U256) -> Transaction {
    let full_fee = U256::from(L1_GAS_LIMIT) * U256::from(MAX_FEE_PER_GAS_WEI);
    let common = L1TxCommonData {
        sender: to,
        serial_id,
        full_fee,
        max_fee_per_gas: MAX_FEE_PER_GAS_WEI.into(),
        gas_limit: L1_GAS_LIMIT.into(),
        gas_per_pubdata_limit: L1_GAS_PER_PUBDATA_BYTE.into(),
        to_mint: value + full_fee,
        refund_recipient: to,
        ..L1TxCommonData::default()
    };
    let execute = Execute { contract_address: Some(to), calldata: vec![], value, factory_deps: vec![] };
    from_l1(ExecuteTransactionCommon::L1(common), execute)
}

/// The transaction of an upgrade to a protocol version; it must be a batch's first.
pub fn upgrade(version: ProtocolVersionId, to: Address, calldata: Vec<u8>) -> Transaction {
    let common = ProtocolUpgradeTxCommonData {
        sender: Address::from_low_u64_be(FORCE_DEPLOYER),
        upgrade_id: version,
        max_fee_per_gas: U256::zero(),
        gas_limit: UPGRADE_GAS_LIMIT.into(),
        gas_per_pubdata_limit: L1_GAS_PER_PUBDATA_BYTE.into(),
        canonical_tx_hash: H256::zero(),
        to_mint: U256::zero(),
        refund_recipient: Address::zero(),
        eth_hash: H256::zero(),
        eth_block: 0,
    };
    let execute = Execute { contract_address: Some(to), calldata, value: U256::zero(), factory_deps: vec![] };
    from_l1(ExecuteTransactionCommon::ProtocolUpgrade(common), execute)
}

/// A transaction that L1 sends, under the hash that L1 knows it by.
fn from_l1(common_data: ExecuteTransactionCommon, execute: Execute) -> Transaction {
    let mut transaction = Transaction { common_data, execute, received_timestamp_ms: 0, raw_bytes: None };
    let hash = l1_transaction_hash(&transaction);
    match &mut transaction.common_data {
        ExecuteTransactionCommon::L1(common) => common.canonical_tx_hash = hash,
        ExecuteTransactionCommon::ProtocolUpgrade(common) => common.canonical_tx_hash = hash,
        ExecuteTransactionCommon::L2(_) => unreachable!("L1 sends none of these"),
    }
    transaction
}
