//! The relayer's work: it registers keys, proves batches and approves executions.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use tee_api::{
    BearerToken, BoundSignature, Client, ClientOptions, Contract, PublicKey, RegistrationEntry, SigningRequest,
    Statement, TlsFiles, chain,
    http::{HttpOptions, Trust},
    listener::Listener,
};
use tee_attestation::{CollateralCache, CollateralSource};
use tee_checker::{
    AsOf, AttestationError, Attestations, Batch, Examined, Rpc, Verdict, check, published, read_policy, read_root,
    read_text,
};
use tee_verifier::{H256, Pins};
use tokio_util::sync::CancellationToken;

use crate::{
    PROGRAM,
    config::Config,
    contracts::{KeyRegistry, MultisigValidator, Proof, ProofVerifier, SecondFactor, account, address},
    execution::{self, Execution},
    metrics::RelayerMetrics,
    sender::Sender,
    settlement::{CallError, SettlementChain, encoded, expect_code},
    signer::Signer,
};

/// After this many blocks, provers are asked to sign a newer one for registrations: the contract accepts one of the last 255.
const NEW_BLOCK_AFTER: u64 = 100;
/// A signature of a block older than this is not sent: it may be too old when the transaction is in a block.
const FRESH_BLOCKS: u64 = 220;
/// The number of signatures on one of the server's pages.
const PAGE: u32 = 100;
/// The most pages that are read.
const MAX_PAGES: u32 = 100;
/// Collateral from a service is fetched again a day before it expires.
const REFRESH_BEFORE_SECS: u64 = 24 * 60 * 60;
/// The largest token, in bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// Passes proofs from a server to contracts.
#[derive(Debug)]
pub struct Relayer {
    config: Config,
    server: Client,
    publisher: Rpc,
    attestations: Attestations,
    pins: Pins,
    chain: SettlementChain,
    /// The `ProofVerifier`, in the form for which provers sign.
    contract: Contract,
    registry: Address,
    sender: Sender,
    metrics: RelayerMetrics,
    /// The block that provers were last asked to sign.
    asked: Option<u64>,
    /// Refused keys, with the block of the signature. A signature of a newer block is tried again.
    refused_keys: HashMap<PublicKey, u64>,
    /// Keys that the registry has already.
    registered: HashSet<PublicKey>,
    /// Executions that are approved already.
    approved: HashSet<PathBuf>,
}

/// The state on the chain and at the server.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The last proven batch.
    pub head_batch: u32,
    /// The root after it.
    pub head_root: B256,
    /// The next free leaf index after it.
    pub head_index: u64,
    /// Whether proofs and approvals are paused until the owner ends the pause.
    pub is_paused: bool,
    /// How many keys must sign.
    pub quorum_keys: u8,
    /// How many kinds of environments they must come from.
    pub quorum_tee_types: u8,
    /// The account that pays.
    pub account: Address,
    /// The account's balance, in wei.
    pub balance_wei: U256,
    /// Whether the account may register keys.
    pub is_registrar: bool,
    /// The keys that signed to be registered.
    pub keys: Vec<KeyStatus>,
}

/// A key in the registry.
#[derive(Debug, Serialize)]
pub struct KeyStatus {
    /// The key.
    pub pubkey: PublicKey,
    /// Its address.
    pub address: Address,
    /// Whether it is registered.
    pub is_registered: bool,
    /// Whether its signatures count now.
    pub counts: bool,
}

