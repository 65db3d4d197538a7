//! Configuration: a YAML file, and over it the environment with zksync-era's names.

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

/// How a prover is to run. The signing key is no part of it: that comes from the environment alone. `docs/PROVER.md` says
/// what each key does.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The servers, at least one.
    pub servers: Vec<ServerConfig>,
    /// How many times in a row asking a server may fail before the prover gives it up; `None` for never.
    pub max_retries: Option<u32>,
    /// The wait after the first fault, and the first between two questions to a server that has nothing to do.
    pub initial_retry_backoff: Duration,
    /// By how much a wait is longer than the one before, at least 1.
    pub retry_backoff_multiplier: f64,
    /// The longest wait after a fault.
    pub max_backoff: Duration,
    /// The longest wait between two questions to a server that has nothing to do.
    pub max_idle_poll: Duration,
    /// How many batches are verified at a time.
    pub verification_workers: NonZeroUsize,
    /// How many batches of a server are fetched ahead of those being verified.
    pub prefetch: NonZeroUsize,
    /// How much memory batches in work may take, by estimate. Each server has an equal share.
    pub memory_budget_bytes: u64,
    /// How long a verification may take.
    pub verification_timeout: Duration,
    /// How long one that was given up may still run before the prover stops: nothing else ends it.
    pub stuck_verification_timeout: Duration,
    /// How long work in hand may take once the prover is told to stop.
    pub shutdown_grace: Duration,
    /// Where key and quote come from.
    pub attestation: Attestation,
    /// How long a quote that is made here may take.
    pub quote_timeout: Duration,
    /// The file that holds the key's quote, where they come from the environment.
    pub attestation_quote_file_path: Option<PathBuf>,
    /// The enclave's type. A prover of type `none` verifies and submits nothing.
    pub tee_type: Option<TeeType>,
    /// The chain and the code that batches must be of.
    pub pins: Pins,
    /// Where metrics and health are served, if at all.
    pub metrics_listen: Option<SocketAddr>,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Let a simulated prover submit to a server that is not on this machine. Only the command line sets this.
    pub danger_simulated_proofs: bool,
}

/// Where key and quote come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attestation {
    /// From the environment, as `tee-key-preexec` leaves them.
    #[default]
    Environment,
    /// Made here, in an SGX enclave under Gramine.
    Sgx,
    /// Made here, in a TDX domain.
    Tdx,
    /// Made here, with a quote of a simulated SGX platform.
    Simulation,
}

/// A configuration and where each of its values comes from. `Display` is YAML that loads to the same, with the origins as
/// comments; secrets are not in it.
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
        /// What happened.
        #[source]
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Where and what, without the file's text: that may hold a misplaced secret.
        error: String,
    },
    /// A variable of the environment.
    #[error(transparent)]
    Environment(#[from] VariableError),
    /// Batches of any code would be signed.
    #[error(
        "no code is pinned: set chain: {{id: …, code: [{{protocol_version: …, bootloader: …, default_account: …, \
         evm_emulator: …}}]}} in the file (`teectl batch inspect` shows a batch's) or TEE_PROVER_CHAIN_FILE in the environment, \
         or danger_any_code: true"
    )]
    NoPins,
    /// Pinned code, and any code.
    #[error("both chain and danger_any_code are set")]
    PinsOfAnyCode,
    /// Two chains.
    #[error("chain_id is {chain_id}, the pinned chain's id {pinned}")]
    TwoChains {
        /// `chain_id`.
        chain_id: u64,
        /// The chain's in the pins.
        pinned: u64,
    },
    /// A file with a token holds something else.
    #[error("{path}")]
    Token {
        /// The file.
        path: PathBuf,
        /// What it should be.
        #[source]
        error: BearerTokenError,
    },
    /// No server is named.
    #[error("no api_url: set it in the file or TEE_PROVER_API_URL in the environment")]
    NoServer,
    /// Servers are named twice over.
    #[error("both api_url and api_urls are set")]
    TwoServerKeys,
    /// A client's certificate without its key, or the other way round.
    #[error("client_certificate_file and client_key_file belong together")]
    HalfAClientCertificate,
    /// Files that would be for more than one server.
    #[error(
        "TEE_PROVER_API_CA_FILE and TEE_PROVER_API_CLIENT_…_FILE are for one server: with several, name the files of each in api_urls"
    )]
    FilesForWhom,
    /// A token that would go to more than one server.
    #[error("TEE_PROVER_API_TOKEN is for one server: with several, name a token_file for each in api_urls")]
    TokenForWhom,
    /// The server's URL holds a user or a password. URLs are shown in logs.
    #[error("api_url holds credentials")]
    Credentials,
    /// Too little memory for a batch of each server.
    #[error("memory_budget is {got} bytes, and {servers} servers need at least {least}")]
    Memory {
        /// What is configured, in bytes.
        got: u64,
        /// How many servers share it.
        servers: usize,
        /// The least that makes sense, in bytes.
        least: u64,
    },
    /// A wait of no time, or one that shrinks.
    #[error("waits must be longer than nothing, and the multiplier a number of at least 1")]
    Backoff,
}

impl Config {
    /// The defaults, zksync-era's where it has them, for one server and batches of the pinned chain and code.
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

    /// Reads the file, if any, and the environment over it: `environment` gives a variable, and `names` are those of all that there
    /// are.
    pub fn load(
        path: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        names: &[String],
    ) -> Result<Loaded, ConfigError> {
        settings::load(path, &environment, names)
    }
}

impl Loaded {
    /// What `--simulation` on the command line says, over file and environment.
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
            .ok_or("none of environment, sgx, tdx, simulation")
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
