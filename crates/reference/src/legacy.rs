//! A batch's run on the legacy VM, which is the one that a node takes for the truth.

use thiserror::Error;
use zksync_multivm::{LegacyVmInstance, pubdata_builders::pubdata_params_to_builder, vm_latest::HistoryEnabled};
use zksync_types::{Transaction, block::L2BlockExecutionData, commitment::PubdataParams};
use zksync_vm_interface::{
    ExecutionResult, FinishedL1Batch, L1BatchEnv, L2BlockEnv, SystemEnv, VmExecutionResultAndLogs, VmFactory,
    VmInterface, VmInterfaceExt, VmInterfaceHistoryEnabled,
    storage::{ReadStorage, StoragePtr, StorageView},
};

/// Why a run does not finish.
#[derive(Debug, Error)]
pub enum RunError {
    /// A transaction that cannot be part of a batch.
    #[error("transaction {index} of the batch halts: {reason}")]
    TransactionHalted {
        /// Its place in the batch.
        index: usize,
        /// The VM's reason.
        reason: String,
    },
    /// The end of the batch failed.
    #[error("the end of the batch fails: {reason}")]
    BatchTip {
        /// The VM's reason.
        reason: String,
    },
}

/// Runs all blocks but the last, which only closes the batch.
pub(crate) fn run<S: ReadStorage>(
    batch: L1BatchEnv,
    system: SystemEnv,
    blocks: &[L2BlockExecutionData],
    pubdata: PubdataParams,
    view: StoragePtr<StorageView<S>>,
) -> Result<FinishedL1Batch, RunError> {
    let version = system.version;
    let mut vm = LegacyVmInstance::<_, HistoryEnabled>::new(batch, system, view);
    let mut index = 0;
    for (block, next) in blocks.iter().zip(blocks.iter().skip(1)) {
        for transaction in &block.txs {
            if let ExecutionResult::Halt { reason } = execute(&mut vm, transaction).result {
                return Err(RunError::TransactionHalted { index, reason: reason.to_string() });
            }
            index += 1;
        }
        vm.start_new_l2_block(L2BlockEnv::from_l2_block_data(next));
    }
    let finished = vm.finish_batch(pubdata_params_to_builder(pubdata, version));
    match &finished.block_tip_execution_result.result {
        ExecutionResult::Success { .. } => Ok(finished),
        failed => Err(RunError::BatchTip { reason: format!("{failed:?}") }),
    }
}

/// With compressed bytecodes, and without where that fails.
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