impl Relayer {
    /// Reads the files that the configuration names, and checks that the contracts exist and belong together.
    pub async fn open(config: Config, is_dry_run: bool) -> Result<Self> {
        let token = config.server.token_file.as_deref().map(read_token).transpose()?;
        let tls = TlsFiles { ca_file: config.server.ca_file.clone(), client: None };
        let options = ClientOptions { program: PROGRAM, token: token.clone(), tls, ..ClientOptions::default() };
        let server = Client::new(&config.server.url, options).context("server.url")?;
        if server.exposes_token() {
            tracing::warn!("the token is sent unencrypted, and anyone on the way can read it: use https://");
        }
        let trust = config.server.ca_file.clone().map_or(Trust::System, Trust::Authorities);
        let http = HttpOptions { token, trust, ..HttpOptions::new(PROGRAM) };
        let publisher = Rpc::with(http, &config.server.url, Duration::ZERO).context("server.url")?;
        let source = CollateralSource::open(&config.collateral, PROGRAM).context("collateral")?;
        let attestations = Attestations::new(
            read_policy(&config.policy)?,
            read_root(config.danger_root_certificate.as_deref())?,
            AsOf::Today,
            Some(CollateralCache::new(source, u64::MAX, REFRESH_BEFORE_SECS)),
        );
        let signer = Signer::open(&config.signer).context("signer")?;
        let settlement = &config.settlement_chain;
        let chain = SettlementChain::open(&settlement.rpc_url, settlement.chain_id).await?;
        expect_code(&chain, "proof_verifier", config.proof_verifier).await?;
        let verifier = config.proof_verifier;
        let proven_chain = chain.call(verifier, ProofVerifier::CHAIN_IDCall {}).await?;
        if proven_chain != config.chain.id() {
            bail!(
                "proof_verifier: it is for chain {proven_chain}, but the configuration pins chain {}",
                config.chain.id()
            );
        }
        if let Some(second_factor) = config.second_factor {
            expect_code(&chain, "second_factor", second_factor).await?;
            let asks = chain.call(second_factor, SecondFactor::VERIFIERCall {}).await?;
            if asks != verifier {
                bail!("second_factor: it uses another ProofVerifier, {asks}");
            }
        }
        let metrics = RelayerMetrics::new();
        Ok(Self {
            contract: Contract { settlement_chain_id: settlement.chain_id, address: address(verifier) },
            registry: chain.call(verifier, ProofVerifier::REGISTRYCall {}).await?,
            sender: Sender {
                signer,
                max_fee_per_gas: config.max_fee_per_gas(),
                resend_after: config.resend_after.0,
                is_dry_run,
                metrics: metrics.clone(),
            },
            pins: Pins::Chain(config.chain.clone()),
            server,
            publisher,
            attestations,
            chain,
            metrics,
            asked: None,
            refused_keys: HashMap::new(),
            registered: HashSet::new(),
            approved: HashSet::new(),
            config,
        })
    }

    /// Works until it is told to stop. Failures are tried again: all state is on the chain, so a restart loses nothing.
    pub async fn run(mut self, stop: CancellationToken) -> Result<()> {
        if let Some(listen) = self.config.metrics_listen {
            let listener = Listener::bind(listen, self.metrics.clone()).await;
            let listener = listener.with_context(|| format!("metrics_listen: {listen}"))?;
            tracing::info!(address = %listener.local_addr()?, "metrics and health");
            tokio::spawn(listener.serve());
        }
        while !stop.is_cancelled() {
            let Some(()) = stop.run_until_cancelled(self.round()).await else { break };
            stop.run_until_cancelled(tokio::time::sleep(self.config.poll_interval.0)).await;
        }
        Ok(())
    }

    /// Does everything that is to do now. A failure in one part does not stop the others.
    async fn round(&mut self) {
        let done = [
            ("cannot request signatures", self.request_signatures().await),
            ("cannot register keys", self.register().await.map(drop)),
            ("cannot prove batches", self.submit().await.map(drop)),
            ("cannot approve executions", self.approve_folder().await),
            ("cannot look at the account", self.look_at_account().await),
        ];
        for (what, result) in &done {
            if let Err(error) = result {
                tracing::warn!("{what}: {}", chain_of(error));
            }
        }
        self.metrics.ended(done.iter().all(|(_, result)| result.is_ok()));
    }

    /// Asks provers to sign for the contracts, and to sign a recent block.
    pub async fn request_signatures(&mut self) -> Result<()> {
        let block = self.chain.latest_block().await?;
        let number = block.number();
        if self.asked.is_some_and(|asked| (asked..asked.saturating_add(NEW_BLOCK_AFTER)).contains(&number)) {
            return Ok(());
        }
        let request = SigningRequest {
            settlement_chain_id: self.chain.chain_id,
            proof_verifier: address(self.config.proof_verifier),
            key_registry: address(self.registry),
            block_number: number,
            block_hash: H256(block.hash.0),
        };
        // The digest names a block before that of the transaction, so the latest one is suitable.
        self.server.request_signatures(&request).await.context("the server")?;
        self.asked = Some(number);
        Ok(())
    }

