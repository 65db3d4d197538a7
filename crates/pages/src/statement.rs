//! Statements, field by field.

use tee_api::{Statement, SystemLog};

use crate::shown::{Short, counted};

/// A statement, and how many keys signed it.
pub struct Stated {
    /// `1 key`, `2 keys`.
    pub signed_by: String,
    /// All fields except the system logs.
    pub fields: Vec<Field>,
    /// The first system logs.
    pub logs: Vec<LogLine>,
    /// The number of further logs.
    pub more_logs: usize,
}

/// A field of a statement.
pub struct Field {
    /// What it is.
    pub name: &'static str,
    /// In hexadecimal or decimal digits.
    pub value: String,
}

/// A system log.
pub struct LogLine {
    /// Its meaning, if the protocol's version has a name for it.
    pub name: Option<&'static str>,
    /// Its key, shortened.
    pub key: String,
    /// Who sent it, shortened.
    pub sender: String,
    /// Its value, in readable form or in hexadecimal.
    pub value: String,
    /// Whether the value is in readable form.
    pub is_reading: bool,
}

/// The most statements that are shown. Usually there is one, but each key could sign another.
const MAX_STATEMENTS: usize = 4;

/// The most system logs of a statement that are shown. A batch has about ten.
const MAX_LOGS: usize = 32;

impl Stated {
    /// The different statements, those that most keys signed first.
    pub fn of(mut statements: Vec<Statement>) -> Vec<Self> {
        statements.sort_by_cached_key(Statement::digest);
        let mut groups: Vec<_> = statements.chunk_by(|one, other| one == other).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        groups
            .into_iter()
            .filter_map(|group| Some(Self::one(group.first()?, group.len())))
            .take(MAX_STATEMENTS)
            .collect()
    }

    fn one(statement: &Statement, signed: usize) -> Self {
        let hash = |hash: tee_verifier::H256| hex::encode(hash);
        let codes = statement.code_hashes;
        let new_leaves = statement.index.saturating_sub(statement.previous_index);
        let fields = [
            ("Chain", statement.chain_id.to_string()),
            ("Batch", statement.batch_number.to_string()),
            ("Protocol version", statement.protocol_version.to_string()),
            ("Root before", hash(statement.previous_root)),
            ("Root after", hash(statement.root)),
            ("Next free leaf before", statement.previous_index.to_string()),
            ("Next free leaf after", format!("{} ({new_leaves} new)", statement.index)),
            ("Bootloader", hash(codes.bootloader)),
            ("Default account", hash(codes.default_account)),
            ("EVM emulator", codes.evm_emulator.map_or_else(|| "none".to_owned(), hash)),
            ("Hash of the system logs", hash(statement.system_logs_hash())),
            ("What is signed", hash(statement.digest())),
        ];
        let logs = statement.logs();
        Self {
            signed_by: counted(signed, "key", "keys"),
            fields: fields.into_iter().map(|(name, value)| Field { name, value }).collect(),
            more_logs: logs.len().saturating_sub(MAX_LOGS),
            logs: logs.iter().take(MAX_LOGS).map(|log| LogLine::of(log, statement.protocol_version)).collect(),
        }
    }
}

impl LogLine {
    fn of(log: &SystemLog, version: u16) -> Self {
        let reading = log.reading(version);
        Self {
            name: log.name(version),
            key: Short(&hex::encode(log.key)).to_string(),
            sender: Short(&hex::encode(log.sender)).to_string(),
            is_reading: reading.is_some(),
            value: reading.unwrap_or_else(|| hex::encode(log.value)),
        }
    }
}
