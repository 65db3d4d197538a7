//! Execution: the run of the batch on the fast VM over proven storage.

use std::{
    any::Any,
    cell::RefCell,
    collections::BTreeSet,
    panic::{self, AssertUnwindSafe},
    rc::Rc,
};

use zksync_multivm::{
    pubdata_builders::pubdata_params_to_builder,
    vm_fast::{
        FastValidationTracer, Vm,
        interface::{CallframeInterface, GlobalStateInterface, Opcode, OpcodeType, StateInterface, Tracer},
    },
};
use zksync_types::{
    AccountTreeId, H256, ProtocolVersionId, StorageKey, Transaction, block::L2BlockExecutionData,
    bytecode::BytecodeHash, commitment::PubdataParams, h256_to_u256, u256_to_h256,
};
use zksync_vm_interface::{
    ExecutionResult, FinishedL1Batch, L1BatchEnv, L2BlockEnv, SystemEnv, VmExecutionResultAndLogs, VmInterface,
    VmInterfaceHistoryEnabled, storage::ReadStorage,
};

use crate::{
    Rejection,
    publication::{self, Publication},
    signatures::Verdicts,
    storage::ProvenStorage,
};

/// Registers of the VM; the first is always zero.
const REGISTERS: u8 = 16;

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

/// Runs the batch. Whatever the VM does on hostile input ends as an error.
pub(crate) fn run(run: Run<'_>, storage: ProvenStorage<'_>, signatures: &mut Verdicts) -> Result<Outcome, Rejection> {
    let storage = Rc::new(RefCell::new(storage));
    let panicked = |message| Rejection::VmPanicked { message };
    let mut machine = contain(&storage, panicked, || {
        let mut vm = Vm::custom(run.batch.clone(), run.system.clone(), Rc::clone(&storage));
        vm.skip_signature_verification();
        let watch = Watch { storage: Some(Rc::clone(&storage)), ..Watch::default() };
        Ok(Machine {
            vm,
            tracer: (watch, FastValidationTracer::default()),
            storage: Rc::clone(&storage),
            publication: Publication::default(),
        })
    })?;
    contain(&storage, panicked, || machine.execute_blocks(run.blocks, signatures))?;
    // Where the bootloader fails at the end, the VM's wrapper unwinds: it misses the data to publish.
    let tip_failed = |reason| Rejection::BatchTipFailed { reason };
    contain(&storage, tip_failed, || machine.finish(*run.pubdata, run.system.version))
}

/// Turns a panic of the VM into an error. What the witness lacks is the better explanation for one.
fn contain<T>(
    storage: &SharedStorage<'_>,
    blame: impl FnOnce(String) -> Rejection,
    work: impl FnOnce() -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let fault = storage.try_borrow_mut().ok().and_then(|mut storage| storage.check().err());
        Err(fault.unwrap_or_else(|| blame(panic_message(&*panic))))
    })
}

type SharedStorage<'a> = Rc<RefCell<ProvenStorage<'a>>>;

struct Machine<'a> {
    vm: Vm<SharedStorage<'a>, Watch<'a>>,
    tracer: (Watch<'a>, FastValidationTracer),
    storage: SharedStorage<'a>,
    publication: Publication,
}

/// An attempt at a transaction.
struct Attempt {
    result: VmExecutionResultAndLogs,
    /// Hashes of the bytecodes that it was given compressed.
    compressed: Vec<H256>,
    /// What they fill of the bootloader's memory.
    compressed_words: usize,
}

