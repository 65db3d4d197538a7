//! `teectl proofs verify` against a server that publishes what a test makes it publish.

mod documented;
mod publisher;

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use documented::assert_documented;
use publisher::{ERA_TIME, Files, Published, Publisher, SimulatedKey, era};
use serde_json::{Value, json};

fn teectl(publisher: &Publisher, files: &Files, words: &str) -> Command {
    let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
    teectl.args(["proofs", "verify", "--json", "--rpc", &publisher.url(), "--policy"]).arg(files.policy());
    teectl.args(words.split_whitespace());
    if !words.contains("--chain-file") {
        teectl.arg("--danger-any-code");
    }
    teectl
}

fn simulated(publisher: &Publisher, files: &Files, words: &str) -> Output {
    teectl(publisher, files, words).arg("--danger-root-certificate").arg(files.root()).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    if !lines.is_empty() {
        assert_documented("teectl proofs verify", &lines);
    }
    lines
}

/// The batches' verdicts in order, and the exit code.
fn verdicts(output: &Output) -> (Vec<String>, i32) {
    let lines = lines(output);
    let verdict = |line: &Value| line["verdict"].as_str().map(str::to_owned);
    (lines.iter().filter_map(verdict).collect(), output.status.code().unwrap())
}

/// The codes of the problems of the first batch's first proof.
fn problems(output: &Output) -> Vec<String> {
    let lines = lines(output);
    let problems = lines[0]["proofs"][0]["problems"].as_array().cloned().unwrap_or_default();
    problems.iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_proof_of_an_era_mainnet_batch_holds_as_of_its_time() {
    let Some(era) = era() else { return };
    let files = Files::of(&era.policy);
    files.write("collateral.json", &era.collateral_json);
    let collateral = files.at("collateral.json");
    let run = |proof: &Value, root: &str, more: &str| {
        let publisher = Publisher::start([(650_000, vec![proof.clone()])], [(650_000, root.to_owned())]);
        let as_of = if more.contains("--as-of") { String::new() } else { format!("--as-of {ERA_TIME}") };
        let words = format!("--batch 650000 --patience 1 --l2-rpc {} {as_of} {more}", publisher.url());
        teectl(&publisher, &files, &words).arg("--collateral").arg(&collateral).output().unwrap()
    };
    let root = format!("0x{}", era.root);
    let output = run(&era.proof, &root, "");
    assert_eq!(verdicts(&output), (vec!["proven".to_owned()], 0), "{output:?}");
    assert_eq!(lines(&output)[1]["summary"]["without_statement"], 1);

    let output = run(&era.proof, &format!("0x{}", "11".repeat(32)), "");
    assert_eq!(verdicts(&output), (vec!["contradicted".to_owned()], 1));
    assert_eq!(problems(&output), ["root"]);

    // The same signature without its recovery id. This one needs id 1 or 0, and both are tried.
    let changed = |field: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut proof = era.proof.clone();
        let mut bytes = hex::decode(proof[field].as_str().unwrap()).unwrap();
        change(&mut bytes);
        proof[field] = hex::encode(bytes).into();
        proof
    };
    let output = run(&changed("signature", &|bytes| bytes.truncate(64)), &root, "");
    assert_eq!(verdicts(&output), (vec!["proven".to_owned()], 0), "{output:?}");

    for (proof, problem) in [
        (changed("signature", &|bytes| bytes[40] ^= 1), "signature"),
        (changed("proof", &|bytes| bytes[0] ^= 1), "signature"),
        (changed("attestation", &|bytes| bytes[300] ^= 1), "attestation"),
        (changed("pubkey", &|bytes| bytes[0] ^= 1), "signature"),
    ] {
        let output = run(&proof, &root, "");
        assert_eq!(verdicts(&output), (vec!["unproven".to_owned()], 1), "{output:?}");
        assert_eq!(problems(&output)[0], problem);
    }
    for more in ["--as-of today", "--as-of 1743580059", "--as-of 1746170209"] {
        let output = run(&era.proof, &root, more);
        assert_eq!((verdicts(&output).1, problems(&output)), (1, vec!["attestation".to_owned()]), "{more}");
    }
    files.write("policy.yaml", &era.policy.replace("971fb52f", "071fb52f").replace("f57bb7ed", "057bb7ed"));
    let output = run(&era.proof, &root, "");
    assert_eq!((verdicts(&output).1, problems(&output)), (1, vec!["attestation".to_owned()]), "{output:?}");
}

