//! `teectl bench memory`: the memory that many cold reads take, compared with that of a batch of one transaction.

use anyhow::Result;
use serde::Serialize;
use tee_devnet::{Chain, Genesis, Load};
use tee_verifier::InputForm;

use super::measure::{Output, mib, peak_rss_bytes};
use crate::batch_file::Encoded;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Number of slots that the batch reads for the first time.
    #[arg(long, value_name = "N", default_value_t = 140_000)]
    cold_reads: usize,
    #[command(flatten)]
    output: Output,
}

/// A line of `--json`. Peaks are of processes that only verify one batch.
#[derive(Serialize)]
struct Report {
    form: &'static str,
    cold_reads: usize,
    paths: usize,
    compressed_bytes: usize,
    plain_bytes: usize,
    peak_rss_bytes: Option<u64>,
    /// The peak for a batch of one transaction: what the program and the VM take by themselves.
    smallest_peak_rss_bytes: Option<u64>,
    /// The difference between the two peaks, divided by the size of the decoded input (`plain_bytes`).
    ratio: Option<f64>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let preparing = args.output.preparing("making the batches");
    let mut chain = Chain::new(Genesis::sepolia()?);
    let smallest = chain.seal(Load { transactions: 1, cold_reads: 0, l1_transactions: 0 })?.input;
    let input = chain.seal(Load { transactions: 1, cold_reads: args.cold_reads, l1_transactions: 0 })?.input;
    drop(chain);
    drop(preparing);
    for form in [InputForm::Cbor, InputForm::Json] {
        let batch = Encoded::compress(&input, form)?;
        let plain_bytes = batch.decompress()?.len();
        let peak = peak_rss_bytes(&batch)?;
        let smallest_peak = peak_rss_bytes(&Encoded::compress(&smallest, form)?)?;
        let ratio =
            peak.zip(smallest_peak).map(|(peak, smallest)| (peak as f64 - smallest as f64) / plain_bytes as f64);
        let report = Report {
            form: form.extension(),
            cold_reads: args.cold_reads,
            paths: input.merkle_paths.merkle_paths.len(),
            compressed_bytes: batch.bytes().len(),
            plain_bytes,
            peak_rss_bytes: peak,
            smallest_peak_rss_bytes: smallest_peak,
            ratio,
        };
        let text = format!(
            "{}: {} cold reads, {} paths: peak memory {}, {} for a batch of one transaction; the difference is {:.2} \
             times the size of the decoded input, {}",
            report.form,
            report.cold_reads,
            report.paths,
            mib(report.peak_rss_bytes),
            mib(report.smallest_peak_rss_bytes),
            report.ratio.unwrap_or(f64::NAN),
            mib(Some(plain_bytes as u64)),
        );
        args.output.print(&report, &text)?;
    }
    Ok(())
}
