//! The settlement chain, through its node's JSON-RPC.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_sol_types::{SolCall, SolInterface};
use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tee_checker::{Rpc, RpcError};
use thiserror::Error;

use crate::{
    PROGRAM,
    contracts::{KeyRegistry::KeyRegistryErrors, ProofVerifier::ProofVerifierErrors, SecondFactor::SecondFactorErrors},
};

/// A node of the settlement chain.
#[derive(Debug)]
pub(crate) struct SettlementChain {
    rpc: Rpc,
    pub(crate) chain_id: u64,
}

/// The fields of a block that matter here.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    number: U64,
    pub(crate) hash: B256,
    base_fee_per_gas: Option<U256>,
}

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    status: U64,
    pub(crate) gas_used: U64,
    pub(crate) block_number: U64,
}

/// Why a request to the chain failed.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// A contract refused.
    #[error("the contract refused: {0}")]
    Reverted(String),
    /// The node refused, or does not answer.
    #[error("the settlement chain's node")]
    Node(#[from] RpcError),
    /// The answer is malformed.
    #[error("the settlement chain's node gave an invalid answer to {0}")]
    Answer(&'static str),
    /// Another transaction was included in place of the one that was sent.
    #[error("another program sends transactions from the same account")]
    Replaced,
}

impl Block {
    pub(crate) fn number(&self) -> u64 {
        self.number.to()
    }

    /// In wei; zero on a chain without a base fee.
    pub(crate) fn base_fee_per_gas(&self) -> u128 {
        self.base_fee_per_gas.unwrap_or_default().saturating_to()
    }
}

impl Receipt {
    pub(crate) fn has_succeeded(&self) -> bool {
        self.status == U64::from(1)
    }
}

impl SettlementChain {
    /// Connects to the node at `url`. Fails if the node belongs to another chain.
    pub(crate) async fn open(url: &str, chain_id: u64) -> Result<Self> {
        let rpc = Rpc::new(PROGRAM, url, Duration::ZERO).context("settlement_chain.rpc_url")?;
        let chain = Self { rpc, chain_id };
        let found: U64 = chain.ask("eth_chainId", json!([])).await?;
        if found != U64::from(chain_id) {
            bail!("the settlement chain's node is for chain {found}, but settlement_chain.chain_id is {chain_id}");
        }
        Ok(chain)
    }

    /// Calls a contract at the latest block.
    pub(crate) async fn call<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, CallError> {
        let answer: Bytes = self.ask("eth_call", json!([{ "to": to, "data": encoded(&call) }, "latest"])).await?;
        C::abi_decode_returns(&answer).map_err(|_| CallError::Answer(C::SIGNATURE))
    }

    /// Simulates a transaction: what the call would return.
    pub(crate) async fn simulate<C: SolCall>(
        &self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<C::Return, CallError> {
        let fields = json!({ "from": from, "to": to, "data": encoded(call) });
        let answer: Bytes = self.ask("eth_call", json!([fields, "latest"])).await?;
        C::abi_decode_returns(&answer).map_err(|_| CallError::Answer(C::SIGNATURE))
    }

    /// How much gas a call takes.
    pub(crate) async fn estimate_gas(&self, from: Address, to: Address, data: &Bytes) -> Result<u64, CallError> {
        let gas: U64 = self.ask("eth_estimateGas", json!([{ "from": from, "to": to, "data": data }])).await?;
        Ok(gas.to())
    }

    pub(crate) async fn latest_block(&self) -> Result<Block, CallError> {
        self.ask("eth_getBlockByNumber", json!(["latest", false])).await
    }

    /// How many transactions of an account are in blocks.
    pub(crate) async fn nonce(&self, of: Address) -> Result<u64, CallError> {
        let nonce: U64 = self.ask("eth_getTransactionCount", json!([of, "latest"])).await?;
        Ok(nonce.to())
    }

    pub(crate) async fn balance(&self, of: Address) -> Result<U256, CallError> {
        self.ask("eth_getBalance", json!([of, "latest"])).await
    }

    /// The tip that gets a transaction into a block soon, in wei.
    pub(crate) async fn priority_fee(&self) -> Result<u128, CallError> {
        let fee: U256 = self.ask("eth_maxPriorityFeePerGas", json!([])).await?;
        Ok(fee.saturating_to())
    }

    pub(crate) async fn send(&self, raw: &Bytes) -> Result<(), CallError> {
        self.ask::<B256>("eth_sendRawTransaction", json!([raw])).await.map(drop)
    }

    /// The receipt; `None` while the transaction is in no block.
    pub(crate) async fn receipt(&self, hash: B256) -> Result<Option<Receipt>, CallError> {
        self.rpc.call("eth_getTransactionReceipt", json!([hash])).await.map_err(CallError::of)
    }

    /// Whether there is a contract at the address.
    pub(crate) async fn has_code(&self, address: Address) -> Result<bool, CallError> {
        let code: Bytes = self.ask("eth_getCode", json!([address, "latest"])).await?;
        Ok(!code.is_empty())
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, CallError> {
        self.rpc.call(method, params).await.map_err(CallError::of)?.ok_or(CallError::Answer(method))
    }
}

impl CallError {
    fn of(error: RpcError) -> Self {
        match &error {
            RpcError::Refused { data: Some(data), .. } => match data.parse::<Bytes>() {
                Ok(data) => Self::Reverted(reason(&data)),
                Err(_) => error.into(),
            },
            _ => error.into(),
        }
    }

    /// Whether the node knows the transaction already, or a block has another one with its nonce.
    pub(crate) fn is_known(&self) -> bool {
        self.says(&["already known", "nonce too low", "already imported"])
    }

    /// Whether the node has another transaction in its place, which pays about as much.
    pub(crate) fn is_underpriced(&self) -> bool {
        self.says(&["underpriced"])
    }

    fn says(&self, texts: &[&str]) -> bool {
        let Self::Node(RpcError::Refused { message, .. }) = self else { return false };
        let message = message.to_ascii_lowercase();
        texts.iter().any(|text| message.contains(text))
    }
}

pub(crate) fn encoded(call: &impl SolCall) -> Bytes {
    call.abi_encode().into()
}

/// The reason that a contract gives for its refusal.
fn reason(data: &[u8]) -> String {
    let known = ProofVerifierErrors::abi_decode(data)
        .map(|error| format!("{error:?}"))
        .or_else(|_| KeyRegistryErrors::abi_decode(data).map(|error| format!("{error:?}")))
        .or_else(|_| SecondFactorErrors::abi_decode(data).map(|error| format!("{error:?}")));
    known.unwrap_or_else(|_| match alloy_sol_types::decode_revert_reason(data) {
        Some(reason) => reason.chars().filter(|letter| !letter.is_control()).take(200).collect(),
        None => format!("0x{}", hex::encode(data.get(..64).unwrap_or(data))),
    })
}

/// Fails unless the contract exists.
pub(crate) async fn expect_code(chain: &SettlementChain, name: &'static str, address: Address) -> Result<()> {
    match chain.has_code(address).await? {
        true => Ok(()),
        false => Err(anyhow!("{name}: there is no contract at {address}")),
    }
}
