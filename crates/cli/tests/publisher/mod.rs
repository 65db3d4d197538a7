//! A server that publishes proofs over JSON-RPC, as zksync-era's node and ours do, and keys of simulated enclaves.

#![allow(dead_code)]

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
    time::SystemTime,
};

use axum::{Json, Router, extract::State, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use serde_json::{Value, json};
use tee_api::{SignedStatement, Statement};
use tee_attestation::{
    Collateral, PcsAnswers, ReportData,
    simulated::{self, Platform},
};
use tee_verifier::{CodeHashes, H256, keccak256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The attestation of batch 650000 verifies as of this time.
pub(crate) const ERA_TIME: u64 = 1_743_668_010;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Proofs and roots by batch.
#[derive(Default)]
struct Content {
    proofs: HashMap<u32, Vec<Value>>,
    roots: HashMap<u32, String>,
    refuses: bool,
}

pub(crate) struct Publisher {
    url: String,
    content: Arc<Mutex<Content>>,
}

impl Publisher {
    pub(crate) fn start(
        proofs: impl IntoIterator<Item = (u32, Vec<Value>)>,
        roots: impl IntoIterator<Item = (u32, String)>,
    ) -> Self {
        Self::serve(Content {
            proofs: proofs.into_iter().collect(),
            roots: roots.into_iter().collect(),
            refuses: false,
        })
    }

    /// Proofs, and roots that agree with the simulated keys'.
    pub(crate) fn of(proofs: impl IntoIterator<Item = (u32, Vec<Published>)>) -> Self {
        let values =
            |(number, proofs): (u32, Vec<Published>)| (number, proofs.into_iter().map(|proof| proof.0).collect());
        let proofs: HashMap<_, Vec<_>> = proofs.into_iter().map(values).collect();
        let roots = proofs.keys().map(|number| (*number, format!("{:?}", root(*number)))).collect();
        Self::serve(Content { proofs, roots, refuses: false })
    }

    /// A server that does not know the method.
    pub(crate) fn refusing() -> Self {
        Self::serve(Content { refuses: true, ..Content::default() })
    }

    fn serve(content: Content) -> Self {
        let content = Arc::new(Mutex::new(content));
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&content));
        let listener = RUNTIME.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        RUNTIME.spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, content }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn publish(&self, number: u32, proofs: Vec<Published>) {
        let proofs = proofs.into_iter().map(|proof| proof.0).collect();
        self.content.lock().unwrap().proofs.insert(number, proofs);
    }
}

async fn answer(State(content): State<Arc<Mutex<Content>>>, Json(call): Json<Value>) -> Json<Value> {
    let content = content.lock().unwrap();
    let number = call["params"][0].as_u64().unwrap() as u32;
    let result = match call["method"].as_str().unwrap() {
        _ if content.refuses => None,
        "unstable_getTeeProofs" => Some(json!(content.proofs.get(&number).cloned().unwrap_or_default())),
        "zks_getL1BatchDetails" => {
            Some(content.roots.get(&number).map_or(Value::Null, |root| json!({"number": number, "rootHash": root})))
        }
        _ => None,
    };
    Json(match result {
        Some(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
        None => json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32601, "message": "Method not found"}}),
    })
}

/// A published proof's JSON.
#[derive(Clone)]
pub(crate) struct Published(pub(crate) Value);

impl Published {
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.0[field] = value;
        self
    }

    pub(crate) fn signature(&self) -> Vec<u8> {
        hex::decode(self.0["signature"].as_str().unwrap()).unwrap()
    }
}

/// The root after a batch of the simulated chain.
fn root(number: u32) -> H256 {
    H256(keccak256(&number.to_be_bytes()))
}

/// A key of a simulated enclave.
pub(crate) struct SimulatedKey {
    secret: SecretKey,
    machine: Arc<Platform>,
    quote: Vec<u8>,
    collateral: Value,
}

impl SimulatedKey {
    pub(crate) fn new() -> Self {
        Self::of(Arc::new(Platform::new(SystemTime::now()).unwrap()))
    }

    /// Another key on the same machine.
    pub(crate) fn on(other: &Self) -> Self {
        Self::of(Arc::clone(&other.machine))
    }

    fn of(machine: Arc<Platform>) -> Self {
        static MADE: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
        let byte = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let secret = SecretKey::from_slice(&[byte; 32]).unwrap();
        let uncompressed = secret.public_key(SECP256K1).serialize_uncompressed();
        let address: [u8; 20] = keccak256(&uncompressed[1..])[12..].try_into().unwrap();
        let quote = machine.quote(&ReportData::V1 { address }).unwrap();
        let collateral = serde_json::to_value(machine.collateral().unwrap()).unwrap();
        Self { secret, machine, quote, collateral }
    }

    pub(crate) fn root_certificate(&self) -> Vec<u8> {
        self.machine.root_certificate().unwrap()
    }

    fn public_key(&self) -> PublicKey {
        self.secret.public_key(SECP256K1)
    }

