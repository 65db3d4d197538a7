//! `teectl batch`: batch inputs in files.

mod complete;
mod inspect;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Verify batch inputs. Exit code 0: all verified; 1: one was rejected; 2: one could not be read.
    Verify(verify::Args),
    /// Show what is inside a batch input. Nothing is verified.
    Inspect {
        /// A batch input: .json or .cbor, also .zst.
        file: PathBuf,
    },
    /// Add paths from a node to a batch input that is rejected as unproven_cost: of slots that were written and rolled back, which
    /// the node's own data leaves out. Exit code 0: written; 1: not completed; 2: the input could not be read.
    Complete(complete::Args),
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Verify(args) => verify::run(&args),
        Command::Inspect { file } => inspect::run(&file),
        Command::Complete(args) => complete::run(&args),
    }
}

/// Exit code where a file could not be read.
const UNREADABLE: u8 = 2;
