//! `teectl bench`: what verification costs. `docs/BENCHMARKS.md` explains the results.

#[cfg(feature = "reference")]
mod compare;
mod decode;
mod derived;
mod growth;
mod measure;
mod memory;
mod throughput;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use self::measure::Measure;

const EXAMPLES: &str = "Examples:
  teectl bench decode batch-14035.json.zst
  teectl bench growth --txs 10,100,1000 --runs 3 --json";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    files: FileArgs,
}

#[derive(clap::Args)]
struct FileArgs {
    /// Batch inputs: .json or .cbor, also .zst.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    measure: Measure,
}

#[derive(Subcommand)]
enum Command {
    /// Compare the cost of decoding with that of verification, in CBOR and JSON, and with derived decoders.
    Decode(FileArgs),
    /// Compare two batches at once with one after the other.
    Throughput(FileArgs),
    /// Show how the cost grows with the transactions of a batch.
    Growth(growth::TransactionsArgs),
    /// Show how the cost grows with the leaves of the tree.
    Trees(growth::LeavesArgs),
    /// Measure the memory that many cold reads take.
    Memory(memory::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        #[cfg(feature = "reference")]
        None => compare::run(&args.files),
        #[cfg(not(feature = "reference"))]
        None => anyhow::bail!(
            "this teectl was built without the reference; run: cargo run --release --features reference -- bench {}",
            args.files.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
        ),
        Some(Command::Decode(args)) => decode::run(args),
        Some(Command::Throughput(args)) => throughput::run(args),
        Some(Command::Growth(args)) => growth::run_transactions(args),
        Some(Command::Trees(args)) => growth::run_leaves(args),
        Some(Command::Memory(args)) => memory::run(args),
    }
}
