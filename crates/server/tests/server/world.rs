//! A running server with its files, and operations for tests.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::SystemTime,
};

use reqwest::{Method, StatusCode, header::HeaderMap};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tee_api::{PublicKey, Quote, Signature, SignedStatement, Statement, SubmitProof, TeeType};
use tee_attestation::{ReportData, simulated::Platform};
use tee_server::{AddedBatch, Clock, Config, JobStatus, ManualClock, NewBatch, ObjectStoreUrl, OverviewRow, Server};
use tee_verifier::{
    Address, BatchInput, CodeHashes, H256, L1BatchNumber, L2ChainId, MerklePaths, ProtocolVersionId, U256, VmRunData,
    input::{
        BaseSystemContracts, BatchFeeInput, Kept, L1BatchEnv, L1PeggedBatchFeeModelInput, L2BlockEnv, PubdataParams,
        PubdataType, PubdataValidator, SystemContractCode, SystemEnv, TxExecutionMode, WitnessStorageState,
    },
};
use tempfile::TempDir;

pub(crate) const LEASE_SECS: u64 = 600;
pub(crate) const PREVIOUS_ROOT: H256 = H256::repeat_byte(0xaa);
pub(crate) const ROOT: H256 = H256::repeat_byte(0xbb);
/// The code in the tests' statements.
pub(crate) const CODE: CodeHashes = CodeHashes {
    bootloader: H256::repeat_byte(0xb0),
    default_account: H256::repeat_byte(0xda),
    evm_emulator: Some(H256::repeat_byte(0xe0)),
};

/// A root that only this batch has.
pub(crate) fn root(number: u32) -> H256 {
    H256::from_low_u64_be(u64::from(number) << 32)
}

