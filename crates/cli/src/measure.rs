//! `teectl measure`: what quotes will say of a program, as a policy.

mod replay;
mod sgx;
mod tdx;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read an enclave's measurements in its SIGSTRUCT, and print a policy of them. Exit code 0: printed; 1: refused, for it may
    /// start with DEBUG; 2: not a SIGSTRUCT with a good signature.
    Sgx(sgx::Args),
    /// Compute a TDX domain's measurements from its firmware, kernel and command line, and print a policy of them. Exit code 0:
    /// printed; 2: something could not be read.
    Tdx(tdx::Args),
    /// Replay a TDX machine's event log, and compare the registers with a quote's. Exit code 0: all match; 1: one does not; 2:
    /// something could not be read.
    Replay(replay::Args),
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Sgx(args) => sgx::run(&args),
        Command::Tdx(args) => tdx::run(&args),
        Command::Replay(args) => replay::run(&args),
    }
}

/// Exit code where something could not be read.
const UNREADABLE: u8 = 2;

fn unreadable(error: &anyhow::Error) -> ExitCode {
    eprintln!("unreadable: {error:#}");
    ExitCode::from(UNREADABLE)
}
