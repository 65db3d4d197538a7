//! Configuration: a YAML file, and over it the environment with zksync-era's names.

use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use tee_api::TeeType;
use thiserror::Error;
use zksync_types::L2ChainId;

const API_URL: &str = "TEE_PROVER_API_URL";
const MAX_RETRIES: &str = "TEE_PROVER_MAX_RETRIES";
// zksync-era's own deployments set the names without the final S.
const INITIAL_RETRY_BACKOFF: [&str; 2] =
    ["TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "TEE_PROVER_INITIAL_RETRY_BACKOFF_SEC"];
const RETRY_BACKOFF_MULTIPLIER: &str = "TEE_PROVER_RETRY_BACKOFF_MULTIPLIER";
const MAX_BACKOFF: [&str; 2] = ["TEE_PROVER_MAX_BACKOFF_SECS", "TEE_PROVER_MAX_BACKOFF_SEC"];
const ATTESTATION_QUOTE_FILE_PATH: &str = "TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH";
const TEE_TYPE: &str = "TEE_PROVER_TEE_TYPE";

/// How a prover is to run. The signing key is no part of it: that comes from the environment alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The server's URL, without credentials.
    pub api_url: String,
    /// How many times in a row asking the server may fail before the prover gives up; `None` for never.
    pub max_retries: Option<u32>,
    /// The wait after the first fault, and between two questions to a server that has nothing to do.
    pub initial_retry_backoff: Duration,
    /// By how much a wait is longer than the one before, at least 1.
    pub retry_backoff_multiplier: f64,
    /// The longest wait.
    pub max_backoff: Duration,
    /// The file that holds the key's quote.
    pub attestation_quote_file_path: Option<PathBuf>,
    /// The enclave's type. A prover of type `none` verifies and submits nothing.
    pub tee_type: Option<TeeType>,
    /// Reject batches of any other chain.
    pub chain_id: Option<L2ChainId>,
    /// Let a simulated prover submit to a server that is not on this machine. Only the command line sets this.
    pub danger_simulated_proofs: bool,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
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
    /// A variable of the environment is not what it should be.
    #[error("{name}: {error}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// What it should be.
        error: String,
    },
    /// No server is named.
    #[error("no api_url: set it in the file or {API_URL} in the environment")]
    NoApiUrl,
    /// The server's URL holds a user or a password. URLs are shown in logs.
    #[error("api_url holds credentials")]
    Credentials,
    /// A wait of no time, or one that shrinks.
    #[error("waits must be longer than nothing, and the multiplier a number of at least 1")]
    Backoff,
}

impl Config {
    /// The defaults, zksync-era's where it has them.
    pub fn new(api_url: String) -> Self {
        Self {
            api_url,
            max_retries: None,
            initial_retry_backoff: Duration::from_secs(1),
            retry_backoff_multiplier: 2.0,
            max_backoff: Duration::from_secs(128),
            attestation_quote_file_path: None,
            tee_type: None,
            chain_id: None,
            danger_simulated_proofs: false,
        }
    }

    /// Reads the file, if any, and the environment over it.
    pub fn load(path: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = path.map(Settings::read).transpose()?.unwrap_or_default();
        settings.overlay(environment)?;
        settings.config()
    }
}

/// What was said, before defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    api_url: Option<String>,
    max_retries: Option<u32>,
    initial_retry_backoff: Option<Interval>,
    retry_backoff_multiplier: Option<f64>,
    max_backoff: Option<Interval>,
    attestation_quote_file_path: Option<PathBuf>,
    tee_type: Option<TeeType>,
    chain_id: Option<L2ChainId>,
}

impl Settings {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        serde_saphyr::from_str(&text)
            .map_err(|error| ConfigError::File { path: path.to_owned(), error: error.without_snippet().to_string() })
    }

    fn overlay(&mut self, environment: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        set(&mut self.api_url, &environment, &[API_URL])?;
        set(&mut self.max_retries, &environment, &[MAX_RETRIES])?;
        set(&mut self.initial_retry_backoff, &environment, &INITIAL_RETRY_BACKOFF)?;
        set(&mut self.retry_backoff_multiplier, &environment, &[RETRY_BACKOFF_MULTIPLIER])?;
        set(&mut self.max_backoff, &environment, &MAX_BACKOFF)?;
        set(&mut self.attestation_quote_file_path, &environment, &[ATTESTATION_QUOTE_FILE_PATH])?;
        set(&mut self.tee_type, &environment, &[TEE_TYPE])
    }

    fn config(self) -> Result<Config, ConfigError> {
        let default = Config::new(self.api_url.ok_or(ConfigError::NoApiUrl)?);
        let authority = default.api_url.split("//").nth(1).and_then(|rest| rest.split('/').next());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(ConfigError::Credentials);
        }
        let or = |given: Option<Interval>, default| given.map_or(default, |Interval(interval)| interval);
        let config = Config {
            max_retries: self.max_retries,
            initial_retry_backoff: or(self.initial_retry_backoff, default.initial_retry_backoff),
            retry_backoff_multiplier: self.retry_backoff_multiplier.unwrap_or(default.retry_backoff_multiplier),
            max_backoff: or(self.max_backoff, default.max_backoff),
            attestation_quote_file_path: self.attestation_quote_file_path,
            tee_type: self.tee_type,
            chain_id: self.chain_id,
            ..default
        };
        let waits = !config.initial_retry_backoff.is_zero() && !config.max_backoff.is_zero();
        let grows = config.retry_backoff_multiplier.is_finite() && config.retry_backoff_multiplier >= 1.0;
        if waits && grows { Ok(config) } else { Err(ConfigError::Backoff) }
    }
}

