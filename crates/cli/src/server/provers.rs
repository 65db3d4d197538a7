//! `teectl server provers`: who asks a server for work.

use anyhow::Result;
use clap::Subcommand;
use comfy_table::{Table, presets};
use tee_api::ProverEntry;

use super::{
    connection::ServerArgs,
    listing::{self, PAGE, program},
};
use crate::{exit::Exit, print::shown};

const EXAMPLES: &str = "Examples:
  teectl server provers list
  teectl server provers list --server https://proofs.example.org --token-file reader.token --json";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List provers, and show which are paused because they only fail.
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        server: ServerArgs,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<Exit> {
    let Command::List { server, json } = command;
    let client = server.client()?;
    let provers = listing::all(json, async |after| client.provers(after, PAGE).await).await?;
    listing::print(&provers, json, table)?;
    Ok(Exit::Success)
}

fn table(provers: &[ProverEntry]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header([
        "prover",
        "TEE",
        "asked",
        "leases",
        "failures in a row",
        "last failure",
        "paused until",
        "program (not attested)",
    ]);
    for prover in provers {
        table.add_row([
            shown(&prover.prover),
            prover.tee_type.to_string(),
            shown(&prover.asked_at),
            prover.leases.to_string(),
            prover.failures_in_a_row.to_string(),
            shown(prover.last_error_kind.as_deref().unwrap_or_default()),
            shown(prover.paused_until.as_deref().unwrap_or_default()),
            program(prover.user_agent.as_deref()),
        ]);
    }
    table
}
