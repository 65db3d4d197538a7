//! Turns what was set into a configuration.

use super::{
    Attestation, Config, ConfigError, Loaded, LogFormat,
    chain_file::PinsFromFile,
    server::{ServerConfig, ServerSetting},
};
use crate::memory::LEAST_SHARE_BYTES;
use serde::Deserialize;
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use tee_api::{
    TeeType,
    settings::{Bytes, Interval, Line, Origin, Setting, VariableError, Variables},
};
use tee_verifier::{ChainPins, L2ChainId, Pins};
use zeroize::Zeroizing;

/// The prefix of all variables, except those of other programs.
const PREFIX: &str = "TEE_PROVER_";
const API_TOKEN: &str = "TEE_PROVER_API_TOKEN";
/// The authorities to trust, the certificate to show and its key.
const API_FILES: [&str; 3] =
    ["TEE_PROVER_API_CA_FILE", "TEE_PROVER_API_CLIENT_CERTIFICATE_FILE", "TEE_PROVER_API_CLIENT_KEY_FILE"];
/// The signing key is secret and not part of the configuration. Only its presence is shown.
const SIGNING_KEY: &str = "TEE_PROVER_SIGNING_KEY";
/// zksync-era's variable: a port on all addresses.
const PROMETHEUS_LISTENER_PORT: &str = "PROMETHEUS_LISTENER_PORT";

/// The settings before defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    api_url: Setting<String>,
    api_urls: Setting<Vec<ServerSetting>>,
    max_retries: Setting<u32>,
    initial_retry_backoff: Setting<Interval>,
    retry_backoff_multiplier: Setting<f64>,
    max_backoff: Setting<Interval>,
    max_idle_poll: Setting<Interval>,
    verification_workers: Setting<NonZeroUsize>,
    prefetch: Setting<NonZeroUsize>,
    memory_budget: Setting<Bytes>,
    verification_timeout: Setting<Interval>,
    stuck_verification_timeout: Setting<Interval>,
    shutdown_grace: Setting<Interval>,
    attestation: Setting<Attestation>,
    quote_timeout: Setting<Interval>,
    attestation_quote_file_path: Setting<String>,
    tee_type: Setting<TeeType>,
    chain: Setting<ChainPins>,
    chain_id: Setting<L2ChainId>,
    danger_any_code: Setting<bool>,
    metrics_listen: Setting<SocketAddr>,
    log_format: Setting<LogFormat>,
}

