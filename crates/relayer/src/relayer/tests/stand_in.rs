//! A server and a settlement chain that accept everything: what is refused, the relayer itself refuses.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolCall, SolInterface};
use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};
use tee_api::{
    BoundSignature, Contract, Page, PublicKey, Quote, RegistrationEntry, RegistrationSignature, Signature,
    SignedStatement, SigningRequest, Statement,
};
use tee_attestation::{
    ReportData,
    simulated::{self, Enclave, Platform},
};
use tee_verifier::{CodeHashes, H256};
use tempfile::TempDir;

use crate::{
    Config, Relayer,
    contracts::{
        KeyRegistry::{KeyRegistryCalls, isRegistrarCall, keysCall, keysReturn, teeOfCall},
        MultisigValidator::{MultisigValidatorCalls, calculateHashCall, individualApprovalsCall},
        ProofVerifier::{
            CHAIN_IDCall, CHAINCall, ProofVerifierCalls, REGISTRYCall, headBatchCall, headIndexCall, headRootCall,
            pausedCall, quorumCall,
        },
        Quorum,
        SecondFactor::{SecondFactorCalls, VALIDATORCall, VERIFIERCall, approveCall},
        address,
    },
};

pub(super) const SETTLEMENT_CHAIN: u64 = 31_337;
pub(super) const CHAIN: u64 = 324;
pub(super) const VERIFIER: Address = Address::repeat_byte(1);
pub(super) const REGISTRY: Address = Address::repeat_byte(2);
pub(super) const SECOND_FACTOR: Address = Address::repeat_byte(3);
const VALIDATOR: Address = Address::repeat_byte(4);
const ACCOUNT: Address = Address::repeat_byte(5);

/// Both of them.
pub(super) struct StandIn {
    content: Arc<Mutex<Content>>,
    machine: Platform,
    folder: TempDir,
}

/// What they say, and what they were asked for.
pub(super) struct Content {
    pub(super) proofs: HashMap<u32, Vec<Value>>,
    pub(super) signatures: Vec<RegistrationEntry>,
    /// Whether each page of signatures is empty and names a next one.
    pub(super) has_endless_pages: bool,
    /// The blocks that the relayer asked provers to sign.
    pub(super) requested: Vec<u64>,
    pub(super) chain_id: u64,
    pub(super) proven_chain: u64,
    pub(super) second_factor_asks: Address,
    pub(super) without_code: Option<Address>,
    pub(super) block: u64,
    pub(super) base_fee: u64,
    pub(super) priority_fee: u64,
    /// The number of the last proven batch.
    pub(super) head: u32,
    pub(super) head_root: H256,
    pub(super) head_index: u64,
    pub(super) is_paused: bool,
    /// How many keys, and how many types of enclave.
    pub(super) quorum: (u8, u8),
    /// The keys that count, with their types of enclave.
    pub(super) counting: HashMap<Address, u8>,
    pub(super) registered: HashSet<Address>,
    pub(super) is_approved: bool,
    /// Whether a transaction leads to approval.
    pub(super) approves: bool,
    pub(super) transactions_succeed: bool,
    /// The error in place of an estimate.
    pub(super) refusal: Option<Value>,
    pub(super) estimates: u32,
    /// The fields of each transaction that was signed.
    pub(super) signed: Vec<Value>,
    /// The calls of each transaction that was sent.
    pub(super) sent: Vec<Bytes>,
}

impl StandIn {
    pub(super) async fn start() -> Self {
        Self::on(Platform::new(SystemTime::now()).unwrap()).await
    }

