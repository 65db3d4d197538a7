//! `teectl`: the command line of the TEE prover gateway.

// Before all others, which print by it.
#[macro_use]
mod print;

mod attestations;
mod batch;
mod batch_file;
mod batches;
mod bench;
mod demo;
mod devnet;
mod disagreements;
mod jobs;
mod listing;
mod measure;
mod pins;
mod proofs;
mod provers;
mod quote;
mod rss;
mod server;
mod tee_types;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Proofs from trusted enclaves for ZK Stack rollups.
#[derive(Parser)]
#[command(name = "teectl", version = tee_api::long_version())]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make batches, prove them all, check the proofs: the whole line in one process.
    Demo(demo::Args),
    /// Write batches of a small chain of one's own.
    Devnet(devnet::Args),
    /// Look at batch inputs.
    #[command(subcommand)]
    Batch(batch::Command),
    /// Look at the keys that a server knows, and revoke them.
    #[command(subcommand)]
    Attestations(attestations::Command),
    /// Look at a server's jobs, and change them.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Look at proofs that contradict what a server knows, and note how that was explained.
    #[command(subcommand)]
    Disagreements(disagreements::Command),
    /// Look at who asks a server for work.
    #[command(subcommand)]
    Provers(provers::Command),
    /// Change which types of enclave a server has jobs for.
    #[command(subcommand)]
    TeeTypes(tee_types::Command),
    /// Add batches to a server.
    #[command(subcommand)]
    Batches(batches::Command),
    /// Look at attestation quotes.
    #[command(subcommand)]
    Quote(quote::Command),
    /// Compute the measurements of a program, for a policy.
    #[command(subcommand)]
    Measure(measure::Command),
    /// Check proofs that somebody published.
    #[command(subcommand)]
    Proofs(proofs::Command),
    /// Compare the verifier with the reference: the legacy VM, and each Merkle path folded in turn. The commands measure
    /// one thing each.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match args.command {
        Command::Demo(args) => demo::run(args),
        Command::Devnet(args) => devnet::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Batch(command) => batch::run(command),
        Command::Attestations(command) => attestations::run(command),
        Command::Jobs(command) => jobs::run(command),
        Command::Disagreements(command) => disagreements::run(command),
        Command::Provers(command) => provers::run(command),
        Command::TeeTypes(command) => tee_types::run(command),
        Command::Batches(command) => batches::run(command),
        Command::Quote(command) => quote::run(command),
        Command::Measure(command) => measure::run(command),
        Command::Proofs(command) => proofs::run(command),
        Command::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
