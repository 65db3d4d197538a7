//! The run of a batch: the work of a node's wrapper around the machine, and no more.

use std::{collections::HashMap, sync::Arc};

use tee_eravm::{
    Access, Code, End, Event, HeapGrowth, Limit, Machine, Pause, Precompiles, Recovery, Settings, Stop, U256,
};

use crate::{
    H256, ProtocolVersionId, Rejection,
    machine::{
        bytecodes,
        events::{self, L1Messages},
        layout::{
            BLOCK_WORDS, DESCRIPTION_WORDS, GAS_LIMIT, HEAP_BYTES, HOOK_PARAMETERS, INTEROP_ROOT_WORDS, Layout, Region,
            batch,
        },
        pubdata::{self, Publication, StateChange},
        refund::{Fees, Usage, proposed_refund},
        storage_key,
        transaction::BootloaderTransaction,
        world::{BOOTLOADER, ChainWorld, State},
    },
};

/// The L1Messenger, whose own slots are not part of the published state.
const L1_MESSENGER: [u8; 20] = events::kernel_address(0x8008);
/// The most bytes that are kept of a failing bootloader's text.
const MAX_REASON_BYTES: usize = 1024;

/// The parameters that a batch runs under.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    pub(crate) fee_account: [u8; 20],
    pub(crate) previous_root: [u8; 32],
    pub(crate) timestamp: u64,
    pub(crate) number: u32,
    pub(crate) fees: Fees,
    pub(crate) gas: u32,
    pub(crate) version: ProtocolVersionId,
    pub(crate) growth: HeapGrowth,
    pub(crate) precompiles: Precompiles,
    /// Since version 31: the settlement layer's chain id and the interop fee.
    pub(crate) settlement_layer: (U256, U256),
    pub(crate) publication: Publication,
    pub(crate) bootloader: Arc<Code>,
    pub(crate) default_account: [u8; 32],
    pub(crate) evm_emulator: [u8; 32],
}

/// A block as the bootloader receives it.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) number: u32,
    pub(crate) timestamp: u64,
    pub(crate) previous_hash: [u8; 32],
    pub(crate) virtual_blocks: u32,
    /// Chain id, block number, root.
    pub(crate) interop_roots: Vec<(u64, u32, [u8; 32])>,
}

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionOutcome {
    /// Whether it succeeded; a revert is a normal outcome.
    pub succeeded: bool,
    /// Gas that the operator proposed to give back.
    pub refund: u64,
    /// Bytes that it publishes.
    pub pubdata_bytes: u32,
    /// Gas that the bootloader has left after it.
    pub gas_left: u32,
}

/// The outcome of a batch.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) accesses: Vec<Access>,
    pub(crate) system_logs: Vec<[u8; 88]>,
    /// Hashes of the code that was run.
    pub(crate) code_hashes: Vec<H256>,
    /// EVM code that the batch deployed, by hash.
    pub(crate) deployed: HashMap<[u8; 32], Vec<u8>>,
    /// Pieces of events, as the event writer emits them.
    pub(crate) events: Vec<Event>,
}

/// A batch that is being run.
#[derive(Debug)]
pub(crate) struct BatchRun<S> {
    machine: Machine,
    world: ChainWorld<S>,
    layout: Layout,
    parameters: Parameters,
    block: Block,
    place: Place,
}

/// The positions for the next items.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Number of the next transaction.
    transaction: u32,
    /// Words of transactions so far.
    transaction_words: u32,
    /// Words of compressed bytecodes so far.
    bytecode_words: u32,
    /// Number of the current block in the batch.
    block: u32,
    interop_roots: u32,
    /// Whether the current block has a transaction.
    block_has_transaction: bool,
}

/// Numbers by which the bootloader calls its host. Others are for validation before a batch is built, and for debugging.
mod hook {
    pub(super) const TRANSACTION_HAS_ENDED: u64 = 4;
    pub(super) const ASK_OPERATOR_FOR_REFUND: u64 = 8;
    pub(super) const POST_RESULT: u64 = 10;
    pub(super) const FINAL_BATCH_INFO: u64 = 11;
    pub(super) const PUBDATA_REQUESTED: u64 = 12;
}

