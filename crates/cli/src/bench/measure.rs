//! Runs, times and memory.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tee_verifier::{Options, VerifiedBatch, verify};

use crate::{batch_file::Encoded, progress::Progress};

/// How to print.
#[derive(clap::Args)]
pub(super) struct Output {
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// How to measure.
#[derive(clap::Args)]
pub(super) struct Measure {
    #[command(flatten)]
    pub(super) output: Output,
    /// Number of measured runs of each, after one that does not count.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) runs: u32,
}

impl Output {
    /// Says on a terminal that something is prepared, which may take long.
    pub(super) fn preparing(&self, what: &'static str) -> Progress {
        Progress::unknown(what, self.json)
    }

    pub(super) fn print(&self, report: &impl Serialize, text: &str) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(report)?)
        } else {
            println!("{text}")
        }
        Ok(())
    }
}

impl Measure {
    /// The runs, each with whether it counts. The first one warms up and does not. A terminal shows how far they are.
    pub(super) fn rounds(&self) -> impl Iterator<Item = bool> + use<> {
        let progress = Progress::of(u64::from(self.runs) + 1, "runs", self.output.json);
        (0..=self.runs).map(move |run| {
            if run > 0 {
                progress.step();
            }
            run > 0
        })
    }
}

/// Times of the counted runs of one thing.
#[derive(Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, counts: bool, time: Duration) {
        if counts {
            self.0.push(time);
        }
    }

    pub(super) fn median_ms(&self) -> f64 {
        let mut times = self.0.clone();
        times.sort_unstable();
        let middle = times.len() / 2;
        let median = if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2 };
        millis(median)
    }

    /// The shortest and the longest.
    pub(super) fn range_ms(&self) -> [f64; 2] {
        [self.0.iter().min(), self.0.iter().max()].map(|time| time.copied().map_or(f64::NAN, millis))
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let value = work();
    (value, started.elapsed())
}

/// From compressed bytes to verdict.
pub(super) fn decode_and_verify(batch: &Encoded) -> Result<VerifiedBatch> {
    Ok(verify(batch.decode()?, &Options::danger_any_code())?)
}

/// The peak memory of `teectl batch verify` for this batch, in bytes, if the system reports it. It is measured in a separate process,
/// since a process's peak never falls.
pub(super) fn peak_rss_bytes(batch: &Encoded) -> Result<Option<u64>> {
    #[derive(Deserialize)]
    struct Line {
        verdict: String,
        peak_rss_bytes: Option<u64>,
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(batch.file_name());
    fs::write(&file, batch.bytes())?;
    let teectl = std::env::current_exe().context("cannot find this program's own file")?;
    let output = Command::new(teectl).args(["batch", "verify", "--json"]).arg(&file).output()?;
    let line: Line = serde_json::from_slice(&output.stdout).context("teectl batch verify ended without a report")?;
    if line.verdict != "verified" {
        bail!("the batch does not verify in a separate process");
    }
    Ok(line.peak_rss_bytes)
}

pub(super) fn mib(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)))
}
