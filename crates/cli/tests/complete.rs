//! `teectl batch complete`, as a person runs it, and a server and a prover, which do without it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
    time::SystemTime,
};

use axum::{Router, body::Bytes, routing::post};
use serde_json::{Value, json};
use tee_attestation::simulated::Platform;
use tee_devnet::{Account, Action, Call, Chain, Genesis, SealedBatch};
use tee_prover::{Enclave, Event, Identity};
use tee_server::{CompletionConfig, Config, NewBatch, ObjectStoreUrl, Server};
use tee_verifier::{Address, H256, Options, Pins, input::ExecuteTransactionCommon, verify};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_util::sync::CancellationToken;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

static CHAIN: LazyLock<Chain> = LazyLock::new(|| Chain::new(Genesis::sepolia().unwrap()));

/// A batch with 200 writes, and a gas limit too small for what they publish.
static BATCH: LazyLock<SealedBatch> = LazyLock::new(|| {
    let seal = |gas_limit: u64| {
        let mut account = Account::new(0);
        let mut transaction = account.transaction(Call::storage(Action::Write, 1_000, 200, 1 << 40));
        if let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data {
            common.fee.gas_limit = gas_limit.into();
        }
        let transaction = account.sign_transaction(transaction, CHAIN.system().chain_id);
        CHAIN.clone().seal_blocks(vec![vec![transaction]]).ok()
    };
    let rejected = |sealed: &SealedBatch| {
        let rejection = verify(sealed.input.clone(), &Options::danger_any_code()).err();
        rejection.is_some_and(|rejection| rejection.check() == "unproven_cost")
    };
    (1..100).filter_map(|step| seal(step * 100_000)).find(rejected).unwrap()
});

/// A node that answers `zks_getProof` from a state.
fn node(chain: &Chain) -> String {
    let chain = chain.clone();
    serve(move |call| {
        assert_eq!((&call["method"], &call["params"][2]), (&json!("zks_getProof"), &json!(14033)));
        let (address, keys): (Address, Vec<H256>) =
            serde_json::from_value(json!([call["params"][0], call["params"][1]])).unwrap();
        json!({"jsonrpc": "2.0", "id": call["id"], "result": chain.storage_proof(address, &keys)}).to_string()
    })
}

fn serve(answer: impl Fn(Value) -> String + Clone + Send + Sync + 'static) -> String {
    let answer = async move |body: Bytes| answer(serde_json::from_slice(&body).unwrap());
    let listener = RUNTIME.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    RUNTIME.spawn(axum::serve(listener, Router::new().route("/", post(answer))).into_future());
    url
}

fn teectl<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_teectl")).args(arguments).output().unwrap()
}