    /// Registers the keys that signed to be registered. Returns how many.
    pub async fn register(&mut self) -> Result<usize> {
        let latest = self.chain.latest_block().await?.number();
        let entries = self.signatures().await?;
        let listed: HashSet<_> = entries.iter().map(|entry| entry.signed.pubkey).collect();
        self.refused_keys.retain(|key, _| listed.contains(key));
        let mut waiting = Vec::new();
        for entry in entries {
            if self.registered.contains(&entry.signed.pubkey) {
                continue;
            }
            let signer = account(entry.signed.pubkey.address());
            match self.chain.call(self.registry, KeyRegistry::keysCall { signer }).await?.expiresAt.is_zero() {
                true => waiting.push(entry),
                // It stays registered: a key is registered only once.
                false => _ = self.registered.insert(entry.signed.pubkey),
            }
        }
        self.metrics.keys_to_register.set(waiting.len() as u64);
        let mut registered = 0;
        for entry in waiting {
            let (key, block) = (entry.signed.pubkey, entry.signed.request.block_number);
            if self.refused_keys.get(&key) == Some(&block) || block.saturating_add(FRESH_BLOCKS) < latest {
                continue;
            }
            match self.register_key(&entry).await {
                Ok(()) => registered += 1,
                Err(error) => {
                    tracing::warn!(%key, "cannot register the key: {}", chain_of(&error));
                    if !may_pass(&error) {
                        self.refused_keys.insert(key, block);
                    }
                }
            }
        }
        Ok(registered)
    }

    async fn register_key(&self, entry: &RegistrationEntry) -> Result<()> {
        let signed = &entry.signed;
        signed.verify()?;
        let (chain_id, registry) = (signed.request.settlement_chain_id, account(signed.request.key_registry));
        if (chain_id, registry) != (self.chain.chain_id, self.registry) {
            bail!("the signature is for another registry");
        }
        let judged = self.attestations.judge_quote(entry.attestation.as_bytes(), &signed.pubkey).await;
        judged.context("its quote")?;
        let call = KeyRegistry::registerCall {
            rawQuote: entry.attestation.as_bytes().to_vec().into(),
            blockNumber: U256::from(signed.request.block_number),
            possession: signed.signature.to_bytes().into(),
        };
        self.sender.send(&self.chain, "register", self.registry, &call).await?;
        Ok(())
    }

    /// Proves the next batches, as many as fit in one transaction. Returns how many.
    pub async fn submit(&mut self) -> Result<usize> {
        let verifier = self.config.proof_verifier;
        let is_paused = self.chain.call(verifier, ProofVerifier::pausedCall {}).await?;
        self.metrics.verifier_paused.set(is_paused.into());
        let head = self.chain.call(verifier, ProofVerifier::headBatchCall {}).await?;
        self.metrics.proven_batch.set(head.into());
        let proofs = self.next_proofs(head).await?;
        self.metrics.batches_to_prove.set(proofs.len() as u64);
        if is_paused {
            tracing::error!("ALARM: the ProofVerifier is paused; nothing is proven or approved");
            return Ok(0);
        }
        if proofs.is_empty() {
            return Ok(0);
        }
        let count = proofs.len();
        self.sender.send(&self.chain, "prove", verifier, &ProofVerifier::proveCall { proofs }).await?;
        Ok(count)
    }

    /// The present arguments of `prove`; `None` if there is nothing to prove.
    pub async fn calldata(&self) -> Result<Option<Bytes>> {
        let head = self.chain.call(self.config.proof_verifier, ProofVerifier::headBatchCall {}).await?;
        let proofs = self.next_proofs(head).await?;
        Ok((!proofs.is_empty()).then(|| encoded(&ProofVerifier::proveCall { proofs })))
    }

