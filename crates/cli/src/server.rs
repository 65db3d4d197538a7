//! `teectl server`: operates a running server through its HTTP API.

mod batches;
mod connection;
mod disagreements;
mod jobs;
mod keys;
mod listing;
mod provers;
mod tee_types;

use anyhow::Result;
use clap::Subcommand;
pub(crate) use connection::{ConnectionArgs, ServerArgs};

use crate::exit::Exit;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add batches.
    #[command(subcommand)]
    Batches(batches::Command),
    /// List and change jobs.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// List, show and revoke registered keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// List proofs that contradict what the server knows, and record explanations.
    #[command(subcommand)]
    Disagreements(disagreements::Command),
    /// List the provers that ask for work.
    #[command(subcommand)]
    Provers(provers::Command),
    /// Retire types of enclave, or serve them again.
    #[command(subcommand)]
    TeeTypes(tee_types::Command),
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Batches(command) => batches::run(command).await,
        Command::Jobs(command) => jobs::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Disagreements(command) => disagreements::run(command).await,
        Command::Provers(command) => provers::run(command).await,
        Command::TeeTypes(command) => tee_types::run(command).await,
    }
}
