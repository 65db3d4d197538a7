//! An attacker whose key was accepted and who signs wrong roots, and one who sends again what others signed.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};
use tee_api::{PublicKey, Signature, SignedStatement, Statement, SubmitProof, TeeType};
use tee_attestation::ReportData;
use tee_verifier::{CodeHashes, H256};

use tokio::time::sleep;

use crate::{dice::Dice, site::Site};

/// How often a request is sent until it is answered.
const ATTEMPTS: usize = 50;

pub(crate) struct Forger<'a> {
    site: &'a Site,
    key: SecretKey,
}

impl<'a> Forger<'a> {
    /// A forger whose quote is as good as any other. `None` if it cannot be judged just now.
    pub(crate) async fn register(site: &'a Site, dice: &mut Dice) -> Option<Self> {
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&dice.below(u64::MAX).to_be_bytes());
        let forger = Self { site, key: SecretKey::from_slice(&secret).unwrap() };
        let public = forger.public();
        site.ledger.entries().forgers.insert(public);
        let quote = site.machine.quote(&ReportData::V1 { address: public.address().0 }).unwrap();
        let body = json!({ "attestation": hex::encode(quote), "pubkey": public.to_string() });
        let status = forger.post("/tee/register_attestation", body.to_string()).await?;
        (status == StatusCode::OK).then_some(forger)
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_bytes(&self.key.public_key(SECP256K1).serialize()).unwrap()
    }

    /// Claims another root for the batch, with a statement and without.
    pub(crate) async fn forge(&self, batch: u32) {
        let wrong = H256::repeat_byte(0xf0);
        let statement = self.statement(batch, wrong);
        let signed = SignedStatement { signature: self.sign(statement.digest()), bound: vec![], statement };
        for statement in [None, Some(signed)] {
            let bare = statement.is_none();
            let proof = SubmitProof {
                signature: self.sign(wrong),
                pubkey: self.public(),
                proof: wrong,
                tee_type: TeeType::Sgx,
                statement,
            };
            let status = self.submit(batch, serde_json::to_value(&proof).unwrap()).await;
            assert!(!bare || status != Some(StatusCode::OK), "a bare root of nobody's batch was taken: {batch}");
            let kind = if bare { "bare forgeries" } else { "forged statements" };
            self.site.ledger.count(match status {
                None => format!("{kind}: no answer"),
                Some(status) => format!("{kind}: {}", status.as_u16()),
            });
        }
    }

    /// Sends a published proof for another batch, with its statement and without.
    pub(crate) async fn replay(site: &Site, proof: &Value, batch: u32) {
        let (key, root) = (&proof["pubkey"], &proof["root"]);
        for statement in [Value::Null, proof["statement"].clone()] {
            let proof = json!({
                "signature": proof["signature"], "pubkey": key, "proof": root, "tee_type": "sgx", "statement": statement,
            });
            let path = format!("/tee/submit_proofs/{batch}");
            let Some(status) = post(site, &path, proof.to_string()).await else { continue };
            assert_ne!(status, StatusCode::OK, "a proof of another batch was taken for {batch}: {proof}");
            site.ledger.count(format!("replays: {}", status.as_u16()));
        }
    }

    fn statement(&self, batch: u32, root: H256) -> Statement {
        let first = &self.site.devnet.first;
        let base = &first.system_env.base_system_smart_contracts;
        let previous = self.site.ledger.entries().roots.get(&(batch - 1)).copied();
        Statement {
            chain_id: first.system_env.chain_id.as_u64(),
            batch_number: batch,
            protocol_version: first.system_env.version.number(),
            previous_root: previous.or(first.l1_batch_env.previous_batch_hash).unwrap_or_default(),
            previous_index: 1,
            root,
            index: 2,
            code_hashes: CodeHashes {
                bootloader: base.bootloader.hash,
                default_account: base.default_aa.hash,
                evm_emulator: base.evm_emulator.as_ref().map(|code| code.hash),
            },
            system_logs: vec![],
        }
    }

    fn sign(&self, hash: H256) -> Signature {
        let message = Message::from_slice(hash.as_bytes()).unwrap();
        let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, &self.key).serialize_compact();
        Signature::from_bytes(&[&compact[..], &[27 + id.to_i32() as u8]].concat()).unwrap()
    }

    async fn submit(&self, batch: u32, proof: Value) -> Option<StatusCode> {
        self.post(&format!("/tee/submit_proofs/{batch}"), proof.to_string()).await
    }

    async fn post(&self, path: &str, body: String) -> Option<StatusCode> {
        post(self.site, path, body).await
    }
}

/// Asks one server after the other for a while. `None` if all are down or cannot answer.
async fn post(site: &Site, path: &str, body: String) -> Option<StatusCode> {
    for server in site.servers.iter().cycle().take(ATTEMPTS) {
        let url = format!("http://{}{path}", server.address());
        let request = site.operator.http.request(Method::POST, url).bearer_auth(&site.forger_token);
        let request = request.header("content-type", "application/json").body(body.clone());
        match request.send().await.map(|answer| answer.status()) {
            Ok(status) if !status.is_server_error() => return Some(status),
            _ => sleep(Duration::from_millis(200)).await,
        }
    }
    None
}
