//! The server's configuration.

use std::{
    fs, io,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use tee_api::TeeType;
use tee_verifier::{ChainPins, Pins};
use thiserror::Error;

use crate::{
    batches::ObjectStoreUrl,
    clock::millis,
    database::{DatabaseUrl, JobRules, RequiredProofs},
    edge::{Limits, TlsConfig},
    keys::AttestationConfig,
};

/// What peers are told of who asks them.
pub(crate) const PROGRAM: &str = "tee-proof-server";

/// What the server needs to know. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Listen on an address that others can reach, though anyone there can then take batches and submit.
    #[serde(default)]
    pub danger_open: bool,
    /// Who may do what: names, roles and hashes of tokens. Read again when it changes.
    #[serde(default)]
    pub tokens_file: Option<PathBuf>,
    /// Let anyone read the published proofs, without a token.
    #[serde(default)]
    pub public_proofs: bool,
    /// Speak TLS.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// What peers may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// The form of log lines.
    #[serde(default)]
    pub log_format: LogFormat,
    /// The database: `sqlite://PATH`, a file that is made if it is not there, or `postgres://…`.
    pub database_url: DatabaseUrl,
    /// Where batch inputs are kept.
    pub object_store: ObjectStoreUrl,
    /// The lowest batch that is handed out.
    #[serde(default)]
    pub first_processed_batch: u32,
    /// How long a prover may work on a batch without a sign of life before another one gets it, and how long a failed
    /// batch rests before it is tried again.
    #[serde(default = "default_proof_generation_timeout_secs")]
    pub proof_generation_timeout_secs: u32,
    /// How long a prover may have a batch in all, however often it renews its lease.
    #[serde(default = "default_longest_lease_secs")]
    pub longest_lease_secs: u32,
    /// How often a batch is handed out before it is given up.
    #[serde(default = "default_max_attempts")]
    pub max_attempts: u32,
    /// How many batches one prover may have in work: a token, or where no tokens are asked for, an address.
    #[serde(default = "default_max_leases_per_prover")]
    pub max_leases_per_prover: u32,
    /// A batch that waited this long for its proof is given up once it fails.
    #[serde(default = "default_batch_permanently_ignored_timeout_hours")]
    pub batch_permanently_ignored_timeout_hours: u32,
    /// Which types of enclave get work. `none`, which is for trying provers out, submits nothing.
    #[serde(default = "default_tee_types")]
    pub tee_types: Vec<TeeType>,
    /// How many keys must prove a batch.
    #[serde(default)]
    pub required_proofs: RequiredProofs,
    /// The input of a batch is deleted so many days after the last of its jobs was finished, and kept for ever without. Proofs
    /// and quotes are kept always.
    #[serde(default)]
    pub keep_finished_inputs_days: Option<NonZeroU32>,
    /// A zksync-era node whose batches are taken over.
    #[serde(default)]
    pub mirror: Option<MirrorConfig>,
    /// Where inputs that lack paths are completed from.
    #[serde(default)]
    pub completion: Option<CompletionConfig>,
    /// How quotes are judged.
    #[serde(default)]
    pub attestation: Option<AttestationConfig>,
    /// Take roots without a statement where nothing else says which root a batch has, as provers of zksync-era send them: a
    /// signature then says nothing of the batch that it is of.
    #[serde(default)]
    pub danger_bare_roots: bool,
    /// Let every key sign whose quote names it, unjudged: anybody can make such a quote.
    #[serde(default)]
    pub danger_unjudged_quotes: bool,
    /// The chain and the code that statements must be of.
    #[serde(default)]
    pub chain: Option<ChainPins>,
    /// Take statements of any chain and code: an operator's own bootloader may mint what it likes.
    #[serde(default)]
    pub danger_any_code: bool,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A zksync-era node, or another server of this kind, whose batches are taken over. Its URLs may hold secrets, so they are not
/// shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorConfig {
    /// Its API for provers: what stands before `/tee/present_batches`.
    pub node_url: String,
    /// A JSON-RPC of the chain that knows `zks_getL1BatchDetails`, and `zks_getProof` for inputs that lack paths. With it a batch is taken over once its root is known there,
    /// and no proof of another root is accepted.
    #[serde(default)]
    pub rpc_url: Option<String>,
    /// The first batch to take over. By default the oldest that the node has.
    #[serde(default)]
    pub first_batch: u32,
    /// A file with the token for `node_url`, which a server of this kind asks for.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// Where inputs that lack paths are completed from. The URL may hold a secret, so it is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompletionConfig {
    /// A JSON-RPC of the chain that knows `zks_getProof`. By default the mirror's.
    pub rpc_url: String,
}

impl std::fmt::Debug for CompletionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompletionConfig").finish_non_exhaustive()
    }
}

impl MirrorConfig {
    /// A configuration with the defaults for all that has one.
    pub fn new(node_url: String) -> Self {
        Self { node_url, rpc_url: None, first_batch: 0, token_file: None }
    }
}

impl std::fmt::Debug for MirrorConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorConfig")
            .field("first_batch", &self.first_batch)
            .field("token_file", &self.token_file)
            .finish_non_exhaustive()
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read it")]
    Read(#[from] io::Error),
    /// Not what a configuration looks like. Says where, and shows nothing of the text: that may hold a password.
    #[error("{0}")]
    Yaml(String),
}

