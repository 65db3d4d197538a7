//! Execution: the run of the batch over proven storage.

use std::sync::Arc;

use tee_eravm::{Code, HeapGrowth, Precompiles, U256};
use zksync_types::{
    Address, H256, ProtocolVersionId, StorageKey,
    block::L2BlockExecutionData,
    commitment::{PubdataParams, PubdataType},
    fee_model::BatchFeeInput,
};
use zksync_vm_interface::{L1BatchEnv, SystemEnv};

use crate::{
    Rejection,
    machine::{
        BatchRun, Block, BootloaderTransaction, Features, Fees, Finished, Parameters, Publication, base_fee,
        storage_key,
    },
    shape::Witness,
    signatures::Verdicts,
    storage::{self, ProvenState},
};

/// What is run.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) batch: &'a L1BatchEnv,
    pub(crate) system: &'a SystemEnv,
    pub(crate) blocks: &'a [L2BlockExecutionData],
    pub(crate) pubdata: &'a PubdataParams,
}

/// What a run leads to.
pub(crate) struct Outcome {
    /// Slots whose value changed, with the new value; in the order of address and key.
    pub(crate) changes: Vec<(StorageKey, H256)>,
    /// The system logs, 88 bytes each.
    pub(crate) system_logs: Vec<u8>,
    /// For each leaf of the witness whether the run asked for it.
    pub(crate) touched: Vec<bool>,
    /// Slots without a path: written, never read, rolled back.
    pub(crate) rolled_back_slots: usize,
}

/// Runs the batch.
pub(crate) fn run(
    run: Run<'_>,
    witness: &Witness,
    state: ProvenState<'_>,
    signatures: &mut Verdicts,
) -> Result<Outcome, Rejection> {
    let [first, following @ ..] = run.blocks else {
        return Err(Rejection::TooFewBlocks { got: 0 });
    };
    let mut machine = BatchRun::new(parameters(run), block(first), state)?;
    execute_block(&mut machine, first, signatures)?;
    for listed in following {
        machine.begin_block(block(listed));
        execute_block(&mut machine, listed, signatures)?;
    }
    Ok(outcome(witness, machine.finish()?))
}

fn execute_block(
    machine: &mut BatchRun<ProvenState<'_>>,
    block: &L2BlockExecutionData,
    signatures: &mut Verdicts,
) -> Result<(), Rejection> {
    for transaction in &block.txs {
        if let Some(recovery) = signatures.next_recovery()? {
            machine.add_recovery(recovery);
        }
        machine.execute(&BootloaderTransaction::new(transaction))?;
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
    let root = |root: &zksync_types::InteropRoot| {
        (root.chain_id.as_u64(), root.block_number, root.sides.first().copied().unwrap_or_default().0)
    };
    Block {
        number: listed.number.0,
        timestamp: listed.timestamp,
        previous_hash: listed.prev_block_hash.0,
        virtual_blocks: listed.virtual_blocks,
        interop_roots: listed.interop_roots.iter().map(root).collect(),
    }
}

fn parameters(run: Run<'_>) -> Parameters {
    let Run { batch, system, pubdata, .. } = run;
    let contracts = &system.base_system_smart_contracts;
    let fees = (batch.fee_input.fair_l2_gas_price(), fair_pubdata_price(&batch.fee_input));
    let validator: Address = pubdata.l2_da_validator_address;
    Parameters {
        fee_account: batch.fee_account.0,
        previous_root: batch.previous_batch_hash.unwrap_or_default().0,
        timestamp: batch.timestamp,
        number: batch.number.0,
        fees: Fees { base_fee: base_fee(fees.0, fees.1), fair_l2_gas_price: fees.0, fair_pubdata_price: fees.1 },
        gas: system.bootloader_gas_limit,
        features: Features { interop: system.version >= ProtocolVersionId::Version29, settlement_layer: false },
        growth: if system.version < ProtocolVersionId::Version27 { HeapGrowth::Always } else { HeapGrowth::Paid },
        precompiles: if system.version < ProtocolVersionId::Version28 { Precompiles::Basic } else { Precompiles::All },
        settlement_layer: (U256::ZERO, U256::ZERO),
        publication: Publication {
            validator: U256::from_be_slice(validator.as_bytes()),
            publishes_state: pubdata.pubdata_type != PubdataType::NoDA,
        },
        bootloader: Arc::new(Code::new(contracts.bootloader.code.clone())),
        default_account: contracts.default_aa.hash.0,
        // The default account is what stands in where a chain has no emulator.
        evm_emulator: contracts.evm_emulator.as_ref().unwrap_or(&contracts.default_aa).hash.0,
    }
}

/// What a byte of pubdata costs. At a price of L1 gas that no chain has seen it is as high as can be told, and no transaction pays it.
fn fair_pubdata_price(fees: &BatchFeeInput) -> u64 {
    /// Gas of L1 for a byte of calldata, with what it takes to hash it.
    const L1_GAS_PER_PUBDATA_BYTE: u64 = 17;
    match fees {
        BatchFeeInput::L1Pegged(pegged) => pegged.l1_gas_price.saturating_mul(L1_GAS_PER_PUBDATA_BYTE),
        BatchFeeInput::PubdataIndependent(independent) => independent.fair_pubdata_price,
    }
}
