//! Changes of the decoded input: any field of any structure in it. Structures are taken apart without `..`, so that a
//! new field cannot be forgotten.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteArray;
use tee_verifier::{
    Address, BatchInput, H256, L1BatchNumber, L2ChainId, MerklePath, MerklePaths, ProtocolVersionId, StorageKey, U256,
    VmRunData,
    input::{
        BaseSystemContracts, BatchFeeInput, BlobHash, CommitmentInput, CommitmentScheme, Execute,
        ExecuteTransactionCommon, Fee, InputData, InteropRoot, Kept, L1BatchEnv, L1PeggedBatchFeeModelInput,
        L1TxCommonData, L2BlockEnv, L2BlockExecutionData, L2TxCommonData, OpProcessingType, PaymasterParams,
        PriorityQueueType, ProtocolUpgradeTxCommonData, PubdataIndependentBatchFeeModelInput, PubdataParams,
        PubdataType, PubdataValidator, SettlementLayer, SettlementLayerKind, SystemContractCode, SystemEnv,
        Transaction, TransactionType, TxExecutionMode, WitnessStorageState,
    },
};

use crate::random::Random;

/// Fields that decide nothing in some places, or in none. Indices of lists are left out; `*` is a map's value.
pub(crate) const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("vm_run_data.initial_heap_content", "the VM fills the bootloader's memory itself"),
    ("vm_run_data.initial_heap_content.0", "the same"),
    ("vm_run_data.initial_heap_content.1", "the same"),
    ("vm_run_data.storage_refunds", "the VM computes them"),
    ("vm_run_data.pubdata_costs", "the VM computes them"),
    ("vm_run_data.used_bytecodes", "the default account's is in the environment as well"),
    ("vm_run_data.witness_block_state.read_storage_key", "a slot with a path needs no claim"),
    ("vm_run_data.witness_block_state.read_storage_key.address", "so the claim becomes one about a foreign slot"),
    ("vm_run_data.witness_block_state.read_storage_key.key", "the same"),
    ("vm_run_data.witness_block_state.read_storage_key.*", "of a slot that was written, never read and rolled back"),
    ("vm_run_data.witness_block_state.is_write_initial", "a slot with a path needs no claim"),
    ("vm_run_data.witness_block_state.is_write_initial.address", "so the claim becomes one about a foreign slot"),
    ("vm_run_data.witness_block_state.is_write_initial.key", "the same"),
    ("vm_run_data.witness_block_state.is_write_initial.*", "of a slot that was written, never read and rolled back"),
    ("merkle_paths.merkle_paths", "the order of paths"),
    ("merkle_paths.merkle_paths.root_hash", "the root is rebuilt"),
    ("merkle_paths.merkle_paths.merkle_paths", "hashes over touched leaves are rebuilt"),
    ("l2_blocks_execution_data.virtual_blocks", "they ended before the supported versions; the first is compared"),
    ("l2_blocks_execution_data.txs.received_timestamp_ms", "when the node saw the transaction"),
    ("l2_blocks_execution_data.txs.raw_bytes", "the encoding, as the node received it"),
    ("l2_blocks_execution_data.txs.common_data.L2.input", "the encoding and its hash: the VM computes its own"),
    ("l2_blocks_execution_data.txs.common_data.L2.input.data", "the same"),
    ("l2_blocks_execution_data.txs.common_data.L2.input.hash", "the same"),
    ("l2_blocks_execution_data.txs.common_data.L1.layer_2_tip_fee", "what L1 knows and the VM does not see"),
    ("l2_blocks_execution_data.txs.common_data.L1.full_fee", "the same"),
    ("l2_blocks_execution_data.txs.common_data.L1.op_processing_type", "the same"),
    ("l2_blocks_execution_data.txs.common_data.L1.priority_queue_type", "the same"),
    ("l2_blocks_execution_data.txs.common_data.L1.deadline_block", "the same"),
    ("l2_blocks_execution_data.txs.common_data.L1.eth_hash", "the same"),
    ("l2_blocks_execution_data.txs.common_data.L1.eth_block", "the same"),
    ("l2_blocks_execution_data.txs.common_data.ProtocolUpgrade.eth_hash", "the same"),
    ("l2_blocks_execution_data.txs.common_data.ProtocolUpgrade.eth_block", "the same"),
    ("l1_batch_env.settlement_layer", "versions before 31 do not know it"),
    ("commitment_input", "what other provers need"),
    ("l1_batch_env.fee_input.L1Pegged.l1_gas_price", "the operator's to choose"),
    ("l1_batch_env.fee_input.L1Pegged.fair_l2_gas_price", "the same"),
    ("pubdata_params.validator.Address", "in the system logs, which the devnet's contracts leave out"),
    ("pubdata_params.pubdata_type", "what is published where; the devnet's contracts publish nothing"),
];

