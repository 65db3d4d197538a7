//! The server's configuration: a YAML file, and the environment over it.

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

/// What peers are told of who asks them.
pub(crate) const PROGRAM: &str = "tee-proof-server";

/// What the server needs to know. `docs/SERVER.md` says what each key of the file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Listen on an address that others can reach, though anyone there can then take batches and submit.
    pub danger_open: bool,
    /// Who may do what: names, roles and hashes of tokens. Read again when it changes.
    pub tokens_file: Option<PathBuf>,
    /// Let anyone read the published proofs, without a token.
    pub public_proofs: bool,
    /// Speak TLS.
    pub tls: Option<TlsConfig>,
    /// What peers may ask for.
    pub limits: Limits,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// The database: `sqlite://PATH`, a file that is made if it is not there, or `postgres://…`.
    pub database_url: DatabaseUrl,
    /// Where batch inputs are kept.
    pub object_store: ObjectStoreUrl,
    /// The lowest batch that is handed out.
    pub first_processed_batch: u32,
    /// How long a prover may work on a batch without a sign of life before another one gets it, and how long a failed
    /// batch rests before it is tried again.
    pub proof_generation_timeout_secs: u32,
    /// How long a prover may have a batch in all, however often it renews its lease.
    pub longest_lease_secs: u32,
    /// How often a batch is handed out before it is given up.
    pub max_attempts: u32,
    /// How many batches one prover may have in work: a token, or where no tokens are asked for, an address.
    pub max_leases_per_prover: u32,
    /// A batch that waited this long for its proof is given up once it fails.
    pub batch_permanently_ignored_timeout: Duration,
    /// Which types of enclave get work. `none`, which is for trying provers out, submits nothing.
    pub tee_types: Vec<TeeType>,
    /// How many keys must prove a batch.
    pub required_proofs: RequiredProofs,
    /// The input of a batch is deleted so many days after the last of its jobs was finished, and kept for ever without. Proofs
    /// and quotes are kept always.
    pub keep_finished_inputs_days: Option<NonZeroU32>,
    /// A zksync-era node whose batches are taken over.
    pub mirror: Option<MirrorConfig>,
    /// Where inputs that lack paths are completed from.
    pub completion: Option<CompletionConfig>,
    /// How quotes are judged.
    pub attestation: Option<AttestationConfig>,
    /// Take roots without a statement where nothing else says which root a batch has, as provers of zksync-era send them: a
    /// signature then says nothing of the batch that it is of.
    pub danger_bare_roots: bool,
    /// Let every key sign whose quote names it, unjudged: anybody can make such a quote.
    pub danger_unjudged_quotes: bool,
    /// The chain and the code that statements must be of.
    pub chain: Option<ChainPins>,
    /// Take statements of any chain and code: an operator's own bootloader may mint what it likes.
    pub danger_any_code: bool,
}

/// A zksync-era node, or another server of this kind, whose batches are taken over. Its URLs may hold secrets, so they are not
/// shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MirrorConfig {
    /// Its API for provers: what stands before `/tee/present_batches`.
    pub node_url: String,
    /// A JSON-RPC of the chain that knows `zks_getL1BatchDetails`, and `zks_getProof` for inputs that lack paths. With it a batch is taken over once its root is known there,
    /// and no proof of another root is accepted.
    pub rpc_url: Option<String>,
    /// The first batch to take over. By default the oldest that the node has.
    pub first_batch: u32,
    /// A file with the token for `node_url`, which a server of this kind asks for.
    pub token_file: Option<PathBuf>,
}

/// Where inputs that lack paths are completed from. The URL may hold a secret, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct CompletionConfig {
    /// A JSON-RPC of the chain that knows `zks_getProof`. By default the mirror's.
    pub rpc_url: String,
}

impl fmt::Debug for CompletionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionConfig").finish_non_exhaustive()
    }
}

impl MirrorConfig {
    /// A configuration with the defaults for all that has one.
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

/// A configuration and where each of its values comes from. `Display` is YAML, with the origins as comments; what may be secret is
/// not in it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// With the section that a line is in.
    lines: Vec<(Option<&'static str>, Line)>,
    warnings: Vec<String>,
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
    /// A variable of the environment.
    #[error(transparent)]
    Environment(#[from] VariableError),
    /// Nobody said what has no default.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value makes no sense.
    #[error("{key}: {error}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        error: String,
    },
}

impl Config {
    /// A configuration with the defaults for all that has one.
    pub fn new(database_url: impl Into<DatabaseUrl>, object_store: ObjectStoreUrl) -> Self {
        Self {
            // zksync-era's port for its proof data handler.
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
            // Many times what a batch takes.
            longest_lease_secs: 6 * 60 * 60,
            max_attempts: 10,
            max_leases_per_prover: 256,
            // zksync-era's.
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

    /// The JSON-RPC that inputs are completed from, where there is one.
    pub(crate) fn completion_url(&self) -> Option<&str> {
        let mirror = self.mirror.as_ref().and_then(|mirror| mirror.rpc_url.as_deref());
        self.completion.as_ref().map(|completion| completion.rpc_url.as_str()).or(mirror)
    }

    /// What decides over jobs.
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

    /// What statements must be of; `None` where neither pins nor their absence are configured, or both.
    pub(crate) fn pins(&self) -> Option<Pins> {
        match (&self.chain, self.danger_any_code) {
            (Some(chain), false) => Some(Pins::Chain(chain.clone())),
            (None, true) => Some(Pins::danger_any_code()),
            (None, false) | (Some(_), true) => None,
        }
    }

    /// Reads a YAML file, and nothing of the environment.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::load(Some(path), |_| None, &[]).map(|loaded| loaded.config)
    }

    /// Reads the file, if any, and the environment over it: `environment` gives a variable, and `names` are those of all that
    /// there are.
    pub fn load(
        path: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        names: &[String],
    ) -> Result<Loaded, ConfigError> {
        settings::load(path, &environment, names)
    }
}

impl Loaded {
    /// What is outdated in it, for the log.
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