#[test]
fn a_range_with_statements_that_chain_is_proven() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let publisher = Publisher::of((7..=11).map(|number| (number, vec![key.proof(number)])));
    let output = simulated(&publisher, &files, &format!("--batch 7-11 --l2-rpc {}", publisher.url()));
    assert_eq!(verdicts(&output), (vec!["proven".to_owned(); 5], 0), "{output:?}");
    let lines = lines(&output);
    assert_eq!(lines[0]["follows"], Value::Null);
    assert!(lines[1..5].iter().all(|line| line["follows"] == true));
    let summary = &lines[5]["summary"];
    assert_eq!(
        (&summary["proven"], &summary["ok"], &summary["without_statement"]),
        (&json!(5), &json!(true), &json!(0))
    );
}

#[test]
fn signatures_of_64_bytes_hold_whichever_id_they_need() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let mut seen = [false; 2];
    let batches: Vec<_> = (1..=24)
        .map(|number| {
            let mut proof = key.proof(number);
            let mut signature = proof.signature();
            seen[usize::from(signature[64] - 27)] = true;
            signature.truncate(64);
            proof.0["signature"] = hex::encode(signature).into();
            (number, vec![proof])
        })
        .collect();
    assert_eq!(seen, [true; 2]);
    let output = simulated(&Publisher::of(batches), &files, "--batch 1-24");
    assert_eq!(verdicts(&output), (vec!["proven".to_owned(); 24], 0), "{output:?}");
}

#[test]
fn each_wrong_proof_is_named_and_fails_its_batch() {
    let key = SimulatedKey::new();
    let stranger = SimulatedKey::new();
    let files = Files::simulated(&key);
    let cases: Vec<(&str, Published)> = vec![
        ("other_batch", key.proof(1).with("l1BatchNumber", json!(2))),
        ("missing", key.proof(1).with("pubkey", Value::Null)),
        ("missing", key.proof(1).with("attestation", Value::Null)),
        ("missing", key.proof(1).with("proof", Value::Null)),
        ("key", key.proof(1).with("pubkey", json!("05".repeat(33)))),
        ("unreadable", key.proof(1).with("pubkey", json!("no hex"))),
        ("root_length", key.proof(1).with("proof", json!("ab"))),
        ("signature", key.proof(1).with("signature", json!("01".repeat(65)))),
        ("revoked", key.proof(1).with("revokedAt", json!("2026-01-01T00:00:00Z"))),
        ("disagrees", key.proof(1).with("disagreesWith", json!("11".repeat(32)))),
        ("attestation", stranger.proof(1)),
        ("attestation", key.proof(1).with("attestation", json!("0300"))),
        ("attestation", key.proof(1).with("collateral", Value::Null)),
        ("attestation", key.proof(1).with("judgedAt", json!("2999-01-01T00:00:00Z"))),
        ("tee_type", key.proof(1).with("teeType", json!("tdx"))),
        ("unreadable_statement", key.proof(1).with("statement", json!({"batch_number": 1}))),
        ("other_statement", key.proof(1).with("statement", key.proof(2).0["statement"].clone())),
        ("statement_signature", key.proof(1).with("statement", stranger.proof(1).0["statement"].clone())),
    ];
    let numbered = cases.iter().enumerate().map(|(at, (_, proof))| (at as u32, vec![proof.clone()]));
    let fits = |mut proof: Published, number: u32| {
        if proof.0["l1BatchNumber"] == 1 {
            proof.0["l1BatchNumber"] = number.into();
        }
        proof
    };
    for (number, proofs) in numbered {
        let (expected, _) = &cases[number as usize];
        let publisher = Publisher::of([(1, proofs.into_iter().map(|proof| fits(proof, 1)).collect())]);
        let output = simulated(&publisher, &files, "--batch 1 --patience 0");
        let (verdicts, code) = verdicts(&output);
        assert_eq!(code, 1, "{expected}: {output:?}");
        assert_ne!(verdicts, ["proven"], "{expected}");
        assert!(problems(&output).iter().any(|problem| problem == expected), "{expected}: {output:?}");
    }
    let output = simulated(&Publisher::of([(1, vec![key.proof(1)])]), &files, "--batch 1 --chain 9");
    assert_eq!(problems(&output), ["other_statement"]);
}

