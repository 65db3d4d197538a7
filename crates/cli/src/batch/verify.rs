//! `teectl batch verify`.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Result;
use serde::Serialize;
use tee_verifier::{H256, L2ChainId, Options, Pins, VerifiedBatch, verify};

use crate::{
    batch_file,
    exit::{self, Exit},
    pins::{HOW_TO_PIN, PinArgs},
    print::shown,
    progress::Progress,
    rss,
};

pub(super) const EXAMPLES: &str = "Examples:
  teectl batch verify --chain-file chain.yaml batch-14034.json.zst
  teectl batch verify --danger-any-code --json batches/*.json.zst";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Batch inputs: .json or .cbor, also .zst or .gz; - is the standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    /// Reject batches of any other chain.
    #[arg(long, value_name = "ID")]
    chain_id: Option<L2ChainId>,
    #[command(flatten)]
    pins: PinArgs,
}

/// The result for a file. Later variants are worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Verified,
    Rejected,
    Unreadable,
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
    /// Whether the code that ran was pinned. If not, the verdict is about whatever code the batch brings.
    code_pinned: bool,
    previous_root: Option<H256>,
    root: Option<H256>,
    transactions: Option<usize>,
    /// The time for decoding and verification.
    elapsed_ms: u128,
    /// The peak of the process, for this file and those before it.
    peak_rss_bytes: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let chain_id = args.chain_id.map(|id| id.as_u64());
    let pins = match args.pins.given(chain_id) {
        Ok(pins) => pins,
        Err(error) => return Ok(exit::unreadable(&error)),
    };
    if pins.is_none() {
        eprintln!("note: the code is not pinned, so a batch may bring its own bootloader: {HOW_TO_PIN}");
    }
    let options = Options { pins: pins.unwrap_or(Pins::DangerAnyCode { chain_id }) };
    let mut worst = Verdict::Verified;
    let progress = Progress::of(args.files.len() as u64, "batches", args.json);
    for file in &args.files {
        progress.say(shown(&file.display().to_string()));
        let report = report(file, &options);
        worst = worst.max(report.verdict);
        progress.step();
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            progress.above(|| print(&report));
        }
    }
    Ok(match worst {
        Verdict::Verified => Exit::Success,
        Verdict::Rejected => Exit::Failure,
        Verdict::Unreadable => Exit::Unreadable,
    })
}

fn report<'a>(file: &'a Path, options: &Options) -> Report<'a> {
    let started = Instant::now();
    let mut report = Report {
        file,
        batch: None,
        verdict: Verdict::Unreadable,
        check: None,
        error: None,
        code_pinned: options.pins.pin_code(),
        previous_root: None,
        root: None,
        transactions: None,
        elapsed_ms: 0,
        peak_rss_bytes: None,
    };
    match batch_file::read(file) {
        Err(error) => report.error = Some(tee_api::chain(&error)),
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
            "verified{}: batch {} of {} transactions leads from {:?} to {:?} ({} ms, {file})",
            if report.code_pinned { "" } else { " (code not pinned)" },
            report.batch.unwrap_or_default(),
            report.transactions.unwrap_or_default(),
            report.previous_root.unwrap_or_default(),
            report.root.unwrap_or_default(),
            report.elapsed_ms,
        ),
        (Verdict::Rejected, check) => {
            println!("rejected: {}: {error} ({file})", check.unwrap_or_default());
            if check == Some("unproven_cost") {
                eprintln!("note: `teectl batch complete` gets the missing paths from a node of the chain");
            }
        }
        (Verdict::Unreadable, _) => eprintln!("unreadable: {error} ({file})"),
    }
}
