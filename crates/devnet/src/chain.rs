//! The chain: takes transactions, seals batches, and writes their inputs as a node does.

use std::collections::HashMap;

use blake2s_simd::blake2s;
use serde_bytes::ByteArray;
use tee_verifier::{BatchInput, ChainPins, CodeHashes, CodePin, MerklePath, MerklePaths, VmRunData};
use thiserror::Error;
use zksync_types::{
    H256, L2BlockNumber, ProtocolVersionId, StorageKey, StorageLog, StorageValue, Transaction, U256,
    block::{L2BlockExecutionData, L2BlockHasher},
    bytecode::BytecodeHash,
    h256_to_u256, u256_to_h256,
    witness_block_state::WitnessStorageState,
};
use zksync_vm_interface::{
    FinishedL1Batch, L1BatchEnv, L2BlockEnv, SystemEnv,
    storage::{ReadStorage, StorageView},
};

use crate::{
    genesis::Genesis,
    legacy::{self, RunError},
    traffic::{Load, Traffic},
    tree::Tree,
};

/// Transactions in a block.
const BLOCK_TRANSACTIONS: usize = 25;

/// A chain of batches.
#[derive(Debug, Clone)]
pub struct Chain {
    state: State,
    genesis: Genesis,
    traffic: Traffic,
    /// The environment of the next batch.
    next: L1BatchEnv,
    recorded: Option<Transaction>,
}

/// A sealed batch.
#[derive(Debug)]
pub struct SealedBatch {
    /// What a prover is given.
    pub input: BatchInput,
    /// Root after the batch.
    pub root: H256,
    /// Hash of the real chain's transaction, in the batch that holds it.
    pub recorded_transaction: Option<H256>,
}

/// Why a batch cannot be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The VM does not finish it.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The batch has no block, or one of its blocks no transaction.
    #[error("a batch needs at least one block, and each block a transaction")]
    Empty,
}

impl Chain {
    /// A chain from a genesis, with accounts and a contract for its traffic added to the state.
    pub fn new(genesis: Genesis) -> Self {
        let mut traffic = Traffic::new(genesis.system.chain_id);
        let genesis = genesis.with_traffic(traffic.accounts());
        traffic.set_deploys(genesis.deploys());
        Self::start(genesis, traffic)
    }

    fn start(mut genesis: Genesis, traffic: Traffic) -> Self {
        let mut tree = Tree::new();
        for (key, value) in &genesis.storage {
            tree.write(tree_key(key), *value);
        }
        let bytecodes = std::mem::take(&mut genesis.bytecodes);
        let next = L1BatchEnv { previous_batch_hash: Some(tree.root()), ..genesis.batch.clone() };
        let recorded = genesis.recorded.take();
        Self { state: State { tree, bytecodes }, genesis, traffic, next, recorded }
    }

    /// Root of the state so far.
    pub fn root(&self) -> H256 {
        self.state.tree.root()
    }

    /// Fills the tree with leaves that no transaction touches, so that paths get longer. As if a batch before had
    /// written them.
    pub fn grow_tree(&mut self, leaves: u64) {
        let leaf = |number: u64| H256(*blake2s(&number.to_le_bytes()).as_array());
        self.state.tree.extend((0..leaves).map(leaf).map(|hash| (tree_key(&hash), hash)));
        self.next.previous_batch_hash = Some(self.root());
    }

    /// Parameters of the chain: its id, protocol version and base contracts.
    pub fn system(&self) -> &SystemEnv {
        &self.genesis.system
    }

    /// The chain and its code, for those who rely on its batches.
    pub fn pins(&self) -> ChainPins {
        let SystemEnv { base_system_smart_contracts: contracts, chain_id, version, .. } = self.system();
        let code = CodeHashes {
            bootloader: contracts.bootloader.hash,
            default_account: contracts.default_aa.hash,
            evm_emulator: contracts.evm_emulator.as_ref().map(|code| code.hash),
        };
        ChainPins::new(chain_id.as_u64(), vec![CodePin::new(*version as u16, code)]).expect("a chain has code")
    }

    /// The environment of the next batch: fees, time, first block.
    pub fn environment_mut(&mut self) -> &mut L1BatchEnv {
        &mut self.next
    }

    /// Sets a storage slot between two batches.
    pub fn set_slot(&mut self, key: &StorageKey, value: H256) {
        self.state.tree.write(key.hashed_key_u256(), value);
        self.next.previous_batch_hash = Some(self.root());
    }

    /// A storage slot's leaf and path, as a batch that only reads it shows them; all 256 hashes.
    pub fn prove(&self, key: &U256) -> MerklePath {
        let (index, value) = self.state.tree.leaf(key).unwrap_or_default();
        MerklePath {
            root_hash: ByteArray::new(self.root().0),
            is_write: false,
            first_write: false,
            merkle_paths: self.state.tree.path(key).into_iter().map(ByteArray::new).collect(),
            leaf_hashed_key: *key,
            leaf_enumeration_index: index,
            value_written: [0; 32],
            value_read: value.0,
        }
    }

