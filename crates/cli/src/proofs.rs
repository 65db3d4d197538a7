//! `teectl proofs`: checks published proofs, and trusts only the processor's manufacturer.

mod args;
mod report;
mod run;
mod serve;
mod system_logs;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::{self, Exit};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check published proofs end to end. The answer is yes if every batch has a valid proof and none that contradicts
    /// it.
    #[command(after_help = exit::table_after(args::EXAMPLES))]
    Verify(args::Args),
}

pub(crate) fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Verify(args) => Ok(run::run(args).unwrap_or_else(|error| exit::unreadable(&error))),
    }
}
