//! `teectl bench throughput`: two batches at once against one after the other.

use std::{
    hint::black_box,
    path::Path,
    thread::{self, ScopedJoinHandle},
};

use anyhow::{Context, Result};
use serde::Serialize;
use tee_verifier::keccak256;

use super::{
    FileArgs,
    measure::{Times, decode_and_verify, timed},
};
use crate::batch_file::{self, Encoded};

/// A line of `--json`. Times are medians, of two verifications of the file.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    runs: u32,
    in_turn_ms: f64,
    in_turn_range_ms: [f64; 2],
    at_once_ms: f64,
    at_once_range_ms: [f64; 2],
    /// The throughput of two at once, relative to one after the other.
    ratio: f64,
    /// The same for work that shares nothing: the most that two threads of this machine can do.
    machine_ratio: f64,
}

pub(super) fn run(args: &FileArgs) -> Result<()> {
    for file in &args.files {
        let batch = batch_file::load(file).with_context(|| format!("cannot read {}", file.display()))?;
        let report = compare(args, file, &batch).with_context(|| file.display().to_string())?;
        let text = format!(
            "two batches: in turn {:.1} ms, at once {:.1} ms, {:.2} times the throughput, {:.2} times if nothing is \
             shared (medians of {}, {})",
            report.in_turn_ms,
            report.at_once_ms,
            report.ratio,
            report.machine_ratio,
            report.runs,
            file.display(),
        );
        args.measure.output.print(&report, &text)?;
    }
    Ok(())
}

fn compare<'a>(args: &FileArgs, file: &'a Path, batch: &Encoded) -> Result<Report<'a>> {
    let [mut in_turn, mut at_once, mut hashes_in_turn, mut hashes_at_once] = <[Times; 4]>::default();
    for counts in args.measure.rounds() {
        let (done, took) = timed(|| one_after_the_other(|| decode_and_verify(batch)));
        for verified in done {
            verified?;
        }
        in_turn.add(counts, took);

        let (done, took) = timed(|| both_at_once(|| decode_and_verify(batch)));
        for verified in done {
            verified?;
        }
        at_once.add(counts, took);

        let (hashes, took) = timed(|| one_after_the_other(hash));
        black_box(hashes);
        hashes_in_turn.add(counts, took);
        let (hashes, took) = timed(|| both_at_once(hash));
        black_box(hashes);
        hashes_at_once.add(counts, took);
    }
    Ok(Report {
        file,
        runs: args.measure.runs,
        in_turn_ms: in_turn.median_ms(),
        in_turn_range_ms: in_turn.range_ms(),
        at_once_ms: at_once.median_ms(),
        at_once_range_ms: at_once.range_ms(),
        ratio: in_turn.median_ms() / at_once.median_ms(),
        machine_ratio: hashes_in_turn.median_ms() / hashes_at_once.median_ms(),
    })
}

/// Work for a single core that takes some tenths of a second.
fn hash() -> [u8; 32] {
    (0..400_000).fold([0; 32], |hash, _| keccak256(&hash))
}

/// Like a prover's work, each run is on a thread other than the first, which makes a difference to the C library.
fn one_after_the_other<T: Send>(work: impl Fn() -> T + Copy + Send) -> [T; 2] {
    thread::scope(|scope| [(); 2].map(|()| join(scope.spawn(work))))
}

fn both_at_once<T: Send>(work: impl Fn() -> T + Copy + Send) -> [T; 2] {
    thread::scope(|scope| [(); 2].map(|()| scope.spawn(work)).map(join))
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("a verification does not panic")
}
