//! Pins on the command line: the chain and the code to rely on.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use tee_checker::read_text;
use tee_verifier::{ChainFile, ChainPins, Pins};

/// More than any pins have.
const MAX_BYTES: usize = 1 << 20;

/// What to do if the code is not pinned.
pub(crate) const HOW_TO_PIN: &str = "pin it with --chain-file FILE (chain: {id: …, code: [{protocol_version: …, \
    bootloader: …, default_account: …, evm_emulator: …}]}; teectl batch inspect shows a batch's)";

#[derive(clap::Args)]
pub(crate) struct PinArgs {
    /// The chain and the code that batches must be of: YAML with `chain: {id: …, code: [{protocol_version: …, bootloader: …,
    /// default_account: …, evm_emulator: …}]}`.
    #[arg(long, value_name = "FILE", conflicts_with = "danger_any_code")]
    chain_file: Option<PathBuf>,
    /// Accept any code, even the operator's own bootloader, which may mint anything.
    #[arg(long)]
    danger_any_code: bool,
}

impl PinArgs {
    /// The pins. It is an error to give neither pins nor `--danger-any-code`.
    pub(crate) fn required(&self, chain_id: Option<u64>) -> Result<Pins> {
        match self.given(chain_id)? {
            Some(pins) => Ok(pins),
            None => bail!("no code is pinned: {HOW_TO_PIN}, or accept any with --danger-any-code"),
        }
    }

    /// The pins; `None` if none were given.
    pub(crate) fn given(&self, chain_id: Option<u64>) -> Result<Option<Pins>> {
        let Some(path) = &self.chain_file else {
            return Ok(self.danger_any_code.then_some(Pins::DangerAnyCode { chain_id }));
        };
        let chain = read(path)?;
        match chain_id {
            Some(chain_id) if chain_id != chain.id() => {
                bail!("the chain is {chain_id}, but {} pins chain {}", path.display(), chain.id())
            }
            _ => Ok(Some(Pins::Chain(chain))),
        }
    }
}

fn read(path: &Path) -> Result<ChainPins> {
    let text = read_text(path, MAX_BYTES)?;
    let file: ChainFile =
        serde_saphyr::from_str(&text).map_err(|error| anyhow!("{}: {}", path.display(), error.without_snippet()))?;
    Ok(file.chain)
}
