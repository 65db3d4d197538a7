//! The chain: takes transactions, seals batches, and writes their inputs as a node does.

use std::collections::HashMap;

use blake2s_simd::blake2s;
use serde_bytes::ByteArray;
use serde_json::{Value, json};
use tee_eravm::{Access, Slot};
use tee_verifier::{
    Address, BatchInput, BatchOutcome, ChainPins, CodeHashes, CodePin, H256, L1BatchNumber, MerklePath, MerklePaths,
    Rejection, Run, StorageKey, U256, VmRunData, era_code_hash,
    input::{
        ExecuteTransactionCommon, Kept, L1BatchEnv, L2BlockEnv, L2BlockExecutionData, SystemEnv, Transaction,
        WitnessStorageState,
    },
    run, storage_key, transaction_hashes,
};
use thiserror::Error;

use crate::{
    genesis::Genesis,
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
    /// The input for a prover.
    pub input: BatchInput,
    /// Root after the batch.
    pub root: H256,
    /// The hash of the real chain's transaction, in the batch that contains it.
    pub recorded_transaction: Option<H256>,
}

/// Why a batch cannot be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The machine does not finish the batch.
    #[error(transparent)]
    Run(#[from] Rejection),
    /// The batch has no block, or one of its blocks no transaction.
    #[error("a batch needs at least one block, and each block a transaction")]
    Empty,
}

