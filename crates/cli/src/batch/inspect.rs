//! `teectl batch inspect`.

use std::path::Path;

use anyhow::Result;
use tee_api::chain;
use tee_verifier::{
    BatchInput, ChainPins, CodeHashes, CodePin,
    input::{ExecuteTransactionCommon, Transaction},
};

use crate::{batch_file, exit::Exit};

pub(crate) fn run(file: &Path) -> Result<Exit> {
    match batch_file::read(file) {
        Ok(input) => {
            print(&input);
            Ok(Exit::Success)
        }
        Err(error) => {
            eprintln!("unreadable: {} ({})", chain(&error), file.display());
            Ok(Exit::Unreadable)
        }
    }
}

fn print(input: &BatchInput) {
    let (batch, system, data) = (&input.l1_batch_env, &input.system_env, &input.vm_run_data);
    let row = |name: &str, value: String| println!("{name:<18} {value}");

    row("batch", format!("{} of chain {}, protocol version {}", batch.number, system.chain_id, system.version));
    row("timestamp", batch.timestamp.to_string());
    row("previous root", batch.previous_batch_hash.map_or_else(|| "none".to_owned(), |root| format!("{root:?}")));
    row("next leaf index", input.merkle_paths.next_enumeration_index.to_string());
    row("fee account", format!("{:?}", batch.fee_account));
    row("fees", format!("{:?}", batch.fee_input));
    row("pubdata", format!("{:?}", input.pubdata_params));
    let base = &system.base_system_smart_contracts;
    let code = CodeHashes {
        bootloader: base.bootloader.hash,
        default_account: base.default_aa.hash,
        evm_emulator: base.evm_emulator.as_ref().map(|emulator| emulator.hash),
    };
    row("bootloader", format!("{:?}", code.bootloader));
    row("default account", format!("{:?}", code.default_account));
    row("EVM emulator", code.evm_emulator.map_or_else(|| "none".to_owned(), |hash| format!("{hash:?}")));
    // These are the batch's claims. Whoever pins them must know that they are the chain's.
    let pins = ChainPins::new(system.chain_id.as_u64(), vec![CodePin::new(system.version.number(), code)]);
    row("pins, as claimed", pins.map_or_else(|error| error.to_string(), |pins| format!("chain: {pins}")));

    let blocks = &input.l2_blocks_execution_data;
    let numbers = blocks.first().zip(blocks.last()).map(|(first, last)| (first.number, last.number));
    let numbers = numbers.map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
    row("blocks", format!("{}{numbers}", blocks.len()));
    let transactions: Vec<_> = blocks.iter().flat_map(|block| &block.txs).collect();
    let of = |kind: fn(&Transaction) -> bool| transactions.iter().filter(|transaction| kind(transaction)).count();
    let l1 = of(|transaction| matches!(transaction.common_data, ExecuteTransactionCommon::L1(_)));
    let upgrades = of(|transaction| matches!(transaction.common_data, ExecuteTransactionCommon::ProtocolUpgrade(_)));
    row("transactions", format!("{} ({l1} from L1, {upgrades} upgrades)", transactions.len()));

    let paths = &input.merkle_paths.merkle_paths;
    let inserts = paths.iter().filter(|path| path.first_write).count();
    let updates = paths.iter().filter(|path| path.is_write && !path.first_write).count();
    let reads = paths.len() - inserts - updates;
    row("Merkle paths", format!("{} ({reads} reads, {updates} updates, {inserts} new leaves)", paths.len()));
    let hashes: usize = paths.iter().map(|path| path.merkle_paths.len()).sum();
    row(
        "path hashes",
        format!("{hashes}, {} of them in the first path", paths.first().map_or(0, |path| path.merkle_paths.len())),
    );
    row("slots claimed", data.witness_block_state.read_storage_key.len().to_string());
    let words: usize = data.used_bytecodes.values().map(Vec::len).sum();
    row("bytecodes", format!("{}, {} bytes", data.used_bytecodes.len(), words * 32));
}
