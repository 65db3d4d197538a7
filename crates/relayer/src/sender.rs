//! Sends transactions, one at a time, and waits until each is in a block.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolCall;
use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use crate::{
    metrics::RelayerMetrics,
    settlement::{CallError, Receipt, SettlementChain, encoded},
    signer::Signer,
    transaction::Transaction,
};

/// How often to check whether a transaction is in a block.
const RECEIPT_INTERVAL: Duration = Duration::from_secs(2);
/// How long to wait for a block in total. A later round does what is left, since it sees the state of the chain.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Sends transactions of one account.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) signer: Signer,
    /// The highest gas price, in wei.
    pub(crate) max_fee_per_gas: u128,
    pub(crate) resend_after: Duration,
    /// Whether nothing is sent.
    pub(crate) is_dry_run: bool,
    pub(crate) metrics: RelayerMetrics,
}

/// The gas price of a transaction, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fees {
    max: u128,
    priority: u128,
}

impl Sender {
    /// Sends a call, and waits until it is in a block. `None` in a dry run.
    ///
    /// The call is simulated before anything is paid. The account's nonce comes from the chain each time: after a restart, a transaction
    /// that is still pending is replaced by the next one, which does what is left to do by then.
    pub(crate) async fn send(
        &self,
        chain: &SettlementChain,
        what: &'static str,
        to: Address,
        call: &impl SolCall,
    ) -> Result<Option<Receipt>> {
        let (from, data) = (self.signer.address(), encoded(call));
        let gas = chain.estimate_gas(from, to, &data).await?;
        if self.is_dry_run {
            tracing::info!(what, %to, gas, bytes = data.len(), "dry run: not sent");
            return Ok(None);
        }
        let nonce = chain.nonce(from).await?;
        // The call may need more gas by the time that it runs.
        let gas_limit = gas.saturating_add(gas / 4);
        let mut fees = Fees::now(chain).await?;
        let started = Instant::now();
        let mut sent: Vec<B256> = Vec::new();
        loop {
            if fees.max > self.max_fee_per_gas {
                fees.max = self.max_fee_per_gas;
                fees.priority = fees.priority.min(fees.max);
            }
            let transaction = Transaction {
                chain_id: chain.chain_id,
                nonce,
                max_priority_fee_per_gas: fees.priority,
                max_fee_per_gas: fees.max,
                gas_limit,
                to,
                data: data.clone(),
            };
            let raw: Bytes = self.signer.sign(&transaction).await?;
            let hash = keccak256(&raw);
            match chain.send(&raw).await {
                Ok(()) => {
                    tracing::info!(what, %to, nonce, max_fee_per_gas = fees.max, transaction = %hash, "sent");
                    self.metrics.transactions_sent.inc();
                    sent.push(hash);
                }
                Err(error) if error.is_known() => sent.push(hash),
                Err(error) if error.is_underpriced() => {
                    tracing::warn!(
                        what,
                        nonce,
                        "another transaction of this account is pending with the same fee or \
                        a higher one"
                    );
                }
                Err(error) => return Err(error.into()),
            }
            if let Some(receipt) = self.wait(chain, &sent, nonce).await? {
                return self.ended(what, receipt).map(Some);
            }
            if started.elapsed() > PATIENCE {
                bail!("{what}: the transaction is in no block after {} minutes", PATIENCE.as_secs() / 60);
            }
            if fees.max >= self.max_fee_per_gas {
                tracing::warn!(what, nonce, "gas costs more than max_fee_per_gas_gwei; waiting");
            }
            fees = fees.higher();
        }
    }

    /// Waits for the receipt of one of these transactions; `None` when it is time to send again.
    async fn wait(&self, chain: &SettlementChain, sent: &[B256], nonce: u64) -> Result<Option<Receipt>, CallError> {
        let until = Instant::now() + self.resend_after;
        loop {
            for hash in sent {
                if let Some(receipt) = chain.receipt(*hash).await? {
                    return Ok(Some(receipt));
                }
            }
            if chain.nonce(self.signer.address()).await? > nonce {
                // Another program has sent from this account, or the receipt is about to appear.
                sleep(RECEIPT_INTERVAL).await;
                for hash in sent {
                    if let Some(receipt) = chain.receipt(*hash).await? {
                        return Ok(Some(receipt));
                    }
                }
                return Err(CallError::Replaced);
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            sleep(RECEIPT_INTERVAL).await;
        }
    }

    fn ended(&self, what: &'static str, receipt: Receipt) -> Result<Receipt> {
        let (gas, block) = (receipt.gas_used.to::<u64>(), receipt.block_number.to::<u64>());
        self.metrics.gas_used.inc_by(gas);
        if !receipt.has_succeeded() {
            bail!("{what}: the transaction failed in block {block}");
        }
        tracing::info!(what, gas, block, "done");
        Ok(receipt)
    }
}

impl Fees {
    /// The price now. Twice the base fee is enough for the next six blocks, however full they are.
    async fn now(chain: &SettlementChain) -> Result<Self, CallError> {
        let base = chain.latest_block().await?.base_fee_per_gas();
        let priority = chain.priority_fee().await?;
        Ok(Self { max: base.saturating_mul(2).saturating_add(priority), priority })
    }

    /// A higher price for a replacement. Nodes accept one that is at least a tenth higher.
    fn higher(self) -> Self {
        let more = |fee: u128| fee.saturating_add(fee / 8).saturating_add(1);
        Self { max: more(self.max), priority: more(self.priority) }
    }
}
