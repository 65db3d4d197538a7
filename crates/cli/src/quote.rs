//! `teectl quote`: attestation quotes in files.

mod files;
mod inspect;
mod known_builds;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Subcommand;

pub(crate) use files::{now_secs, read, read_policy, read_quote, read_root, time};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what a quote says. Nothing is verified.
    Inspect {
        /// A quote: bytes, hex or base64, in one line or several.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Judge a quote. Exit code 0: accepted; 1: refused; 2: something could not be read.
    Verify(verify::Args),
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Inspect { file, json } => inspect::run(&file, json),
        Command::Verify(args) => verify::run(&args),
    }
}

/// Exit code where something could not be read.
const UNREADABLE: u8 = 2;

fn unreadable(error: &anyhow::Error) -> ExitCode {
    eprintln!("unreadable: {error:#}");
    ExitCode::from(UNREADABLE)
}