/// Changes one field at random, each as likely as its neighbours. Returns its path.
pub(crate) fn mutate(input: &mut BatchInput, random: &mut Random) -> String {
    let mut path = String::new();
    input.mutate(random, &mut path);
    path
}

trait Mutate {
    /// Changes something in the value, and appends what it was to the path.
    fn mutate(&mut self, random: &mut Random, path: &mut String);
}

/// Continues in one of the fields.
fn descend(random: &mut Random, path: &mut String, fields: &mut [(&str, &mut dyn Mutate)]) {
    let at = random.below(fields.len());
    let (name, field) = &mut fields[at];
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
    field.mutate(random, path);
}

macro_rules! structures {
    ($($structure:path { $($field:ident),* })*) => {$(
        impl Mutate for $structure {
            fn mutate(&mut self, random: &mut Random, path: &mut String) {
                let $structure { $($field),* } = self;
                descend(random, path, &mut [$((stringify!($field), $field)),*]);
            }
        }
    )*};
}

structures! {
    BatchInput {
        vm_run_data, merkle_paths, l2_blocks_execution_data, l1_batch_env, system_env, pubdata_params, commitment_input
    }
    CommitmentInput { prev_batch_commitment, prev_meta_hash, prev_aux_hash, blob_hashes, blob_versioned_hashes }
    BlobHash { commitment, linear_hash }
    VmRunData {
        l1_batch_number, used_bytecodes, initial_heap_content, protocol_version, bootloader_code,
        default_account_code_hash, evm_emulator_code_hash, storage_refunds, pubdata_costs, witness_block_state
    }
    WitnessStorageState { read_storage_key, is_write_initial }
    MerklePaths { merkle_paths, next_enumeration_index }
    MerklePath {
        root_hash, is_write, first_write, merkle_paths, leaf_hashed_key, leaf_enumeration_index, value_written, value_read
    }
    L2BlockExecutionData { number, timestamp, prev_block_hash, virtual_blocks, txs, interop_roots }
    InteropRoot { chain_id, block_number, sides }
    Transaction { common_data, execute, received_timestamp_ms, raw_bytes }
    Execute { contract_address, calldata, value, factory_deps }
    L2TxCommonData { nonce, fee, initiator_address, signature, transaction_type, input, paymaster_params }
    L1TxCommonData {
        sender, serial_id, layer_2_tip_fee, full_fee, max_fee_per_gas, gas_limit, gas_per_pubdata_limit,
        op_processing_type, priority_queue_type, canonical_tx_hash, to_mint, refund_recipient, deadline_block, eth_hash,
        eth_block
    }
    ProtocolUpgradeTxCommonData {
        sender, upgrade_id, max_fee_per_gas, gas_limit, gas_per_pubdata_limit, canonical_tx_hash, to_mint,
        refund_recipient, eth_hash, eth_block
    }
    Fee { gas_limit, max_fee_per_gas, max_priority_fee_per_gas, gas_per_pubdata_limit }
    PaymasterParams { paymaster, paymaster_input }
    InputData { hash, data }
    L1BatchEnv {
        previous_batch_hash, number, timestamp, fee_input, interop_fee, fee_account, enforced_base_fee, first_l2_block,
        settlement_layer
    }
    SettlementLayer { kind, chain_id }
    L2BlockEnv { number, timestamp, prev_block_hash, max_virtual_blocks_to_create, interop_roots }
    L1PeggedBatchFeeModelInput { fair_l2_gas_price, l1_gas_price }
    PubdataIndependentBatchFeeModelInput { fair_l2_gas_price, fair_pubdata_price, l1_gas_price }
    SystemEnv {
        zk_porter_available, version, base_system_smart_contracts, bootloader_gas_limit, execution_mode,
        default_validation_computational_gas_limit, chain_id
    }
    BaseSystemContracts { bootloader, default_aa, evm_emulator }
    SystemContractCode { code, hash }
    PubdataParams { validator, pubdata_type }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Mutate for $number {
            fn mutate(&mut self, random: &mut Random, _: &mut String) {
                let numbers = [
                    self.wrapping_add(1), self.wrapping_sub(1), 0, <$number>::MAX, *self ^ (1 << 5), random.next() as $number,
                ];
                *self = numbers[random.below(numbers.len())];
            }
        }
    )*};
}