pub(crate) static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform::new(SystemTime::now()).unwrap());

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) clock: ManualClock,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) config: Config,
    pub(crate) database_url: String,
    http: reqwest::Client,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// A server with another configuration.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let clock = ManualClock::default();
        let mut config = config(&folder);
        let database_url = database(&folder).await;
        config.database_url = database_url.clone().into();
        change(&mut config);
        let server = Server::start_with_clock(config.clone(), Clock::Manual(clock.clone())).await.unwrap();
        Self { server, clock, folder, config, database_url, http: http() }
    }

    /// Stops the server and starts another on the same files.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, clock, folder, config, database_url, .. } = self;
        server.stop().await;
        Self::start_on(folder, config, clock, database_url).await
    }

    /// A server on existing files.
    pub(crate) async fn start_on(
        folder: Arc<TempDir>,
        config: Config,
        clock: ManualClock,
        database_url: String,
    ) -> Self {
        let server = Server::start_with_clock(config.clone(), Clock::Manual(clock.clone())).await.unwrap();
        Self { server, clock, folder, config, database_url, http: http() }
    }

    /// A second server on the same files.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_with(Clock::Manual(self.clock.clone())).await
    }

    /// The same, with another clock.
    pub(crate) async fn beside_with(&self, clock: Clock) -> Self {
        let (folder, config, database_url) = (self.folder.clone(), self.config.clone(), self.database_url.clone());
        let server = Server::start_with_clock(config.clone(), clock).await.unwrap();
        let clock = self.clock.clone();
        Self { server, clock, folder, config, database_url, http: http() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.local_addr())
    }

    pub(crate) async fn add(&self, number: u32) {
        self.add_expecting(number, None).await;
    }

    pub(crate) async fn add_expecting(&self, number: u32, expected_root: Option<H256>) {
        assert_eq!(self.server.service().add_batch(new_batch(number, expected_root)).await.unwrap(), AddedBatch::New);
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url())).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// Claims a batch. Returns its number and lease, or `None`.
    pub(crate) async fn claim(&self, tee_type: &str) -> Option<(u32, String)> {
        let answer = self.post("/tee/proof_inputs", &json!({ "tee_type": tee_type })).await;
        if answer.status == StatusCode::NO_CONTENT {
            return None;
        }
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        let number = BatchInput::from_json(&answer.body).unwrap().l1_batch_env.number.0;
        Some((number, answer.headers["tee-lease-id"].to_str().unwrap().to_owned()))
    }

    pub(crate) async fn submit(&self, number: u32, proof: &SubmitProof, lease: Option<&str>) -> Answer {
        let headers: Vec<_> = lease.map(|lease| ("tee-lease-id", lease)).into_iter().collect();
        let body = serde_json::to_string(proof).unwrap();
        self.send(Method::POST, &format!("/tee/submit_proofs/{number}"), &headers, body).await
    }

    /// A key that is registered for SGX.
    pub(crate) async fn registered_key(&self, seed: u8) -> Key {
        let key = Key::new(seed);
        let answer = self.post("/tee/register_attestation", &key.registration()).await;
        answer.assert_success();
        key
    }

    pub(crate) async fn overview(&self) -> Vec<OverviewRow> {
        self.server.service().overview(0, 1000).await.unwrap()
    }

    /// Statuses of the jobs of a TEE type, by batch.
    pub(crate) async fn statuses(&self, tee_type: TeeType) -> Vec<(u32, JobStatus)> {
        let rows = self.overview().await.into_iter().filter(|row| row.tee_type == Some(tee_type));
        let mut statuses: Vec<_> = rows.map(|row| (row.number, row.status)).collect();
        // A batch has a row for each of its proofs.
        statuses.dedup();
        statuses
    }

    /// The published proofs of a batch.
    pub(crate) async fn rpc_proofs(&self, number: u32) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "unstable_getTeeProofs", "params": [number, null]});
        self.post("/", &call).await.json()["result"].take()
    }

    /// Changes the database behind the server's back.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = AnyConnection::connect(&self.database_url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Inserts rows of batches, without inputs.
    pub(crate) async fn insert_batches(&self, first: u32, last: u32) {
        let hash = self.bytes_literal(&[0; 32]);
        for from in (first..=last).step_by(500) {
            let to = last.min(from + 499);
            let rows: Vec<_> =
                (from..=to).map(|number| format!("({number}, 'k', 1, {hash}, 1, {hash}, 'test', 0)")).collect();
            self.execute(&format!(
                "INSERT INTO batches
                     (number, input_key, json_bytes, json_sha256, cbor_bytes, cbor_sha256, source, created_at)
                 VALUES {}",
                rows.join(",")
            ))
            .await;
        }
    }

    /// Bytes as the database's SQL has them.
    pub(crate) fn bytes_literal(&self, bytes: &[u8]) -> String {
        match self.database_url.starts_with("sqlite") {
            true => format!("x'{}'", hex::encode(bytes)),
            false => format!("'\\x{}'", hex::encode(bytes)),
        }
    }

    /// The files that hold inputs.
    pub(crate) fn input_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path().join("objects/inputs")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.body, b"\"Success\"");
    }

    /// The code, if the answer is a problem.
    pub(crate) fn problem_code(&self) -> Option<String> {
        let problem: Value = serde_json::from_slice(&self.body).ok()?;
        problem["code"].as_str().map(str::to_owned)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["code"], code, "{body}");
        assert_eq!(problem["type"], format!("urn:tee-proof-server:problem:{code}"));
        assert_eq!(problem["status"], status);
    }
}

/// A signing key that can sign what an enclave would not.
pub(crate) struct Key(SecretKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SecretKey::from_slice(&[seed; 32]).unwrap())
    }

    /// A key by number, since there are not enough seeds.
    pub(crate) fn numbered(number: u32) -> Self {
        let mut secret = [0x4e; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        Self(SecretKey::from_slice(&secret).unwrap())
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_bytes(&self.0.public_key(SECP256K1).serialize()).unwrap()
    }

    pub(crate) fn sign(&self, hash: H256) -> Signature {
        let message = Message::from_slice(hash.as_bytes()).unwrap();
        let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, &self.0).serialize_compact();
        Signature::from_bytes(&[&compact[..], &[27 + id.to_i32() as u8]].concat()).unwrap()
    }

    pub(crate) fn quote(&self) -> Quote {
        let report_data = ReportData::V1 { address: self.public().address().0 };
        Quote::new(PLATFORM.quote(&report_data).unwrap()).unwrap()
    }

    pub(crate) fn registration(&self) -> Value {
        json!({ "attestation": hex::encode(self.quote().as_bytes()), "pubkey": self.public().to_string() })
    }

    pub(crate) fn proof(&self, root: H256) -> SubmitProof {
        SubmitProof {
            signature: self.sign(root),
            pubkey: self.public(),
            proof: root,
            tee_type: TeeType::Sgx,
            statement: None,
        }
    }

    pub(crate) fn statement(&self, change: impl FnOnce(&mut Statement)) -> SignedStatement {
        let mut statement = Statement {
            chain_id: 270,
            batch_number: 1,
            protocol_version: 29,
            previous_root: PREVIOUS_ROOT,
            previous_index: 1,
            root: ROOT,
            index: 2,
            code_hashes: CODE,
            system_logs: vec![7; 88],
        };
        change(&mut statement);
        SignedStatement { signature: self.sign(statement.digest()), bound: vec![], statement }
    }
}