/// Takes the first of the variables that is set.
fn set<T: FromStr<Err: fmt::Display>>(
    setting: &mut Option<T>,
    environment: impl Fn(&str) -> Option<String>,
    names: &[&'static str],
) -> Result<(), ConfigError> {
    let Some((name, text)) = names.iter().find_map(|name| Some((name, environment(name)?))) else { return Ok(()) };
    let value = text.parse().map_err(|error: T::Err| ConfigError::Environment { name, error: error.to_string() })?;
    *setting = Some(value);
    Ok(())
}

/// A time span: a number of seconds, or a number with a unit (`90s`, `5 min`).
#[derive(Debug, PartialEq)]
struct Interval(Duration);

impl FromStr for Interval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ERROR: &str = "not a number of seconds or a number with one of the units ms, s, min, h, d";
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let unit_millis = match unit.trim() {
            "ms" => 1,
            "" | "s" | "sec" | "secs" => 1_000,
            "m" | "min" | "mins" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return Err(ERROR),
        };
        let number: u64 = number.parse().map_err(|_| ERROR)?;
        number.checked_mul(unit_millis).map(|millis| Self(Duration::from_millis(millis))).ok_or(ERROR)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // YAML's plain scalars, numbers included, read as text.
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), |_| None)
    }

    fn from_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(None, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn everything_can_be_said_in_the_file() {
        let config = from_file(
            "api_url: http://127.0.0.1:3320\nmax_retries: 10\ninitial_retry_backoff: 90s\nretry_backoff_multiplier: 1.5\n\
             max_backoff: 5 min\nattestation_quote_file_path: /tmp/quote\ntee_type: tdx\nchain_id: 300\n",
        );
        let expected = Config {
            max_retries: Some(10),
            initial_retry_backoff: Duration::from_secs(90),
            retry_backoff_multiplier: 1.5,
            max_backoff: Duration::from_secs(300),
            attestation_quote_file_path: Some("/tmp/quote".into()),
            tee_type: Some(TeeType::Tdx),
            chain_id: Some(L2ChainId::from(300_u32)),
            ..Config::new("http://127.0.0.1:3320".to_owned())
        };
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "api_url: http://file\nmax_backoff: 7\n").unwrap();
        let config = Config::load(Some(file.path()), |name| (name == API_URL).then(|| "http://environment".to_owned()));
        let expected = Config { max_backoff: Duration::from_secs(7), ..Config::new("http://environment".to_owned()) };
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn zksync_eras_environment_is_enough() {
        let config = from_environment(&[
            ("TEE_PROVER_API_URL", "http://127.0.0.1:3320"),
            ("TEE_PROVER_MAX_RETRIES", "10"),
            ("TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "2"),
            ("TEE_PROVER_RETRY_BACKOFF_MULTIPLIER", "3.0"),
            ("TEE_PROVER_MAX_BACKOFF_SEC", "64"),
            ("TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH", "/tmp/quote"),
            ("TEE_PROVER_TEE_TYPE", "sgx"),
        ]);
        let expected = Config {
            max_retries: Some(10),
            initial_retry_backoff: Duration::from_secs(2),
            retry_backoff_multiplier: 3.0,
            max_backoff: Duration::from_secs(64),
            attestation_quote_file_path: Some("/tmp/quote".into()),
            tee_type: Some(TeeType::Sgx),
            ..Config::new("http://127.0.0.1:3320".to_owned())
        };
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_does_not_show_its_value() {
        let error = from_file("api_url: http://127.0.0.1\nsigning_key: ac0974bec39a17e3\n").unwrap_err();
        assert!(matches!(error, ConfigError::File { .. }));
        assert!(error.to_string().contains("signing_key"), "{error}");
        assert!(!format!("{error} {error:?}").contains("ac0974bec39a17e3"), "{error:?}");
    }

    #[test]
    fn a_server_must_be_named_without_credentials() {
        assert!(matches!(from_environment(&[]), Err(ConfigError::NoApiUrl)));
        for url in ["http://user:password@host", "https://user@host/path"] {
            assert!(matches!(from_environment(&[(API_URL, url)]), Err(ConfigError::Credentials)), "{url}");
        }
        assert!(from_environment(&[(API_URL, "http://host/a@b")]).is_ok());
    }

    #[test]
    fn a_wait_of_nothing_or_one_that_shrinks_is_refused() {
        for (name, value) in [
            (INITIAL_RETRY_BACKOFF[0], "0"),
            (MAX_BACKOFF[0], "0ms"),
            (RETRY_BACKOFF_MULTIPLIER, "0.5"),
            (RETRY_BACKOFF_MULTIPLIER, "inf"),
            (RETRY_BACKOFF_MULTIPLIER, "NaN"),
        ] {
            let config = from_environment(&[(API_URL, "http://host"), (name, value)]);
            assert!(matches!(config, Err(ConfigError::Backoff)), "{name}={value}");
        }
    }

    #[test]
    fn intervals_have_units() {
        for (text, millis) in [
            ("7", 7_000),
            ("250ms", 250),
            ("90s", 90_000),
            (" 5 min ", 300_000),
            ("2h", 7_200_000),
            ("1 day", 86_400_000),
        ] {
            assert_eq!(text.parse(), Ok(Interval(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "s", "-1", "1.5s", "5 parsecs", "99999999999999999999", "18446744073709551615d"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
