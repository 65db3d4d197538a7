//! Completing an input: further read paths, for slots that were written and rolled back.
//!
//! A node's data has no path for such a slot. If the run depends on the slot's value, as in a transaction that fails
//! because its writes cost too much to publish, the batch is rejected (`unproven_cost`) until its input carries the
//! path. Nothing here is trusted: [`verify`](crate::verify()) checks these paths like all others.

use serde_bytes::ByteArray;
use tee_eravm::{Address, Slot, U256};
use thiserror::Error;

use crate::{
    BatchInput, H256, MerklePath, MerklePaths, Rejection, Run, State, StorageKey, code, execution,
    machine::storage_key,
    parameters,
    shape::{LeafContent, TREE_DEPTH, Witness},
    signatures,
    storage::{self, ProvenState},
    tree,
};

/// A slot of the state before a batch, with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPath {
    /// The slot.
    pub key: StorageKey,
    /// The index of its leaf; 0 if it has none.
    pub index: u64,
    /// Its value; zero if it has no leaf.
    pub value: H256,
    /// The hashes beside its way to the root, from the leaf level up. Those of empty subtrees may be left out at the start.
    pub path: Vec<[u8; 32]>,
}

/// Why a path cannot be added to an input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the fields are named in the messages")]
pub enum CompletionError {
    #[error("the input does not name the previous batch's root")]
    NoPreviousRoot,
    #[error("the path of {key:?} has {got} hashes, at most 256 are possible")]
    PathTooLong { key: StorageKey, got: usize },
    #[error("the path of {key:?} leads to the root {got:?}, but the previous batch ended with {expected:?}")]
    OtherRoot { key: StorageKey, got: H256, expected: H256 },
}

/// Finds the slots without a path that a batch touches, in the order of address and slot. With paths for all of them,
/// the batch runs as on the node. This runs the batch, and takes the input's claims about these slots as true.
///
/// # Errors
///
/// The reason why the batch cannot be run, whatever paths it has.
pub fn slots_without_path(input: &BatchInput) -> Result<Vec<StorageKey>, Rejection> {
    parameters::check(input)?;
    let code = code::check(input)?;
    signatures::check_forms(input)?;
    let witness = Witness::parse(without_hashes(&input.merkle_paths))?;
    let claims = &input.vm_run_data.witness_block_state;
    let state = BelievedState(ProvenState::new(&witness, claims, &code.bytecodes)?);
    let run = Run {
        batch: &input.l1_batch_env,
        system: &input.system_env,
        blocks: &input.l2_blocks_execution_data,
        pubdata: &input.pubdata_params,
    };
    let accesses = execution::run(run, state)?.accesses;
    let without_path = accesses.iter().filter(|slot| storage::position(&witness, &slot.address, &slot.key).is_none());
    let mut slots: Vec<_> = without_path.map(|slot| storage_key(&slot.address, &slot.key)).collect();
    slots.sort_unstable();
    Ok(slots)
}

/// Adds read paths to an input, behind its own.
///
/// # Errors
///
/// A path that does not lead to the root before the batch. The input is then unchanged.
pub fn add_read_paths(input: &mut BatchInput, slots: Vec<SlotPath>) -> Result<(), CompletionError> {
    let expected = input.l1_batch_env.previous_batch_hash.ok_or(CompletionError::NoPreviousRoot)?;
    let paths = &mut input.merkle_paths.merkle_paths;
    let first = paths.first().map(|first| first.merkle_paths.as_slice());
    let first = first.filter(|path| path.len() == TREE_DEPTH);
    let mut added = Vec::with_capacity(slots.len());
    for SlotPath { key, index, value, path } in slots {
        let got = path.len();
        let path = tree::whole_path(&path).ok_or(CompletionError::PathTooLong { key, got })?;
        let leaf_hashed_key = key.hashed_key_u256();
        let content = (index != 0).then_some(LeafContent { index, value });
        let got = tree::root_of(leaf_hashed_key, content, &path);
        if got != expected {
            return Err(CompletionError::OtherRoot { key, got, expected });
        }
        // Only what both compact forms leave out: the input does not say which of the two it is in.
        let left_out = tree::empty_hashes(&path);
        let left_out = first.map_or(left_out, |first| {
            let same = path.iter().zip(first).take(left_out).take_while(|(hash, first)| **hash == ***first);
            same.count()
        });
        added.push(MerklePath {
            root_hash: ByteArray::new(expected.0),
            is_write: false,
            first_write: false,
            merkle_paths: path.into_iter().skip(left_out).map(ByteArray::new).collect(),
            leaf_hashed_key,
            leaf_enumeration_index: index,
            value_written: [0; 32],
            value_read: value.0,
        });
    }
    paths.append(&mut added);
    Ok(())
}

/// Whether `longer` is `shorter` with further read paths behind its own.
pub fn completes(longer: &BatchInput, shorter: &BatchInput) -> bool {
    let BatchInput {
        vm_run_data,
        merkle_paths: MerklePaths { merkle_paths, next_enumeration_index },
        l2_blocks_execution_data,
        l1_batch_env,
        system_env,
        pubdata_params,
        commitment_input,
    } = longer;
    let own = &shorter.merkle_paths;
    let Some((first, further)) = merkle_paths.split_at_checked(own.merkle_paths.len()) else { return false };
    !further.is_empty()
        && further.iter().all(|path| !path.is_write && !path.first_write)
        && first == own.merkle_paths
        && *next_enumeration_index == own.next_enumeration_index
        && *vm_run_data == shorter.vm_run_data
        && *l2_blocks_execution_data == shorter.l2_blocks_execution_data
        && *l1_batch_env == shorter.l1_batch_env
        && *system_env == shorter.system_env
        && *pubdata_params == shorter.pubdata_params
        && *commitment_input == shorter.commitment_input
}

/// The paths without their hashes: a run that trusts claims needs only the leaves.
fn without_hashes(paths: &MerklePaths) -> MerklePaths {
    let leaf = |path: &MerklePath| MerklePath { merkle_paths: vec![], ..*path };
    MerklePaths { merkle_paths: paths.merkle_paths.iter().map(leaf).collect(), ..*paths }
}

/// A state that takes every claim as proven.
struct BelievedState<'a>(ProvenState<'a>);

impl State for BelievedState<'_> {
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection> {
        Ok(Slot { is_proven: true, ..self.0.slot(address, key)? })
    }

    fn leaf_index(&self, address: &Address, key: &U256) -> u64 {
        self.0.leaf_index(address, key)
    }

    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        self.0.bytecode(hash)
    }
}