/// The token and the signing key, with the names of their variables.
type Secrets = [(&'static str, Option<Zeroizing<String>>); 2];

/// Several URLs in one variable, separated by commas.
struct UrlList(Vec<ServerSetting>);

pub(super) fn load(
    path: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
    names: &[String],
) -> Result<Loaded, ConfigError> {
    let environment = Variables::new(PREFIX, environment);
    let mut settings = path.map(read).transpose()?.unwrap_or_default();
    settings.overlay(&environment)?;
    let files = API_FILES.map(|name| environment.get(name).map(PathBuf::from));
    let secrets = [API_TOKEN, SIGNING_KEY].map(|name| (name, environment.get(name).map(Zeroizing::new)));
    environment.refuse_unknown(names)?;
    settings.resolve(files, secrets)
}

fn read(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::File { path: path.to_owned(), error: error.without_snippet().to_string() })
}

impl Settings {
    fn overlay(&mut self, environment: &Variables<'_>) -> Result<(), VariableError> {
        self.overlay_servers(environment)?;
        self.max_retries.overlay(environment, &["TEE_PROVER_MAX_RETRIES"])?;
        // zksync-era's own deployments set the names without the final S.
        self.initial_retry_backoff
            .overlay(environment, &["TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "TEE_PROVER_INITIAL_RETRY_BACKOFF_SEC"])?;
        self.retry_backoff_multiplier.overlay(environment, &["TEE_PROVER_RETRY_BACKOFF_MULTIPLIER"])?;
        self.max_backoff.overlay(environment, &["TEE_PROVER_MAX_BACKOFF_SECS", "TEE_PROVER_MAX_BACKOFF_SEC"])?;
        self.max_idle_poll.overlay(environment, &["TEE_PROVER_MAX_IDLE_POLL"])?;
        self.verification_workers.overlay(environment, &["TEE_PROVER_VERIFICATION_WORKERS"])?;
        self.prefetch.overlay(environment, &["TEE_PROVER_PREFETCH"])?;
        self.memory_budget.overlay(environment, &["TEE_PROVER_MEMORY_BUDGET"])?;
        self.verification_timeout.overlay(environment, &["TEE_PROVER_VERIFICATION_TIMEOUT"])?;
        self.stuck_verification_timeout.overlay(environment, &["TEE_PROVER_STUCK_VERIFICATION_TIMEOUT"])?;
        self.shutdown_grace.overlay(environment, &["TEE_PROVER_SHUTDOWN_GRACE"])?;
        self.attestation.overlay(environment, &["TEE_PROVER_ATTESTATION"])?;
        self.quote_timeout.overlay(environment, &["TEE_PROVER_QUOTE_TIMEOUT"])?;
        self.attestation_quote_file_path.overlay(environment, &["TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH"])?;
        self.tee_type.overlay(environment, &["TEE_PROVER_TEE_TYPE"])?;
        let mut chain_file = Setting::<PinsFromFile>::Unset;
        chain_file.overlay(environment, &["TEE_PROVER_CHAIN_FILE"])?;
        if let Setting::Environment(name, PinsFromFile(chain)) = chain_file {
            self.chain = Setting::Environment(name, chain);
        }
        self.chain_id.overlay(environment, &["TEE_PROVER_CHAIN_ID"])?;
        self.danger_any_code.overlay(environment, &["TEE_PROVER_DANGER_ANY_CODE"])?;
        let mut port = Setting::<u16>::Unset;
        port.overlay(environment, &[PROMETHEUS_LISTENER_PORT])?;
        if let Some(port) = port.value() {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            self.metrics_listen = Setting::Environment(PROMETHEUS_LISTENER_PORT.to_owned(), address);
        }
        self.metrics_listen.overlay(environment, &["TEE_PROVER_METRICS_LISTEN"])?;
        self.log_format.overlay(environment, &["TEE_PROVER_LOG_FORMAT"])
    }

    /// Servers from the environment replace all servers of the file.
    fn overlay_servers(&mut self, environment: &Variables<'_>) -> Result<(), VariableError> {
        let (mut url, mut urls) = (Setting::Unset, Setting::<UrlList>::Unset);
        url.overlay(environment, &["TEE_PROVER_API_URL"])?;
        urls.overlay(environment, &["TEE_PROVER_API_URLS"])?;
        if url.is_set() || urls.is_set() {
            self.api_url = url;
            self.api_urls = match urls {
                Setting::Environment(name, UrlList(urls)) => Setting::Environment(name, urls),
                _ => Setting::Unset,
            };
        }
        Ok(())
    }

    fn resolve(self, files: [Option<PathBuf>; 3], secrets: Secrets) -> Result<Loaded, ConfigError> {
        let mut lines = Vec::new();
        let servers = servers(self.api_url, self.api_urls, files, secrets, &mut lines)?;
        let chain = self.chain.optional("chain", &mut lines);
        let chain_id = self.chain_id.optional("chain_id", &mut lines);
        let any_code = self.danger_any_code.or("danger_any_code", false, &mut lines);
        let pins = pins(chain, chain_id.map(|id| id.as_u64()), any_code)?;
        let default = Config::new(String::new(), pins);
        let lines_mut = &mut lines;
        let interval = |setting: Setting<Interval>, key, default, lines: &mut Vec<Line>| {
            setting.or(key, Interval(default), lines).0
        };
        let config = Config {
            servers,
            max_retries: self.max_retries.optional("max_retries", lines_mut),
            initial_retry_backoff: interval(
                self.initial_retry_backoff,
                "initial_retry_backoff",
                default.initial_retry_backoff,
                lines_mut,
            ),
            retry_backoff_multiplier: self.retry_backoff_multiplier.or(
                "retry_backoff_multiplier",
                default.retry_backoff_multiplier,
                lines_mut,
            ),
            max_backoff: interval(self.max_backoff, "max_backoff", default.max_backoff, lines_mut),
            max_idle_poll: interval(self.max_idle_poll, "max_idle_poll", default.max_idle_poll, lines_mut),
            verification_workers: self.verification_workers.or(
                "verification_workers",
                default.verification_workers,
                lines_mut,
            ),
            prefetch: self.prefetch.or("prefetch", default.prefetch, lines_mut),
            memory_budget_bytes: self
                .memory_budget
                .or("memory_budget", Bytes(default.memory_budget_bytes), lines_mut)
                .0,
            verification_timeout: interval(
                self.verification_timeout,
                "verification_timeout",
                default.verification_timeout,
                lines_mut,
            ),
            stuck_verification_timeout: interval(
                self.stuck_verification_timeout,
                "stuck_verification_timeout",
                default.stuck_verification_timeout,
                lines_mut,
            ),
            shutdown_grace: interval(self.shutdown_grace, "shutdown_grace", default.shutdown_grace, lines_mut),
            attestation: self.attestation.or("attestation", default.attestation, lines_mut),
            quote_timeout: interval(self.quote_timeout, "quote_timeout", default.quote_timeout, lines_mut),
            attestation_quote_file_path: self
                .attestation_quote_file_path
                .optional("attestation_quote_file_path", lines_mut)
                .map(Into::into),
            tee_type: self.tee_type.optional("tee_type", lines_mut),
            pins: default.pins,
            metrics_listen: self.metrics_listen.optional("metrics_listen", lines_mut),
            log_format: self.log_format.or("log_format", default.log_format, lines_mut),
            danger_simulated_proofs: false,
        };
        let waits = [
            config.initial_retry_backoff,
            config.max_backoff,
            config.max_idle_poll,
            config.verification_timeout,
            config.stuck_verification_timeout,
            config.quote_timeout,
        ];
        let grows = config.retry_backoff_multiplier.is_finite() && config.retry_backoff_multiplier >= 1.0;
        if waits.iter().any(|wait| wait.is_zero()) || !grows {
            return Err(ConfigError::Backoff);
        }
        let (got, servers) = (config.memory_budget_bytes, config.servers.len());
        let least = LEAST_SHARE_BYTES.saturating_mul(servers as u64);
        if got < least {
            return Err(ConfigError::Memory { got, servers, least });
        }
        Ok(Loaded { config, lines })
    }
}

fn pins(chain: Option<ChainPins>, chain_id: Option<u64>, any_code: bool) -> Result<Pins, ConfigError> {
    match (chain, any_code) {
        (Some(_), true) => Err(ConfigError::PinsOfAnyCode),
        (Some(chain), false) => match chain_id {
            Some(chain_id) if chain_id != chain.id() => Err(ConfigError::TwoChains { chain_id, pinned: chain.id() }),
            _ => Ok(Pins::Chain(chain)),
        },
        (None, true) => Ok(Pins::DangerAnyCode { chain_id }),
        (None, false) => Err(ConfigError::NoPins),
    }
}

fn servers(
    url: Setting<String>,
    urls: Setting<Vec<ServerSetting>>,
    files: [Option<PathBuf>; 3],
    secrets: Secrets,
    lines: &mut Vec<Line>,
) -> Result<Vec<ServerConfig>, ConfigError> {
    let origin = if url.is_set() { url.origin() } else { urls.origin() };
    let mut settings = match (url.value(), urls.value()) {
        (Some(_), Some(_)) => return Err(ConfigError::TwoServerKeys),
        (Some(url), None) => vec![ServerSetting::Url(url)],
        (None, Some(urls)) => urls,
        (None, None) => vec![],
    };
    if files.iter().any(Option::is_some) {
        let [server] = &mut settings[..] else { return Err(ConfigError::FilesForWhom) };
        server.overlay(files);
    }
    let mut servers = settings.iter().map(ServerSetting::resolve).collect::<Result<Vec<_>, _>>()?;
    if servers.is_empty() {
        return Err(ConfigError::NoServer);
    }
    let shown: Vec<_> = settings.iter().map(ToString::to_string).collect();
    lines.push(Line::new("api_urls", Some(format!("[{}]", shown.join(", "))), origin));
    let [(_, token), _] = &secrets;
    if let Some(token) = token {
        let [server] = &mut servers[..] else { return Err(ConfigError::TokenForWhom) };
        let error = |error: tee_api::BearerTokenError| VariableError::Invalid {
            name: API_TOKEN.to_owned(),
            error: error.to_string(),
        };
        server.token = Some(token.parse().map_err(error)?);
    }
    for (key, (name, secret)) in ["api_token (hidden)", "signing_key (hidden)"].into_iter().zip(&secrets) {
        if secret.is_some() {
            lines.push(Line::new("# secret", Some(key.to_owned()), Origin::Environment((*name).to_owned())));
        }
    }
    Ok(servers)
}

impl std::str::FromStr for UrlList {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        Ok(Self(urls.map(|url| ServerSetting::Url(url.to_owned())).collect()))
    }
}

impl fmt::Debug for UrlList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}
