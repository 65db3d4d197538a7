//! `teectl provers`: who asks a server for work.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use comfy_table::{Table, presets};
use tee_api::{Client, ProverEntry};

use crate::{print::shown, server::ServerArgs};

/// Provers on a page. The server allows 1,000.
const PAGE: u32 = 500;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List provers, and those that are paused because they only fail.
    List {
        #[command(flatten)]
        server: ServerArgs,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(command: Command) -> Result<ExitCode> {
    let Command::List { server, json } = command;
    let provers = provers(&server.client()?).await?;
    if json {
        for prover in &provers {
            println!("{}", serde_json::to_string(prover)?);
        }
    } else {
        println!("{}", table(&provers));
    }
    Ok(ExitCode::SUCCESS)
}

async fn provers(client: &Client) -> Result<Vec<ProverEntry>> {
    let (mut provers, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = client.provers(after.as_deref(), PAGE).await?;
        provers.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(provers);
        }
    }
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
        ]);
    }
    table
}