    /// Valid proofs of the batches after the head, each of which continues the one before.
    async fn next_proofs(&self, head: u32) -> Result<Vec<Proof>> {
        let verifier = self.config.proof_verifier;
        let mut root = self.chain.call(verifier, ProofVerifier::headRootCall {}).await?;
        let mut index = self.chain.call(verifier, ProofVerifier::headIndexCall {}).await?;
        let quorum = self.chain.call(verifier, ProofVerifier::quorumCall {}).await?;
        let mut counting = HashMap::new();
        let mut proofs = Vec::new();
        self.metrics.batches_refused.set(0);
        for step in 1..=self.config.batches_per_transaction {
            let Some(number) = head.checked_add(step) else { break };
            let Some((statement, signed)) = self.good_proofs(number).await? else { break };
            if (statement.previous_root.0, statement.previous_index) != (root.0, index) {
                self.metrics.batches_refused.set(1);
                tracing::error!(
                    batch = number,
                    "ALARM: the batch's proof starts from another state than the contract's"
                );
                break;
            }
            let mut signatures = Vec::new();
            let mut tee_types = Vec::new();
            for (key, bound) in &signed {
                let Some(bound) = bound.iter().find(|bound| bound.contract == self.contract) else { continue };
                let signer = account(key.address());
                let tee = match counting.get(&signer) {
                    Some(tee) => *tee,
                    None => self.chain.call(self.registry, KeyRegistry::teeOfCall { signer }).await?,
                };
                counting.insert(signer, tee);
                if tee != 0 {
                    signatures.push((signer, bound.signature));
                    tee_types.push(tee);
                }
            }
            signatures.sort_unstable_by_key(|(signer, _)| *signer);
            // A proof that is published twice adds no key.
            signatures.dedup_by_key(|(signer, _)| *signer);
            tee_types.sort_unstable();
            tee_types.dedup();
            let keys = signatures.len();
            if keys < usize::from(quorum.keys) || tee_types.len() < usize::from(quorum.teeTypes) {
                tracing::debug!(batch = number, keys, "too few keys that count have signed for the contract");
                break;
            }
            let proof = Proof::new(&statement, signatures);
            (root, index) = (proof.statement.root, proof.statement.index);
            proofs.push(proof);
        }
        Ok(proofs)
    }

    /// A batch's statement and its signers, if the check of published proofs calls the batch proven.
    async fn good_proofs(&self, number: u32) -> Result<Option<(Statement, Vec<(PublicKey, Vec<BoundSignature>)>)>> {
        let entries = published(&self.publisher, number, None).await.context("the server")?;
        let batch = Batch { number, expected_root: None, pins: &self.pins };
        let mut checked = Vec::new();
        for entry in entries {
            checked.push(check(entry, &batch, &self.attestations).await);
        }
        let Some(examined) = Examined::weigh(&batch, checked) else { return Ok(None) };
        let Some(statement) = examined.statement.filter(|_| examined.verdict == Verdict::Proven) else {
            self.metrics.batches_refused.set(1);
            let problems = examined.proofs.iter().flat_map(|proof| &proof.problems).map(ToString::to_string);
            let why: Vec<_> = problems.chain(examined.notes).take(8).collect();
            tracing::warn!(batch = number, verdict = ?examined.verdict, "the batch's proofs are refused: {}", why.join("; "));
            return Ok(None);
        };
        // All good proofs have the same statement: otherwise the batch would not be proven.
        let good = examined.proofs.into_iter().filter(|proof| proof.problems.is_empty());
        let signed = good.filter_map(|proof| Some((proof.key?, proof.bound))).collect();
        Ok(Some((statement, signed)))
    }