impl Chain {
    /// A chain from a genesis, with accounts and a contract for its traffic added to the state.
    pub fn new(genesis: Genesis) -> Self {
        let mut traffic = Traffic::new(genesis.system.chain_id);
        let genesis = genesis.with_traffic(traffic.accounts());
        traffic.set_nonces(|address| genesis.nonce(address));
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

    /// Fills the tree with leaves that no transaction touches, so that paths get longer, as if an earlier batch had
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

    /// The pins of the chain and its code, for those who rely on its batches.
    pub fn pins(&self) -> ChainPins {
        let SystemEnv { base_system_smart_contracts: contracts, chain_id, version, .. } = self.system();
        let code = CodeHashes {
            bootloader: contracts.bootloader.hash,
            default_account: contracts.default_aa.hash,
            evm_emulator: contracts.evm_emulator.as_ref().map(|code| code.hash),
        };
        ChainPins::new(chain_id.as_u64(), vec![CodePin::new(version.number(), code)]).expect("a chain has code")
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

    /// The answer of a node to `zks_getProof`, for the state so far. A path goes from the root to the leaf, without the hashes of empty
    /// subtrees at its end.
    pub fn storage_proof(&self, address: Address, keys: &[H256]) -> Value {
        let proof = |key: &H256| {
            let place = StorageKey::new(address, *key).hashed_key_u256();
            let (index, value) = self.state.tree.leaf(&place).unwrap_or_default();
            let path = self.state.tree.path(&place);
            let path: Vec<_> =
                path[self.state.tree.empty_hashes(&path)..].iter().rev().map(|hash| H256(*hash)).collect();
            json!({ "key": key, "proof": path, "value": value, "index": index })
        };
        json!({ "address": address, "storageProof": keys.iter().map(proof).collect::<Vec<_>>() })
    }

    /// Seals the next batch with traffic.
    pub fn seal(&mut self, load: Load) -> Result<SealedBatch, SealError> {
        // The first batch contains the real chain's transaction.
        let recorded = self.recorded.take();
        let transactions = load.transactions - usize::from(recorded.is_some()).min(load.transactions);
        let mix = self.traffic.batch(Load { transactions, ..load });
        let hash = recorded.as_ref().map(|transaction| self.hash(transaction));
        let transactions: Vec<_> = recorded.into_iter().chain(mix).collect();
        let blocks = transactions.chunks(BLOCK_TRANSACTIONS).map(<[_]>::to_vec).collect();
        Ok(SealedBatch { recorded_transaction: hash, ..self.seal_blocks(blocks)? })
    }

    /// Seals the next batch with the blocks of these transactions. If that fails, nothing changes.
    pub fn seal_blocks(&mut self, blocks: Vec<Vec<Transaction>>) -> Result<SealedBatch, SealError> {
        if blocks.is_empty() || blocks.iter().any(Vec::is_empty) {
            return Err(SealError::Empty);
        }
        let blocks = self.blocks(blocks);
        let mut state = self.state();
        let BatchOutcome { accesses, code_hashes, deployed, .. } = run(self.run_of(&blocks), &mut state)?;
        let claims = state.claims;
        self.state.bytecodes.extend(deployed.into_iter().map(|(hash, code)| (H256(hash), code)));
        let merkle_paths = self.state.apply(accesses);
        for code in blocks.iter().flat_map(|block| &block.txs).flat_map(|tx| &tx.execute.factory_deps) {
            self.state.bytecodes.insert(H256(era_code_hash(code)), code.clone());
        }
        let root = self.root();
        let input = BatchInput {
            vm_run_data: self.run_data(&code_hashes, claims),
            merkle_paths,
            l1_batch_env: self.next.clone(),
            system_env: self.genesis.system.clone(),
            pubdata_params: self.genesis.pubdata,
            l2_blocks_execution_data: blocks,
            commitment_input: None,
        };
        self.next = self.next_batch(&input, root);
        Ok(SealedBatch { input, root, recorded_transaction: None })
    }

    /// The run that would seal these blocks next.
    pub fn run_of<'a>(&'a self, blocks: &'a [L2BlockExecutionData]) -> Run<'a> {
        Run { batch: &self.next, system: &self.genesis.system, blocks, pubdata: &self.genesis.pubdata }
    }

    /// The state so far, as a run reads it.
    pub fn state(&self) -> ChainState<'_> {
        ChainState { state: &self.state, system: &self.genesis.system, claims: WitnessStorageState::default() }
    }

    /// Blocks of these transactions that continue the chain so far, followed by an empty one.
    pub fn blocks(&self, transactions: Vec<Vec<Transaction>>) -> Vec<L2BlockExecutionData> {
        let mut env = self.next.first_l2_block.clone();
        let blocks = transactions.into_iter().chain([vec![]]).map(|txs| {
            let block = L2BlockExecutionData {
                number: env.number,
                timestamp: env.timestamp,
                prev_block_hash: env.prev_block_hash,
                virtual_blocks: env.max_virtual_blocks_to_create,
                txs,
                interop_roots: std::mem::take(&mut env.interop_roots),
            };
            env = self.next_block(&block);
            block
        });
        blocks.collect()
    }

    fn run_data(&self, code_hashes: &[H256], claims: WitnessStorageState) -> VmRunData {
        let system = &self.genesis.system;
        let contracts = &system.base_system_smart_contracts;
        let words = |code: &[u8]| code.as_chunks::<32>().0.to_vec();
        let code = |hash| base_code(system, hash).or_else(|| self.state.bytecodes.get(hash)).map(|code| words(code));
        let number = |hash: &H256| U256::from_big_endian(hash.as_bytes());
        VmRunData {
            l1_batch_number: self.next.number,
            used_bytecodes: code_hashes.iter().filter_map(|hash| code(hash).map(|code| (number(hash), code))).collect(),
            // Nothing reads this: the chain has no prover for circuits.
            initial_heap_content: Kept::default(),
            storage_refunds: Kept::default(),
            pubdata_costs: Kept::default(),
            protocol_version: system.version,
            bootloader_code: words(&contracts.bootloader.code),
            default_account_code_hash: number(&contracts.default_aa.hash),
            evm_emulator_code_hash: contracts.evm_emulator.as_ref().map(|code| number(&code.hash)),
            witness_block_state: claims,
        }
    }

    /// The block after a block, empty so far.
    fn next_block(&self, block: &L2BlockExecutionData) -> L2BlockEnv {
        L2BlockEnv {
            number: block.number + 1,
            timestamp: block.timestamp + 1,
            prev_block_hash: block.hash(block.txs.iter().map(|transaction| self.hash(transaction))),
            max_virtual_blocks_to_create: 1,
            interop_roots: vec![],
        }
    }

    /// The environment of the batch after one.
    fn next_batch(&self, input: &BatchInput, root: H256) -> L1BatchEnv {
        let last = input.l2_blocks_execution_data.last().expect("a batch ends with an empty block");
        let first_l2_block = self.next_block(last);
        L1BatchEnv {
            previous_batch_hash: Some(root),
            number: L1BatchNumber(input.l1_batch_env.number.0 + 1),
            timestamp: first_l2_block.timestamp,
            first_l2_block,
            ..input.l1_batch_env.clone()
        }
    }

    /// A transaction's hash. A batch contains no transaction with a missing or wrong one.
    fn hash(&self, transaction: &Transaction) -> H256 {
        match &transaction.common_data {
            ExecuteTransactionCommon::L1(common) => common.canonical_tx_hash,
            ExecuteTransactionCommon::ProtocolUpgrade(common) => common.canonical_tx_hash,
            ExecuteTransactionCommon::L2(common) => {
                let hashes = transaction_hashes(common, &transaction.execute, self.genesis.system.chain_id);
                hashes.map(|hashes| hashes.transaction).unwrap_or_default()
            }
        }
    }
}

/// The default account's code or the EVM emulator's, by its hash.
fn base_code<'a>(system: &'a SystemEnv, hash: &H256) -> Option<&'a Vec<u8>> {
    let contracts = &system.base_system_smart_contracts;
    let base = [Some(&contracts.default_aa), contracts.evm_emulator.as_ref()];
    base.into_iter().flatten().find(|contract| contract.hash == *hash).map(|contract| &contract.code)
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
    /// Applies a batch's accesses and records the path of each slot in the compact form: hashes that equal the first
    /// path's, counted from the leaf level up, are left out. A slot that was only written, and only in parts of the run
    /// that were rolled back, has no path.
    fn apply(&mut self, mut accesses: Vec<Access>) -> MerklePaths {
        let next_enumeration_index = self.tree.next_index();
        accesses.retain(|access| access.is_read || access.is_written);
        accesses.sort_unstable_by_key(|access| (access.address, access.key));
        let mut first_path: Option<Vec<[u8; 32]>> = None;
        let merkle_paths = accesses
            .iter()
            .map(|access| {
                let key = storage_key(&access.address, &access.key).hashed_key_u256();
                let mut path = self.tree.path(&key);
                match &first_path {
                    Some(first) => {
                        let same = path.iter().zip(first).take_while(|(hash, first)| hash == first).count();
                        path.drain(..same);
                    }
                    None => first_path = Some(path.clone()),
                }
                self.apply_one(key, access, path)
            })
            .collect();
        MerklePaths { merkle_paths, next_enumeration_index }
    }

    fn apply_one(&mut self, key: U256, access: &Access, path: Vec<[u8; 32]>) -> MerklePath {
        let before = self.tree.leaf(&key);
        let value = H256(access.value.to_be_bytes());
        // For the tree, a write that changes nothing is a read.
        let is_write = access.is_written && access.value != access.before.value;
        if is_write {
            self.tree.write(key, value);
        }
        let after = self.tree.leaf(&key);
        MerklePath {
            root_hash: ByteArray::new(self.tree.root().0),
            is_write,
            first_write: is_write && before.is_none(),
            merkle_paths: path.into_iter().map(ByteArray::new).collect(),
            leaf_hashed_key: key,
            leaf_enumeration_index: after.map_or(0, |(index, _)| index),
            value_written: if is_write { value.0 } else { [0; 32] },
            value_read: before.unwrap_or_default().1.0,
        }
    }

    fn leaf(&self, key: &StorageKey) -> Option<(u64, H256)> {
        self.tree.leaf(&key.hashed_key_u256())
    }
}

