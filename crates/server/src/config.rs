//! The server's configuration: a YAML file, which environment variables override.

mod settings;

use std::{
    fmt, io,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

pub use tee_api::settings::LogFormat;
use tee_api::{
    TeeType,
    settings::{Line, VariableError},
};
use tee_verifier::{ChainPins, Pins};
use thiserror::Error;

use crate::{
    batches::ObjectStoreUrl,
    clock::millis,
    database::{DatabaseUrl, JobRules, RequiredProofs},
    edge::{Limits, TlsConfig},
    keys::AttestationConfig,
};

/// The program's name, as peers see it in requests.
pub(crate) const PROGRAM: &str = "tee-proof-server";

/// The server's settings. `docs/SERVER.md` describes each key of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Listen on an address that others can reach, though anyone there can then take batches and submit proofs.
    pub danger_open: bool,
    /// Who may do what: names, roles and hashes of tokens. Read again when it changes.
    pub tokens_file: Option<PathBuf>,
    /// Let anyone read the published proofs, without a token.
    pub public_proofs: bool,
    /// Use TLS.
    pub tls: Option<TlsConfig>,
    /// Limits on what peers may ask for.
    pub limits: Limits,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// The database: `sqlite://PATH`, a file that is created if missing, or `postgres://…`.
    pub database_url: DatabaseUrl,
    /// Where batch inputs are kept.
    pub object_store: ObjectStoreUrl,
    /// The lowest batch that is handed out.
    pub first_processed_batch: u32,
    /// How long a prover may work on a batch without renewing its lease before another one gets it, and how long a
    /// failed batch rests before it is tried again.
    pub proof_generation_timeout_secs: u32,
    /// How long a prover may have a batch in all, however often it renews its lease.
    pub longest_lease_secs: u32,
    /// How often a batch is handed out before it is given up.
    pub max_attempts: u32,
    /// How many batches one prover may hold. A prover is a token or, if no tokens are used, an address.
    pub max_leases_per_prover: u32,
    /// A batch that has waited this long for its proof is given up at its next failure.
    pub batch_permanently_ignored_timeout: Duration,
    /// Which types of enclave get work. `none` is for trying provers out and submits nothing.
    pub tee_types: Vec<TeeType>,
    /// How many keys must prove a batch.
    pub required_proofs: RequiredProofs,
    /// A batch's input is deleted this many days after the last of its jobs was finished. Without it, inputs are kept
    /// forever. Proofs and quotes are always kept.
    pub keep_finished_inputs_days: Option<NonZeroU32>,
    /// A zksync-era node whose batches are copied.
    pub mirror: Option<MirrorConfig>,
    /// The source of missing paths in inputs.
    pub completion: Option<CompletionConfig>,
    /// How quotes are judged.
    pub attestation: Option<AttestationConfig>,
    /// Accept roots without a statement even if no other source names the batch's root, as provers of zksync-era send them. Such a
    /// signature does not say which batch it belongs to.
    pub danger_bare_roots: bool,
    /// Let every key sign that a quote names, without judging the quote: anybody can make such a quote.
    pub danger_unjudged_quotes: bool,
    /// The chain and the code that statements must match.
    pub chain: Option<ChainPins>,
    /// Accept statements of any chain and code: an operator's own bootloader may mint anything.
    pub danger_any_code: bool,
}

/// A zksync-era node, or another server of this kind, whose batches are copied. Its URLs may hold secrets, so they are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MirrorConfig {
    /// Its API for provers: the URL before `/tee/present_batches`.
    pub node_url: String,
    /// A JSON-RPC of the chain that supports `zks_getL1BatchDetails`, and `zks_getProof` for inputs that lack paths. If set, a batch is
    /// copied once its root is known there, and no proof of another root is accepted.
    pub rpc_url: Option<String>,
    /// The first batch to copy. By default the oldest that the node has.
    pub first_batch: u32,
    /// A file with the token for `node_url`, which another server of this kind requires.
    pub token_file: Option<PathBuf>,
}

/// The source of missing paths in inputs. The URL may hold a secret, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct CompletionConfig {
    /// A JSON-RPC of the chain that supports `zks_getProof`. By default the mirror's.
    pub rpc_url: String,
}

impl fmt::Debug for CompletionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionConfig").finish_non_exhaustive()
    }
}

