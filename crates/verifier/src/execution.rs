//! Execution: the run of the batch over proven storage.

use std::{collections::HashMap, sync::Arc};

use tee_eravm::{Access, Code, HeapGrowth, Precompiles, Recovery, U256};

use crate::{
    H256, ProtocolVersionId, Rejection, StorageKey,
    input::{
        BatchFeeInput, InteropRoot, L1BatchEnv, L2BlockExecutionData, PubdataParams, PubdataType, PubdataValidator,
        SystemEnv,
    },
    machine::{
        self, BatchRun, Block, BootloaderTransaction, ContractEvent, Fees, Finished, Parameters, Publication, State,
        TransactionOutcome, base_fee, storage_key,
    },
    shape::Witness,
    signatures::Verdicts,
    storage::{self, ProvenState},
};

/// The input of a run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Parameters of the batch.
    pub batch: &'a L1BatchEnv,
    /// Parameters of the chain.
    pub system: &'a SystemEnv,
    /// The blocks, the empty one at the end included.
    pub blocks: &'a [L2BlockExecutionData],
    /// How the batch's data is published.
    pub pubdata: &'a PubdataParams,
}

/// The result of a run over a trusted state.
#[derive(Debug)]
pub struct BatchOutcome {
    /// The slots that the batch touched, with their values before and after.
    pub accesses: Vec<Access>,
    /// The system logs, 88 bytes each.
    pub system_logs: Vec<[u8; 88]>,
    /// Hashes of the code that was run.
    pub code_hashes: Vec<H256>,
    /// The outcome of each transaction.
    pub transactions: Vec<TransactionOutcome>,
    /// The contracts' events.
    pub events: Vec<ContractEvent>,
    /// EVM code that the batch deployed, by hash.
    pub deployed: HashMap<[u8; 32], Vec<u8>>,
}

/// Runs a batch over a state that the caller trusts, to seal it. [`verify`](crate::verify()) runs one over a proven
/// state.
///
/// # Errors
///
/// A transaction that halts, or one that a batch has no room for, is not part of a batch.
pub fn run<S: State>(run: Run<'_>, state: S) -> Result<BatchOutcome, Rejection> {
    let mut transactions = Vec::new();
    let finished = execute(run, state, || Ok(None), |outcome| transactions.push(outcome))?;
    let Finished { accesses, system_logs, code_hashes, deployed, events } = finished;
    Ok(BatchOutcome { accesses, system_logs, code_hashes, transactions, events: machine::merged(&events), deployed })
}

/// The result of a run over a proven state.
pub(crate) struct Outcome {
    /// Slots whose value changed, with the new value; in the order of address and key.
    pub(crate) changes: Vec<(StorageKey, H256)>,
    /// The system logs, 88 bytes each.
    pub(crate) system_logs: Vec<u8>,
    /// For each leaf of the witness, whether the run asked for it.
    pub(crate) touched: Vec<bool>,
    /// The number of slots without a path: they were written, never read, and rolled back.
    pub(crate) rolled_back_slots: usize,
}

/// Runs a batch over a proven state.
pub(crate) fn run_proven(
    run: Run<'_>,
    witness: &Witness,
    state: ProvenState<'_>,
    signatures: &mut Verdicts,
) -> Result<Outcome, Rejection> {
    Ok(outcome(witness, execute(run, state, || signatures.next_recovery(), |_| ())?))
}

/// `next_recovery` returns the recovery of each transaction's signer in turn, if it was made in advance.
fn execute<S: State>(
    run: Run<'_>,
    state: S,
    mut next_recovery: impl FnMut() -> Result<Option<Recovery>, Rejection>,
    mut ended: impl FnMut(TransactionOutcome),
) -> Result<Finished, Rejection> {
    let [first, following @ ..] = run.blocks else {
        return Err(Rejection::TooFewBlocks { got: 0 });
    };
    let mut machine = BatchRun::new(parameters(run)?, block(first), state)?;
    execute_block(&mut machine, first, &mut next_recovery, &mut ended)?;
    for listed in following {
        machine.begin_block(block(listed));
        execute_block(&mut machine, listed, &mut next_recovery, &mut ended)?;
    }
    machine.finish()
}