    fn sign(&self, hash: H256) -> Vec<u8> {
        let message = Message::from_slice(hash.as_bytes()).unwrap();
        let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, &self.secret).serialize_compact();
        let mut bytes = compact.to_vec();
        bytes.push(27 + id.to_i32() as u8);
        bytes
    }

    /// A proof of a batch as our server publishes it.
    pub(crate) fn proof(&self, number: u32) -> Published {
        self.stating(number, root(number - 1), root(number))
    }

    /// A proof that claims another batch's root for the batch.
    pub(crate) fn proof_of(&self, number: u32, as_if: u32) -> Published {
        self.stating(number, root(number - 1), root(as_if))
    }

    /// A proof that claims that the batch starts from another one's root.
    pub(crate) fn proof_from(&self, number: u32, from: u32) -> Published {
        self.stating(number, root(from), root(number))
    }

    fn stating(&self, number: u32, previous_root: H256, root: H256) -> Published {
        let statement = Statement {
            chain_id: 300,
            batch_number: number,
            protocol_version: 29,
            previous_root,
            previous_index: u64::from(number) * 10,
            root,
            index: u64::from(number + 1) * 10,
            code_hashes: CodeHashes {
                bootloader: H256::repeat_byte(1),
                default_account: H256::repeat_byte(2),
                evm_emulator: None,
            },
            system_logs: number_of_l1_transactions(6),
        };
        let signature = tee_api::Signature::from_bytes(&self.sign(statement.digest())).unwrap();
        let statement = SignedStatement { statement, signature, bound: vec![] };
        Published(json!({
            "l1BatchNumber": number,
            "teeType": "sgx",
            "pubkey": hex::encode(self.public_key().serialize()),
            "signature": hex::encode(self.sign(root)),
            "proof": hex::encode(root),
            "provedAt": "2026-01-01T00:00:00Z",
            "status": "generated",
            "attestation": hex::encode(&self.quote),
            "statement": statement,
            "judgedAt": now(),
            "collateral": self.collateral,
        }))
    }
}

/// A system log of the bootloader.
fn number_of_l1_transactions(number: u8) -> Vec<u8> {
    let mut log = vec![0; 88];
    (log[1], log[22], log[23], log[55], log[87]) = (1, 0x80, 0x01, 3, number);
    log
}

fn now() -> String {
    let secs = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    chrono::DateTime::from_timestamp(secs as i64, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Files that a checker needs.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn of(policy: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("policy.yaml", policy);
        files
    }

    pub(crate) fn simulated(key: &SimulatedKey) -> Self {
        let files = Self::of(&format!("sgx: {{mrenclaves: [{}]}}\n", hex::encode(simulated::mr_enclave())));
        fs::write(files.root(), key.root_certificate()).unwrap();
        files
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    pub(crate) fn policy(&self) -> PathBuf {
        self.at("policy.yaml")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.at("root.der")
    }
}

/// The proof of Era mainnet's batch 650000, as its node published it.
pub(crate) struct Era {
    pub(crate) proof: Value,
    pub(crate) root: String,
    pub(crate) policy: String,
    pub(crate) collateral_json: String,
}

pub(crate) fn era() -> Option<Era> {
    let folder = test_skips::data()?.join("attestation/tdx-650000");
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let text = |name: &str| String::from_utf8(read(name)).unwrap().trim().to_owned();
    let der = |name: &str| {
        let bytes = read(name);
        if bytes.is_ascii() { hex::decode(bytes.trim_ascii()).unwrap() } else { bytes }
    };
    let pem = |name: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der(name)))
    };
    let quote = read("quote.bin");
    let in_quote = String::from_utf8_lossy(&quote).into_owned();
    let begin = in_quote.rfind("-----BEGIN CERTIFICATE-----").unwrap();
    let end = in_quote.rfind("-----END CERTIFICATE-----").unwrap();
    let root_pem = format!("{}-----END CERTIFICATE-----\n", &in_quote[begin..end]);
    let signer_chain = format!("{}{root_pem}", pem("tcbDer.hex"));
    let collateral = Collateral::from_pcs(PcsAnswers {
        tcb_info: &read("tcb_info.json"),
        tcb_info_issuer_chain: signer_chain.clone(),
        qe_identity: &read("qe_identity.json"),
        qe_identity_issuer_chain: signer_chain,
        pck_crl: der("platformCrlDer.hex"),
        pck_crl_issuer_chain: format!("{}{root_pem}", pem("platformDer.hex")),
        root_ca_crl: der("rootCrlDer.hex"),
    })
    .unwrap();
    let root = text("root_hash.hex");
    let report = tee_attestation::Quote::parse(&quote).unwrap();
    let tee_attestation::Report::Tdx(report) = report.report() else { panic!("a quote of TDX") };
    let mrs: Vec<_> = [report.mr_td].iter().chain(&report.rtmrs).map(hex::encode).collect();
    let proof = json!({
        "l1BatchNumber": 650_000,
        "teeType": "tdx",
        "pubkey": "0235104e4c31f0b404f73c74df3731f77d2d89080cc2b4117d58e05ffa71199ea6",
        "signature": text("signature.hex"),
        "proof": root,
        "provedAt": "2025-04-03T08:13:30.123456Z",
        "status": "generated",
        "attestation": hex::encode(&quote),
    });
    Some(Era {
        proof,
        root,
        policy: format!("tdx: {{mrs: [[{}]]}}\n", mrs.join(", ")),
        collateral_json: serde_json::to_string(&collateral).unwrap(),
    })
}
