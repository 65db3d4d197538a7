//! `teectl devnet`: batches of a small chain, as files.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use tee_devnet::{Chain, Genesis, Load};

use crate::{batch_file, progress::Progress};

const EXAMPLES: &str = "Examples:
  teectl devnet --out batches
  teectl devnet --out batches --batches 2 --txs 2000 --l1-txs 5";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder for the batches; it is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of batches.
    #[arg(long, default_value_t = 5)]
    batches: u32,
    #[command(flatten)]
    load: LoadArgs,
    /// Build on the state that this batch input shows instead of ZKsync Sepolia's.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
}

/// How much traffic a batch holds.
#[derive(clap::Args)]
pub(crate) struct LoadArgs {
    /// Transactions per batch.
    #[arg(long = "txs", value_name = "N", default_value_t = 50)]
    transactions: usize,
    /// Slots per batch that are read for the first time, in further transactions.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cold_reads: usize,
    /// Further transactions per batch that are deposits from L1.
    #[arg(long = "l1-txs", value_name = "N", default_value_t = 0)]
    l1_transactions: usize,
}

impl LoadArgs {
    pub(crate) fn load(&self) -> Load {
        Load { transactions: self.transactions, cold_reads: self.cold_reads, l1_transactions: self.l1_transactions }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let genesis = match &args.genesis {
        None => Genesis::sepolia()?,
        Some(file) => {
            Genesis::from_batch(batch_file::read(file).with_context(|| format!("cannot read {}", file.display()))?)
        }
    };
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let mut chain = Chain::new(genesis);
    println!("genesis {:?}", chain.root());
    let progress = Progress::of(args.batches.into(), "batches", false);
    for _ in 0..args.batches {
        let started = Instant::now();
        let sealed = chain.seal(args.load.load())?;
        let elapsed = started.elapsed();
        let number = sealed.input.l1_batch_env.number;
        let file = args.out.join(format!("batch-{number}.json.zst"));
        batch_file::write(&file, &sealed.input).with_context(|| format!("cannot write {}", file.display()))?;
        progress.step();
        progress.above(|| {
            println!(
                "batch {number}: {} transactions, root {:?}, sealed in {:.1} s: {}",
                sealed.input.transaction_count(),
                sealed.root,
                elapsed.as_secs_f64(),
                file.display()
            );
            if let Some(hash) = sealed.recorded_transaction {
                println!("batch {number} holds {hash:?}, a transaction of ZKsync Sepolia");
            }
        });
    }
    Ok(())
}