/// Why a transaction, or the end of a batch, cannot be completed.
enum Failure {
    Rejected(Rejection),
    /// The bootloader gave up.
    Halted(String),
}

impl From<Stop<Rejection>> for Failure {
    fn from(stop: Stop<Rejection>) -> Self {
        Self::Rejected(stop.into())
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Limit> for Failure {
    fn from(limit: Limit) -> Self {
        Self::Rejected(limit.into())
    }
}

impl<S: State> BatchRun<S> {
    pub(crate) fn new(parameters: Parameters, first_block: Block, state: S) -> Result<Self, Rejection> {
        let layout = Layout::of(parameters.version);
        let settings = Settings {
            default_account: U256::from_be_bytes(parameters.default_account),
            evm_emulator: U256::from_be_bytes(parameters.evm_emulator),
            hook_offset: layout.hook.checked_mul(32),
            growth: parameters.growth,
            precompiles: parameters.precompiles,
        };
        let bootloader = Arc::clone(&parameters.bootloader);
        let machine = Machine::new(settings, bootloader, BOOTLOADER, parameters.gas, HEAP_BYTES);
        let mut run = Self {
            machine,
            world: ChainWorld::new(state),
            layout,
            parameters,
            block: first_block,
            place: Place::default(),
        };
        run.write_parameters()?;
        Ok(run)
    }

    fn write_parameters(&mut self) -> Result<(), Limit> {
        let Parameters { fee_account, previous_root, timestamp, number, fees, settlement_layer, .. } = &self.parameters;
        let words = [
            (batch::OPERATOR, U256::from_be_slice(fee_account)),
            (batch::PREVIOUS_HASH, U256::from_be_bytes(*previous_root)),
            (batch::TIMESTAMP, U256::from(*timestamp)),
            (batch::NUMBER, U256::from(*number)),
            (batch::FAIR_PUBDATA_PRICE, U256::from(fees.fair_pubdata_price)),
            (batch::FAIR_L2_GAS_PRICE, U256::from(fees.fair_l2_gas_price)),
            (batch::BASE_FEE, U256::from(fees.base_fee)),
            (batch::SETS_NEW_BATCH, U256::from(1)),
        ];
        let settlement_layer =
            self.layout.settlement_layer.map(|at| [(at, settlement_layer.0), (at + 1, settlement_layer.1)]);
        for (word, value) in words.into_iter().chain(settlement_layer.into_iter().flatten()) {
            self.machine.set_heap_word(word, value)?;
        }
        Ok(())
    }

    /// Begins a block: the transactions that follow are part of it.
    pub(crate) fn begin_block(&mut self, block: Block) {
        self.block = block;
        self.place.block = self.place.block.saturating_add(1);
        self.place.block_has_transaction = false;
    }

    /// Tells the machine the result of a recovery of a signer's address.
    pub(crate) fn add_recovery(&mut self, recovery: Recovery) {
        self.machine.add_recovery(recovery);
    }

    /// Runs the next transaction as a node does: with its new dependencies published in compressed form. If not all of them are known
    /// afterwards, it is run again from the start without that.
    pub(crate) fn execute(&mut self, transaction: &BootloaderTransaction<'_>) -> Result<TransactionOutcome, Rejection> {
        let index = self.place.transaction;
        self.machine.forget_undo();
        for (hash, code) in transaction.dependency_hashes.iter().zip(transaction.dependencies) {
            self.world.add_dependency(*hash, code);
        }
        let outcome = match self.publish_compressed(transaction) {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => self.attempt(transaction, &[]),
            Err(failure) => Err(failure),
        };
        outcome.map_err(|failure| match failure {
            Failure::Rejected(rejection) => rejection,
            // No node would have put it into a batch.
            Failure::Halted(reason) => Rejection::TransactionHalted { index: index as usize, reason },
        })
    }

    /// The attempt with compressed bytecodes. `None` if there is nothing to compress or the attempt did not make them all known: then it
    /// is undone without a trace.
    fn publish_compressed(
        &mut self,
        transaction: &BootloaderTransaction<'_>,
    ) -> Result<Option<TransactionOutcome>, Failure> {
        if transaction.is_from_l1 || transaction.dependencies.is_empty() {
            return Ok(None);
        }
        let mut hashes = Vec::new();
        let mut encoded = Vec::new();
        for code in bytecodes::distinct(transaction.dependencies) {
            let hash = crate::hash::era_code_hash(code);
            if !self.is_known(&hash)
                && let Some(words) = bytecodes::encode_compressed(hash, code)
            {
                hashes.push(hash);
                encoded.extend(words);
            }
        }
        if hashes.is_empty() {
            return Ok(None);
        }
        let place = self.place;
        let Some(snapshot) = self.machine.snapshot() else { return Ok(None) };
        let outcome = self.attempt(transaction, &encoded);
        // However the attempt ended: one that the node undid has no paths in the input, and one that has no room is not
        // made at all.
        if !hashes.iter().all(|hash| self.is_known(hash)) {
            self.machine.roll_back(snapshot);
            self.place = place;
            return Ok(None);
        }
        self.machine.keep(snapshot)?;
        outcome.map(Some)
    }

    fn is_known(&mut self, hash: &[u8; 32]) -> bool {
        let (address, key) = ChainWorld::<S>::known_slot(hash);
        match self.machine.current_value(&address, &key) {
            Some(value) => !value.is_zero(),
            None => self.world.was_known(hash),
        }
    }

    fn attempt(
        &mut self,
        transaction: &BootloaderTransaction<'_>,
        compressed_bytecodes: &[u8],
    ) -> Result<TransactionOutcome, Failure> {
        let index = self.place.transaction;
        let start = self.write_transaction(transaction)?;
        self.write_block()?;
        let region = self.layout.compressed_bytecodes;
        let at = self.place.bytecode_words;
        self.place.bytecode_words = at.saturating_add(self.write_bytes(region, at, compressed_bytecodes)?);
        self.place.transaction = index.saturating_add(1);
        self.place.block_has_transaction = true;
        self.run_transaction(index, start)
    }

    /// Writes a transaction and the operator's values for it. Returns the word where it starts.
    fn write_transaction(&mut self, transaction: &BootloaderTransaction<'_>) -> Result<u32, Failure> {
        let index = self.place.transaction;
        let encoded = transaction.encode();
        let words = self.write_bytes(self.layout.transactions, self.place.transaction_words, &encoded)?;
        let start = self.layout.transactions.start.saturating_add(self.place.transaction_words);
        self.place.transaction_words = self.place.transaction_words.saturating_add(words);
        let description = self.layout.descriptions.saturating_add(index.saturating_mul(DESCRIPTION_WORDS));
        let overhead = BootloaderTransaction::overhead_gas(words);
        let operator = [
            // To be executed, in the mode that validates accounts.
            (description, U256::from(1)),
            (description.saturating_add(1), U256::from(u64::from(start).saturating_mul(32))),
            (self.layout.refunds.saturating_add(index), U256::ZERO),
            (self.layout.overheads.saturating_add(index), U256::from(overhead)),
            (self.layout.trusted_gas_limits.saturating_add(index), transaction.trusted_gas_limit()),
        ];
        for (word, value) in operator {
            self.machine.set_heap_word(word, value)?;
        }
        Ok(start)
    }

    /// Writes the current block for the next transaction. Its first transaction opens it.
    fn write_block(&mut self) -> Result<(), Limit> {
        let opens = !self.place.block_has_transaction;
        let at = self.layout.blocks.saturating_add(self.place.transaction.saturating_mul(BLOCK_WORDS));
        let Block { number, timestamp, previous_hash, virtual_blocks, .. } = &self.block;
        let virtual_blocks = if opens { *virtual_blocks } else { 0 };
        let words = [
            U256::from(*number),
            U256::from(*timestamp),
            U256::from_be_bytes(*previous_hash),
            U256::from(virtual_blocks),
        ];
        for (word, value) in (at..).zip(words) {
            self.machine.set_heap_word(word, value)?;
        }
        if opens { self.write_interop_roots() } else { Ok(()) }
    }

    fn write_interop_roots(&mut self) -> Result<(), Limit> {
        let Some(interop) = self.layout.interop else { return Ok(()) };
        let roots = std::mem::take(&mut self.block.interop_roots);
        let count = u32::try_from(roots.len()).unwrap_or(u32::MAX);
        for (chain_id, block, root) in roots {
            let at = self.place.interop_roots.saturating_mul(INTEROP_ROOT_WORDS);
            let words: [[u8; 32]; INTEROP_ROOT_WORDS as usize] = [
                U256::from(self.block.number).to_be_bytes(),
                U256::from(chain_id).to_be_bytes(),
                U256::from(block).to_be_bytes(),
                U256::from(1).to_be_bytes(),
                root,
            ];
            self.write_bytes(interop.roots, at, words.as_flattened())?;
            self.place.interop_roots = self.place.interop_roots.saturating_add(1);
        }
        let at = interop.blocks.saturating_add(self.place.block);
        self.machine.set_heap_word(at, U256::from(count.saturating_add(1)))
    }

    /// Writes bytes into a region from a word on, if they fit. Returns the number of words.
    fn write_bytes(&mut self, region: Region, at: u32, bytes: &[u8]) -> Result<u32, Limit> {
        let words = u32::try_from(bytes.len().div_ceil(32)).map_err(|_| Limit::Memory)?;
        let start = region.room(at, words).ok_or(Limit::Memory)?;
        for (word, chunk) in (start..).zip(bytes.chunks(32)) {
            let mut padded = [0; 32];
            padded.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.machine.set_heap_word(word, U256::from_be_bytes(padded))?;
        }
        Ok(words)
    }

    /// Runs until the current transaction has ended.
    fn run_transaction(&mut self, index: u32, start: u32) -> Result<TransactionOutcome, Failure> {
        let pubdata_before = self.machine.pubdata();
        let mut outcome = TransactionOutcome { succeeded: true, refund: 0, pubdata_bytes: 0, gas_left: 0 };
        loop {
            match self.next_hook()? {
                hook::TRANSACTION_HAS_ENDED => {
                    outcome.gas_left = self.machine.gas();
                    return Ok(outcome);
                }
                hook::POST_RESULT => outcome.succeeded = !self.hook_parameter(0).is_zero(),
                hook::ASK_OPERATOR_FOR_REFUND => {
                    let bytes =
                        u64::from(self.machine.pubdata() as u32).saturating_sub(u64::from(pubdata_before as u32));
                    outcome.pubdata_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                    outcome.refund = self.refund(start, outcome.pubdata_bytes)?;
                    let at = self.layout.refunds.saturating_add(index);
                    self.machine.set_heap_word(at, U256::from(outcome.refund))?;
                }
                hook::FINAL_BATCH_INFO | hook::PUBDATA_REQUESTED => {
                    return Err(Failure::Halted("the batch ended before the transaction".to_owned()));
                }
                _ => {}
            }
        }
    }

    fn refund(&self, start: u32, pubdata_bytes: u32) -> Result<u64, Failure> {
        let small = |word: U256| u64::try_from(word).ok();
        let usage = || {
            Some(Usage {
                gas_limit: small(self.machine.heap_word(start.checked_add(GAS_LIMIT)?))?,
                bootloader_refund: small(self.hook_parameter(0))?,
                gas_for_pubdata: small(self.hook_parameter(1))?,
                gas_per_pubdata_byte: self.hook_parameter(2).as_limbs().first().copied()? as u32,
                pubdata_bytes,
            })
        };
        let refund = usage().and_then(|usage| proposed_refund(&self.parameters.fees, &usage));
        refund.ok_or_else(|| Failure::Halted("the refund cannot be computed".to_owned()))
    }

    /// Ends the batch: an empty block, the data for L1, and the bootloader's end.
    pub(crate) fn finish(mut self) -> Result<Finished, Rejection> {
        self.machine.forget_undo();
        let end = self.run_to_end().map_err(|failure| match failure {
            Failure::Rejected(rejection) => rejection,
            Failure::Halted(reason) => Rejection::BatchTipFailed { reason },
        })?;
        if let Some(reason) = end {
            return Err(Rejection::BatchTipFailed { reason });
        }
        // A write that remains in a slot without a path would be missing from the new root. This holds even if it seems
        // to change nothing, because that is only a claim. Everything that the run has done so far may rest on such a
        // claim, and is rejected with it.
        if let Some((address, key)) = self.machine.unproven_write() {
            return Err(Rejection::WriteWithoutPath { key: storage_key(&address, &key) });
        }
        Ok(Finished {
            accesses: self.machine.accesses().collect(),
            system_logs: self.machine.logs().iter().map(events::log_bytes).collect(),
            code_hashes: self.world.code_hashes(),
            deployed: self.world.into_deployed(),
            events: self.machine.into_events(),
        })
    }

    /// Returns the bootloader's complaint, if it fails.
    fn run_to_end(&mut self) -> Result<Option<String>, Failure> {
        loop {
            match self.machine.run(&mut self.world)? {
                Pause::Ended(End::Returned(_)) => return Ok(None),
                Pause::Ended(end) => return Ok(Some(reason(&end))),
                Pause::Hook(number) => match hook_number(number)? {
                    hook::FINAL_BATCH_INFO => self.write_block()?,
                    hook::PUBDATA_REQUESTED => self.write_pubdata()?,
                    _ => {}
                },
            }
        }
    }

    fn write_pubdata(&mut self) -> Result<(), Failure> {
        let malformed = || Failure::Halted("the events of the L1Messenger are malformed".to_owned());
        let messages = L1Messages::of(self.machine.events()).ok_or_else(malformed)?;
        let mut bytecodes = Vec::new();
        for hash in &messages.bytecodes {
            let missing = || Rejection::BytecodeMissing { hash: H256(*hash) };
            bytecodes.push(self.world.bytecode(hash).ok_or_else(missing)?.to_vec());
        }
        let changes = self.state_changes();
        let input = pubdata::messenger_input(&self.parameters.publication, &messages, &bytecodes, &changes);
        let input = input.ok_or_else(|| Failure::Halted("the batch publishes more than can be encoded".to_owned()))?;
        self.write_bytes(self.layout.pubdata, 0, &input)?;
        Ok(())
    }

    /// The changed slots that are published, in the order of address and slot.
    fn state_changes(&self) -> Vec<StateChange> {
        let mut changes: Vec<_> = self
            .machine
            .accesses()
            .filter(|access| access.is_written && access.value != access.before.value && access.address != L1_MESSENGER)
            .map(|access| StateChange {
                address: access.address,
                key: access.key,
                index: self.world.state.leaf_index(&access.address, &access.key),
                before: access.before.value,
                after: access.value,
            })
            .collect();
        changes.sort_unstable_by_key(|change| (change.address, change.key));
        changes
    }

    /// Runs until the bootloader reports something.
    fn next_hook(&mut self) -> Result<u64, Failure> {
        match self.machine.run(&mut self.world)? {
            Pause::Hook(number) => hook_number(number),
            Pause::Ended(end) => Err(Failure::Halted(reason(&end))),
        }
    }

    fn hook_parameter(&self, index: u32) -> U256 {
        let first = self.layout.hook.saturating_sub(HOOK_PARAMETERS);
        self.machine.heap_word(first.saturating_add(index))
    }
}

fn hook_number(word: U256) -> Result<u64, Failure> {
    let number = u64::try_from(word).ok().filter(|number| *number <= hook::PUBDATA_REQUESTED);
    number.ok_or_else(|| Failure::Halted(format!("the bootloader called the unknown hook {word}")))
}

/// The report of a failing bootloader: a number, and sometimes a text after it.
fn reason(end: &End) -> String {
    match end {
        End::Returned(_) => "the bootloader ended early".to_owned(),
        End::Panicked => "the bootloader panicked".to_owned(),
        End::Reverted(bytes) => {
            let code = bytes.first().copied().unwrap_or_default();
            let text = bytes.get(1..).unwrap_or_default();
            let text: String = String::from_utf8_lossy(text.get(..MAX_REASON_BYTES).unwrap_or(text))
                .chars()
                .filter(|char| !char.is_control())
                .collect();
            format!("the bootloader failed with code {code} {text}").trim_end().to_owned()
        }
    }
}