    /// Quotes are of this machine, and the relayer trusts its root.
    pub(super) async fn on(machine: Platform) -> Self {
        let content = Arc::new(Mutex::new(Content {
            proofs: HashMap::new(),
            signatures: vec![],
            has_endless_pages: false,
            requested: vec![],
            chain_id: SETTLEMENT_CHAIN,
            proven_chain: CHAIN,
            second_factor_asks: VERIFIER,
            without_code: None,
            block: 1000,
            base_fee: 1,
            priority_fee: 1,
            head: 0,
            head_root: root(0),
            head_index: 10,
            is_paused: false,
            quorum: (1, 1),
            counting: HashMap::new(),
            registered: HashSet::new(),
            is_approved: false,
            approves: true,
            transactions_succeed: true,
            refusal: None,
            estimates: 0,
            signed: vec![],
            sent: vec![],
        }));
        let router = Router::new()
            .route("/", post(publish))
            .route("/api/registration_signatures", get(list))
            .route("/admin/signing_requests", post(request))
            .route("/chain", post(answer))
            .with_state(content.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("policy.yaml"), format!("sgx:\n  mrenclaves: [{}]\n", hex::encode(simulated::mr_enclave())))
            .unwrap();
        fs::write(at("root.der"), machine.root_certificate().unwrap()).unwrap();
        fs::write(at("collateral.json"), serde_json::to_vec(&machine.collateral().unwrap()).unwrap()).unwrap();
        let codes = codes();
        let yaml = format!(
            "server: {{url: '{url}'}}
settlement_chain: {{rpc_url: '{url}/chain', chain_id: {SETTLEMENT_CHAIN}}}
proof_verifier: '{VERIFIER}'
second_factor: '{SECOND_FACTOR}'
signer: {{remote: {{url: '{url}/chain', address: '{ACCOUNT}'}}}}
chain:
  id: {CHAIN}
  code: [{{protocol_version: 29, bootloader: '{:?}', default_account: '{:?}'}}]
policy: policy.yaml
collateral: {}
danger_root_certificate: root.der
batches_per_transaction: 3
",
            codes.bootloader,
            codes.default_account,
            at("collateral.json").display(),
        );
        fs::write(at("relayer.yaml"), yaml).unwrap();
        Self { content, machine, folder }
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn config(&self) -> Config {
        Config::read(&self.at("relayer.yaml")).unwrap()
    }

    pub(super) async fn relayer(&self) -> Relayer {
        Relayer::open(self.config(), false).await.unwrap()
    }

    /// A key of the prover's enclave, which counts for the contracts.
    pub(super) fn key(&self, number: u8) -> Key {
        self.key_in(number, &Enclave::default())
    }

    /// The same of another enclave.
    pub(super) fn key_in(&self, number: u8, enclave: &Enclave) -> Key {
        let secret = SecretKey::from_slice(&[number; 32]).unwrap();
        let public = PublicKey::from_bytes(&secret.public_key(SECP256K1).serialize()).unwrap();
        let report_data = ReportData::V1 { address: public.address().0 }.to_bytes();
        let quote = self.machine.sgx_quote(enclave, &report_data).unwrap();
        let key = Key { secret, public, quote };
        self.content().counting.insert(key.address(), 1);
        key
    }

    pub(super) fn publish(&self, number: u32, proofs: impl Into<Vec<Value>>) {
        self.content().proofs.insert(number, proofs.into());
    }

    /// What was sent last.
    pub(super) fn last_sent<C: SolCall>(&self) -> C {
        C::abi_decode(self.content().sent.last().unwrap()).unwrap()
    }

    pub(super) fn sent(&self) -> usize {
        self.content().sent.len()
    }
}

/// A prover's key.
#[derive(Clone)]
pub(super) struct Key {
    secret: SecretKey,
    pub(super) public: PublicKey,
    pub(super) quote: Vec<u8>,
}

impl Key {
    pub(super) fn address(&self) -> Address {
        Address::new(self.public.address().0)
    }

    pub(super) fn sign(&self, hash: H256) -> Signature {
        let message = Message::from_slice(hash.as_bytes()).unwrap();
        let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, &self.secret).serialize_compact();
        Signature::from_bytes(&[compact.as_slice(), &[27 + id.to_i32() as u8]].concat()).unwrap()
    }

    /// A published proof, with a signature for the contract.
    pub(super) fn proof(&self, statement: &Statement) -> Value {
        self.proof_for(statement, contract())
    }

