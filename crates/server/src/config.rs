//! The server's configuration.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

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
    /// The database: `sqlite://PATH`. The file is made if it is not there.
    pub database_url: String,
    /// The folder for batch inputs. It is made if it is not there.
    pub object_store: PathBuf,
    /// How long a prover may work on a batch without a sign of life before another one gets it.
    #[serde(default = "default_proof_generation_timeout_secs")]
    pub proof_generation_timeout_secs: u32,
    /// The largest request body.
    #[serde(default = "default_max_body_bytes")]
    pub max_body_bytes: usize,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// Not what a configuration looks like.
    #[error("{0}")]
    Yaml(#[from] serde_saphyr::Error),
}

impl Config {
    /// A configuration with the defaults for all that has one.
    pub fn new(database_url: String, object_store: PathBuf) -> Self {
        Self {
            listen: default_listen(),
            danger_open: false,
            database_url,
            object_store,
            proof_generation_timeout_secs: default_proof_generation_timeout_secs(),
            max_body_bytes: default_max_body_bytes(),
        }
    }

    /// Reads a YAML file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Ok(serde_saphyr::from_str(&fs::read_to_string(path)?)?)
    }
}

/// zksync-era's port for its proof data handler.
fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 3320))
}

fn default_proof_generation_timeout_secs() -> u32 {
    600
}

/// Room for the largest quote or statement in hex.
fn default_max_body_bytes() -> usize {
    256 * 1024
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
        let config = read("database_url: sqlite://tee.sqlite\nobject_store: inputs\n").unwrap();
        assert_eq!(config, Config::new("sqlite://tee.sqlite".to_owned(), "inputs".into()));
        assert_eq!(config.listen.to_string(), "127.0.0.1:3320");
        assert!(!config.danger_open);
    }

    #[test]
    fn unknown_keys_missing_keys_and_garbage_are_errors() {
        for yaml in [
            "database_url: sqlite://x\nobject_store: inputs\nlisten_adress: 127.0.0.1:1\n",
            "object_store: inputs\n",
            "database_url: sqlite://x\nobject_store: inputs\nlisten: nowhere\n",
            "database_url: sqlite://x\nobject_store: inputs\nproof_generation_timeout_secs: -1\n",
            "",
            "{",
            "\u{0}",
        ] {
            assert!(matches!(read(yaml), Err(ConfigError::Yaml(_))), "{yaml}");
        }
        assert!(matches!(Config::read(Path::new("/nowhere")), Err(ConfigError::Read(_))));
    }
}
