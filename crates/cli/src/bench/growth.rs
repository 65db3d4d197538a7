//! `teectl bench growth` and `teectl bench trees`: how the cost grows, with the transactions of a batch and with the leaves
//! of the tree.

use anyhow::Result;
use serde::Serialize;
use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::{BatchInput, InputForm};

use super::measure::{Measure, Times, decode_and_verify, mib, peak_rss_bytes, timed};
use crate::batch_file::Encoded;

#[derive(clap::Args)]
pub(super) struct TransactionsArgs {
    /// Numbers of transactions, one batch for each.
    #[arg(long = "txs", value_name = "N,…", value_delimiter = ',', default_values_t = [10, 100, 1_000, 5_000, 10_000])]
    transactions: Vec<usize>,
    #[command(flatten)]
    measure: Measure,
}

#[derive(clap::Args)]
pub(super) struct LeavesArgs {
    /// Numbers of leaves in the tree before the batch, one batch for each.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    leaves: Vec<u64>,
    /// Transactions of each batch.
    #[arg(long = "txs", value_name = "N", default_value_t = 1_000)]
    transactions: usize,
    #[command(flatten)]
    measure: Measure,
}

pub(super) fn run_transactions(args: &TransactionsArgs) -> Result<()> {
    let batches = args.transactions.iter().map(|transactions| Batch::make(*transactions, 0));
    table(&args.measure, batches)
}

pub(super) fn run_leaves(args: &LeavesArgs) -> Result<()> {
    let batches = args.leaves.iter().map(|leaves| Batch::make(args.transactions, *leaves));
    table(&args.measure, batches)
}

/// A batch of the devnet, in compressed CBOR.
struct Batch {
    encoded: Encoded,
    transactions: usize,
    leaves: u64,
    paths: usize,
    path_hashes: usize,
}

/// A line of `--json`. Times are medians, from compressed bytes to verdict.
#[derive(Serialize)]
struct Row {
    transactions: usize,
    /// Leaves of the tree before the batch.
    leaves: u64,
    paths: usize,
    /// Hashes in all paths.
    path_hashes: usize,
    compressed_bytes: usize,
    plain_bytes: usize,
    runs: u32,
    verifier_ms: f64,
    verifier_range_ms: [f64; 2],
    per_transaction_us: f64,
    /// Time per transaction, relative to the first row.
    ratio: f64,
    /// The peak of a process that only verifies this batch.
    peak_rss_bytes: Option<u64>,
}

impl Batch {
    fn make(transactions: usize, leaves: u64) -> Result<Self> {
        let mut chain = Chain::new(Genesis::sepolia()?);
        chain.grow_tree(leaves);
        // The recorded transaction differs from all others, so it is sealed beforehand.
        chain.seal(Load { transactions: 1, cold_reads: 0, l1_transactions: 0 })?;
        let input = chain.seal(Load { transactions, cold_reads: 0, l1_transactions: 0 })?.input;
        Self::of(&input)
    }

    fn of(input: &BatchInput) -> Result<Self> {
        let paths = &input.merkle_paths.merkle_paths;
        Ok(Self {
            encoded: Encoded::compress(input, InputForm::Cbor)?,
            transactions: input.transaction_count(),
            leaves: input.merkle_paths.next_enumeration_index.saturating_sub(1),
            paths: paths.len(),
            path_hashes: paths.iter().map(|path| path.merkle_paths.len()).sum(),
        })
    }
}

/// Verifies the batches alternately, so that a machine that slows down slows all.
fn table(measure: &Measure, batches: impl Iterator<Item = Result<Batch>>) -> Result<()> {
    let preparing = measure.output.preparing("making the batches");
    let batches: Vec<_> = batches.collect::<Result<_>>()?;
    drop(preparing);
    let mut times: Vec<Times> = batches.iter().map(|_| Times::default()).collect();
    for counts in measure.rounds() {
        for (batch, times) in batches.iter().zip(&mut times) {
            let (verified, took) = timed(|| decode_and_verify(&batch.encoded));
            verified?;
            times.add(counts, took);
        }
    }
    let mut first = None;
    for (batch, times) in batches.iter().zip(&times) {
        let per_transaction_us = times.median_ms() * 1_000.0 / batch.transactions as f64;
        let row = Row {
            transactions: batch.transactions,
            leaves: batch.leaves,
            paths: batch.paths,
            path_hashes: batch.path_hashes,
            compressed_bytes: batch.encoded.bytes().len(),
            plain_bytes: batch.encoded.decompress()?.len(),
            runs: measure.runs,
            verifier_ms: times.median_ms(),
            verifier_range_ms: times.range_ms(),
            per_transaction_us,
            ratio: per_transaction_us / *first.get_or_insert(per_transaction_us),
            peak_rss_bytes: peak_rss_bytes(&batch.encoded)?,
        };
        let text = format!(
            "{:>6} transactions, {:>7} leaves, {:>6} paths of {:>7} hashes: {:>8.1} ms, {:>7.1} µs per transaction \
             ({:.2} times the first row's), peak memory {}",
            row.transactions,
            row.leaves,
            row.paths,
            row.path_hashes,
            row.verifier_ms,
            row.per_transaction_us,
            row.ratio,
            mib(row.peak_rss_bytes),
        );
        measure.output.print(&row, &text)?;
    }
    Ok(())
}