#[test]
fn one_proof_that_holds_is_enough_unless_another_contradicts_it() {
    let key = SimulatedKey::new();
    let other = SimulatedKey::on(&key);
    let files = Files::simulated(&key);
    let garbage = Published(json!({"l1BatchNumber": 1, "teeType": 5}));
    let forged = key.proof(1).with("signature", json!("01".repeat(65)));
    let publisher = Publisher::of([(1, vec![garbage, forged, key.proof(1), other.proof(1)])]);
    let output = simulated(&publisher, &files, "--batch 1");
    assert_eq!(verdicts(&output), (vec!["proven".to_owned()], 0), "{output:?}");

    // The same batch with another root.
    let publisher = Publisher::of([(1, vec![key.proof(1), other.proof_of(1, 99)])]);
    let output = simulated(&publisher, &files, "--batch 1");
    assert_eq!(verdicts(&output), (vec!["contradicted".to_owned()], 1), "{output:?}");

    // This holds even for a key that nothing vouches for.
    let publisher = Publisher::of([(1, vec![key.proof(1), SimulatedKey::new().proof_of(1, 99)])]);
    let output = simulated(&publisher, &files, "--batch 1");
    assert_eq!(verdicts(&output), (vec!["contradicted".to_owned()], 1), "{output:?}");
}

#[test]
fn a_bare_root_alone_proves_nothing_and_one_root_is_not_two_batches() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let bare = |number: u32, of: u32| {
        let proof = key.proof(of).with("statement", Value::Null);
        (number, vec![proof.with("l1BatchNumber", json!(number))])
    };
    // One signature, published for 44 batches.
    let publisher = Publisher::of((1..=44).map(|number| bare(number, 1)));
    let output = simulated(&publisher, &files, "--batch 1");
    assert_eq!(verdicts(&output), (vec!["bare".to_owned()], 1), "{output:?}");
    assert_eq!(lines(&output)[1]["summary"]["bare"], 1);
    let output = simulated(&publisher, &files, "--batch 1-44");
    let (found, code) = verdicts(&output);
    assert_eq!((found[0].as_str(), code), ("bare", 1));
    assert!(found[1..].iter().all(|verdict| verdict == "contradicted"), "{found:?}");

    // Another source says which root belongs to which batch; a root that it names for two batches is one too many.
    let publisher = Publisher::of([bare(1, 1), bare(2, 2)]);
    let output = simulated(&publisher, &files, &format!("--batch 1-2 --l2-rpc {}", publisher.url()));
    assert_eq!(verdicts(&output), (vec!["proven".to_owned(); 2], 0), "{output:?}");
    let twice = [key.proof(1), key.proof_of(2, 1)]
        .map(|proof| (proof.0["l1BatchNumber"].as_u64().unwrap() as u32, vec![proof]));
    let output = simulated(&Publisher::of(twice), &files, "--batch 1-2");
    assert_eq!(verdicts(&output), (vec!["proven".to_owned(), "contradicted".to_owned()], 1), "{output:?}");
}

#[test]
fn statements_that_do_not_follow_one_another_are_a_contradiction() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    // Batch 2 starts from a state other than the one in which batch 1 ends.
    let publisher = Publisher::of([(1, vec![key.proof(1)]), (2, vec![key.proof_from(2, 77)]), (3, vec![key.proof(3)])]);
    let output = simulated(&publisher, &files, "--batch 1-3");
    assert_eq!(verdicts(&output), (["proven", "contradicted", "proven"].map(str::to_owned).to_vec(), 1), "{output:?}");
    assert_eq!(lines(&output)[1]["follows"], false);
}