/// The state as a run reads it, with a record of what was read.
#[derive(Debug)]
pub struct ChainState<'a> {
    state: &'a State,
    system: &'a SystemEnv,
    claims: WitnessStorageState,
}

impl tee_verifier::State for ChainState<'_> {
    fn slot(&mut self, address: &[u8; 20], key: &tee_eravm::U256) -> Result<Slot, Rejection> {
        let key = storage_key(address, key);
        let leaf = self.state.leaf(&key);
        let value = leaf.unwrap_or_default().1;
        self.claims.read_storage_key.insert(key, value);
        self.claims.is_write_initial.insert(key, leaf.is_none());
        Ok(Slot { value: tee_eravm::U256::from_be_bytes(value.0), is_new: leaf.is_none(), is_proven: true })
    }

    fn leaf_index(&self, address: &[u8; 20], key: &tee_eravm::U256) -> u64 {
        let key = storage_key(address, key);
        self.state.leaf(&key).map_or(0, |(index, _)| index)
    }

    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        let base = base_code(self.system, &H256(*hash));
        base.or_else(|| self.state.bytecodes.get(&H256(*hash))).map(Vec::as_slice)
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
        let traffic = Traffic::new(genesis.system.chain_id);
        let mut chain = Chain::start(genesis, traffic);
        assert_eq!(chain.hash(&recorded), hash.parse().unwrap());

        let sealed = chain.seal_blocks(vec![vec![recorded]]).unwrap();
        let previous_root = sealed.input.l1_batch_env.previous_batch_hash.unwrap();
        let known = "aab9d98c78b0d847dba4d9e8b2505175e001af0f7b253c961108d034b7147cbb";
        assert_eq!(previous_root, known.parse().unwrap());
        assert_eq!(sealed.input.merkle_paths.next_enumeration_index, 54);
        assert_eq!(sealed.root, "d9cd9bcf53424f61ac131d48c566b7b3a766555e2a151dc2916fcaae6fc076d5".parse().unwrap());
    }
}