    /// Seals the next batch with traffic.
    pub fn seal(&mut self, load: Load) -> Result<SealedBatch, SealError> {
        // The real chain's transaction is one of the first batch's.
        let recorded = self.recorded.take();
        let transactions = load.transactions - usize::from(recorded.is_some()).min(load.transactions);
        let mix = self.traffic.batch(Load { transactions, ..load });
        let hash = recorded.as_ref().map(Transaction::hash);
        let transactions: Vec<_> = recorded.into_iter().chain(mix).collect();
        let blocks = transactions.chunks(BLOCK_TRANSACTIONS).map(<[_]>::to_vec).collect();
        Ok(SealedBatch { recorded_transaction: hash, ..self.seal_blocks(blocks)? })
    }

    /// Seals the next batch with the blocks of these transactions. Nothing changes where that fails.
    pub fn seal_blocks(&mut self, blocks: Vec<Vec<Transaction>>) -> Result<SealedBatch, SealError> {
        if blocks.is_empty() || blocks.iter().any(Vec::is_empty) {
            return Err(SealError::Empty);
        }
        let blocks = self.blocks(blocks);
        let view = StorageView::new(&self.state).to_rc_ptr();
        let finished =
            legacy::run(self.next.clone(), self.genesis.system.clone(), &blocks, self.genesis.pubdata, view.clone())?;
        let cache = view.borrow().cache();
        let claims = WitnessStorageState {
            read_storage_key: cache.read_storage_keys(),
            is_write_initial: cache.initial_writes(),
        };
        let merkle_paths = self.state.apply(&finished.final_execution_state.deduplicated_storage_logs);
        for code in blocks.iter().flat_map(|block| &block.txs).flat_map(|tx| &tx.execute.factory_deps) {
            let hash = BytecodeHash::for_bytecode(code).value();
            self.state.bytecodes.insert(hash, code.clone());
        }
        let root = self.root();
        let input = BatchInput {
            vm_run_data: self.run_data(finished, claims),
            merkle_paths,
            l1_batch_env: self.next.clone(),
            system_env: self.genesis.system.clone(),
            pubdata_params: self.genesis.pubdata,
            l2_blocks_execution_data: blocks,
        };
        self.next = next_batch(&input, root);
        Ok(SealedBatch { input, root, recorded_transaction: None })
    }

    /// Blocks that follow one another, an empty one at the end.
    fn blocks(&self, transactions: Vec<Vec<Transaction>>) -> Vec<L2BlockExecutionData> {
        let mut env = self.next.first_l2_block.clone();
        let blocks = transactions.into_iter().chain([vec![]]).map(|txs| {
            let block = L2BlockExecutionData {
                number: L2BlockNumber(env.number),
                timestamp: env.timestamp,
                prev_block_hash: env.prev_block_hash,
                virtual_blocks: env.max_virtual_blocks_to_create,
                txs,
                interop_roots: std::mem::take(&mut env.interop_roots),
            };
            env = next_block(&block, self.genesis.system.version);
            block
        });
        blocks.collect()
    }

    fn run_data(&self, finished: FinishedL1Batch, claims: WitnessStorageState) -> VmRunData {
        let state = finished.final_execution_state;
        let contracts = &self.genesis.system.base_system_smart_contracts;
        let words = |code: &[u8]| code.as_chunks::<32>().0.to_vec();
        let code = |hash: U256| {
            let hash = u256_to_h256(hash);
            let base = [Some(&contracts.default_aa), contracts.evm_emulator.as_ref()];
            let base = base.into_iter().flatten().find(|contract| contract.hash == hash);
            base.map(|contract| &contract.code).or_else(|| self.state.bytecodes.get(&hash)).map(|code| words(code))
        };
        VmRunData {
            l1_batch_number: self.next.number,
            used_bytecodes: state
                .used_contract_hashes
                .into_iter()
                .filter_map(|hash| code(hash).map(|code| (hash, code)))
                .collect(),
            initial_heap_content: finished.final_bootloader_memory.unwrap_or_default(),
            protocol_version: self.genesis.system.version,
            bootloader_code: words(&contracts.bootloader.code),
            default_account_code_hash: h256_to_u256(contracts.default_aa.hash),
            evm_emulator_code_hash: contracts.evm_emulator.as_ref().map(|code| h256_to_u256(code.hash)),
            storage_refunds: state.storage_refunds,
            pubdata_costs: state.pubdata_costs,
            witness_block_state: claims,
        }
    }
}