#[test]
fn missing_and_ignored_batches_are_reported_and_nothing_waits_for_ever() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let job = |number: u32, status: &str| {
        Published(json!({
            "l1BatchNumber": number, "teeType": "sgx", "pubkey": null, "signature": null, "proof": null,
            "provedAt": "2026-01-01T00:00:00Z", "status": status, "attestation": null,
        }))
    };
    let mut batches = vec![(1, vec![key.proof(1)]), (2, vec![job(2, "permanently_ignored")])];
    batches.push((3, vec![job(3, "picked_by_prover")]));
    batches.push((40, vec![key.proof(40)]));
    let publisher = Publisher::of(batches);
    let started = Instant::now();
    let output = simulated(&publisher, &files, "--batch 1-40 --patience 1");
    let (verdicts, code) = verdicts(&output);
    assert_eq!(code, 1);
    assert_eq!((verdicts[0].as_str(), verdicts[1].as_str(), verdicts[39].as_str()), ("proven", "ignored", "proven"));
    assert!(verdicts[2..39].iter().all(|verdict| verdict == "missing"), "{verdicts:?}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_publisher_that_is_away_or_says_no_is_reported() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
    let words = "proofs verify --json --rpc http://127.0.0.1:9 --batch 1-3 --patience 1 --danger-any-code --policy";
    let output = teectl.args(words.split(' ')).arg(files.policy()).output().unwrap();
    assert_eq!(verdicts(&output), (vec!["unreachable".to_owned(); 3], 1), "{output:?}");

    let publisher = Publisher::refusing();
    let output = simulated(&publisher, &files, "--batch 1 --patience 60");
    assert_eq!(verdicts(&output), (vec!["unreachable".to_owned()], 1), "{output:?}");
}

#[test]
fn what_cannot_be_read_is_exit_code_2() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let publisher = Publisher::of([(1, vec![key.proof(1)])]);
    files.write("policy.yaml", "sgx: {typo: []}\n");
    assert_eq!(simulated(&publisher, &files, "--batch 1").status.code(), Some(2));
    let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
    let output = teectl.args(["proofs", "verify", "--rpc", "nowhere", "--batch", "1", "--policy"]).arg(files.root());
    assert_eq!(output.output().unwrap().status.code(), Some(2));
}

/// A run without an end, with its lines as they arrive.
struct Continuous {
    child: Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Continuous {
    fn start(publisher: &Publisher, files: &Files, words: &str) -> Self {
        use std::io::BufRead;
        let mut teectl = teectl(publisher, files, words);
        teectl.arg("--danger-root-certificate").arg(files.root()).stdout(Stdio::piped());
        let mut child = teectl.spawn().unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// As Ctrl-C does.
    fn interrupt(mut self) -> (Value, Option<i32>) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        let summary = self.next();
        (summary["summary"].clone(), self.child.wait().unwrap().code())
    }
}

#[test]
fn a_continuous_run_waits_at_the_chains_end_and_goes_on_when_there_is_more() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let publisher = Publisher::of((5..=6).map(|number| (number, vec![key.proof(number)])));
    let mut run = Continuous::start(&publisher, &files, "--continuous 5 --patience 1");
    assert_eq!((run.next()["batch"].clone(), run.next()["batch"].clone()), (json!(5), json!(6)));
    publisher.publish(7, vec![key.proof(7)]);
    let line = run.next();
    assert_eq!((&line["batch"], &line["verdict"], &line["follows"]), (&json!(7), &json!("proven"), &json!(true)));
    // Batch 8 never gets a proof; 9 has one, so 8 is missing.
    publisher.publish(9, vec![key.proof(9)]);
    let line = run.next();
    assert_eq!((&line["batch"], &line["verdict"]), (&json!(8), &json!("missing")));
    assert_eq!(run.next()["batch"], 9);
    let (summary, code) = run.interrupt();
    assert_eq!(
        (&summary["proven"], &summary["missing"], &summary["interrupted"]),
        (&json!(4), &json!(1), &json!(true))
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_continuous_run_in_which_all_is_proven_ends_with_0() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let publisher = Publisher::of((1..=3).map(|number| (number, vec![key.proof(number)])));
    let mut run = Continuous::start(&publisher, &files, "--continuous 1");
    for number in 1..=3 {
        assert_eq!(run.next()["batch"], number);
    }
    let (summary, code) = run.interrupt();
    assert_eq!((&summary["ok"], code), (&json!(true), Some(0)));
}

/// The file with the pins of the simulated keys' chain, with this bootloader.
fn chain_file(files: &Files, id: u64, version: u16, bootloader: u8) -> String {
    let hash = |byte: u8| format!("\"0x{}\"", hex::encode([byte; 32]));
    let code =
        format!("{{protocol_version: {version}, bootloader: {}, default_account: {}}}", hash(bootloader), hash(2));
    files.write("chain.yaml", &format!("chain: {{id: {id}, code: [{code}]}}\n"));
    format!("--batch 1 --chain-file {}", files.at("chain.yaml").display())
}

#[test]
fn statements_are_judged_by_the_pins() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let publisher = Publisher::of([(1, vec![key.proof(1)])]);
    let output = simulated(&publisher, &files, &chain_file(&files, 300, 29, 1));
    assert_eq!(verdicts(&output), (vec!["proven".to_owned()], 0));
    for (id, version, bootloader, code) in
        [(301, 29, 1, "other_statement"), (300, 28, 1, "protocol_version_not_pinned"), (300, 29, 7, "code_not_pinned")]
    {
        let words = chain_file(&files, id, version, bootloader);
        let output = simulated(&publisher, &files, &words);
        assert_eq!(verdicts(&output), (vec!["unproven".to_owned()], 1));
        assert_eq!(problems(&output), [code]);
    }
}

