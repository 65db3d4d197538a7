//! Signs transactions, with a key or through a remote signer.

use std::{fmt, time::Duration};

use alloy_primitives::{Address, Bytes, U256, keccak256};
use anyhow::{Context, Result, anyhow, bail};
use secp256k1::{SECP256K1, SecretKey};
use serde_json::json;
use tee_checker::{Rpc, read_text};
use zeroize::Zeroizing;

use crate::{PROGRAM, config::SignerConfig, transaction::Transaction};

/// An upper limit for the size of a key in hexadecimal.
const MAX_KEY_BYTES: usize = 128;

/// Signs transactions.
pub(crate) enum Signer {
    /// A key in this process.
    Key(SecretKey),
    /// A remote signer that is called with `eth_signTransaction`, such as Web3Signer or Clef.
    Remote { rpc: Rpc, address: Address },
}

impl Signer {
    pub(crate) fn open(config: &SignerConfig) -> Result<Self> {
        let text = match config {
            SignerConfig::KeyFile(path) => Zeroizing::new(read_text(path, MAX_KEY_BYTES)?),
            SignerConfig::KeyVariable(name) => {
                let text = tee_api::settings::environment(name).map(Zeroizing::new);
                text.ok_or_else(|| anyhow!("the environment variable {name} is not set"))?
            }
            SignerConfig::Remote { url, address } => {
                let rpc = Rpc::new(PROGRAM, url, Duration::ZERO).context("signer.remote.url")?;
                return Ok(Self::Remote { rpc, address: *address });
            }
        };
        let digits = text.trim();
        let mut bytes = Zeroizing::new([0; 32]);
        // The error shows nothing of the text.
        hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), bytes.as_mut())
            .map_err(|_| anyhow!("the signer's key is not 64 hexadecimal digits"))?;
        let key = SecretKey::from_slice(bytes.as_ref()).map_err(|_| anyhow!("the signer's key is out of range"))?;
        Ok(Self::Key(key))
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Key(key) => {
                let [_, point @ ..] = key.public_key(SECP256K1).serialize_uncompressed();
                Address::from_slice(&keccak256(point)[12..])
            }
            Self::Remote { address, .. } => *address,
        }
    }

    /// The signed transaction, ready to be sent.
    pub(crate) async fn sign(&self, transaction: &Transaction) -> Result<Bytes> {
        let (rpc, from) = match self {
            Self::Key(key) => return Ok(transaction.signed(key).into()),
            Self::Remote { rpc, address } => (rpc, address),
        };
        let quantity = |number: u128| format!("{:#x}", U256::from(number));
        let fields = json!({
            "from": from, "to": transaction.to, "data": transaction.data, "value": "0x0", "type": "0x2",
            "chainId": quantity(transaction.chain_id.into()), "nonce": quantity(transaction.nonce.into()),
            "gas": quantity(transaction.gas_limit.into()), "maxFeePerGas": quantity(transaction.max_fee_per_gas),
            "maxPriorityFeePerGas": quantity(transaction.max_priority_fee_per_gas),
        });
        let answer: Option<serde_json::Value> =
            rpc.call("eth_signTransaction", json!([fields])).await.context("the remote signer")?;
        // Web3Signer answers with the bytes; Clef and nodes answer with an object that holds them.
        let answer = answer.unwrap_or_default();
        let raw = answer.get("raw").unwrap_or(&answer).as_str().unwrap_or_default();
        let Ok(raw) = raw.parse::<Bytes>() else { bail!("the remote signer's answer is not a transaction") };
        Ok(raw)
    }
}

/// Erases the key.
impl Drop for Signer {
    fn drop(&mut self) {
        if let Self::Key(key) = self {
            key.non_secure_erase();
        }
    }
}

/// Shows only the address.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.address()).finish()
    }
}
