//! From a devnet's batches to their execution on a settlement chain: server, prover, relayer, and the contracts on anvil.
//!
//! `npm ci && npm run build` in `contracts/` installs anvil and builds the contracts. `TEE_TEST_DATA` has recorded
//! batches: the devnet builds on the state of one of version 29, because the contracts accept no batch of an earlier
//! version.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue, sol};
use serde_json::{Value, json};
use tee_api::Statement;
use tee_attestation::{
    ReportData,
    simulated::{self, Platform},
};
use tee_checker::Rpc;
use tee_devnet::{Chain, Genesis, Load, SealedBatch};
use tee_prover::{Enclave, Event, Identity};
use tee_relayer::{Config, Relayer};
use tee_server::{AttestationConfig, NewBatch, ObjectStoreUrl, Server};
use tee_verifier::{BatchInput, Options, Pins, verify};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

sol! {
    struct Policy {
        uint16 tcbStatuses;
        uint32 tcbEvaluation;
        uint32 maxCollateralAgeSecs;
        uint32 lifetimeSecs;
        uint32 waitSecs;
    }

    struct Measurement {
        bytes32 id;
        uint16 minIsvSvn;
        bool allowed;
    }

    struct Quorum {
        uint8 keys;
        uint8 teeTypes;
    }

    struct Code {
        uint16 protocolVersion;
        bytes32 codeHash;
    }

    struct Start {
        address chain;
        uint64 chainId;
        uint32 batchNumber;
        uint64 index;
        bytes32 root;
        Quorum quorum;
        Code[] codes;
        bool dangerAcceptUnbound;
    }

    struct StoredBatchInfo {
        uint64 batchNumber;
        bytes32 batchHash;
        uint64 indexRepeatedStorageChanges;
        uint256 numberOfLayer1Txs;
        bytes32 priorityOperationsHash;
        bytes32 dependencyRootsRollingHash;
        bytes32 l2LogsTreeRoot;
        uint256 timestamp;
        bytes32 commitment;
    }

    function issue(uint256 date) external;
    function commit(StoredBatchInfo calldata batch) external;
    function executed() external view returns (uint256);
    function changeThreshold(uint256 threshold) external;
    function changeExecutionMultisigMember(address member, bool isMember) external;
    function executeBatchesSharedBridge(address chain, uint256 from, uint256 to, bytes calldata batchData) external;
    function revoke(address signer) external;
    function paused() external view returns (bool);
    function headBatch() external view returns (uint32);
}

/// anvil's second account, whose key its documentation gives.
const RELAYERS_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const DAY_SECS: u64 = 24 * 60 * 60;
/// The longest time that the test waits for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A settlement chain for the test.
struct Anvil {
    process: Child,
    url: String,
    rpc: Rpc,
    accounts: Vec<Address>,
}

struct Contracts {
    registry: Address,
    verifier: Address,
    second_factor: Address,
    chain: Address,
    validator: Address,
}

/// What the test needs.
struct Tools {
    anvil: PathBuf,
    /// The built contracts.
    out: PathBuf,
    genesis: Genesis,
}

/// `None`, with a message, if something is missing.
fn tools() -> Option<Tools> {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts");
    let out = contracts.join("out");
    // Of the packages for each system and processor, only this machine's is installed.
    let packages = fs::read_dir(contracts.join("node_modules/@foundry-rs")).into_iter().flatten().flatten();
    let anvil = packages.map(|package| package.path().join("bin/anvil")).find(|anvil| anvil.is_file());
    let Some(anvil) = anvil.filter(|_| out.join("ProofVerifier.sol").is_dir()) else {
        test_skips::skip("anvil and built contracts (npm ci && npm run build in contracts/)");
        return None;
    };
    let batch = fs::read(test_skips::data()?.join("era-batches/v29-chain-3.json.zst")).unwrap();
    let batch = BatchInput::from_json(&zstd::decode_all(batch.as_slice()).unwrap()).unwrap();
    Some(Tools { anvil, out, genesis: Genesis::from_batch(batch) })
}

