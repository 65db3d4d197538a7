//! `teectl batch`: batch inputs in files.

mod complete;
mod inspect;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::{self, Exit};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Verify batch inputs. The worst result decides the exit code.
    #[command(after_help = exit::table_after(verify::EXAMPLES))]
    Verify(verify::Args),
    /// Show what is in a batch input, without verifying it.
    #[command(after_help = "Examples:\n  teectl batch inspect batch-14034.json.zst")]
    Inspect {
        /// A batch input: .json or .cbor, also .zst or .gz; - is the standard input.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Add paths from a node to a batch input that is rejected as unproven_cost: paths of slots that were written and
    /// rolled back, which the node's data leaves out.
    #[command(after_help = exit::table_after(complete::EXAMPLES))]
    Complete(complete::Args),
}

pub(crate) fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Verify(args) => verify::run(&args),
        Command::Inspect { file, json } => inspect::run(&file, json),
        Command::Complete(args) => complete::run(&args),
    }
}