/// A new database: on PostgreSQL if `TEE_TEST_POSTGRES` names a cluster, otherwise a file.
pub(crate) async fn database(folder: &TempDir) -> String {
    let Ok(cluster) = std::env::var("TEE_TEST_POSTGRES") else { return sqlite(folder) };
    let name = format!("t{}", hex::encode(rand_bytes()));
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&cluster.replace("{database}", "postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    cluster.replace("{database}", &name)
}

fn rand_bytes() -> [u8; 8] {
    let mut bytes = [0; 8];
    getrandom::getrandom(&mut bytes).unwrap();
    bytes
}

fn sqlite(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("tee.sqlite").display())
}

/// A configuration on SQLite.
pub(crate) fn config(folder: &TempDir) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        proof_generation_timeout_secs: LEASE_SECS as u32,
        danger_unjudged_quotes: true,
        danger_any_code: true,
        danger_bare_roots: true,
        tee_types: vec![TeeType::None, TeeType::Sgx, TeeType::Tdx],
        ..Config::new(sqlite(folder), ObjectStoreUrl::folder(&folder.path().join("objects")))
    }
}

pub(crate) fn new_batch(number: u32, expected_root: Option<H256>) -> NewBatch {
    NewBatch { input: input(number), expected_root, sealed_at_ms: Some(1), source: "test".to_owned() }
}

/// An input only in form: it has no blocks.
pub(crate) fn input(number: u32) -> BatchInput {
    let contract = || SystemContractCode { code: vec![0; 32], hash: H256::repeat_byte(1) };
    BatchInput {
        vm_run_data: VmRunData {
            l1_batch_number: L1BatchNumber(number),
            used_bytecodes: [(U256::one(), vec![[7; 32]])].into(),
            initial_heap_content: Kept::default(),
            protocol_version: ProtocolVersionId::VERSION_29,
            bootloader_code: vec![[0; 32]],
            default_account_code_hash: U256::one(),
            evm_emulator_code_hash: None,
            storage_refunds: Kept::default(),
            pubdata_costs: Kept::default(),
            witness_block_state: WitnessStorageState::default(),
        },
        merkle_paths: MerklePaths { merkle_paths: vec![], next_enumeration_index: 1 },
        l2_blocks_execution_data: vec![],
        l1_batch_env: L1BatchEnv {
            // Only the first one has it: in others it would tell the root of the batch before.
            previous_batch_hash: (number == 1).then_some(PREVIOUS_ROOT),
            number: L1BatchNumber(number),
            timestamp: 1,
            fee_input: BatchFeeInput::L1Pegged(L1PeggedBatchFeeModelInput {
                fair_l2_gas_price: 100_000_000,
                l1_gas_price: 1_000_000_000,
            }),
            interop_fee: U256::zero(),
            settlement_layer: None,
            fee_account: Address::zero(),
            enforced_base_fee: None,
            first_l2_block: L2BlockEnv {
                number: 1,
                timestamp: 1,
                prev_block_hash: H256::zero(),
                max_virtual_blocks_to_create: 1,
                interop_roots: vec![],
            },
        },
        system_env: SystemEnv {
            zk_porter_available: false,
            version: ProtocolVersionId::VERSION_29,
            base_system_smart_contracts: BaseSystemContracts {
                bootloader: contract(),
                default_aa: contract(),
                evm_emulator: None,
            },
            bootloader_gas_limit: u32::MAX,
            execution_mode: TxExecutionMode::VerifyExecute,
            default_validation_computational_gas_limit: u32::MAX,
            chain_id: L2ChainId::from(270),
        },
        pubdata_params: PubdataParams {
            validator: PubdataValidator::Address(Address::zero()),
            pubdata_type: PubdataType::Rollup,
        },
        commitment_input: None,
    }
}

pub(crate) fn http() -> reqwest::Client {
    client(None)
}

/// A client with one of this machine's addresses.
pub(crate) fn http_from(address: IpAddr) -> reqwest::Client {
    client(Some(address))
}

fn client(address: Option<IpAddr>) -> reqwest::Client {
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    // The server may end a kept connection just when it is used again.
    let builder = reqwest::Client::builder().pool_max_idle_per_host(0).local_address(address);
    builder.tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}