impl Machine<'_> {
    fn execute_blocks(&mut self, blocks: &[L2BlockExecutionData], signatures: &mut Verdicts) -> Result<(), Rejection> {
        let mut blocks = blocks.iter().peekable();
        let mut index = 0_usize;
        while let Some(block) = blocks.next() {
            for transaction in &block.txs {
                let settled = signatures.next_is_settled()?;
                self.execute(index, transaction.clone(), settled)?;
                index = index.saturating_add(1);
            }
            if let Some(next) = blocks.peek() {
                self.vm.start_new_l2_block(L2BlockEnv::from_l2_block_data(next));
            }
        }
        Ok(())
    }

    /// `settled`: whether the VM may skip the signature.
    fn execute(&mut self, index: usize, transaction: Transaction, settled: bool) -> Result<(), Rejection> {
        self.forget_history();
        let result = if transaction.execute.factory_deps.is_empty() {
            self.execute_once(transaction, settled, false).result
        } else {
            self.execute_with_bytecodes(transaction, settled)
        };
        self.check_storage(&result)?;
        self.publication.note(&result);
        match result.result {
            // A revert is a normal outcome; a halt means that no node would have put the transaction into a batch.
            ExecutionResult::Success { .. } | ExecutionResult::Revert { .. } => Ok(()),
            ExecutionResult::Halt { reason } => Err(Rejection::TransactionHalted { index, reason: reason.to_string() }),
        }
    }

    fn execute_once(&mut self, transaction: Transaction, settled: bool, compress: bool) -> Attempt {
        if !settled {
            self.storage.borrow_mut().distrust(transaction.initiator_account());
        }
        let (compressed, result) =
            self.vm.inspect_transaction_with_bytecode_compression(&mut self.tracer, transaction, compress);
        // The VM's own verdict is not the node's: it takes each bytecode for published that it was given.
        let compressed = compressed.unwrap_or_default();
        let hashes = compressed.iter().map(|info| BytecodeHash::for_bytecode(&info.original).value()).collect();
        Attempt { result, compressed: hashes, compressed_words: publication::words(&compressed) }
    }

    /// Drops the way back to before this transaction, as the node does: nothing is undone beyond it, and the way would grow
    /// with each transaction.
    fn forget_history(&mut self) {
        self.vm.make_snapshot();
        self.vm.pop_snapshot_no_rollback();
    }

    /// As the node does: with compressed bytecodes, and without where one of them is not known afterwards.
    ///
    /// A failed attempt is undone, and so is what it asked of storage: a node's witness does not know it. What an attempt reads
    /// decides no more than which of the two is taken, and both are the operator's to choose. Code that only the attempt
    /// needed may be missing; [`Self::finish`] sees to it that nothing that counts ran in its place.
    fn execute_with_bytecodes(&mut self, transaction: Transaction, settled: bool) -> VmExecutionResultAndLogs {
        let fits = self
            .publication
            .fits(&transaction.execute.factory_deps, |key| !self.storage.borrow_mut().read_value(key).is_zero());
        self.vm.make_snapshot();
        if fits {
            let Attempt { result, compressed, compressed_words } =
                self.execute_once(transaction.clone(), settled, true);
            if Publication::all_known(&compressed, &result) && self.check_storage(&result).is_ok() {
                self.vm.pop_snapshot_no_rollback();
                self.publication.fill(compressed_words);
                return result;
            }
            self.vm.rollback_to_the_latest_snapshot();
        } else {
            self.vm.pop_snapshot_no_rollback();
        }
        self.storage.borrow_mut().forget_unchecked();
        self.execute_once(transaction, settled, false).result
    }

    /// Fails if the run so far rests on anything that no path proves.
    fn check_storage(&self, result: &VmExecutionResultAndLogs) -> Result<(), Rejection> {
        let mut storage = self.storage.borrow_mut();
        storage.check()?;
        // A write that survives, even one that seems to change nothing: whether it does is the claim.
        let survivor = result.logs.storage_logs.iter().map(|log| log.log.key).find(|key| storage.is_unproven(key));
        survivor.map_or(Ok(()), |key| Err(Rejection::WriteWithoutPath { key }))?;
        storage.check_costs()
    }

    fn finish(&mut self, pubdata: PubdataParams, version: ProtocolVersionId) -> Result<Outcome, Rejection> {
        let unproven_before = self.storage.borrow().unproven_count();
        let FinishedL1Batch { block_tip_execution_result: tip, final_execution_state: state, .. } =
            self.vm.finish_batch(pubdata_params_to_builder(pubdata, version));
        self.check_storage(&tip)?;
        match tip.result {
            ExecutionResult::Success { .. } => {}
            ExecutionResult::Revert { output } => {
                return Err(Rejection::BatchTipFailed { reason: output.to_string() });
            }
            ExecutionResult::Halt { reason } => return Err(Rejection::BatchTipFailed { reason: reason.to_string() }),
        }

        let storage = self.storage.borrow();
        // Where code was missing in an attempt that was undone, the VM keeps what stood in for it, and would run it for ever after.
        if let Some(hash) =
            state.used_contract_hashes.iter().map(|hash| u256_to_h256(*hash)).find(|hash| storage.is_missing(hash))
        {
            return Err(Rejection::BytecodeMissing { hash });
        }
        // The end of the batch runs without the watch; the system contracts roll nothing back there.
        let rolled_back_slots = storage.unproven_count();
        if rolled_back_slots != unproven_before {
            return Err(Rejection::BatchTipFailed { reason: "it touches slots without a path".to_owned() });
        }
        let mut changes: Vec<_> = state.deduplicated_storage_logs.into_iter().map(|log| (log.key, log.value)).collect();
        changes.sort_unstable_by_key(|(key, _)| (*key.address(), *key.key()));
        let system_logs = state.system_logs.iter().flat_map(|log| log.0.to_bytes()).collect();
        Ok(Outcome { changes, system_logs, touched: storage.touched().to_vec(), rolled_back_slots })
    }
}

