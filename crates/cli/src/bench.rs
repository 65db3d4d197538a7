//! `teectl bench`: the verifier against the reference.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tee_devnet::reference_root;
use tee_verifier::{BatchInput, Options, verify};

use crate::batch_file;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Batch inputs: .json or .cbor, also .zst.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Counted runs of each, after one that is not counted.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
}

/// A line of `--json`. Times are medians.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    batch: u32,
    transactions: usize,
    paths: usize,
    runs: u32,
    verifier_ms: f64,
    reference_ms: f64,
    /// How many times faster the verifier is.
    ratio: f64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    for file in &args.files {
        let input = batch_file::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let report = compare(file, &input, args.runs).with_context(|| file.display().to_string())?;
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!(
                "batch {} of {} transactions: verifier {:.1} ms, reference {:.1} ms, {:.2} times as fast (medians of {}, {})",
                report.batch,
                report.transactions,
                report.verifier_ms,
                report.reference_ms,
                report.ratio,
                report.runs,
                file.display(),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the two in turn, so that a machine that slows down slows both.
fn compare<'a>(file: &'a Path, input: &BatchInput, runs: u32) -> Result<Report<'a>> {
    let (mut verifier, mut reference) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let copy = input.clone();
        let started = Instant::now();
        let verified = verify(copy, Options::default())?;
        let verifier_took = started.elapsed();

        let started = Instant::now();
        let root = reference_root(input)?;
        let reference_took = started.elapsed();
        if root != verified.root() {
            bail!("the verifier comes to the root {:?}, the reference to {root:?}", verified.root());
        }
        if run > 0 {
            verifier.push(verifier_took);
            reference.push(reference_took);
        }
    }
    let (verifier_ms, reference_ms) = (median_ms(verifier), median_ms(reference));
    Ok(Report {
        file,
        batch: input.l1_batch_env.number.0,
        transactions: input.transaction_count(),
        paths: input.merkle_paths.merkle_paths.len(),
        runs,
        verifier_ms,
        reference_ms,
        ratio: reference_ms / verifier_ms,
    })
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let middle = times.len() / 2;
    let median = if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2 };
    median.as_secs_f64() * 1_000.0
}