fn execute_block<S: State>(
    machine: &mut BatchRun<S>,
    block: &L2BlockExecutionData,
    next_recovery: &mut impl FnMut() -> Result<Option<Recovery>, Rejection>,
    ended: &mut impl FnMut(TransactionOutcome),
) -> Result<(), Rejection> {
    for transaction in &block.txs {
        if let Some(recovery) = next_recovery()? {
            machine.add_recovery(recovery);
        }
        ended(machine.execute(&BootloaderTransaction::new(transaction))?);
    }
    Ok(())
}

fn outcome(witness: &Witness, finished: Finished) -> Outcome {
    let mut touched = vec![false; witness.leaves.len()];
    let mut rolled_back_slots = 0_usize;
    let mut changes = Vec::new();
    for access in finished.accesses {
        match storage::position(witness, &access.address, &access.key).and_then(|at| touched.get_mut(at)) {
            Some(touched) => *touched = true,
            None => rolled_back_slots = rolled_back_slots.saturating_add(1),
        }
        if access.is_written && access.value != access.before.value {
            changes.push((storage_key(&access.address, &access.key), H256(access.value.to_be_bytes())));
        }
    }
    changes.sort_unstable_by_key(|(key, _)| (*key.address(), *key.key()));
    Outcome { changes, system_logs: finished.system_logs.concat(), touched, rolled_back_slots }
}

fn block(listed: &L2BlockExecutionData) -> Block {
    let root = |root: &InteropRoot| {
        (root.chain_id.as_u64(), root.block_number, root.sides.first().copied().unwrap_or_default().0)
    };
    Block {
        number: listed.number,
        timestamp: listed.timestamp,
        previous_hash: listed.prev_block_hash.0,
        virtual_blocks: listed.virtual_blocks,
        interop_roots: listed.interop_roots.iter().map(root).collect(),
    }
}

fn parameters(run: Run<'_>) -> Result<Parameters, Rejection> {
    let Run { batch, system, pubdata, .. } = run;
    let contracts = &system.base_system_smart_contracts;
    let version = system.version;
    let (fair_l2_gas_price, fair_pubdata_price) = prices(&batch.fee_input);
    let chain_id = batch.settlement_layer.map_or(0, |layer| layer.chain_id);
    let validator = match pubdata.validator {
        PubdataValidator::Address(address) => U256::from_be_slice(address.as_bytes()),
        PubdataValidator::CommitmentScheme(scheme) => U256::from(scheme as u8),
    };
    Ok(Parameters {
        fee_account: batch.fee_account.0,
        previous_root: batch.previous_batch_hash.ok_or(Rejection::NoPreviousRoot)?.0,
        timestamp: batch.timestamp,
        number: batch.number.0,
        fees: Fees { base_fee: base_fee(fair_l2_gas_price, fair_pubdata_price), fair_l2_gas_price, fair_pubdata_price },
        gas: system.bootloader_gas_limit,
        version,
        growth: if version < ProtocolVersionId::VERSION_27 { HeapGrowth::Always } else { HeapGrowth::Paid },
        precompiles: if version < ProtocolVersionId::VERSION_28 { Precompiles::Basic } else { Precompiles::All },
        settlement_layer: (U256::from(chain_id), U256::from_limbs(batch.interop_fee.0)),
        publication: Publication { validator, publishes_state: pubdata.pubdata_type != PubdataType::NoDA },
        bootloader: Arc::new(Code::new(contracts.bootloader.code.clone())),
        default_account: contracts.default_aa.hash.0,
        // On a chain without an emulator, the default account takes its place.
        evm_emulator: contracts.evm_emulator.as_ref().unwrap_or(&contracts.default_aa).hash.0,
    })
}

/// The prices of gas and of a byte of pubdata. If L1's gas has a price that no chain has seen, the second is the
/// highest number that fits, and no transaction pays it.
fn prices(fees: &BatchFeeInput) -> (u64, u64) {
    /// L1 gas per byte of calldata, including its hashing.
    const L1_GAS_PER_PUBDATA_BYTE: u64 = 17;
    match fees {
        BatchFeeInput::L1Pegged(pegged) => {
            (pegged.fair_l2_gas_price, pegged.l1_gas_price.saturating_mul(L1_GAS_PER_PUBDATA_BYTE))
        }
        BatchFeeInput::PubdataIndependent(independent) => {
            (independent.fair_l2_gas_price, independent.fair_pubdata_price)
        }
    }
}