impl Anvil {
    async fn start(anvil: &Path) -> Self {
        let mut process = Command::new(anvil)
            .args(["--port", "0", "--gas-limit", "100000000", "--chain-id", "31337"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned)).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("http://{address}");
        let rpc = Rpc::new("test", &url, Duration::ZERO).unwrap();
        let accounts = rpc.call("eth_accounts", json!([])).await.unwrap().unwrap();
        Self { process, url, rpc, accounts }
    }

    /// Sends as anvil's first account, which owns all contracts.
    async fn send(&self, to: Option<Address>, data: Bytes) -> Result<Value, String> {
        let fields = json!({ "from": self.accounts[0], "to": to, "data": data, "gas": "0x2faf080" });
        let hash: Option<B256> =
            self.rpc.call("eth_sendTransaction", json!([fields])).await.map_err(|error| error.to_string())?;
        let receipt = loop {
            let receipt: Option<Value> = self.rpc.call("eth_getTransactionReceipt", json!([hash])).await.unwrap();
            if let Some(receipt) = receipt {
                break receipt;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        if receipt["status"] == "0x1" { Ok(receipt) } else { Err(receipt.to_string()) }
    }

    async fn deploy(&self, out: &Path, file: &str, contract: &str, arguments: Vec<u8>) -> Address {
        let artifact = fs::read(out.join(format!("{file}.sol/{contract}.json"))).unwrap();
        let artifact: Value = serde_json::from_slice(&artifact).unwrap();
        let code: Bytes = artifact["bytecode"]["object"].as_str().unwrap().parse().unwrap();
        let receipt = self.send(None, [code.as_ref(), &arguments].concat().into()).await.unwrap();
        serde_json::from_value(receipt["contractAddress"].clone()).unwrap()
    }

    async fn execute(&self, to: Address, call: &impl SolCall) -> Result<Value, String> {
        self.send(Some(to), call.abi_encode().into()).await
    }

    async fn ask<C: SolCall>(&self, to: Address, call: C) -> C::Return {
        let call = json!([{ "to": to, "data": Bytes::from(call.abi_encode()) }, "latest"]);
        let answer: Bytes = self.rpc.call("eth_call", call).await.unwrap().unwrap();
        C::abi_decode_returns(&answer).unwrap()
    }

    async fn pass(&self, time: Duration) {
        let _: Option<Value> = self.rpc.call("evm_increaseTime", json!([time.as_secs()])).await.unwrap();
        let _: Option<Value> = self.rpc.call("evm_mine", json!([])).await.unwrap();
    }

    async fn mine(&self, by_itself: bool) {
        let _: Option<Value> = self.rpc.call("evm_setAutomine", json!([by_itself])).await.unwrap();
    }

    /// The gas prices of the relayer's waiting transaction, at first and after it was replaced. Then blocks are made
    /// again.
    async fn fees_until_they_grow(&self) -> (U256, U256) {
        let mut fees = Vec::new();
        let watch = async {
            while fees.len() < 2 {
                let pool: Value = self.rpc.call("txpool_content", json!([])).await.unwrap().unwrap();
                let waiting =
                    pool["pending"].as_object().unwrap().values().flat_map(|of| of.as_object().unwrap().values());
                let paid = waiting.map(|transaction| transaction["maxFeePerGas"].as_str().unwrap().parse().unwrap());
                for fee in paid.filter(|fee: &U256| !fees.contains(fee)).collect::<Vec<_>>() {
                    fees.push(fee);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, watch).await.unwrap();
        self.mine(true).await;
        let _: Option<Value> = self.rpc.call("evm_mine", json!([])).await.unwrap();
        (fees[0], fees[1])
    }

    /// How many transactions the relayer has sent.
    async fn transactions(&self) -> u64 {
        let count: Option<U64> =
            self.rpc.call("eth_getTransactionCount", json!([self.accounts[1], "latest"])).await.unwrap();
        count.unwrap().to()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn stated(batch: &SealedBatch) -> Statement {
    Statement::of(&verify(batch.input.clone(), &Options::danger_any_code()).unwrap())
}

fn word(hash: tee_verifier::H256) -> B256 {
    B256::new(hash.0)
}

/// The identity of the simulated prover's program, as the registry stores it, from its quote: MRENCLAVE, MRSIGNER,
/// ISVPRODID.
fn measurement(machine: &Platform) -> B256 {
    let quote = machine.quote(&ReportData::V1 { address: [1; 20] }).unwrap();
    let report = &quote[48..];
    let product = U256::from(u16::from_le_bytes([report[256], report[257]]));
    let of = |range: std::ops::Range<usize>| B256::from_slice(&report[range]);
    keccak256((U256::from(1), of(64..96), of(128..160), product).abi_encode())
}

/// The public key in a certificate: an uncompressed point, after the header of its bit string.
fn public_key(certificate: &[u8]) -> (B256, B256) {
    let header = [0x03, 0x42, 0x00, 0x04];
    let place = certificate.windows(4).position(|bytes| bytes == header).unwrap() + 4;
    (B256::from_slice(&certificate[place..place + 32]), B256::from_slice(&certificate[place + 32..place + 64]))
}

async fn deploy(anvil: &Anvil, out: &Path, machine: &Platform, first: &SealedBatch) -> Contracts {
    let owner = anvil.accounts[0];
    let guardian = anvil.accounts[2];
    let root = public_key(&machine.root_certificate().unwrap());
    let attestation = anvil.deploy(out, "DangerSimulatedVerifier", "DangerSimulatedVerifier", root.abi_encode()).await;
    let collateral = anvil.deploy(out, "ScriptedVerifier", "ScriptedCollateral", vec![]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    anvil.execute(collateral, &issueCall { date: U256::from(now - 60 * 60) }).await.unwrap();
    let policy = Policy {
        tcbStatuses: 1,
        tcbEvaluation: 0,
        maxCollateralAgeSecs: 30 * DAY_SECS as u32,
        lifetimeSecs: 14 * DAY_SECS as u32,
        waitSecs: 60 * 60,
    };
    let programs = vec![Measurement { id: measurement(machine), minIsvSvn: 0, allowed: true }];
    let delay = U256::from(DAY_SECS);
    let verifier_gas = U256::from(10_000_000);
    let arguments =
        (owner, guardian, delay, attestation, collateral, verifier_gas, policy, programs, vec![anvil.accounts[1]]);
    let registry = anvil.deploy(out, "KeyRegistry", "KeyRegistry", arguments.abi_encode_params()).await;
    let chain = anvil.deploy(out, "Chain", "Chain", vec![]).await;
    let statement = stated(first);
    let start = Start {
        chain,
        chainId: statement.chain_id,
        batchNumber: statement.batch_number - 1,
        index: statement.previous_index,
        root: word(statement.previous_root),
        quorum: Quorum { keys: 1, teeTypes: 1 },
        codes: vec![Code { protocolVersion: statement.protocol_version, codeHash: word(statement.code_hash()) }],
        dangerAcceptUnbound: false,
    };
    let arguments = (owner, guardian, delay, registry, start).abi_encode_params();
    let verifier = anvil.deploy(out, "ProofVerifier", "ProofVerifier", arguments).await;
    let validator = anvil.deploy(out, "MultisigValidator", "MultisigValidator", vec![]).await;
    let second_factor =
        anvil.deploy(out, "SecondFactor", "SecondFactor", (verifier, validator).abi_encode_params()).await;
    anvil.execute(validator, &changeThresholdCall { threshold: U256::from(1) }).await.unwrap();
    let member = changeExecutionMultisigMemberCall { member: second_factor, isMember: true };
    anvil.execute(validator, &member).await.unwrap();
    Contracts { registry, verifier, second_factor, chain, validator }
}

/// What the chain's contract stores of a batch, with the parts of its commitment.
fn committed(statement: &Statement, root: B256) -> (StoredBatchInfo, Value) {
    let log = |key: u8| {
        let logs = statement.system_logs.chunks(88);
        let log = logs.into_iter().find(|log| log[24..55] == [0; 31] && log[55] == key).unwrap();
        B256::from_slice(&log[56..])
    };
    let codes = statement.code_hashes;
    let emulator = word(codes.evm_emulator.unwrap_or_default());
    let logs_hash = word(statement.system_logs_hash());
    let pass_through = keccak256((statement.index, root, 0_u64, B256::ZERO).abi_encode_packed());
    let metadata =
        keccak256((false, word(codes.bootloader), word(codes.default_account), emulator).abi_encode_packed());
    let auxiliary = keccak256([logs_hash.as_slice(), &[0; 32 * (3 + 32)]].concat());
    let mut stored = StoredBatchInfo {
        batchNumber: statement.batch_number.into(),
        batchHash: root,
        indexRepeatedStorageChanges: statement.index,
        numberOfLayer1Txs: log(3).into(),
        priorityOperationsHash: log(2),
        dependencyRootsRollingHash: log(7),
        l2LogsTreeRoot: log(0),
        timestamp: U256::from_be_slice(&log(1)[..16]),
        commitment: B256::ZERO,
    };
    stored.commitment = keccak256((pass_through, metadata, auxiliary).abi_encode());
    let opening = json!({
        "zk_porter_is_available": false, "bootloader": word(codes.bootloader), "default_account": word(codes.default_account),
        "evm_emulator": emulator, "system_logs_hash": logs_hash, "state_diff_hash": B256::ZERO,
        "bootloader_heap_initial_contents_hash": B256::ZERO, "events_queue_state_hash": B256::ZERO,
        "blobs": vec![B256::ZERO; 32],
    });
    (stored, opening)
}

/// Commits batches, and writes a file about their execution for the relayer.
async fn commit(anvil: &Anvil, contracts: &Contracts, file: &Path, batches: &[(&Statement, B256)]) -> Bytes {
    let mut stored = Vec::new();
    let mut openings = Vec::new();
    for (statement, root) in batches {
        let (batch, opening) = committed(statement, *root);
        anvil.execute(contracts.chain, &commitCall { batch: batch.clone() }).await.unwrap();
        stored.push(batch);
        openings.push(opening);
    }
    let data = Bytes::from([&[1], (stored,).abi_encode_params().as_slice()].concat());
    let (from, to) = (batches[0].0.batch_number, batches[batches.len() - 1].0.batch_number);
    let execution = json!({ "from": from, "to": to, "batch_data": data, "openings": openings });
    fs::write(file, execution.to_string()).unwrap();
    data
}

async fn start_server(folder: &Path, machine: &Platform, chain: &Chain) -> Server {
    let at = |name: &str| folder.join(name);
    let policy = format!("sgx:\n  mrenclaves: [{}]\n", hex::encode(simulated::mr_enclave()));
    fs::write(at("policy.yaml"), policy).unwrap();
    fs::write(at("root.der"), machine.root_certificate().unwrap()).unwrap();
    fs::write(at("collateral.json"), serde_json::to_vec(&machine.collateral().unwrap()).unwrap()).unwrap();
    let database = format!("sqlite://{}", at("tee.sqlite").display());
    let mut config = tee_server::Config::new(database, ObjectStoreUrl::folder(&at("inputs")));
    config.listen.set_port(0);
    config.chain = Some(chain.pins());
    config.attestation = Some(AttestationConfig {
        danger_root_certificate: Some(at("root.der")),
        ..AttestationConfig::new(at("policy.yaml"), at("collateral.json").display().to_string())
    });
    Server::start(config).await.unwrap()
}

fn start_prover(server: &Server, machine: &Platform, chain: &Chain) -> (CancellationToken, UnboundedReceiver<Event>) {
    let url = format!("http://{}", server.local_addr());
    let mut config = tee_prover::Config::new(url, Pins::Chain(chain.pins()));
    config.initial_retry_backoff = Duration::from_millis(20);
    config.max_backoff = Duration::from_millis(200);
    let identity = Identity::Enclave(Enclave::simulated_on(machine).unwrap());
    let (tell, events) = unbounded_channel();
    let stop = CancellationToken::new();
    tokio::spawn(tee_prover::run(config, identity, stop.clone(), move |event| _ = tell.send(event)));
    (stop, events)
}

/// A whole answer; `None` if nothing listens.
fn get(from: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(from) {
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
    }
    answer
}

async fn add(server: &Server, events: &mut UnboundedReceiver<Event>, batch: &SealedBatch) {
    let new =
        NewBatch { input: batch.input.clone(), expected_root: None, sealed_at_ms: None, source: "devnet".to_owned() };
    server.service().add_batch(new).await.unwrap();
    let submitted = async { while !matches!(events.recv().await.unwrap(), Event::Submitted { .. }) {} };
    tokio::time::timeout(PATIENCE, submitted).await.unwrap();
}

/// Writes the relayer's configuration.
fn configure(folder: &TempDir, server: &Server, anvil: &Anvil, contracts: &Contracts, first: &Statement) -> PathBuf {
    let path = folder.path().join("relayer.yaml");
    let codes = first.code_hashes;
    let emulator = codes.evm_emulator.map_or_else(String::new, |hash| format!(", evm_emulator: '{hash:?}'"));
    fs::write(folder.path().join("key"), RELAYERS_KEY).unwrap();
    let text = format!(
        "server: {{url: 'http://{}'}}
settlement_chain: {{rpc_url: '{}', chain_id: 31337}}
proof_verifier: '{}'
second_factor: '{}'
signer: {{key_file: key}}
chain:
  id: {}
  code: [{{protocol_version: {}, bootloader: '{:?}', default_account: '{:?}'{emulator}}}]
policy: policy.yaml
collateral: {}
danger_root_certificate: root.der
resend_after: 1s
",
        server.local_addr(),
        anvil.url,
        contracts.verifier,
        contracts.second_factor,
        first.chain_id,
        first.protocol_version,
        codes.bootloader,
        codes.default_account,
        folder.path().join("collateral.json").display(),
    );
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_proven_and_executed_a_forged_one_and_a_revoked_keys_are_not() {
    let Some(Tools { anvil, out, genesis }) = tools() else { return };
    let folder = tempfile::tempdir().unwrap();
    let anvil = Anvil::start(&anvil).await;
    let machine = Platform::new(SystemTime::now()).unwrap();
    let mut devnet = Chain::new(genesis);
    let batches: Vec<_> =
        (0..4).map(|_| devnet.seal(Load { transactions: 2, cold_reads: 0, l1_transactions: 1 }).unwrap()).collect();
    let stated: Vec<_> = batches.iter().map(stated).collect();
    let contracts = deploy(&anvil, &out, &machine, &batches[0]).await;
    let server = start_server(folder.path(), &machine, &devnet).await;
    let config = configure(&folder, &server, &anvil, &contracts, &stated[0]);
    let open = async |is_dry_run| Relayer::open(Config::read(&config).unwrap(), is_dry_run).await.unwrap();

    // Provers are asked for signatures; the key is registered, and waits.
    let mut relayer = open(false).await;
    relayer.request_signatures().await.unwrap();
    let (stop, mut events) = start_prover(&server, &machine, &devnet);
    for batch in &batches[..3] {
        add(&server, &mut events, batch).await;
    }
    assert_eq!(open(true).await.register().await.unwrap(), 1, "a dry run says what it would do");
    assert_eq!(anvil.transactions().await, 0, "and sends nothing");
    assert_eq!(relayer.register().await.unwrap(), 1);
    assert_eq!(relayer.register().await.unwrap(), 0);
    assert_eq!(relayer.submit().await.unwrap(), 0, "the key does not count yet");
    anvil.pass(Duration::from_secs(60 * 60)).await;

    // Two batches that are committed as they are proven are executed.
    let first = folder.path().join("first.json");
    let roots: Vec<_> = stated.iter().map(|statement| word(statement.root)).collect();
    let data = commit(&anvil, &contracts, &first, &[(&stated[0], roots[0]), (&stated[1], roots[1])]).await;
    let (from, to) = (U256::from(stated[0].batch_number), U256::from(stated[1].batch_number));
    let execution = executeBatchesSharedBridgeCall { chain: contracts.chain, from, to, batchData: data };
    assert!(!relayer.approve(&first).await.unwrap(), "nothing is proven yet");
    assert!(anvil.execute(contracts.validator, &execution).await.is_err());
    assert!(relayer.calldata().await.unwrap().is_some());
    // No block is made until the transaction has been sent again for a higher fee.
    anvil.mine(false).await;
    let (proven, fees) = tokio::join!(relayer.submit(), anvil.fees_until_they_grow());
    assert_eq!(proven.unwrap(), 3);
    assert!(fees.1 >= fees.0 + fees.0 / U256::from(10), "{fees:?}");
    assert_eq!(anvil.ask(contracts.verifier, headBatchCall {}).await, stated[2].batch_number);
    assert!(relayer.approve(&first).await.unwrap());
    anvil.execute(contracts.validator, &execution).await.unwrap();
    assert_eq!(anvil.ask(contracts.chain, executedCall {}).await, to);

    // Another relayer, after a restart, finds that everything is done.
    let sent = anvil.transactions().await;
    let mut again = open(false).await;
    assert_eq!((again.register().await.unwrap(), again.submit().await.unwrap()), (0, 0));
    assert!(again.approve(&first).await.unwrap());
    assert_eq!(anvil.transactions().await, sent);
    let mut program = Command::new(env!("CARGO_BIN_EXE_tee-relayer"));
    let shown = program.args(["status", "--json", "--config-path"]).arg(&config).output().unwrap();
    let status: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&status["head_batch"], &status["keys"][0]["counts"]), (&json!(stated[2].batch_number), &json!(true)));

    // The program does the same, and reports its health.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listening = fs::read_to_string(&config).unwrap() + &format!("metrics_listen: '{free}'\n");
    fs::write(&config, listening).unwrap();
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_tee-relayer")).args(["run", "--config-path"]).arg(&config).spawn().unwrap();
    let ready = async {
        while !get(free, "/health/ready").starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();
    let metrics = get(free, "/metrics");
    let head = format!("tee_relayer_proven_batch {}\n", stated[2].batch_number);
    assert!(metrics.contains(&head) && metrics.contains("tee_relayer_rounds_total{outcome=\"done\"} 1"), "{metrics}");
    assert!(Command::new("kill").arg(program.id().to_string()).status().unwrap().success());
    assert!(program.wait().unwrap().success());
    assert_eq!(anvil.transactions().await, sent);

    // A batch of a revoked key is not proven.
    let key: Address = serde_json::from_value(status["keys"][0]["address"].clone()).unwrap();
    anvil.execute(contracts.registry, &revokeCall { signer: key }).await.unwrap();
    add(&server, &mut events, &batches[3]).await;
    assert_eq!(relayer.submit().await.unwrap(), 0);
    assert_eq!(anvil.ask(contracts.verifier, headBatchCall {}).await, stated[2].batch_number);

    // A batch that was committed with another root is not approved, and everything stops.
    let forged = folder.path().join("forged.json");
    let data = commit(&anvil, &contracts, &forged, &[(&stated[2], B256::repeat_byte(0xbb))]).await;
    assert!(!relayer.approve(&forged).await.unwrap());
    assert!(anvil.ask(contracts.verifier, pausedCall {}).await);
    let third = U256::from(stated[2].batch_number);
    let execution = executeBatchesSharedBridgeCall { chain: contracts.chain, from: third, to: third, batchData: data };
    assert!(anvil.execute(contracts.validator, &execution).await.is_err());
    stop.cancel();
    server.stop().await;
}
