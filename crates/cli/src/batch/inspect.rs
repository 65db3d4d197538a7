//! `teectl batch inspect`.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use tee_api::chain;
use tee_verifier::{
    BatchInput, ChainPins, CodeHashes, CodePin, H256,
    input::{ExecuteTransactionCommon, Transaction},
};

use crate::{batch_file, exit::Exit};

/// The object of `--json`. All of it is what the input claims.
#[derive(Debug, Serialize)]
struct Inspected {
    batch: u32,
    chain_id: u64,
    protocol_version: u16,
    timestamp: u64,
    previous_root: Option<H256>,
    next_enumeration_index: u64,
    bootloader: H256,
    default_account: H256,
    evm_emulator: Option<H256>,
    blocks: usize,
    first_block: Option<u32>,
    last_block: Option<u32>,
    transactions: usize,
    l1_transactions: usize,
    upgrade_transactions: usize,
    merkle_paths: usize,
    reads: usize,
    updates: usize,
    inserts: usize,
    path_hashes: usize,
    first_path_hashes: usize,
    claimed_slots: usize,
    bytecodes: usize,
    bytecode_bytes: usize,
}

pub(crate) fn run(file: &Path, json: bool) -> Result<Exit> {
    let input = match batch_file::read(file) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("unreadable: {} ({})", chain(&error), file.display());
            return Ok(Exit::Unreadable);
        }
    };
    let inspected = Inspected::of(&input);
    if json {
        println!("{}", serde_json::to_string(&inspected)?);
    } else {
        inspected.print(&input);
    }
    Ok(Exit::Success)
}

impl Inspected {
    fn of(input: &BatchInput) -> Self {
        let (batch, system, data) = (&input.l1_batch_env, &input.system_env, &input.vm_run_data);
        let base = &system.base_system_smart_contracts;
        let blocks = &input.l2_blocks_execution_data;
        let transactions: Vec<_> = blocks.iter().flat_map(|block| &block.txs).collect();
        let of = |kind: fn(&Transaction) -> bool| transactions.iter().filter(|transaction| kind(transaction)).count();
        let paths = &input.merkle_paths.merkle_paths;
        let inserts = paths.iter().filter(|path| path.first_write).count();
        let updates = paths.iter().filter(|path| path.is_write && !path.first_write).count();
        Self {
            batch: batch.number.0,
            chain_id: system.chain_id.as_u64(),
            protocol_version: system.version.number(),
            timestamp: batch.timestamp,
            previous_root: batch.previous_batch_hash,
            next_enumeration_index: input.merkle_paths.next_enumeration_index,
            bootloader: base.bootloader.hash,
            default_account: base.default_aa.hash,
            evm_emulator: base.evm_emulator.as_ref().map(|emulator| emulator.hash),
            blocks: blocks.len(),
            first_block: blocks.first().map(|block| block.number),
            last_block: blocks.last().map(|block| block.number),
            transactions: transactions.len(),
            l1_transactions: of(|transaction| matches!(transaction.common_data, ExecuteTransactionCommon::L1(_))),
            upgrade_transactions: of(|transaction| {
                matches!(transaction.common_data, ExecuteTransactionCommon::ProtocolUpgrade(_))
            }),
            merkle_paths: paths.len(),
            reads: paths.len() - inserts - updates,
            updates,
            inserts,
            path_hashes: paths.iter().map(|path| path.merkle_paths.len()).sum(),
            first_path_hashes: paths.first().map_or(0, |path| path.merkle_paths.len()),
            claimed_slots: data.witness_block_state.read_storage_key.len(),
            bytecodes: data.used_bytecodes.len(),
            bytecode_bytes: data.used_bytecodes.values().map(|words| words.len() * 32).sum(),
        }
    }

    fn print(&self, input: &BatchInput) {
        let row = |name: &str, value: String| println!("{name:<18} {value}");
        let or_none = |hash: Option<H256>| hash.map_or_else(|| "none".to_owned(), |hash| format!("{hash:?}"));
        row("batch", format!("{} of chain {}, protocol version {}", self.batch, self.chain_id, self.protocol_version));
        row("timestamp", self.timestamp.to_string());
        row("previous root", or_none(self.previous_root));
        row("next leaf index", self.next_enumeration_index.to_string());
        row("fee account", format!("{:?}", input.l1_batch_env.fee_account));
        row("fees", format!("{:?}", input.l1_batch_env.fee_input));
        row("pubdata", format!("{:?}", input.pubdata_params));
        row("bootloader", format!("{:?}", self.bootloader));
        row("default account", format!("{:?}", self.default_account));
        row("EVM emulator", or_none(self.evm_emulator));
        // Whoever pins these claims must know that they are the chain's.
        let code = CodeHashes {
            bootloader: self.bootloader,
            default_account: self.default_account,
            evm_emulator: self.evm_emulator,
        };
        let pins = ChainPins::new(self.chain_id, vec![CodePin::new(self.protocol_version, code)]);
        row("pins, as claimed", pins.map_or_else(|error| error.to_string(), |pins| format!("chain: {pins}")));
        let numbers = self.first_block.zip(self.last_block).map(|(first, last)| format!(", {first} to {last}"));
        row("blocks", format!("{}{}", self.blocks, numbers.unwrap_or_default()));
        let (l1, upgrades) = (self.l1_transactions, self.upgrade_transactions);
        row("transactions", format!("{} ({l1} from L1, {upgrades} upgrades)", self.transactions));
        let (reads, updates, inserts) = (self.reads, self.updates, self.inserts);
        let kinds = format!("{reads} reads, {updates} updates, {inserts} new leaves");
        row("Merkle paths", format!("{} ({kinds})", self.merkle_paths));
        row("path hashes", format!("{}, {} of them in the first path", self.path_hashes, self.first_path_hashes));
        row("slots claimed", self.claimed_slots.to_string());
        row("bytecodes", format!("{}, {} bytes", self.bytecodes, self.bytecode_bytes));
    }
}