numbers!(u8, u32, i32, u64, usize);

macro_rules! wrapped_numbers {
    ($($wrapper:ident),*) => {$(
        impl Mutate for $wrapper {
            fn mutate(&mut self, random: &mut Random, path: &mut String) {
                self.0.mutate(random, path);
            }
        }
    )*};
}

wrapped_numbers!(L1BatchNumber);

macro_rules! byte_strings {
    ($($bytes:ty),*) => {$(
        impl Mutate for $bytes {
            fn mutate(&mut self, random: &mut Random, _: &mut String) {
                let bytes: &mut [u8] = self.as_mut();
                match random.below(4) {
                    0 => bytes.fill(0),
                    1 => bytes.fill_with(|| random.next() as u8),
                    _ => bytes[random.below(bytes.len())] ^= 1 << random.below(8),
                }
            }
        }
    )*};
}

byte_strings!(H256, Address, [u8; 32]);

macro_rules! enumerations {
    ($($enumeration:ty: $values:expr;)*) => {$(
        impl Mutate for $enumeration {
            fn mutate(&mut self, random: &mut Random, _: &mut String) {
                let values = $values;
                *self = values[random.below(values.len())];
            }
        }
    )*};
}

enumerations! {
    bool: [false, true];
    ProtocolVersionId: [25, 26, 27, 28, 29, 30, 31, 32].map(ProtocolVersionId::new);
    SettlementLayerKind: [SettlementLayerKind::L1, SettlementLayerKind::Gateway];
    CommitmentScheme: [
        CommitmentScheme::EmptyNoDA, CommitmentScheme::PubdataKeccak256, CommitmentScheme::BlobsAndPubdataKeccak256,
    ];
    TransactionType: [
        TransactionType::LegacyTransaction, TransactionType::EIP2930Transaction, TransactionType::EIP1559Transaction,
        TransactionType::EIP712Transaction, TransactionType::PriorityOpTransaction,
        TransactionType::ProtocolUpgradeTransaction,
    ];
    TxExecutionMode: [TxExecutionMode::VerifyExecute, TxExecutionMode::EstimateFee, TxExecutionMode::EthCall];
    OpProcessingType: [OpProcessingType::Common, OpProcessingType::OnlyRollup];
    PriorityQueueType: [PriorityQueueType::Deque, PriorityQueueType::HeapBuffer, PriorityQueueType::Heap];
    PubdataType: [PubdataType::Rollup, PubdataType::NoDA, PubdataType::Avail, PubdataType::Eigen];
}

impl Mutate for ByteArray<32> {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        let bytes: &mut [u8; 32] = self;
        bytes.mutate(random, path);
    }
}

impl Mutate for U256 {
    fn mutate(&mut self, random: &mut Random, _: &mut String) {
        *self = match random.below(5) {
            0 => self.overflowing_add(U256::one()).0,
            1 => self.overflowing_sub(U256::one()).0,
            2 => U256::zero(),
            3 => U256::MAX,
            _ => *self ^ (U256::one() << random.below(256)),
        };
    }
}

impl Mutate for L2ChainId {
    fn mutate(&mut self, random: &mut Random, _: &mut String) {
        *self = L2ChainId::from(random.next() as u32 >> 4);
    }
}

impl Mutate for PubdataValidator {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        match self {
            Self::Address(_) if random.below(4) == 0 => {
                *self = Self::CommitmentScheme(CommitmentScheme::PubdataKeccak256);
            }
            Self::Address(address) => descend(random, path, &mut [("Address", address)]),
            Self::CommitmentScheme(scheme) => descend(random, path, &mut [("CommitmentScheme", scheme)]),
        }
    }
}

impl Mutate for StorageKey {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        let (mut address, mut key) = (*self.address(), *self.key());
        descend(random, path, &mut [("address", &mut address), ("key", &mut key)]);
        *self = StorageKey::new(address, key);
    }
}

impl<T, const MAX: usize> Mutate for Kept<T, MAX>
where
    T: Serialize + DeserializeOwned,
    Vec<T>: Mutate,
{
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        let mut items: Vec<T> = serde_json::from_value(serde_json::to_value(&*self).unwrap()).unwrap();
        items.mutate(random, path);
        *self = Kept::new(items).unwrap();
    }
}

