//! The root after a batch: the run, and the paths folded one after another.

use std::collections::HashMap;

use blake2s_simd::blake2s;
use tee_eravm::Slot;
use tee_verifier::{BatchInput, H256, MerklePath, Rejection, Run, State, U256, VmRunData, storage_key};
use thiserror::Error;

use crate::legacy::{RunError, legacy_run};

/// Why there is no second opinion.
#[derive(Debug, Error)]
pub enum ReferenceError {
    /// The VM does not finish the batch.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The batch names no root before it.
    #[error("the previous batch's root is missing")]
    NoPreviousRoot,
    /// A path does not lead to the root that the paths before it left.
    #[error("path {entry} does not lead to the root before it")]
    Path {
        /// Its place in the witness.
        entry: usize,
    },
    /// The run writes another value, or none.
    #[error("the run does not write what path {entry} says")]
    Write {
        /// Its place in the witness.
        entry: usize,
    },
}

/// The root after a batch.
pub fn reference_root(input: &BatchInput) -> Result<H256, ReferenceError> {
    let BatchInput {
        vm_run_data,
        merkle_paths,
        l2_blocks_execution_data,
        l1_batch_env,
        system_env,
        pubdata_params,
        ..
    } = input;
    let run =
        Run { batch: l1_batch_env, system: system_env, blocks: l2_blocks_execution_data, pubdata: pubdata_params };
    let outcome = legacy_run(run, Claims::new(vm_run_data))?;
    let writes = outcome.writes.iter().map(|(key, value)| (key.hashed_key_u256(), *value)).collect();
    let previous_root = l1_batch_env.previous_batch_hash.ok_or(ReferenceError::NoPreviousRoot)?;
    fold(&merkle_paths.merkle_paths, &writes, previous_root)
}

/// The state before the batch, according to the sequencer. Leaf indices matter only for the data to publish, which is
/// not compared.
struct Claims<'a> {
    data: &'a VmRunData,
    bytecodes: HashMap<[u8; 32], Vec<u8>>,
}

impl<'a> Claims<'a> {
    fn new(data: &'a VmRunData) -> Self {
        let bytecodes = data.used_bytecodes.iter().map(|(hash, words)| {
            let mut bytes = [0; 32];
            hash.to_big_endian(&mut bytes);
            (bytes, words.concat())
        });
        Self { data, bytecodes: bytecodes.collect() }
    }
}

impl State for Claims<'_> {
    fn slot(&mut self, address: &[u8; 20], key: &tee_eravm::U256) -> Result<Slot, Rejection> {
        let key = storage_key(address, key);
        let claims = &self.data.witness_block_state;
        let value = claims.read_storage_key.get(&key).ok_or(Rejection::SlotMissing { key })?;
        let is_new = claims.is_write_initial.get(&key).copied().unwrap_or_default();
        Ok(Slot { value: tee_eravm::U256::from_be_bytes(value.0), is_new, is_proven: true })
    }

    fn leaf_index(&self, address: &[u8; 20], key: &tee_eravm::U256) -> u64 {
        let key = storage_key(address, key);
        let is_new = self.data.witness_block_state.is_write_initial.get(&key).copied().unwrap_or_default();
        u64::from(!is_new)
    }

    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        self.bytecodes.get(hash).map(Vec::as_slice)
    }
}

fn fold(paths: &[MerklePath], writes: &HashMap<U256, H256>, mut root: H256) -> Result<H256, ReferenceError> {
    let first = paths.first().map(|path| path.merkle_paths.as_slice()).unwrap_or_default();
    for (entry, path) in paths.iter().enumerate() {
        let left_out = first.len().saturating_sub(path.merkle_paths.len());
        let siblings: Vec<&[u8; 32]> =
            first.iter().take(left_out).chain(&path.merkle_paths).map(|hash| &**hash).collect();
        let before = match path.first_write || path.leaf_enumeration_index == 0 {
            true => [0; 40],
            false => leaf(path.leaf_enumeration_index, path.value_read),
        };
        if climb(before, path.leaf_hashed_key, &siblings) != root {
            return Err(ReferenceError::Path { entry });
        }
        if path.is_write {
            let value = writes.get(&path.leaf_hashed_key).filter(|value| value.0 == path.value_written);
            let value = value.ok_or(ReferenceError::Write { entry })?;
            root = climb(leaf(path.leaf_enumeration_index, value.0), path.leaf_hashed_key, &siblings);
        }
    }
    Ok(root)
}

fn leaf(index: u64, value: [u8; 32]) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    bytes[8..].copy_from_slice(&value);
    bytes
}

fn climb(leaf: [u8; 40], key: U256, siblings: &[&[u8; 32]]) -> H256 {
    let mut hash = *blake2s(&leaf).as_array();
    for (height, sibling) in siblings.iter().enumerate() {
        let pair = if key.bit(height) { [**sibling, hash] } else { [hash, **sibling] };
        hash = *blake2s(pair.as_flattened()).as_array();
    }
    H256(hash)
}