/// The verdict of `teectl batch verify`, and the root.
fn verdict(file: &Path) -> (Value, Value) {
    let output = teectl(["batch", "verify", "--json", file.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    (report["check"].clone(), report["root"].clone())
}

fn complete(file: &Path, url: &str, output: &Path) -> Output {
    teectl(["batch", "complete", file.to_str().unwrap(), "--l2-rpc", url, "--output", output.to_str().unwrap()])
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("incomplete.cbor");
    BATCH.input.to_cbor(fs::File::create(&file).unwrap()).unwrap();
    (folder, file)
}

#[test]
fn a_batch_that_lacks_paths_is_rejected_completed_and_verified_in_every_format() {
    let (folder, file) = folder();
    let url = node(&CHAIN);
    assert_eq!(verdict(&file), (json!("unproven_cost"), Value::Null));
    let output = teectl(["batch", "verify", file.to_str().unwrap()]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("teectl batch complete"));
    for name in ["a.cbor", "a.json", "a.cbor.zst", "a.json.zst", "a.json.gz"] {
        let completed = folder.path().join(name);
        let output = complete(&file, &url, &completed);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("completed: added 200 paths to batch 14034"), "{text}");
        assert_eq!(verdict(&completed), (Value::Null, json!(format!("{:?}", BATCH.root))));
        // The second time, there is nothing to do.
        let output = complete(&completed, &url, &completed);
        assert!(String::from_utf8(output.stdout).unwrap().contains("added 0 paths"));
        assert_eq!(verdict(&completed).0, Value::Null);
    }
}

#[test]
fn what_a_node_says_is_not_believed_and_no_file_is_written() {
    let (folder, file) = folder();
    let output_file = folder.path().join("completed.json");
    let mut other = CHAIN.clone();
    other.set_slot(&tee_verifier::StorageKey::new(Address::repeat_byte(1), H256::zero()), H256::repeat_byte(2));
    let wrong_order = {
        let chain = CHAIN.clone();
        move |call: Value| {
            let (address, keys): (Address, Vec<H256>) =
                serde_json::from_value(json!([call["params"][0], call["params"][1]])).unwrap();
            let mut result = chain.storage_proof(address, &keys);
            result["storageProof"].as_array_mut().unwrap().reverse();
            json!({"jsonrpc": "2.0", "id": call["id"], "result": result}).to_string()
        }
    };
    for (url, expected) in [
        (node(&other), "does not fit the batch"),
        (serve(wrong_order), "the paths are of other slots"),
        (serve(|_| json!({"result": null}).to_string()), "no state of batch 14033"),
        (serve(|_| json!({"error": {"code": -32601, "message": "Method not found"}}).to_string()), "Method not found"),
        (serve(|_| "{".to_owned()), "malformed answer"),
        (serve(|_| " ".repeat(64 << 20)), "more than"),
        ("http://127.0.0.1:1".to_owned(), "JSON-RPC"),
        ("ftp://127.0.0.1".to_owned(), "--l2-rpc: not an http:// or https:// URL with a host"),
    ] {
        let output = complete(&file, &url, &output_file);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && text.contains(expected), "{text}");
        assert!(!output_file.exists());
    }
    let garbage = folder.path().join("garbage.json");
    fs::write(&garbage, "{").unwrap();
    assert_eq!(complete(&garbage, &node(&CHAIN), &output_file).status.code(), Some(2));
    assert_eq!(complete(&file, &node(&CHAIN), &folder.path().join("name.txt")).status.code(), Some(1));
    // Not this chain's code, whatever paths it has.
    let mut input = BATCH.input.clone();
    input.system_env.zk_porter_available = true;
    let rejected = folder.path().join("rejected.json");
    input.to_json(fs::File::create(&rejected).unwrap()).unwrap();
    let output = complete(&rejected, &node(&CHAIN), &output_file);
    assert!(String::from_utf8(output.stderr).unwrap().contains("zk_porter_available"));
}

/// The prover rejects the batch, the server completes its input, the prover proves it.
#[test]
fn a_server_completes_what_its_prover_rejects() {
    let url = node(&CHAIN);
    RUNTIME.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", folder.path().join("tee.sqlite").display());
        let mut config = Config::new(database, ObjectStoreUrl::folder(&folder.path().join("inputs")));
        config.listen.set_port(0);
        config.danger_unjudged_quotes = true;
        config.chain = Some(CHAIN.pins());
        config.completion = Some(CompletionConfig { rpc_url: url });
        let server = Server::start(config).await.unwrap();
        let input = BATCH.input.clone();
        let new = NewBatch { input, expected_root: Some(BATCH.root), sealed_at_ms: None, source: "test".to_owned() };
        server.service().add_batch(new).await.unwrap();

        let config = tee_prover::Config::new(format!("http://{}", server.local_addr()), Pins::Chain(CHAIN.pins()));
        let platform = Platform::new(SystemTime::now()).unwrap();
        let identity = Identity::Enclave(Enclave::simulated_on(&platform).unwrap());
        let (tell, mut events) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let prover = tokio::spawn(tee_prover::run(config, identity, stop.clone(), move |event| {
            let _ = tell.send(event);
        }));
        let mut rejected = 0;
        loop {
            match events.recv().await.unwrap() {
                Event::Failed { kind, .. } => {
                    assert_eq!(kind, "unproven_cost");
                    rejected += 1;
                }
                Event::Submitted { .. } => break,
                _ => {}
            }
        }
        assert_eq!(rejected, 1);
        let rows = server.service().overview(0, 9).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.proof.as_ref().unwrap().root).collect::<Vec<_>>(), [BATCH.root]);
        stop.cancel();
        prover.await.unwrap().unwrap();
        server.stop().await;
    });
}