    pub(super) fn proof_for(&self, statement: &Statement, contract: Contract) -> Value {
        let bound = vec![BoundSignature { contract, signature: self.sign(statement.bound_digest(&contract)) }];
        let signed = SignedStatement { statement: statement.clone(), signature: self.sign(statement.digest()), bound };
        json!({
            "l1BatchNumber": statement.batch_number, "teeType": "sgx", "pubkey": self.public,
            "signature": hex::encode(self.sign(statement.root).to_bytes()), "proof": hex::encode(statement.root),
            "provedAt": "2026-01-01T00:00:00Z", "status": "generated", "attestation": hex::encode(&self.quote),
            "statement": signed,
        })
    }

    /// The key's signature to be registered.
    pub(super) fn registration(&self, block: u64) -> RegistrationEntry {
        self.registration_as(SigningRequest {
            settlement_chain_id: SETTLEMENT_CHAIN,
            proof_verifier: address(VERIFIER),
            key_registry: address(REGISTRY),
            block_number: block,
            block_hash: H256::repeat_byte(9),
        })
    }

    pub(super) fn registration_as(&self, request: SigningRequest) -> RegistrationEntry {
        let signature = self.sign(request.registration_digest());
        RegistrationEntry {
            signed: RegistrationSignature { pubkey: self.public, request, signature },
            attestation: Quote::new(self.quote.clone()).unwrap(),
        }
    }
}

/// The contract that provers sign for.
pub(super) fn contract() -> Contract {
    Contract { settlement_chain_id: SETTLEMENT_CHAIN, address: address(VERIFIER) }
}

/// A statement of a batch that follows the one before.
pub(super) fn statement(number: u32) -> Statement {
    Statement {
        chain_id: CHAIN,
        batch_number: number,
        protocol_version: 29,
        previous_root: root(number - 1),
        previous_index: u64::from(number) * 10,
        root: root(number),
        index: u64::from(number + 1) * 10,
        code_hashes: codes(),
        system_logs: vec![0; 88],
    }
}

/// The root after a batch.
pub(super) fn root(number: u32) -> H256 {
    H256(keccak256(number.to_be_bytes()).0)
}

fn codes() -> CodeHashes {
    CodeHashes { bootloader: H256::repeat_byte(1), default_account: H256::repeat_byte(2), evm_emulator: None }
}

/// A time by the side of now.
pub(super) fn days_ago(days: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60)
}

async fn publish(State(content): State<Arc<Mutex<Content>>>, Json(call): Json<Value>) -> Json<Value> {
    let number = call["params"][0].as_u64().unwrap() as u32;
    let proofs = content.lock().unwrap().proofs.get(&number).cloned();
    Json(json!({"jsonrpc": "2.0", "id": call["id"], "result": proofs.unwrap_or_default()}))
}

async fn list(State(content): State<Arc<Mutex<Content>>>) -> Json<Page<RegistrationEntry>> {
    let content = content.lock().unwrap();
    Json(match content.has_endless_pages {
        true => Page { items: vec![], next: Some("more".to_owned()) },
        false => Page { items: content.signatures.clone(), next: None },
    })
}

async fn request(State(content): State<Arc<Mutex<Content>>>, Json(request): Json<SigningRequest>) {
    content.lock().unwrap().requested.push(request.block_number);
}

/// The chain's node, and the signer.
async fn answer(State(content): State<Arc<Mutex<Content>>>, Json(call): Json<Value>) -> Json<Value> {
    let answer = content.lock().unwrap().answer(call["method"].as_str().unwrap(), &call["params"]);
    Json(match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": call["id"], "error": error}),
    })
}