    async fn approve_folder(&mut self) -> Result<()> {
        let Some(folder) = self.config.executions_folder.clone() else { return Ok(()) };
        let mut failed = None;
        for file in execution::files(&folder)? {
            // An unreadable file does not stop the others.
            if let Err(error) = self.approve(&file).await {
                tracing::warn!("{}: {}", file.display(), chain_of(&error));
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Approves the execution in a file once all of its batches are proven. Returns whether it is approved.
    pub async fn approve(&mut self, file: &Path) -> Result<bool> {
        if self.approved.contains(file) {
            return Ok(true);
        }
        let second_factor = self
            .config
            .second_factor
            .ok_or_else(|| anyhow!("the key second_factor is missing in the configuration"))?;
        let execution = Execution::read(file)?;
        let verifier = self.config.proof_verifier;
        let head = self.chain.call(verifier, ProofVerifier::headBatchCall {}).await?;
        if execution.to > u64::from(head) || self.chain.call(verifier, ProofVerifier::pausedCall {}).await? {
            return Ok(false);
        }
        let (from, to) = (U256::from(execution.from), U256::from(execution.to));
        if !self.is_approved(second_factor, &execution).await? {
            let openings = execution.openings();
            let call = SecondFactor::approveCall { from, to, batchData: execution.batch_data.clone(), openings };
            if !self.chain.simulate(self.sender.signer.address(), second_factor, &call).await? {
                // It is sent nevertheless: it pauses the verifier, which is what must happen.
                tracing::error!(
                    from = execution.from,
                    to = execution.to,
                    "ALARM: a committed batch is not the one that was proven; nothing is approved any more"
                );
            }
            let sent = self.sender.send(&self.chain, "approve", second_factor, &call).await?;
            if sent.is_none() || !self.is_approved(second_factor, &execution).await? {
                return Ok(false);
            }
        }
        self.approved.insert(file.to_owned());
        Ok(true)
    }

    /// Whether the chain's multisig has the second factor's approval.
    async fn is_approved(&self, second_factor: Address, execution: &Execution) -> Result<bool> {
        let validator = self.chain.call(second_factor, SecondFactor::VALIDATORCall {}).await?;
        let chain_address = self.chain.call(self.config.proof_verifier, ProofVerifier::CHAINCall {}).await?;
        let call = MultisigValidator::calculateHashCall {
            chainAddress: chain_address,
            processBatchFrom: U256::from(execution.from),
            processBatchTo: U256::from(execution.to),
            batchData: execution.batch_data.clone(),
        };
        let hash = self.chain.call(validator, call).await?;
        let call = MultisigValidator::individualApprovalsCall { member: second_factor, hash };
        Ok(self.chain.call(validator, call).await?)
    }

    async fn look_at_account(&self) -> Result<()> {
        let wei = self.chain.balance(self.sender.signer.address()).await?;
        self.metrics.balance_ether.set(f64::from(wei) / 1e18);
        Ok(())
    }

    /// The state on the chain and at the server.
    pub async fn status(&self) -> Result<Status> {
        let (chain, verifier, from) = (&self.chain, self.config.proof_verifier, self.sender.signer.address());
        let quorum = chain.call(verifier, ProofVerifier::quorumCall {}).await?;
        let mut keys = Vec::new();
        for entry in self.signatures().await? {
            let signer = account(entry.signed.pubkey.address());
            let key = chain.call(self.registry, KeyRegistry::keysCall { signer }).await?;
            keys.push(KeyStatus {
                pubkey: entry.signed.pubkey,
                address: signer,
                is_registered: !key.expiresAt.is_zero(),
                counts: chain.call(self.registry, KeyRegistry::teeOfCall { signer }).await? != 0,
            });
        }
        Ok(Status {
            head_batch: chain.call(verifier, ProofVerifier::headBatchCall {}).await?,
            head_root: chain.call(verifier, ProofVerifier::headRootCall {}).await?,
            head_index: chain.call(verifier, ProofVerifier::headIndexCall {}).await?,
            is_paused: chain.call(verifier, ProofVerifier::pausedCall {}).await?,
            quorum_keys: quorum.keys,
            quorum_tee_types: quorum.teeTypes,
            account: from,
            balance_wei: chain.balance(from).await?,
            is_registrar: chain.call(self.registry, KeyRegistry::isRegistrarCall { account: from }).await?,
            keys,
        })
    }

    /// All signatures that keys made to be registered with this contract.
    async fn signatures(&self) -> Result<Vec<RegistrationEntry>> {
        let mut all = Vec::new();
        let mut after = None;
        // Keys change with the provers' processes, but this many would be an attack.
        for _ in 0..MAX_PAGES {
            let page = self.server.registration_signatures(&self.contract, after.as_deref(), PAGE).await;
            let page = page.context("the server")?;
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(all)
    }
}

fn read_token(path: &Path) -> Result<BearerToken> {
    read_text(path, MAX_TOKEN_BYTES)?.parse().with_context(|| path.display().to_string())
}

/// Whether the same may work the next time: a node or a source of collateral was unavailable.
fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match (cause.downcast_ref(), cause.downcast_ref::<Arc<AttestationError>>()) {
        (Some(CallError::Node(_) | CallError::Answer(_) | CallError::Replaced), _) => true,
        (_, Some(judged)) => matches!(**judged, AttestationError::Source(_)),
        _ => false,
    })
}

fn chain_of(error: &anyhow::Error) -> String {
    chain(error.as_ref())
}

#[cfg(test)]
mod tests;
