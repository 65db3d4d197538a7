//! `teectl batch verify`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;
use serde::Serialize;
use tee_verifier::{Options, VerifiedBatch, verify};
use zksync_types::{H256, L2ChainId};

use crate::{batch_file, rss};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Batch inputs: .json or .cbor, also .zst.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Reject batches of any other chain.
    #[arg(long, value_name = "ID")]
    chain_id: Option<L2ChainId>,
}

/// What became of a file, in the order of exit codes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Verified = 0,
    Rejected = 1,
    Unreadable = super::UNREADABLE as isize,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    batch: Option<u32>,
    verdict: Verdict,
    /// The check that rejected the batch.
    check: Option<&'static str>,
    /// The rejection, or why the file could not be read.
    error: Option<String>,
    previous_root: Option<H256>,
    root: Option<H256>,
    transactions: Option<usize>,
    /// Decoding and verification.
    elapsed_ms: u128,
    /// The process's, this file and those before it.
    peak_rss_bytes: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let options = Options { chain_id: args.chain_id };
    let mut worst = Verdict::Verified;
    for file in &args.files {
        let report = report(file, options);
        worst = worst.max(report.verdict);
        if args.json { println!("{}", serde_json::to_string(&report)?) } else { print(&report) }
    }
    Ok(ExitCode::from(worst as u8))
}

fn report(file: &Path, options: Options) -> Report<'_> {
    let started = Instant::now();
    let mut report = Report {
        file,
        batch: None,
        verdict: Verdict::Unreadable,
        check: None,
        error: None,
        previous_root: None,
        root: None,
        transactions: None,
        elapsed_ms: 0,
        peak_rss_bytes: None,
    };
    match batch_file::read(file) {
        Err(error) => report.error = Some(error.to_string()),
        Ok(input) => {
            report.batch = Some(input.l1_batch_env.number.0);
            report.transactions = Some(input.transaction_count());
            match verify(input, options) {
                Ok(verified) => report.accept(&verified),
                Err(rejection) => {
                    report.verdict = Verdict::Rejected;
                    report.check = Some(rejection.check());
                    report.error = Some(rejection.to_string());
                }
            }
        }
    }
    report.elapsed_ms = started.elapsed().as_millis();
    report.peak_rss_bytes = rss::peak_bytes();
    report
}

impl Report<'_> {
    fn accept(&mut self, verified: &VerifiedBatch) {
        self.verdict = Verdict::Verified;
        self.previous_root = Some(verified.previous_root());
        self.root = Some(verified.root());
    }
}

fn print(report: &Report<'_>) {
    let file = report.file.display();
    let error = report.error.as_deref().unwrap_or_default();
    match (report.verdict, report.check) {
        (Verdict::Verified, _) => println!(
            "verified: batch {} of {} transactions leads from {:?} to {:?} ({} ms, {file})",
            report.batch.unwrap_or_default(),
            report.transactions.unwrap_or_default(),
            report.previous_root.unwrap_or_default(),
            report.root.unwrap_or_default(),
            report.elapsed_ms,
        ),
        (Verdict::Rejected, check) => println!("rejected: {}: {error} ({file})", check.unwrap_or_default()),
        (Verdict::Unreadable, _) => eprintln!("unreadable: {error} ({file})"),
    }
}
