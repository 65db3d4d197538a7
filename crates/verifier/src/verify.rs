//! Verification of one batch.

use std::{panic, thread};

use crate::{
    BatchInput, ChainPins, H256, Pins, Rejection, VerifiedBatch, code,
    execution::{self, Outcome, Run},
    input::{ExecuteTransactionCommon, L2BlockExecutionData},
    parameters,
    shape::{Access, LeafContent, Witness},
    signatures,
    storage::ProvenState,
    tree::ProvenTree,
};

/// The caller's knowledge about the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The chain and the code that a batch must match.
    pub pins: Pins,
}

impl Options {
    /// Accepts only batches of this chain and this code.
    pub fn pinned(chain: ChainPins) -> Self {
        Self { pins: Pins::Chain(chain) }
    }

    /// Accepts batches of any chain and code: an operator's own bootloader, too, which may mint anything.
    pub fn danger_any_code() -> Self {
        Self { pins: Pins::danger_any_code() }
    }
}

/// Verifies that from the state with the root before the batch, these transactions, executed by this code under these
/// parameters, lead to the state with the root in the result.
///
/// 1. The parameters are those that a node sets, and the blocks follow one another.
/// 2. Every bytecode hashes to the hash that it is known by. Chain, protocol version and base contracts are pinned ones.
/// 3. The transactions are well formed.
/// 4. The witness has a shape that cannot contradict itself.
/// 5. The run reads only the old values of the witness. Beside it, on another core:
///    - each signature's account is recovered before the run reaches its transaction and asks for exactly that;
///    - the old values fold to the root before the batch.
/// 6. The blocks chain by hash.
/// 7. The run's writes are exactly the witness's, and new leaves get their indices in the order of address and key.
/// 8. The new values give the root after the batch.
///
/// A result does not say that L1 knows the batch's L1 and upgrade transactions, or that time and fees are what the chain agreed on.
/// The system logs carry the values that L1 compares.
///
/// # Errors
///
/// A [`Rejection`] names the check that failed. Every input leads to a result or an error, never to a panic.
pub fn verify(input: BatchInput, options: &Options) -> Result<VerifiedBatch, Rejection> {
    let parameters = parameters::check(&input)?;
    let code = code::check(&input)?;
    let system = &input.system_env;
    // A bootloader of a few instructions that mints gives a valid batch, too: of its own code.
    options.pins.judge(system.chain_id.as_u64(), system.version.number(), &code.hashes)?;
    signatures::check_forms(&input)?;

    let (transactions, l1_transactions) = (input.transaction_count(), l1_transaction_count(&input));
    let BatchInput {
        vm_run_data,
        merkle_paths,
        l2_blocks_execution_data,
        l1_batch_env,
        system_env,
        pubdata_params,
        commitment_input: _,
    } = input;
    let run =
        Run { batch: &l1_batch_env, system: &system_env, blocks: &l2_blocks_execution_data, pubdata: &pubdata_params };
    let witness = Witness::parse(merkle_paths)?;
    let state_before = ProvenState::new(&witness, &vm_run_data.witness_block_state, &code.bytecodes)?;
    let (tree, transaction_hashes, outcome) = thread::scope(|scope| {
        let (checks, mut verdicts) = signatures::checks(run.blocks, system_env.chain_id);
        let tree = scope.spawn(|| {
            checks.make();
            ProvenTree::prove(&witness, parameters.previous_root)
        });
        let outcome = execution::run_proven(run, &witness, state_before, &mut verdicts);
        let transaction_hashes = verdicts.into_hashes(transactions);
        (tree.join().unwrap_or_else(|panic| panic::resume_unwind(panic)), transaction_hashes, outcome)
    });
    check_block_hashes(run.blocks, &transaction_hashes?)?;
    // The tree comes first: the end of a run over unproven values says little.
    let (tree, outcome) = (tree?, outcome?);

    let Changes { leaves, next_index } = changes(&witness, &outcome)?;
    let root = tree.root_after(&leaves)?;
    Ok(VerifiedBatch {
        chain_id: system_env.chain_id,
        number: l1_batch_env.number,
        protocol_version: system_env.version,
        previous_root: parameters.previous_root,
        previous_index: witness.next_index,
        root,
        index: next_index,
        code_hashes: code.hashes,
        system_logs: outcome.system_logs,
        transactions,
        l1_transactions,
        rolled_back_slots: outcome.rolled_back_slots,
    })
}

/// Checks that each block names the hash of the one before it.
fn check_block_hashes(blocks: &[L2BlockExecutionData], transaction_hashes: &[H256]) -> Result<(), Rejection> {
    let mut transaction_hashes = transaction_hashes.iter().copied();
    for (block, next) in blocks.iter().zip(blocks.iter().skip(1)) {
        let expected = block.hash(transaction_hashes.by_ref().take(block.txs.len()));
        if next.prev_block_hash != expected {
            return Err(Rejection::BlockHash { number: next.number, got: next.prev_block_hash, expected });
        }
    }
    Ok(())
}

fn l1_transaction_count(input: &BatchInput) -> usize {
    let transactions = input.l2_blocks_execution_data.iter().flat_map(|block| &block.txs);
    transactions.filter(|tx| !matches!(tx.common_data, ExecuteTransactionCommon::L2(_))).count()
}

/// The leaves that the run changed.
struct Changes {
    /// Position in the witness and new content.
    leaves: Vec<(usize, LeafContent)>,
    /// The next free leaf index after the batch.
    next_index: u64,
}

/// Matches the run's writes with the witness's, one to one, and hands out indices to new leaves.
fn changes(witness: &Witness, outcome: &Outcome) -> Result<Changes, Rejection> {
    let mut next_index = witness.next_index;
    let mut leaves = Vec::with_capacity(outcome.changes.len());
    for (key, value) in &outcome.changes {
        // A write that is left out of the witness would be missing from the new root.
        let missing = || Rejection::WriteWithoutPath { key: *key };
        let position = witness.position(&key.hashed_key_u256()).ok_or_else(missing)?;
        let leaf = witness.leaves.get(position).ok_or_else(missing)?;
        let (index, claimed) = match (leaf.access, leaf.before) {
            (Access::Insert { value, index: got }, _) => {
                let expected = next_index;
                next_index = next_index.checked_add(1).ok_or(Rejection::IndexOverflow)?;
                // Another index is another leaf: no node that follows the chain's data would reach this root.
                if got != expected {
                    return Err(Rejection::InsertionIndex { key: leaf.key, got, expected });
                }
                (expected, value)
            }
            (Access::Update { value }, Some(before)) => (before.index, value),
            (Access::Update { .. }, None) | (Access::Read, _) => return Err(missing()),
        };
        // Only the run decides what is written; a witness that says otherwise does not belong to this batch.
        if claimed != *value {
            return Err(Rejection::WrittenValue { key: leaf.key, got: claimed, expected: *value });
        }
        leaves.push((position, LeafContent { index, value: *value }));
    }
    let mut changed = vec![false; witness.leaves.len()];
    for (position, _) in &leaves {
        if let Some(changed) = changed.get_mut(*position) {
            *changed = true;
        }
    }
    for ((leaf, changed), touched) in witness.leaves.iter().zip(changed).zip(&outcome.touched) {
        // A write that never happened.
        if leaf.access != Access::Read && !changed {
            return Err(Rejection::PathWithoutWrite { key: leaf.key });
        }
        // Otherwise there would be room for claims about state that has nothing to do with the batch.
        if !touched {
            return Err(Rejection::UntouchedLeaf { key: leaf.key });
        }
    }
    Ok(Changes { leaves, next_index })
}
