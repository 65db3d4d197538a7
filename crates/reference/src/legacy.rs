//! A batch's run on the legacy VM, which nodes rely on.

use std::fmt;

use tee_verifier::{ContractEvent, Run, State, TransactionOutcome};
use thiserror::Error;
use zksync_multivm::{LegacyVmInstance, pubdata_builders::pubdata_params_to_builder, vm_latest::HistoryEnabled};
use zksync_types::{
    H256, StorageKey, StorageValue, Transaction, block::L2BlockExecutionData, commitment::PubdataParams,
};
use zksync_vm_interface::{
    ExecutionResult, FinishedL1Batch, L1BatchEnv, L2BlockEnv, SystemEnv, VmExecutionResultAndLogs, VmFactory,
    VmInterface, VmInterfaceExt, VmInterfaceHistoryEnabled,
    storage::{ReadStorage, StorageView},
};

use crate::published::published;

/// Why a run does not finish.
#[derive(Debug, Error)]
pub enum RunError {
    /// The published types cannot represent the batch.
    #[error("not of the published types")]
    Types(#[from] serde_json::Error),
    /// A transaction that cannot be part of a batch.
    #[error("transaction {index} halted: {reason}")]
    TransactionHalted {
        /// Its place in the batch.
        index: usize,
        /// The VM's reason.
        reason: String,
    },
    /// The end of the batch failed.
    #[error("the batch failed at its end: {reason}")]
    BatchTip {
        /// The VM's reason.
        reason: String,
    },
}

/// The outcome of a batch.
#[derive(Debug)]
pub struct LegacyOutcome {
    /// The values that it writes, in the order of address and slot. A write that changes nothing is left out.
    pub writes: Vec<(tee_verifier::StorageKey, H256)>,
    /// The system logs, 88 bytes each.
    pub system_logs: Vec<[u8; 88]>,
    /// The outcome of each transaction.
    pub transactions: Vec<TransactionOutcome>,
    /// The contracts' events.
    pub events: Vec<ContractEvent>,
}

/// Runs a batch over a state.
pub fn legacy_run<S: State>(run: Run<'_>, state: S) -> Result<LegacyOutcome, RunError> {
    let blocks: Vec<L2BlockExecutionData> = published(&run.blocks)?;
    let (batch, system): (L1BatchEnv, SystemEnv) = (published(run.batch)?, published(run.system)?);
    let pubdata: PubdataParams = published(run.pubdata)?;
    let version = system.version;
    let mut vm =
        LegacyVmInstance::<_, HistoryEnabled>::new(batch, system, StorageView::new(Storage(state)).to_rc_ptr());
    let mut transactions = Vec::new();
    for (block, next) in blocks.iter().zip(blocks.iter().skip(1)) {
        for transaction in &block.txs {
            let ended = execute(&mut vm, transaction);
            if let ExecutionResult::Halt { reason } = &ended.result {
                let (index, reason) = (transactions.len(), reason.to_string());
                return Err(RunError::TransactionHalted { index, reason });
            }
            transactions.push(TransactionOutcome {
                succeeded: !ended.result.is_failed(),
                refund: ended.refunds.operator_suggested_refund,
                pubdata_bytes: ended.statistics.pubdata_published,
                gas_left: ended.statistics.gas_remaining,
            });
        }
        vm.start_new_l2_block(L2BlockEnv::from_l2_block_data(next));
    }
    let finished = vm.finish_batch(pubdata_params_to_builder(pubdata, version));
    match &finished.block_tip_execution_result.result {
        ExecutionResult::Success { .. } => Ok(outcome(&finished, transactions)),
        failed => Err(RunError::BatchTip { reason: format!("{failed:?}") }),
    }
}

fn outcome(finished: &FinishedL1Batch, transactions: Vec<TransactionOutcome>) -> LegacyOutcome {
    let state = &finished.final_execution_state;
    let ours = |key: &StorageKey| tee_verifier::StorageKey::new(*key.address(), *key.key());
    let writes = state.deduplicated_storage_logs.iter().filter(|log| log.is_write());
    let mut writes: Vec<_> = writes.map(|log| (ours(&log.key), log.value)).collect();
    writes.sort_unstable();
    let system_logs = state.system_logs.iter().map(|log| {
        let mut bytes = [0; 88];
        bytes[0] = log.0.shard_id;
        bytes[1] = u8::from(log.0.is_service);
        bytes[2..4].copy_from_slice(&log.0.tx_number_in_block.to_be_bytes());
        bytes[4..24].copy_from_slice(log.0.sender.as_bytes());
        bytes[24..56].copy_from_slice(log.0.key.as_bytes());
        bytes[56..].copy_from_slice(log.0.value.as_bytes());
        bytes
    });
    let events = state.events.iter().map(|event| ContractEvent {
        transaction: event.location.1 as u16,
        topics: [H256::from(event.address).0]
            .into_iter()
            .chain(event.indexed_topics.iter().map(|topic| topic.0))
            .collect(),
        data: event.value.clone(),
    });
    LegacyOutcome { writes, system_logs: system_logs.collect(), transactions, events: events.collect() }
}

/// Runs a transaction with compressed bytecodes and, if that fails, without.
fn execute<S: ReadStorage>(
    vm: &mut LegacyVmInstance<S, HistoryEnabled>,
    transaction: &Transaction,
) -> VmExecutionResultAndLogs {
    vm.make_snapshot();
    let (compressed, result) = vm.execute_transaction_with_bytecode_compression(transaction.clone(), true);
    if compressed.is_ok() {
        vm.pop_snapshot_no_rollback();
        return result;
    }
    vm.rollback_to_the_latest_snapshot();
    vm.execute_transaction_with_bytecode_compression(transaction.clone(), false).1
}

/// A state as the legacy VM reads it. Unavailable values read as zero, as in a node's own storage.
struct Storage<S>(S);

/// The VM wants it.
impl<S> fmt::Debug for Storage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

fn slot(key: &StorageKey) -> ([u8; 20], tee_eravm::U256) {
    (key.address().0, tee_eravm::U256::from_be_bytes(key.key().0))
}

impl<S: State> ReadStorage for Storage<S> {
    fn read_value(&mut self, key: &StorageKey) -> StorageValue {
        let (address, key) = slot(key);
        self.0.slot(&address, &key).map(|slot| H256(slot.value.to_be_bytes())).unwrap_or_default()
    }

    fn is_write_initial(&mut self, key: &StorageKey) -> bool {
        let (address, key) = slot(key);
        self.0.slot(&address, &key).is_ok_and(|slot| slot.is_new)
    }

    fn load_factory_dep(&mut self, hash: H256) -> Option<Vec<u8>> {
        self.0.bytecode(&hash.0).map(<[u8]>::to_vec)
    }

    fn get_enumeration_index(&mut self, key: &StorageKey) -> Option<u64> {
        let (address, key) = slot(key);
        Some(self.0.leaf_index(&address, &key)).filter(|index| *index > 0)
    }
}