impl Mutate for (usize, U256) {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        descend(random, path, &mut [("0", &mut self.0), ("1", &mut self.1)]);
    }
}

impl Mutate for ExecuteTransactionCommon {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        match self {
            Self::L1(common) => descend(random, path, &mut [("L1", common)]),
            Self::L2(common) => descend(random, path, &mut [("L2", common)]),
            Self::ProtocolUpgrade(common) => descend(random, path, &mut [("ProtocolUpgrade", common)]),
        }
    }
}

impl Mutate for BatchFeeInput {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        match self {
            Self::L1Pegged(_) if random.below(4) == 0 => {
                *self = Self::PubdataIndependent(PubdataIndependentBatchFeeModelInput {
                    fair_l2_gas_price: random.next() >> 30,
                    fair_pubdata_price: random.next() >> 30,
                    l1_gas_price: random.next() >> 30,
                });
            }
            Self::L1Pegged(input) => descend(random, path, &mut [("L1Pegged", input)]),
            Self::PubdataIndependent(input) => descend(random, path, &mut [("PubdataIndependent", input)]),
        }
    }
}

/// Makes a value where there was none.
trait Something {
    fn something(random: &mut Random) -> Self;
}

impl Something for u64 {
    fn something(random: &mut Random) -> Self {
        random.next()
    }
}

impl Something for U256 {
    fn something(random: &mut Random) -> Self {
        random.next().into()
    }
}

impl Something for H256 {
    fn something(random: &mut Random) -> Self {
        H256::from_low_u64_be(random.next())
    }
}

impl Something for Address {
    fn something(random: &mut Random) -> Self {
        Address::from_low_u64_be(random.next())
    }
}

impl Something for Vec<u8> {
    fn something(random: &mut Random) -> Self {
        random.next().to_be_bytes().to_vec()
    }
}

impl Something for SettlementLayer {
    fn something(random: &mut Random) -> Self {
        SettlementLayer { kind: SettlementLayerKind::L1, chain_id: random.next() }
    }
}

impl Something for CommitmentInput {
    fn something(random: &mut Random) -> Self {
        CommitmentInput {
            prev_batch_commitment: H256::something(random),
            prev_meta_hash: H256::zero(),
            prev_aux_hash: H256::zero(),
            blob_hashes: vec![],
            blob_versioned_hashes: vec![],
        }
    }
}

impl Something for InputData {
    fn something(random: &mut Random) -> Self {
        InputData { hash: H256::something(random), data: Vec::something(random) }
    }
}

impl Something for SystemContractCode {
    fn something(random: &mut Random) -> Self {
        SystemContractCode { code: vec![0; 32], hash: H256::something(random) }
    }
}

impl<T: Mutate + Something> Mutate for Option<T> {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        match self {
            Some(_) if random.below(4) == 0 => *self = None,
            Some(value) => value.mutate(random, path),
            None => *self = Some(T::something(random)),
        }
    }
}

impl<T: Mutate + Clone> Mutate for Vec<T> {
    fn mutate(&mut self, random: &mut Random, path: &mut String) {
        if self.is_empty() {
            return;
        }
        let (one, other) = (random.below(self.len()), random.below(self.len()));
        match random.below(10) {
            0 => drop(self.remove(one)),
            1 => self.insert(one, self[other].clone()),
            2 => self.swap(one, other),
            3 => self[one] = self[other].clone(),
            4 => self.truncate(one),
            _ => self[one].mutate(random, path),
        }
    }
}

/// Changes of a map: an entry left out, moved to another key, or with another value.
macro_rules! maps {
    ($($map:ident: $($bound:ident)+;)*) => {$(
        impl<K: Mutate + Clone $(+ $bound)+, V: Mutate + Clone> Mutate for $map<K, V> {
            fn mutate(&mut self, random: &mut Random, path: &mut String) {
                let mut keys: Vec<K> = self.keys().cloned().collect();
                keys.sort();
                if keys.is_empty() {
                    return;
                }
                let mut key = keys.swap_remove(random.below(keys.len()));
                match random.below(6) {
                    0 => drop(self.remove(&key)),
                    1 => {
                        let value = self.remove(&key).unwrap();
                        key.mutate(random, path);
                        self.insert(key, value);
                    }
                    _ => {
                        path.push_str(".*");
                        self.get_mut(&key).unwrap().mutate(random, path);
                    }
                }
            }
        }
    )*};
}

maps! {
    BTreeMap: Ord;
    HashMap: Ord Hash;
}
