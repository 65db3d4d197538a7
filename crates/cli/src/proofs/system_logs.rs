//! System logs of a statement, for people and for programs.

use serde_json::{Value, json};
use tee_api::SystemLog;

pub(super) fn json_of(log: &SystemLog, version: u16) -> Value {
    json!({
        "name": log.name(version),
        "reading": log.reading(version),
        "shard": log.shard,
        "is_service": log.is_service,
        "transaction": log.transaction,
        "sender": log.sender,
        "key": log.key,
        "value": log.value,
    })
}

pub(super) fn line_of(log: &SystemLog, version: u16) -> String {
    let value = log.reading(version).unwrap_or_else(|| format!("{:?}", log.value));
    match log.name(version) {
        Some(name) => format!("{name}: {value}"),
        None => format!("log of {:?} under key {:?}: {value}", log.sender, log.key),
    }
}
