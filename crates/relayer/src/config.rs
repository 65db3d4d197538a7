//! The relayer's configuration: a YAML file.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::Address;
use anyhow::{Result, anyhow};
use serde::Deserialize;
use tee_api::settings::{Interval, LogFormat};
use tee_checker::read_text;
use tee_verifier::ChainPins;

/// An upper limit for the size of a configuration.
const MAX_BYTES: usize = 1 << 20;

/// The relayer's settings. `docs/RELAYER.md` describes each key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server that has the proofs.
    pub server: ServerConfig,
    /// The chain with the contracts.
    pub settlement_chain: SettlementChainConfig,
    /// The `ProofVerifier`.
    pub proof_verifier: Address,
    /// The `SecondFactor`, if executions are approved.
    pub second_factor: Option<Address>,
    /// A folder of files that each describe an execution, for `second_factor`.
    pub executions_folder: Option<PathBuf>,
    /// The account that pays.
    pub signer: SignerConfig,
    /// The chain and the code that statements must match.
    pub chain: ChainPins,
    /// The policy: which quotes are accepted.
    pub policy: PathBuf,
    /// The source of collateral: a file, a folder, or the URL of a PCS or PCCS. Quotes are judged as of now, as the contracts
    /// do.
    pub collateral: String,
    /// Trust this certificate instead of Intel's root.
    pub danger_root_certificate: Option<PathBuf>,
    /// The highest gas price that is paid, in gwei. A transaction that costs more waits.
    #[serde(default = "default_max_fee")]
    pub max_fee_per_gas_gwei: u64,
    /// How long a transaction may wait for a block before it is sent again with a higher fee.
    #[serde(default = "default_resend_after")]
    pub resend_after: Interval,
    /// How often the server and the chain are checked.
    #[serde(default = "default_poll_interval")]
    pub poll_interval: Interval,
    /// The most batches that one transaction proves.
    #[serde(default = "default_batches")]
    pub batches_per_transaction: u32,
    /// The address that serves metrics and health, if any.
    pub metrics_listen: Option<SocketAddr>,
    /// The form of log lines.
    #[serde(default)]
    pub log_format: LogFormat,
}

/// The server that has the proofs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Its URL.
    pub url: String,
    /// A file with an admin's token.
    pub token_file: Option<PathBuf>,
    /// The authorities to trust for its certificate, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// The chain with the contracts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettlementChainConfig {
    /// The JSON-RPC of one of its nodes. May hold a secret.
    pub rpc_url: String,
    /// Its chain id (EIP-155).
    pub chain_id: u64,
}

/// The signer of transactions.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SignerConfig {
    /// A file with the key, 64 hexadecimal digits.
    KeyFile(PathBuf),
    /// An environment variable with the same.
    KeyVariable(String),
    /// A remote signer, which is called with `eth_signTransaction`.
    Remote {
        /// Its JSON-RPC. May hold a secret.
        url: String,
        /// The account that it signs for.
        address: Address,
    },
}

impl Config {
    /// Reads a file. Paths in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MAX_BYTES)?;
        // The error shows no part of the text, which may hold a secret.
        let mut config: Self = serde_saphyr::from_str(&text)
            .map_err(|error| anyhow!("{}: {}", path.display(), error.without_snippet()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let places =
            [Some(&mut config.policy), config.executions_folder.as_mut(), config.danger_root_certificate.as_mut()];
        let places = places.into_iter().chain([config.server.token_file.as_mut(), config.server.ca_file.as_mut()]);
        places.flatten().for_each(|place| *place = folder.join(&*place));
        if let SignerConfig::KeyFile(place) = &mut config.signer {
            *place = folder.join(&*place);
        }
        Ok(config)
    }

    /// The highest gas price that is paid, in wei.
    pub(crate) fn max_fee_per_gas(&self) -> u128 {
        u128::from(self.max_fee_per_gas_gwei).saturating_mul(1_000_000_000)
    }
}

/// Shows the key's file or variable, or the remote signer's account, but no URL.
impl std::fmt::Debug for SignerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
            Self::KeyVariable(name) => f.debug_tuple("KeyVariable").field(name).finish(),
            Self::Remote { address, .. } => f.debug_tuple("Remote").field(address).finish(),
        }
    }
}

/// Leaves out the URL.
impl std::fmt::Debug for SettlementChainConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettlementChainConfig").field("chain_id", &self.chain_id).finish_non_exhaustive()
    }
}

fn default_max_fee() -> u64 {
    100
}

fn default_resend_after() -> Interval {
    Interval(Duration::from_secs(60))
}

fn default_poll_interval() -> Interval {
    Interval(Duration::from_secs(12))
}

fn default_batches() -> u32 {
    10
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
server: {url: 'http://127.0.0.1:3320'}
settlement_chain: {rpc_url: 'https://l1.example/s3cret', chain_id: 1}
proof_verifier: '0x0000000000000000000000000000000000000001'
signer: {remote: {url: 'https://signer.example/s3cret', address: '0x0000000000000000000000000000000000000002'}}
chain: {id: 324, code: [{protocol_version: 29, bootloader: '0x0100000000000000000000000000000000000000000000000000000000000001', \
                        default_account: '0x0100000000000000000000000000000000000000000000000000000000000002'}]}
policy: policy.yaml
collateral: collateral.json
";

    fn read(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relayer.yaml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn paths_are_relative_to_the_file_and_defaults_hold() {
        let config = read(YAML).unwrap();
        assert!(config.policy.is_absolute() && config.policy.ends_with("policy.yaml"), "{config:?}");
        assert_eq!((config.max_fee_per_gas(), config.batches_per_transaction), (100_000_000_000, 10));
    }

    #[test]
    fn secrets_are_in_no_debug_print_and_no_error() {
        assert!(!format!("{:?}", read(YAML).unwrap()).contains("s3cret"));
        for wrong in [
            YAML.replace("chain_id: 1", "chain_id: x"),
            YAML.replace("rpc_url", "rcp_url"),
            YAML.replace("policy:", "polic:"),
        ] {
            let error = read(&wrong).unwrap_err();
            assert!(!format!("{error:#} {error:?}").contains("s3cret"), "{error:#}");
        }
    }
}