/// The block after a block, empty so far.
fn next_block(block: &L2BlockExecutionData, version: ProtocolVersionId) -> L2BlockEnv {
    let mut hasher = L2BlockHasher::new(block.number, block.timestamp, block.prev_block_hash);
    for transaction in &block.txs {
        hasher.push_tx_hash(transaction.hash());
    }
    L2BlockEnv {
        number: block.number.0 + 1,
        timestamp: block.timestamp + 1,
        prev_block_hash: hasher.finalize(version),
        max_virtual_blocks_to_create: 1,
        interop_roots: vec![],
    }
}

/// The environment of the batch after one.
fn next_batch(input: &BatchInput, root: H256) -> L1BatchEnv {
    let last = input.l2_blocks_execution_data.last().expect("a batch ends with an empty block");
    let first_l2_block = next_block(last, input.system_env.version);
    L1BatchEnv {
        previous_batch_hash: Some(root),
        number: input.l1_batch_env.number + 1,
        timestamp: first_l2_block.timestamp,
        first_l2_block,
        ..input.l1_batch_env.clone()
    }
}

/// A hashed key's place in the tree.
fn tree_key(hashed_key: &H256) -> U256 {
    U256::from_little_endian(hashed_key.as_bytes())
}

/// Storage and code between batches.
#[derive(Debug, Clone)]
struct State {
    tree: Tree,
    bytecodes: HashMap<H256, Vec<u8>>,
}

impl State {
    /// Applies a batch's accesses and writes down the path of each, in the compact form: hashes that equal the first
    /// path's from the leaf level up are left out.
    fn apply(&mut self, logs: &[StorageLog]) -> MerklePaths {
        let next_enumeration_index = self.tree.next_index();
        let mut logs: Vec<_> = logs.iter().collect();
        logs.sort_by_key(|log| (*log.key.address(), *log.key.key()));
        let mut first_path: Option<Vec<[u8; 32]>> = None;
        let merkle_paths = logs
            .into_iter()
            .map(|log| {
                let mut path = self.tree.path(&log.key.hashed_key_u256());
                match &first_path {
                    Some(first) => {
                        let same = path.iter().zip(first).take_while(|(hash, first)| hash == first).count();
                        path.drain(..same);
                    }
                    None => first_path = Some(path.clone()),
                }
                self.apply_one(log, path)
            })
            .collect();
        MerklePaths { merkle_paths, next_enumeration_index }
    }

    fn apply_one(&mut self, log: &StorageLog, path: Vec<[u8; 32]>) -> MerklePath {
        let key = log.key.hashed_key_u256();
        let before = self.tree.leaf(&key);
        if log.is_write() {
            self.tree.write(key, log.value);
        }
        let after = self.tree.leaf(&key);
        MerklePath {
            root_hash: ByteArray::new(self.tree.root().0),
            is_write: log.is_write(),
            first_write: log.is_write() && before.is_none(),
            merkle_paths: path.into_iter().map(ByteArray::new).collect(),
            leaf_hashed_key: key,
            leaf_enumeration_index: after.map_or(0, |(index, _)| index),
            value_written: if log.is_write() { log.value.0 } else { [0; 32] },
            value_read: before.unwrap_or_default().1.0,
        }
    }

    fn leaf(&self, key: &StorageKey) -> Option<(u64, H256)> {
        self.tree.leaf(&key.hashed_key_u256())
    }
}

/// The state as the VM reads it.
impl ReadStorage for &State {
    fn read_value(&mut self, key: &StorageKey) -> StorageValue {
        self.leaf(key).unwrap_or_default().1
    }

    fn is_write_initial(&mut self, key: &StorageKey) -> bool {
        self.leaf(key).is_none()
    }

    fn load_factory_dep(&mut self, hash: H256) -> Option<Vec<u8>> {
        self.bytecodes.get(&hash).cloned()
    }

    fn get_enumeration_index(&mut self, key: &StorageKey) -> Option<u64> {
        self.leaf(key).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The batch that holds nothing but the recorded transaction, over the state as the recorded run shows it.
    #[test]
    fn the_recorded_transaction_alone_gives_the_known_root() {
        let genesis = Genesis::sepolia().unwrap();
        let recorded = genesis.recorded.clone().unwrap();
        let hash = "3e700a3e3d2b2ffb7a2f929ce9be82dd128eb3fdabc19dc0b31235b80d58cf2f";
        assert_eq!(recorded.hash(), hash.parse().unwrap());

        let traffic = Traffic::new(genesis.system.chain_id);
        let sealed = Chain::start(genesis, traffic).seal_blocks(vec![vec![recorded]]).unwrap();
        let previous_root = sealed.input.l1_batch_env.previous_batch_hash.unwrap();
        let known = "aab9d98c78b0d847dba4d9e8b2505175e001af0f7b253c961108d034b7147cbb";
        assert_eq!(previous_root, known.parse().unwrap());
        assert_eq!(sealed.input.merkle_paths.next_enumeration_index, 54);
        assert_eq!(sealed.root, "d9cd9bcf53424f61ac131d48c566b7b3a766555e2a151dc2916fcaae6fc076d5".parse().unwrap());
    }
}
