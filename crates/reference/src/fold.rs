//! The root after a batch: the run, and the paths folded one after another.

use std::collections::HashMap;

use blake2s_simd::blake2s;
use tee_verifier::{BatchInput, MerklePath};
use thiserror::Error;
use zksync_types::{H256, U256, u256_to_h256, witness_block_state::WitnessStorageState};
use zksync_vm_interface::storage::{StorageSnapshot, StorageView};

use crate::{
    legacy::{self, RunError},
    published::published,
};

/// Why there is no second opinion.
#[derive(Debug, Error)]
pub enum ReferenceError {
    /// The VM does not finish the batch.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The published types do not know what the input holds.
    #[error("not an input of the published types")]
    Types(#[from] serde_json::Error),
    /// The batch names no root before it.
    #[error("no root of the batch before")]
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
    let data = &input.vm_run_data;
    let claims: WitnessStorageState = published(&data.witness_block_state)?;
    // Leaf indices only matter for the data to publish, which is not compared.
    let values = claims.read_storage_key.iter().map(|(key, value)| (key.hashed_key(), Some((*value, 1))));
    let absent =
        claims.is_write_initial.iter().filter(|(_, initial)| **initial).map(|(key, _)| (key.hashed_key(), None));
    let bytecodes = data.used_bytecodes.iter().map(|(hash, words)| (u256_to_h256(*hash), words.concat()));
    let snapshot = StorageSnapshot::new(values.chain(absent).collect(), bytecodes.collect());
    let finished = legacy::run(
        published(&input.l1_batch_env)?,
        published(&input.system_env)?,
        &published::<Vec<_>>(&input.l2_blocks_execution_data)?,
        published(&input.pubdata_params)?,
        StorageView::new(snapshot).to_rc_ptr(),
    )?;
    let logs = finished.final_execution_state.deduplicated_storage_logs;
    let writes: HashMap<U256, H256> =
        logs.iter().filter(|log| log.is_write()).map(|log| (log.key.hashed_key_u256(), log.value)).collect();

    let previous_root = input.l1_batch_env.previous_batch_hash.ok_or(ReferenceError::NoPreviousRoot)?;
    fold(&input.merkle_paths.merkle_paths, &writes, previous_root)
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
