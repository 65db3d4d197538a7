//! `teectl proofs`: checks what somebody published, trusting nobody but the processor's maker.

mod args;
mod attestations;
mod batch;
mod proof;
mod report;
mod rpc;
mod run;
mod system_logs;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check published proofs end to end. Exit code 0: every batch has a proof that holds and none that contradicts it; 1:
    /// not so; 2: something could not be read.
    Verify(args::Args),
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Verify(args) => Ok(run::run(args).unwrap_or_else(|error| {
            eprintln!("unreadable: {error:#}");
            ExitCode::from(UNREADABLE)
        })),
    }
}

/// Exit code where something could not be read.
const UNREADABLE: u8 = 2;
