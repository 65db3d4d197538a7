//! Configuration: a YAML file, which environment variables with zksync-era's names override.

mod chain_file;
mod server;
mod settings;

pub use self::server::ServerConfig;
use serde::Deserialize;
use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
pub use tee_api::settings::LogFormat;
use tee_api::{
    BearerTokenError, TeeType,
    settings::{Line, Origin, VariableError},
};
use tee_verifier::Pins;
use thiserror::Error;

/// The settings of a prover. The signing key is not among them: it comes only from the environment. `docs/PROVER.md` describes each
/// key.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The servers, at least one.
    pub servers: Vec<ServerConfig>,
    /// How many times in a row a request to a server may fail before the prover gives it up; `None` for no limit.
    pub max_retries: Option<u32>,
    /// The wait after the first fault, and the first wait between two requests to a server without work.
    pub initial_retry_backoff: Duration,
    /// The factor by which each wait is longer than the one before; at least 1.
    pub retry_backoff_multiplier: f64,
    /// The longest wait after a fault.
    pub max_backoff: Duration,
    /// The longest wait between two requests to a server without work.
    pub max_idle_poll: Duration,
    /// How many batches are verified at a time.
    pub verification_workers: NonZeroUsize,
    /// How many batches of a server are fetched ahead of those that are being verified.
    pub prefetch: NonZeroUsize,
    /// How much memory the batches in progress may take, by estimate. Each server has an equal share.
    pub memory_budget_bytes: u64,
    /// How long a verification may take.
    pub verification_timeout: Duration,
    /// How long a verification that was given up may still run before the prover stops: nothing else can end it.
    pub stuck_verification_timeout: Duration,
    /// How long work in progress may take after the prover is told to stop.
    pub shutdown_grace: Duration,
    /// The source of key and quote.
    pub attestation: Attestation,
    /// How long a quote that is made here may take.
    pub quote_timeout: Duration,
    /// The file with the key's quote, if they come from the environment.
    pub attestation_quote_file_path: Option<PathBuf>,
    /// The enclave's type. A prover of type `none` verifies and submits nothing.
    pub tee_type: Option<TeeType>,
    /// The chain and the code that batches must match.
    pub pins: Pins,
    /// The address that serves metrics and health, if any.
    pub metrics_listen: Option<SocketAddr>,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Let a simulated prover submit to a server on another machine. Only the command line sets this.
    pub danger_simulated_proofs: bool,
}

/// The source of key and quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attestation {
    /// The environment, as `tee-key-preexec` sets it.
    #[default]
    Environment,
    /// This process, in an SGX enclave under Gramine.
    Sgx,
    /// This process, in a TDX domain.
    Tdx,
    /// This process, with a quote of a simulated SGX platform.
    Simulation,
}

/// A configuration, and where each of its values comes from. `Display` writes YAML that loads to the same, with the origins as
/// comments and without secrets.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    lines: Vec<Line>,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// The file is invalid.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Where and what is wrong, without the file's text, which may hold a misplaced secret.
        error: String,
    },
    /// An environment variable is invalid.
    #[error(transparent)]
    Environment(#[from] VariableError),
    /// No pins are set, so batches of any code would be signed.
    #[error(
        "no code is pinned: set chain: {{id: …, code: [{{protocol_version: …, bootloader: …, default_account: …, \
         evm_emulator: …}}]}} in the file (`teectl batch inspect` shows a batch's) or TEE_PROVER_CHAIN_FILE in the environment, \
         or danger_any_code: true"
    )]
    NoPins,
    /// Both pins and `danger_any_code` are set.
    #[error("both chain and danger_any_code are set: set one of them")]
    PinsOfAnyCode,
    /// `chain_id` and the pins name different chains.
    #[error("chain_id is {chain_id}, but the pinned chain's id is {pinned}")]
    TwoChains {
        /// `chain_id`.
        chain_id: u64,
        /// The chain id of the pins.
        pinned: u64,
    },
    /// A token file does not hold a token.
    #[error("{path}")]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: BearerTokenError,
    },
    /// No server is named.
    #[error("api_url is missing: set it in the file, or TEE_PROVER_API_URL in the environment")]
    NoServer,
    /// Servers are named by two keys.
    #[error("both api_url and api_urls are set: set one of them")]
    TwoServerKeys,
    /// A client certificate comes without its key, or a key without its certificate.
    #[error("client_certificate_file and client_key_file must be set together")]
    HalfAClientCertificate,
    /// Several servers would share files that are meant for one.
    #[error(
        "TEE_PROVER_API_CA_FILE and TEE_PROVER_API_CLIENT_…_FILE are for one server: with several, name the files of each in api_urls"
    )]
    FilesForWhom,
    /// Several servers would get the same token.
    #[error("TEE_PROVER_API_TOKEN is for one server: with several, name a token_file for each in api_urls")]
    TokenForWhom,
    /// The server's URL holds a user or a password, and URLs appear in logs.
    #[error("api_url contains a user or a password: use a token instead")]
    Credentials,
    /// There is too little memory for a batch of each server.
    #[error("memory_budget is {got} bytes, but {servers} servers need at least {least}")]
    Memory {
        /// The configured memory in bytes.
        got: u64,
        /// How many servers share it.
        servers: usize,
        /// The minimum in bytes.
        least: u64,
    },
    /// A wait is zero, or the waits would shrink.
    #[error("waits must be longer than zero, and retry_backoff_multiplier must be at least 1")]
    Backoff,
}

impl Config {
    /// The defaults for one server and batches of the pinned chain and code. They are zksync-era's where it has them.
    pub fn new(api_url: impl Into<String>, pins: Pins) -> Self {
        Self {
            servers: vec![ServerConfig::new(api_url)],
            max_retries: None,
            initial_retry_backoff: Duration::from_secs(1),
            retry_backoff_multiplier: 2.0,
            max_backoff: Duration::from_secs(128),
            max_idle_poll: Duration::from_secs(10),
            verification_workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            prefetch: NonZeroUsize::MIN.saturating_add(1),
            memory_budget_bytes: 4 << 30,
            verification_timeout: Duration::from_secs(600),
            stuck_verification_timeout: Duration::from_secs(600),
            shutdown_grace: Duration::from_secs(20),
            attestation: Attestation::Environment,
            quote_timeout: Duration::from_secs(60),
            attestation_quote_file_path: None,
            tee_type: None,
            pins,
            metrics_listen: None,
            log_format: LogFormat::Text,
            danger_simulated_proofs: false,
        }
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
    /// Applies `--simulation` from the command line, which overrides file and environment.
    pub fn simulate(&mut self) {
        self.config.attestation = Attestation::Simulation;
        if let Some(line) = self.lines.iter_mut().find(|line| line.is_of("attestation")) {
            let value = Some(Attestation::Simulation.to_string());
            *line = Line::new("attestation", value, Origin::CommandLine("--simulation"));
        }
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Attestation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Environment, Self::Sgx, Self::Tdx, Self::Simulation]
            .into_iter()
            .find(|attestation| attestation.to_string() == text)
            .ok_or("must be environment, sgx, tdx or simulation")
    }
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Sgx => "sgx",
            Self::Tdx => "tdx",
            Self::Simulation => "simulation",
        })
    }
}

#[cfg(test)]
mod tests;
