//! `teectl bench FILE…`: the verifier against the reference.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tee_reference::reference_root;
use tee_verifier::{Options, verify};

use super::{
    FileArgs,
    measure::{Times, mib, peak_rss_bytes, timed},
};
use crate::batch_file::{self, Encoded};

/// A line of `--json`. Times are medians.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    batch: u32,
    transactions: usize,
    paths: usize,
    runs: u32,
    /// From compressed bytes to verdict.
    verifier_ms: f64,
    verifier_range_ms: [f64; 2],
    /// From compressed bytes to root.
    reference_ms: f64,
    reference_range_ms: [f64; 2],
    /// How many times faster the verifier is.
    ratio: f64,
    decode_ms: f64,
    /// The same from the decoded input on.
    ratio_without_decoding: f64,
    /// The peak of a process that only verifies this file.
    peak_rss_bytes: Option<u64>,
}

pub(super) fn run(args: &FileArgs) -> Result<()> {
    for file in &args.files {
        let batch = batch_file::load(file).with_context(|| format!("cannot read {}", file.display()))?;
        let report = compare(args, file, &batch).with_context(|| file.display().to_string())?;
        let text = format!(
            "batch {} of {} transactions: verifier {:.1} ms, reference {:.1} ms, {:.2} times as fast ({:.2} without decoding, \
             {:.1} ms; medians of {}; peak memory {}; {})",
            report.batch,
            report.transactions,
            report.verifier_ms,
            report.reference_ms,
            report.ratio,
            report.ratio_without_decoding,
            report.decode_ms,
            report.runs,
            mib(report.peak_rss_bytes),
            file.display(),
        );
        args.measure.output.print(&report, &text)?;
    }
    Ok(())
}

/// Runs the two alternately, so that a machine that slows down slows both.
fn compare<'a>(args: &FileArgs, file: &'a Path, batch: &Encoded) -> Result<Report<'a>> {
    let input = batch.decode()?;
    let [mut decoding, mut verification, mut reference_run, mut verifier, mut reference] = <[Times; 5]>::default();
    for counts in args.measure.rounds() {
        let (input, decoded) = timed(|| batch.decode());
        let input = input?;
        let (verified, verify_took) = timed(|| verify(input, &Options::danger_any_code()));
        let verified = verified?;
        decoding.add(counts, decoded);
        verification.add(counts, verify_took);
        verifier.add(counts, decoded + verify_took);

        let (input, decoded) = timed(|| batch.decode());
        let input = input?;
        let (root, run_took) = timed(|| reference_root(&input));
        let root = root?;
        decoding.add(counts, decoded);
        reference_run.add(counts, run_took);
        reference.add(counts, decoded + run_took);

        if root != verified.root() {
            bail!("the verifier computed the root {:?}, but the reference {root:?}", verified.root());
        }
    }
    Ok(Report {
        file,
        batch: input.l1_batch_env.number.0,
        transactions: input.transaction_count(),
        paths: input.merkle_paths.merkle_paths.len(),
        runs: args.measure.runs,
        verifier_ms: verifier.median_ms(),
        verifier_range_ms: verifier.range_ms(),
        reference_ms: reference.median_ms(),
        reference_range_ms: reference.range_ms(),
        ratio: reference.median_ms() / verifier.median_ms(),
        decode_ms: decoding.median_ms(),
        ratio_without_decoding: reference_run.median_ms() / verification.median_ms(),
        peak_rss_bytes: peak_rss_bytes(batch)?,
    })
}