impl Config {
    /// A configuration with the defaults for all that has one.
    pub fn new(database_url: impl Into<DatabaseUrl>, object_store: ObjectStoreUrl) -> Self {
        Self {
            listen: default_listen(),
            danger_open: false,
            tokens_file: None,
            public_proofs: false,
            tls: None,
            limits: Limits::default(),
            log_format: LogFormat::default(),
            database_url: database_url.into(),
            object_store,
            first_processed_batch: 0,
            proof_generation_timeout_secs: default_proof_generation_timeout_secs(),
            longest_lease_secs: default_longest_lease_secs(),
            max_attempts: default_max_attempts(),
            max_leases_per_prover: default_max_leases_per_prover(),
            batch_permanently_ignored_timeout_hours: default_batch_permanently_ignored_timeout_hours(),
            tee_types: default_tee_types(),
            required_proofs: RequiredProofs::default(),
            keep_finished_inputs_days: None,
            mirror: None,
            completion: None,
            attestation: None,
            danger_bare_roots: false,
            danger_unjudged_quotes: false,
            chain: None,
            danger_any_code: false,
        }
    }

    /// The JSON-RPC that inputs are completed from, where there is one.
    pub(crate) fn completion_url(&self) -> Option<&str> {
        let mirror = self.mirror.as_ref().and_then(|mirror| mirror.rpc_url.as_deref());
        self.completion.as_ref().map(|completion| completion.rpc_url.as_str()).or(mirror)
    }

    /// What decides over jobs.
    pub(crate) fn job_rules(&self) -> JobRules {
        let millis = |secs: u64| millis(Duration::from_secs(secs));
        JobRules {
            lease_ms: millis(self.proof_generation_timeout_secs.into()),
            longest_lease_ms: millis(self.longest_lease_secs.max(self.proof_generation_timeout_secs).into()),
            first_processed_batch: self.first_processed_batch,
            max_attempts: self.max_attempts,
            ignored_after_ms: millis(u64::from(self.batch_permanently_ignored_timeout_hours) * 3600),
            served_tee_types: self.tee_types.clone(),
            required_proofs: self.required_proofs,
            max_leases_per_prover: self.max_leases_per_prover,
            completes_inputs: self.completion_url().is_some(),
        }
    }

    /// What statements must be of; `None` where neither pins nor their absence are configured, or both.
    pub(crate) fn pins(&self) -> Option<Pins> {
        match (&self.chain, self.danger_any_code) {
            (Some(chain), false) => Some(Pins::Chain(chain.clone())),
            (None, true) => Some(Pins::danger_any_code()),
            (None, false) | (Some(_), true) => None,
        }
    }

    /// Reads a YAML file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)?;
        serde_saphyr::from_str(&text).map_err(|error| ConfigError::Yaml(error.without_snippet().to_string()))
    }
}

/// zksync-era's port for its proof data handler.
fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 3320))
}

fn default_proof_generation_timeout_secs() -> u32 {
    600
}

/// Many times what a batch takes.
fn default_longest_lease_secs() -> u32 {
    6 * 60 * 60
}

fn default_max_attempts() -> u32 {
    10
}

fn default_tee_types() -> Vec<TeeType> {
    vec![TeeType::Sgx, TeeType::Tdx]
}

fn default_max_leases_per_prover() -> u32 {
    256
}

/// zksync-era's.
fn default_batch_permanently_ignored_timeout_hours() -> u32 {
    240
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), yaml).unwrap();
        Config::read(file.path())
    }

    #[test]
    fn two_keys_suffice() {
        let config = read("database_url: sqlite://tee.sqlite\nobject_store: file://inputs\n").unwrap();
        assert_eq!(config, Config::new("sqlite://tee.sqlite".to_owned(), "file://inputs".parse().unwrap()));
        assert_eq!(config.listen.to_string(), "127.0.0.1:3320");
        assert!(!config.danger_open);
    }

    #[test]
    fn unknown_keys_missing_keys_and_garbage_are_errors() {
        for yaml in [
            "database_url: sqlite://x\nobject_store: file://inputs\nlisten_adress: 127.0.0.1:1\n",
            "object_store: file://inputs\n",
            "database_url: sqlite://x\nobject_store: file://inputs\nrequired_proofs: {sev: 1}\n",
            "database_url: sqlite://x\nobject_store: file://inputs\nlisten: nowhere\n",
            "database_url: sqlite://x\nobject_store: file://inputs\nproof_generation_timeout_secs: -1\n",
            "database_url: sqlite://x\nobject_store: file://x\nmirror: {node_url: http://x, last_batch: 1}\n",
            "database_url: sqlite://x\nobject_store: inputs\n",
            "database_url: sqlite://x\nobject_store: file://x\nchain: {id: 300, code: []}\n",
            "database_url: sqlite://x\nobject_store: file://x\nchain: {id: 300}\n",
            "database_url: sqlite://x\nobject_store: file://x\nkeep_finished_inputs_days: 0\n",
            "",
            "{",
            "\u{0}",
        ] {
            assert!(matches!(read(yaml), Err(ConfigError::Yaml(_))), "{yaml}");
        }
        assert!(matches!(Config::read(Path::new("/nowhere")), Err(ConfigError::Read(_))));
    }
}
