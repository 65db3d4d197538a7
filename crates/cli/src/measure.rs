//! `teectl measure`: what quotes will say about a program, as a policy.

mod replay;
mod sgx;
mod tdx;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::{self, Exit};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read an enclave's measurements from its SIGSTRUCT, and print a policy for them. An enclave that may start with
    /// DEBUG is refused.
    #[command(after_help = exit::table_after(sgx::EXAMPLES))]
    Sgx(sgx::Args),
    /// Compute a trust domain's measurements from its firmware, kernel and command line, and print a policy for them.
    #[command(after_help = exit::table_after(tdx::EXAMPLES))]
    Tdx(tdx::Args),
    /// Replay a trust domain's event log, and compare its registers with a quote's.
    #[command(after_help = exit::table_after(replay::EXAMPLES))]
    Replay(replay::Args),
}

pub(crate) fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Sgx(args) => sgx::run(&args),
        Command::Tdx(args) => tdx::run(&args),
        Command::Replay(args) => replay::run(&args),
    }
}
