//! `teectl server tee-types`: which types of enclave have jobs.

use anyhow::Result;
use clap::Subcommand;
use tee_api::{TeeType, TeeTypeAction};

use super::connection::ServerArgs;
use crate::exit::Exit;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Stop proving batches with a type of enclave: its jobs without a proof are removed.
    #[command(after_help = RETIRE_EXAMPLES)]
    Retire(ChangeArgs),
    /// Undo `retire`.
    Serve(ChangeArgs),
}

const RETIRE_EXAMPLES: &str = "Examples:
  teectl server tee-types retire tdx";

#[derive(clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The type of enclave: none, sgx, tdx.
    tee_type: TeeType,
}

pub(super) async fn run(command: Command) -> Result<Exit> {
    let (args, action, done) = match command {
        Command::Retire(args) => (args, TeeTypeAction::Retire, "retired"),
        Command::Serve(args) => (args, TeeTypeAction::Serve, "served"),
    };
    args.server.client()?.change_tee_type(args.tee_type, action).await?;
    println!("{} is {done}; its jobs are changed in the background", args.tee_type);
    Ok(Exit::Success)
}