/// Watches that the VM itself is told the truth about accounts whose signatures are not settled, and that nobody learns what a
/// write to an unproven slot costs to publish.
///
/// That cost depends on the slot's value before the batch, which for a slot without a path is only a claim. The VM adds it
/// to a counter and takes it off again on rollback; the counter is read by one instruction, `context.meta`. The bootloader
/// reads it to fail a transaction that publishes more than it paid for: with a free choice of the claimed value, an
/// operator could so make an honest transaction fail. If the counter is read while such a write stands, the run is void.
#[derive(Default)]
struct Watch<'a> {
    storage: Option<SharedStorage<'a>>,
    /// Unproven slots that may have been written since the counter was last read. The key of a write is in a register; which
    /// one the instruction does not tell, so each unproven slot that some register names counts.
    written: BTreeSet<StorageKey>,
}

impl Tracer for Watch<'_> {
    #[inline(always)]
    fn before_instruction<OP: OpcodeType, S: GlobalStateInterface>(&mut self, state: &mut S) {
        match OP::VALUE {
            // The first thing that the VM itself can ask for an account's code.
            Opcode::FarCall(_) => self.trust_again(),
            Opcode::StorageWrite => self.note_write(state),
            Opcode::ContextMeta => self.check_standing_writes(state),
            _ => {}
        }
    }
}

impl Watch<'_> {
    fn trust_again(&self) {
        if let Some(storage) = &self.storage {
            storage.borrow_mut().trust_again();
        }
    }

    fn note_write(&mut self, state: &mut impl StateInterface) {
        let Some(storage) = &self.storage else { return };
        let contract = state.current_frame().address();
        let storage = storage.borrow();
        if storage.has_unproven(&contract) {
            let named = (0..REGISTERS).map(|register| {
                StorageKey::new(AccountTreeId::new(contract), u256_to_h256(state.read_register(register).0))
            });
            self.written.extend(named.filter(|key| storage.is_unproven(key)));
        }
    }

    fn check_standing_writes(&mut self, state: &mut impl GlobalStateInterface) {
        let Some(storage) = &self.storage else { return };
        // The first write to a slot is what made it known.
        self.written.extend(storage.borrow_mut().take_fresh());
        for key in std::mem::take(&mut self.written) {
            storage.borrow_mut().begin_probe();
            state.get_storage(*key.address(), h256_to_u256(*key.key()));
            let rolled_back = storage.borrow_mut().end_probe();
            if !rolled_back {
                storage.borrow_mut().note_cost(key);
                return;
            }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
