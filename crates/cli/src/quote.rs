//! `teectl quote`: attestation quotes in files.

mod files;
mod inspect;
mod known_builds;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::{self, Exit};

pub(crate) use files::read_quote;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what a quote says, without verifying it.
    #[command(after_help = "Examples:\n  teectl quote inspect quote.bin")]
    Inspect {
        /// A quote: bytes, hex or base64, in one line or several; - is the standard input.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Judge a quote by a policy.
    #[command(after_help = exit::table_after(verify::EXAMPLES))]
    Verify(verify::Args),
}

pub(crate) fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Inspect { file, json } => inspect::run(&file, json),
        Command::Verify(args) => verify::run(&args),
    }
}