impl Content {
    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let bytes = |text: &Value| text.as_str().unwrap().parse::<Bytes>().unwrap();
        let quantity = |number: u64| format!("{number:#x}");
        Ok(match method {
            "eth_chainId" => json!(quantity(self.chain_id)),
            "eth_getCode" => {
                let has_code = json!(self.without_code) != params[0];
                json!(if has_code { "0x60" } else { "0x" })
            }
            "eth_call" => json!(Bytes::from(self.call(&bytes(&params[0]["data"])))),
            "eth_estimateGas" => {
                self.estimates += 1;
                self.refusal.clone().map_or(Ok(json!("0x5208")), Err)?
            }
            "eth_getBlockByNumber" => json!({
                "number": quantity(self.block), "hash": B256::repeat_byte(9), "baseFeePerGas": quantity(self.base_fee),
            }),
            "eth_getTransactionCount" => json!("0x0"),
            "eth_maxPriorityFeePerGas" => json!(quantity(self.priority_fee)),
            // A signed transaction is what it calls with.
            "eth_signTransaction" => {
                self.signed.push(params[0].clone());
                params[0]["data"].clone()
            }
            "eth_sendRawTransaction" => {
                self.sent.push(bytes(&params[0]));
                self.is_approved |= self.approves;
                json!(B256::ZERO)
            }
            "eth_getTransactionReceipt" => {
                json!({"status": quantity(self.transactions_succeed.into()), "gasUsed": "0x5208", "blockNumber": "0x1"})
            }
            _ => panic!("{method}"),
        })
    }

    /// What the contracts return. Each function has another selector.
    fn call(&self, data: &[u8]) -> Vec<u8> {
        if let Ok(call) = ProofVerifierCalls::abi_decode(data) {
            return match call {
                ProofVerifierCalls::REGISTRY(_) => REGISTRYCall::abi_encode_returns(&REGISTRY),
                ProofVerifierCalls::CHAIN(_) => CHAINCall::abi_encode_returns(&Address::repeat_byte(6)),
                ProofVerifierCalls::CHAIN_ID(_) => CHAIN_IDCall::abi_encode_returns(&self.proven_chain),
                ProofVerifierCalls::headBatch(_) => headBatchCall::abi_encode_returns(&self.head),
                ProofVerifierCalls::headIndex(_) => headIndexCall::abi_encode_returns(&self.head_index),
                ProofVerifierCalls::headRoot(_) => headRootCall::abi_encode_returns(&B256::new(self.head_root.0)),
                ProofVerifierCalls::paused(_) => pausedCall::abi_encode_returns(&self.is_paused),
                ProofVerifierCalls::quorum(_) => {
                    let (keys, tee_types) = self.quorum;
                    quorumCall::abi_encode_returns(&Quorum { keys, teeTypes: tee_types })
                }
                ProofVerifierCalls::prove(_) => vec![],
            };
        }
        if let Ok(call) = KeyRegistryCalls::abi_decode(data) {
            return match call {
                KeyRegistryCalls::teeOf(call) => {
                    teeOfCall::abi_encode_returns(self.counting.get(&call.signer).unwrap_or(&0))
                }
                KeyRegistryCalls::isRegistrar(_) => isRegistrarCall::abi_encode_returns(&true),
                KeyRegistryCalls::keys(call) => {
                    let expires_at = u64::from(self.registered.contains(&call.signer));
                    keysCall::abi_encode_returns(&keysReturn {
                        measurement: 0,
                        generation: 0,
                        countsFrom: Default::default(),
                        expiresAt: alloy_primitives::aliases::U40::from(expires_at),
                        collateralIssuedAt: Default::default(),
                        isvSvn: 0,
                        tee: 0,
                        revoked: false,
                        quoteHash: B256::ZERO,
                    })
                }
                KeyRegistryCalls::register(_) => vec![],
            };
        }
        if let Ok(call) = SecondFactorCalls::abi_decode(data) {
            return match call {
                SecondFactorCalls::VERIFIER(_) => VERIFIERCall::abi_encode_returns(&self.second_factor_asks),
                SecondFactorCalls::VALIDATOR(_) => VALIDATORCall::abi_encode_returns(&VALIDATOR),
                SecondFactorCalls::approve(_) => approveCall::abi_encode_returns(&true),
            };
        }
        match MultisigValidatorCalls::abi_decode(data).unwrap() {
            MultisigValidatorCalls::individualApprovals(_) => {
                individualApprovalsCall::abi_encode_returns(&self.is_approved)
            }
            MultisigValidatorCalls::calculateHash(_) => calculateHashCall::abi_encode_returns(&B256::ZERO),
        }
    }
}