/// A bootloader of a few instructions that mints gives a valid batch, of its own code.
#[test]
fn without_pins_nothing_is_checked() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let publisher = Publisher::of([(1, vec![key.proof(1)])]);
    let run = |words: &[&str]| {
        let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
        teectl.args(["proofs", "verify", "--rpc", &publisher.url(), "--batch", "1", "--policy"]).arg(files.policy());
        teectl.arg("--danger-root-certificate").arg(files.root()).args(words).output().unwrap()
    };
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--chain-file") && error.contains("--danger-any-code"), "{error}");
    assert_eq!(run(&["--danger-any-code"]).status.code(), Some(0));
    assert_eq!(run(&["--chain-file", "/nowhere"]).status.code(), Some(2));
    chain_file(&files, 300, 29, 1);
    let pinned = files.at("chain.yaml").display().to_string();
    assert_eq!(run(&["--chain-file", &pinned, "--chain", "300"]).status.code(), Some(0));
    assert_eq!(run(&["--chain-file", &pinned, "--chain", "301"]).status.code(), Some(2));
}

#[test]
fn system_logs_are_shown_and_what_nothing_was_compared_with() {
    let key = SimulatedKey::new();
    let files = Files::simulated(&key);
    let publisher = Publisher::of([(1, vec![key.proof(1)]), (2, vec![key.proof(2)])]);
    let pins = chain_file(&files, 300, 29, 1).replace("--batch 1", "--batch 1-2");
    let seen = lines(&simulated(&publisher, &files, &pins));
    assert_eq!(seen[0]["statement"]["code_pinned"], true);
    let log = &seen[0]["statement"]["system_logs"][0];
    assert_eq!((&log["name"], &log["reading"]), (&json!("number of L1 transactions"), &json!("6")));
    let missing = |line: &Value, what: &str| {
        line["not_compared"].as_array().unwrap().iter().any(|missing| missing.as_str().unwrap().contains(what))
    };
    assert!(missing(&seen[0], "system logs with L1") && missing(&seen[0], "--l2-rpc"));
    assert!(missing(&seen[0], "root before") && !missing(&seen[1], "root before"));
    assert!(!missing(&seen[0], "the code that ran"));
    assert!(missing(&seen[2]["summary"], "system logs with L1"));
    let any = lines(&simulated(&publisher, &files, "--batch 1"));
    assert_eq!(any[0]["statement"]["code_pinned"], false);
    assert!(missing(&any[0], "the code that ran") && missing(&any[1]["summary"], "the code that ran"));
}
