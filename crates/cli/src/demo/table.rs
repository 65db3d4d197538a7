//! The table of batches, as an operator would read it from the database.

use chrono::DateTime;
use comfy_table::{Table, presets};
use tee_server::OverviewRow;

use super::Sealed;

const HEADER: [&str; 9] =
    ["batch", "status", "TEE", "taken", "finished", "signature", "public key", "root", "attestation"];

/// One row per proof. The batch with the real chain's transaction has a star.
pub(crate) fn of(rows: &[OverviewRow], sealed: &[Sealed]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(HEADER);
    for row in rows {
        let recorded = sealed.iter().any(|batch| batch.number == row.number && batch.recorded_transaction.is_some());
        let proof = row.proof.as_ref();
        let of_proof = |text: &dyn Fn(&tee_server::OverviewProof) -> String| proof.map(text).unwrap_or_default();
        table.add_row([
            format!("{}{}", row.number, if recorded { " *" } else { "" }),
            row.status.to_string(),
            row.tee_type.map(|tee_type| tee_type.to_string()).unwrap_or_default(),
            row.prover_taken_at_ms.map(time).unwrap_or_default(),
            of_proof(&|proof| time(proof.received_at_ms)),
            of_proof(&|proof| short(&proof.signature.to_string())),
            of_proof(&|proof| short(&proof.pubkey.to_string())),
            of_proof(&|proof| short(&hex::encode(proof.root))),
            of_proof(&|proof| proof.key_standing.to_string()),
        ]);
    }
    table
}

/// Time of day, UTC.
fn time(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).map(|time| time.format("%H:%M:%S%.3f").to_string()).unwrap_or_default()
}

/// The beginning and the end of a long hexadecimal text.
fn short(text: &str) -> String {
    match (text.get(..8), text.len().checked_sub(4).and_then(|at| text.get(at..))) {
        (Some(head), Some(tail)) if text.len() > 12 => format!("{head}…{tail}"),
        _ => text.to_owned(),
    }
}
