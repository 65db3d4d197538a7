//! `teectl server keys`: the keys that a server knows.

use anyhow::Result;
use clap::Subcommand;
use comfy_table::{Table, presets};
use tee_api::{AttestationEntry, Client, ClientError, PublicKey, RevokeKey};

use super::{
    connection::ServerArgs,
    listing::{self, PAGE, program},
};
use crate::{exit::Exit, print::shown};

const LIST_EXAMPLES: &str = "Examples:
  teectl server keys list
  teectl server keys list --json";

const SHOW_EXAMPLES: &str = "Examples:
  teectl server keys show KEY";

const REVOKE_EXAMPLES: &str = "Examples:
  teectl server keys revoke KEY --reason \"the machine was sold\"";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List registered keys.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        server: ServerArgs,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Show a key, its standing and what its quote says.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        #[command(flatten)]
        server: ServerArgs,
        /// The public key: 66 hex digits.
        key: PublicKey,
    },
    /// Revoke a key for good: its proofs are refused from now on.
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        #[command(flatten)]
        server: ServerArgs,
        /// The public key: 66 hex digits.
        key: PublicKey,
        /// The reason, for those who ask later.
        #[arg(long, default_value = "by hand")]
        reason: String,
        /// Do not have the batches that only this key proved proven again.
        #[arg(long)]
        keep_batches: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<Exit> {
    match command {
        Command::List { server, json } => {
            listing::print(&keys(&server.client()?, json).await?, json, table)?;
            Ok(Exit::Success)
        }
        Command::Show { server, key } => show(&keys(&server.client()?, false).await?, &key),
        Command::Revoke { server, key, reason, keep_batches } => {
            let revoked = server.client()?.revoke_key(&key, &RevokeKey { reason, keep_batches }).await?;
            println!("revoked; {} batches will be proven again", revoked.requeued);
            Ok(Exit::Success)
        }
    }
}

async fn keys(client: &Client, json: bool) -> Result<Vec<AttestationEntry>, ClientError> {
    listing::all(json, async |after| client.attestations(after, PAGE).await).await
}

fn table(entries: &[AttestationEntry]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header([
        "public key",
        "TEE",
        "standing",
        "TCB status",
        "registered",
        "revoked",
        "program (not attested)",
    ]);
    for entry in entries {
        table.add_row([
            entry.pubkey.to_string(),
            entry.tee_type.to_string(),
            standing(entry),
            entry.tcb_status.clone().unwrap_or_default(),
            entry.registered_at.clone(),
            entry.revoked_at.clone().unwrap_or_default(),
            program(entry.user_agent.as_deref()),
        ]);
    }
    table
}

/// The standing. An older server sends only the verdict.
fn standing(entry: &AttestationEntry) -> String {
    shown(&entry.standing.as_ref().map_or_else(|| entry.verdict.clone(), ToString::to_string))
}

fn show(entries: &[AttestationEntry], key: &PublicKey) -> Result<Exit> {
    let Some(entry) = entries.iter().find(|entry| entry.pubkey == *key) else {
        eprintln!("error: {key} is not registered");
        return Ok(Exit::Failure);
    };
    let row = |name: &str, value: &str| println!("{name:<24} {value}");
    row("public key", &entry.pubkey.to_string());
    row("address", &format!("{:?}", entry.pubkey.address()));
    row("standing", &standing(entry));
    if let Some(reason) = &entry.standing_reason {
        row("because", &shown(reason));
    }
    row("registered", &entry.registered_at);
    row("judged", entry.judged_at.as_deref().unwrap_or("never"));
    row("revoked", entry.revoked_at.as_deref().unwrap_or("no"));
    row("says of itself", &shown(entry.user_agent.as_deref().unwrap_or("nothing")));
    row("TCB status", entry.tcb_status.as_deref().unwrap_or("unknown"));
    row("advisories", entry.advisories.as_deref().filter(|ids| !ids.is_empty()).unwrap_or("none known"));
    for claim in tee_attestation::claims_of(&hex::decode(&entry.quote)?)? {
        row(claim.name, &claim.value);
    }
    Ok(Exit::Success)
}
