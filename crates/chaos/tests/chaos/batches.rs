//! Batches: good ones from the devnet, and bad ones that must never be signed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::{BatchInput, ChainPins, L1BatchNumber, U256};

use crate::{dice::Dice, ledger::Ledger};

/// The words of bytecode that make a batch larger than a prover's memory for it.
const HUGE_WORDS: usize = 300_000;

/// A devnet that seals a batch from time to time.
pub(crate) struct Devnet {
    pub(crate) pins: ChainPins,
    /// The first batch, from which bad ones are made.
    pub(crate) first: BatchInput,
    stop: Arc<AtomicBool>,
    sealing: Option<JoinHandle<()>>,
}

/// How a batch is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    /// A Merkle path leads to another root.
    Path,
    /// A written value is different.
    Value,
    /// The bootloader is the operator's.
    Code,
    /// It claims that storage is in another shard.
    Porter,
    /// It is larger than a prover's memory.
    Huge,
}

impl Devnet {
    /// Seals a batch into the folder at a fixed interval, until it is stopped.
    pub(crate) fn start(folder: PathBuf, every: Duration, ledger: Arc<Ledger>, mut dice: Dice) -> Self {
        let mut chain = Chain::new(Genesis::sepolia().unwrap());
        let pins = chain.pins();
        let first = seal(&mut chain, &folder, &ledger, &mut dice);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let sealing = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let started = Instant::now();
                seal(&mut chain, &folder, &ledger, &mut dice);
                std::thread::sleep(every.saturating_sub(started.elapsed()));
            }
        });
        Self { pins, first, stop, sealing: Some(sealing) }
    }

    /// Waits for the batch that is being sealed.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.sealing.take().expect("it is stopped once").join().unwrap();
    }
}

/// The place of a batch that the node has, as JSON in zstd.
pub(crate) fn file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.json.zst"))
}

fn seal(chain: &mut Chain, folder: &Path, ledger: &Ledger, dice: &mut Dice) -> BatchInput {
    let load =
        Load { transactions: 1 + dice.below(3) as usize, cold_reads: 0, l1_transactions: dice.below(2) as usize };
    let sealed = chain.seal(load).unwrap();
    let number = sealed.input.l1_batch_env.number.0;
    let whole = folder.join("sealing");
    fs::write(&whole, compressed(&sealed.input)).unwrap();
    fs::rename(&whole, file(folder, number)).unwrap();
    ledger.entries().roots.insert(number, sealed.root);
    sealed.input
}

fn compressed(input: &BatchInput) -> Vec<u8> {
    let mut json = zstd::Encoder::new(vec![], 1).unwrap();
    input.to_json(&mut json).unwrap();
    json.finish().unwrap()
}

/// Bytes that are no batch at all, compressed.
pub(crate) fn garbage() -> Vec<u8> {
    zstd::encode_all(&b"{\"V1\": {}}"[..], 1).unwrap()
}

impl Poison {
    pub(crate) const ALL: [Self; 5] = [Self::Path, Self::Value, Self::Code, Self::Porter, Self::Huge];

    /// What an operator would upload under this number.
    pub(crate) fn spoil(self, mut input: BatchInput, number: u32) -> Vec<u8> {
        input.l1_batch_env.number = L1BatchNumber(number);
        input.vm_run_data.l1_batch_number = L1BatchNumber(number);
        match self {
            Self::Path => input.merkle_paths.merkle_paths[0].merkle_paths[0][0] ^= 1,
            Self::Value => {
                let written = input.merkle_paths.merkle_paths.iter_mut().find(|path| path.is_write);
                written.expect("a batch writes").value_written[31] ^= 1;
            }
            Self::Code => {
                input.system_env.base_system_smart_contracts.bootloader.code[0] ^= 1;
                input.vm_run_data.bootloader_code[0][0] ^= 1;
            }
            Self::Porter => input.system_env.zk_porter_available = true,
            Self::Huge => drop(input.vm_run_data.used_bytecodes.insert(U256::MAX, vec![[7; 32]; HUGE_WORDS])),
        }
        compressed(&input)
    }
}
