//! `teectl`: the command line of the TEE prover gateway.

// This comes before all other modules, which use its macros to print.
#[macro_use]
mod print;

mod advice;
mod batch;
mod batch_file;
mod bench;
mod completions;
mod demo;
mod devnet;
mod doctor;
mod exit;
mod man;
mod measure;
mod moved;
mod pins;
mod progress;
mod proofs;
mod quote;
mod rss;
mod server;
#[cfg(test)]
mod tests;
mod top;

use std::{env, process::ExitCode};

use clap::{Parser, Subcommand};
use tee_api::settings::{LevelFilter, LogFormat};

use crate::exit::Exit;

/// The program's name, as servers see it.
const PROGRAM: &str = "teectl";

const EXAMPLES: &str = "Examples:
  teectl demo --serve
  teectl batch verify --chain-file chain.yaml batch-14034.json.zst
  teectl server jobs list --status failed
  teectl quote verify quote.bin --policy policy.yaml --collateral https://api.trustedservices.intel.com
  teectl proofs verify --rpc https://proofs.example.org --batch 100-199 --policy policy.yaml --chain-file chain.yaml";

/// Proofs from trusted enclaves for ZK Stack rollups.
#[derive(Parser)]
#[command(name = "teectl", version = tee_api::long_version(), after_help = exit::table_after(EXAMPLES))]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make batches, prove them and check the proofs: all parts at work in one process.
    Demo(demo::Args),
    /// Write batches of a small local chain.
    Devnet(devnet::Args),
    /// Verify, inspect or complete batch inputs in files.
    #[command(subcommand)]
    Batch(batch::Command),
    /// Operate a server: its batches, jobs, keys, disagreements, provers and types of enclave.
    #[command(subcommand)]
    Server(server::Command),
    /// Inspect or verify attestation quotes.
    #[command(subcommand)]
    Quote(quote::Command),
    /// Compute the measurements of a program, for a policy.
    #[command(subcommand)]
    Measure(measure::Command),
    /// Check published proofs.
    #[command(subcommand)]
    Proofs(proofs::Command),
    /// Compare the verifier with the reference: the legacy VM, and each Merkle path folded in turn. Each subcommand
    /// measures one thing.
    Bench(bench::Args),
    /// Watch a server: its queue, provers, rates and alarms.
    Top(top::Args),
    /// Find out what this machine lacks to prove, and what to do about it.
    #[command(after_help = exit::table_after(doctor::EXAMPLES))]
    Doctor(doctor::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Write the manual pages of all commands.
    Man(man::Args),
}

fn main() -> ExitCode {
    let args = Args::parse_from(moved::renamed(env::args_os().collect()));
    LogFormat::Text.log_to_stderr(LevelFilter::WARN);
    let done = match args.command {
        Command::Demo(args) => demo::run(args),
        Command::Devnet(args) => devnet::run(&args).map(|()| Exit::Success),
        Command::Batch(command) => batch::run(command),
        Command::Server(command) => server::run(command),
        Command::Quote(command) => quote::run(command),
        Command::Measure(command) => measure::run(command),
        Command::Proofs(command) => proofs::run(command),
        Command::Bench(args) => bench::run(&args).map(|()| Exit::Success),
        Command::Top(args) => top::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args).map(|()| Exit::Success),
        Command::Man(args) => man::run(&args).map(|()| Exit::Success),
    };
    let exit = done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        if let Some(advice) = advice::of(&error) {
            eprintln!("note: {advice}");
        }
        Exit::Failure
    });
    ExitCode::from(exit.code())
}
