//! `teectl server disagreements`: proofs that contradict what a server knows.

use anyhow::Result;
use clap::Subcommand;
use comfy_table::{Table, presets};
use tee_api::{DisagreementEntry, PublicKey, ResolveDisagreement, TeeType};

use super::{
    connection::ServerArgs,
    listing::{self, PAGE},
};
use crate::{exit::Exit, print::shown};

const LIST_EXAMPLES: &str = "Examples:
  teectl server disagreements list
  teectl server disagreements list --all --json";

const RESOLVE_EXAMPLES: &str = "Examples:
  teectl server disagreements resolve 14034 sgx KEY --reason \"the node's data were changed\"";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List disagreements that nobody has explained yet: each is an alarm.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        server: ServerArgs,
        /// Also list those that were explained.
        #[arg(long)]
        all: bool,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Record how a disagreement was explained. It stays listed, but is no longer an alarm.
    #[command(after_help = RESOLVE_EXAMPLES)]
    Resolve {
        #[command(flatten)]
        server: ServerArgs,
        /// The batch.
        batch: u32,
        /// The proof's type of enclave: sgx, tdx.
        tee_type: TeeType,
        /// The proof's public key: 66 hex digits.
        key: PublicKey,
        /// The explanation, for those who ask later.
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn run(command: Command) -> Result<Exit> {
    match command {
        Command::List { server, all, json } => {
            let client = server.client()?;
            let mut entries = listing::all(json, async |after| client.disagreements(after, PAGE).await).await?;
            entries.retain(|entry| all || entry.resolved_at.is_none());
            listing::print(&entries, json, table)?;
        }
        Command::Resolve { server, batch, tee_type, key, reason } => {
            server.client()?.resolve_disagreement(batch, tee_type, &key, &ResolveDisagreement { reason }).await?;
            println!("resolved");
        }
    }
    Ok(Exit::Success)
}

fn table(entries: &[DisagreementEntry]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header([
        "batch",
        "TEE",
        "public key",
        "root",
        "contradicts",
        "received",
        "explained",
    ]);
    for entry in entries {
        table.add_row([
            entry.batch.to_string(),
            entry.tee_type.to_string(),
            entry.pubkey.to_string(),
            shown(&entry.root),
            shown(&entry.accepted_root),
            shown(&entry.received_at),
            shown(entry.resolution.as_deref().unwrap_or_default()),
        ]);
    }
    table
}