impl MirrorConfig {
    /// A configuration with all defaults.
    pub fn new(node_url: String) -> Self {
        Self { node_url, rpc_url: None, first_batch: 0, token_file: None }
    }
}

impl fmt::Debug for MirrorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorConfig")
            .field("first_batch", &self.first_batch)
            .field("token_file", &self.token_file)
            .finish_non_exhaustive()
    }
}

/// A configuration, and where each of its values comes from. `Display` writes YAML with the origins as comments, without values that
/// may be secret.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The lines, each with its section.
    lines: Vec<(Option<&'static str>, Line)>,
    warnings: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the file")]
    Read(#[from] io::Error),
    /// The text is not a valid configuration. The error says where, and shows none of the text, which may hold a password.
    #[error("{0}")]
    Yaml(String),
    /// An environment variable is invalid.
    #[error(transparent)]
    Environment(#[from] VariableError),
    /// A required key is missing.
    #[error("the key {0} is missing")]
    Missing(&'static str),
    /// A value is invalid.
    #[error("{key}: {error}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        error: String,
    },
}

impl Config {
    /// A configuration with the given required values and all defaults.
    pub fn new(database_url: impl Into<DatabaseUrl>, object_store: ObjectStoreUrl) -> Self {
        Self {
            // The port of zksync-era's proof data handler.
            listen: SocketAddr::from(([127, 0, 0, 1], 3320)),
            danger_open: false,
            tokens_file: None,
            public_proofs: false,
            tls: None,
            limits: Limits::default(),
            log_format: LogFormat::default(),
            database_url: database_url.into(),
            object_store,
            first_processed_batch: 0,
            proof_generation_timeout_secs: 600,
            // Many times as long as a batch takes.
            longest_lease_secs: 6 * 60 * 60,
            max_attempts: 10,
            max_leases_per_prover: 256,
            // The same as in zksync-era.
            batch_permanently_ignored_timeout: Duration::from_secs(240 * 60 * 60),
            tee_types: vec![TeeType::Sgx, TeeType::Tdx],
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

    /// The JSON-RPC that inputs are completed from, if there is one.
    pub(crate) fn completion_url(&self) -> Option<&str> {
        let mirror = self.mirror.as_ref().and_then(|mirror| mirror.rpc_url.as_deref());
        self.completion.as_ref().map(|completion| completion.rpc_url.as_str()).or(mirror)
    }

    /// The rules for jobs.
    pub(crate) fn job_rules(&self) -> JobRules {
        let secs = |secs: u32| millis(Duration::from_secs(secs.into()));
        JobRules {
            lease_ms: secs(self.proof_generation_timeout_secs),
            longest_lease_ms: secs(self.longest_lease_secs.max(self.proof_generation_timeout_secs)),
            first_processed_batch: self.first_processed_batch,
            max_attempts: self.max_attempts,
            ignored_after_ms: millis(self.batch_permanently_ignored_timeout),
            served_tee_types: self.tee_types.clone(),
            required_proofs: self.required_proofs,
            max_leases_per_prover: self.max_leases_per_prover,
            completes_inputs: self.completion_url().is_some(),
        }
    }

    /// What statements must match. `None` if neither pins nor `danger_any_code` are configured, or both are.
    pub(crate) fn pins(&self) -> Option<Pins> {
        match (&self.chain, self.danger_any_code) {
            (Some(chain), false) => Some(Pins::Chain(chain.clone())),
            (None, true) => Some(Pins::danger_any_code()),
            (None, false) | (Some(_), true) => None,
        }
    }

    /// Reads a YAML file and ignores the environment.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::load(Some(path), |_| None, &[]).map(|loaded| loaded.config)
    }

    /// Reads the file, if any, and lets environment variables override it. `environment` returns the value of a variable, and `names`
    /// lists all variables that exist.
    pub fn load(
        path: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        names: &[String],
    ) -> Result<Loaded, ConfigError> {
        settings::load(path, &environment, names)
    }
}

impl Loaded {
    /// Warnings about outdated keys, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut inside = None;
        for (section, line) in &self.lines {
            if *section != inside {
                section.iter().try_for_each(|section| writeln!(f, "{section}:"))?;
                inside = *section;
            }
            let indent = if section.is_some() { "  " } else { "" };
            writeln!(f, "{indent}{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
