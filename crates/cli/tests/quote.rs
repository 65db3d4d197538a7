//! `teectl quote`, as a person runs it.

mod documented;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    slice,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use documented::assert_documented;
use serde_json::Value;
use tee_attestation::{
    ReportData,
    simulated::{self, Domain, Format, Platform, Publication},
};
use tempfile::TempDir;

const NAMED: ReportData = ReportData::V1 { address: [0xab; 20] };

struct Files {
    folder: TempDir,
}

impl Files {
    /// A quote of a simulated platform, with everything by which it is judged good.
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let machine = Platform::new(SystemTime::now()).unwrap();
        files.write("quote.bin", machine.quote(&NAMED).unwrap());
        files.write("quote.hex", hex::encode(machine.quote(&NAMED).unwrap()) + "\n");
        let quote = machine.quote(&NAMED).unwrap();
        let folded =
            |text: String| text.as_bytes().chunks(64).map(|line| [line, b"\r\n"].concat()).collect::<Vec<_>>().concat();
        files.write("folded.hex", folded(format!("0x{}", hex::encode(&quote))));
        files.write("quote.b64", folded(BASE64_STANDARD.encode(&quote)));
        files.write("url.b64", BASE64_URL_SAFE.encode(&quote));
        let tdx = machine.tdx_quote(Format::V5Td15, &Domain::default(), &NAMED.to_bytes()).unwrap();
        files.write("tdx.bin", tdx);
        files.write("root.der", machine.root_certificate().unwrap());
        let collateral =
            |publication: &Publication| serde_json::to_vec(&machine.publish(publication).unwrap()).unwrap();
        files.write("collateral.json", collateral(&Publication::default()));
        fs::create_dir(files.at("both")).unwrap();
        files.write("both/sgx.json", collateral(&Publication::default()));
        files.write("both/tdx.json", collateral(&Publication::tdx()));
        files.write("both/notes.txt", "not collateral");
        let domain = Domain::default();
        let mrs: Vec<_> = [domain.mr_td].iter().chain(&domain.rtmrs).map(hex::encode).collect();
        let mrenclave = hex::encode(simulated::mr_enclave());
        files.write(
            "policy.yaml",
            format!("sgx: {{mrenclaves: [{mrenclave}]}}\ntdx: {{mrs: [[{}]]}}\n", mrs.join(", ")),
        );
        files.write("other.yaml", format!("sgx: {{mrenclaves: [{}]}}\n", "07".repeat(32)));
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.at(name), bytes).unwrap();
    }

    /// Runs `teectl quote verify`; words that are the name of a file here become its path.
    fn verify(&self, line: &str) -> Output {
        self.verify_piped(line, Stdio::null())
    }

    fn verify_piped(&self, line: &str, stdin: impl Into<Stdio>) -> Output {
        let known = |word: &str| self.at(word).exists();
        let words = line.split(' ').map(|word| if known(word) { self.at(word) } else { Path::new(word).to_owned() });
        Command::new(env!("CARGO_BIN_EXE_teectl")).args(["quote", "verify"]).args(words).stdin(stdin).output().unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn a_quote_is_accepted_from_bytes_hex_and_base64_with_a_file_or_a_folder_of_collateral() {
    let files = Files::new();
    for line in [
        "quote.bin --collateral collateral.json --policy policy.yaml --danger-root-certificate root.der",
        "quote.hex --collateral both --policy policy.yaml --danger-root-certificate root.der",
        "folded.hex --collateral both --policy policy.yaml --danger-root-certificate root.der",
        "quote.b64 --collateral both --policy policy.yaml --danger-root-certificate root.der",
        "url.b64 --collateral both --policy policy.yaml --danger-root-certificate root.der",
        "tdx.bin --collateral both --policy policy.yaml --danger-root-certificate root.der",
    ] {
        let output = files.verify(line);
        assert_eq!(code(&output), 0, "{line}: {output:?}");
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(table.contains("accepted: all") && table.contains("NOT INTEL'S"), "{table}");
    }
    let line = "- --collateral both --policy policy.yaml --danger-root-certificate root.der";
    let piped = files.verify_piped(line, fs::File::open(files.at("quote.hex")).unwrap());
    assert_eq!(code(&piped), 0, "{piped:?}");
    // The standard input is empty, and can be read only once.
    assert_eq!(code(&files.verify(line)), 2);
}

#[test]
fn a_refused_quote_is_exit_code_1_with_the_rule_that_refuses_it() {
    let files = Files::new();
    let year = Duration::from_secs(366 * 24 * 60 * 60);
    let later = (SystemTime::now() + year).duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (line, rule) in [
        ("quote.bin --collateral collateral.json --policy policy.yaml".to_owned(), "genuine"),
        (
            "quote.bin --collateral collateral.json --policy other.yaml --danger-root-certificate root.der".to_owned(),
            "mrenclave",
        ),
        (
            format!(
                "quote.bin --collateral collateral.json --policy policy.yaml --danger-root-certificate root.der --at {later}"
            ),
            "genuine",
        ),
        (
            "quote.bin --collateral collateral.json --policy policy.yaml --danger-root-certificate root.der --key \
             0235104e4c31f0b404f73c74df3731f77d2d89080cc2b4117d58e05ffa71199ea6"
                .to_owned(),
            "key",
        ),
    ] {
        let output = files.verify(&format!("{line} --json"));
        assert_eq!(code(&output), 1, "{line}: {output:?}");
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_documented("teectl quote verify", slice::from_ref(&verdict));
        assert_eq!(verdict["passed"], false);
        let failed = verdict["checks"].as_array().unwrap().iter().find(|check| check["passed"] == false).unwrap();
        assert_eq!(failed["rule"], rule, "{line}");
    }
}

#[test]
fn what_cannot_be_read_is_exit_code_2() {
    let files = Files::new();
    files.write("empty", "");
    files.write("lax.yaml", "sgx: {mrenclave: []}\n");
    for line in [
        "nowhere --collateral collateral.json --policy policy.yaml",
        "policy.yaml --collateral collateral.json --policy policy.yaml",
        "empty --collateral collateral.json --policy policy.yaml",
        "quote.bin --collateral policy.yaml --policy policy.yaml",
        "quote.bin --collateral nowhere --policy policy.yaml",
        "quote.bin --collateral collateral.json --policy nowhere",
        "quote.bin --collateral collateral.json --policy empty",
        "quote.bin --collateral collateral.json --policy lax.yaml",
        "quote.bin --collateral collateral.json --policy policy.yaml --danger-root-certificate policy.yaml",
        "quote.bin --collateral collateral.json --policy policy.yaml --at yesterday",
    ] {
        let output = files.verify(line);
        assert_eq!(code(&output), 2, "{line}: {output:?}");
        assert!(!output.stderr.is_empty() || !output.stdout.is_empty());
    }
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_without_a_word() {
    let files = Files::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
    let ended = teectl.args(["quote", "inspect"]).arg(files.at("quote.bin")).stdout(writer).output().unwrap();
    assert_eq!((code(&ended), ended.stderr.as_slice()), (141, b"".as_slice()), "{ended:?}");
}

#[test]
fn what_went_wrong_is_said_once() {
    let files = Files::new();
    files.write("lax.yaml", "sgx: {mrenclave: []}\n");
    for (line, cause) in [
        ("nowhere --collateral collateral.json --policy policy.yaml", "No such file"),
        ("quote.bin --collateral nowhere --policy policy.yaml", "No such file"),
        ("quote.bin --collateral policy.yaml --policy policy.yaml", "collateral:"),
        ("quote.bin --collateral collateral.json --policy lax.yaml", "unknown field"),
    ] {
        let said = String::from_utf8(files.verify(line).stderr).unwrap();
        assert_eq!(said.matches(cause).count(), 1, "{said}");
    }
}

#[test]
fn inspect_shows_what_a_quote_says() {
    let files = Files::new();
    let inspect = |name: &str, json: &[&str]| {
        let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
        teectl.args(["quote", "inspect"]).arg(files.at(name)).args(json).output().unwrap()
    };
    let text = String::from_utf8(inspect("quote.bin", &[]).stdout).unwrap();
    assert!(text.contains(&hex::encode(simulated::mr_enclave())), "{text}");
    let json: Value = serde_json::from_slice(&inspect("tdx.bin", &["--json"]).stdout).unwrap();
    assert_eq!(json["key named"], format!("0x{}", "ab".repeat(20)));
    assert_eq!(json["MRTD"], "7d".repeat(48));
    assert_eq!(inspect("policy.yaml", &[]).status.code(), Some(2));
}

#[test]
fn a_known_build_has_a_name_and_is_accepted_by_the_policy_alone() {
    let files = Files::new();
    let build = |sgx: &str, tdx: &str| {
        format!(
            r#"{{"builds": [{{"version": "0.2.0", "commit": "c0ffee", "rebuild": "deploy/release", "files": {{}},
                "sgx": [{sgx}], "tdx": [{tdx}]}}]}}"#
        )
    };
    let domain = Domain::default();
    let [_, rtmr1, rtmr2, _] = domain.rtmrs.map(hex::encode);
    let tdx = format!(r#"{{"mrtd": "{}", "rtmr1": "{rtmr1}", "rtmr2": "{rtmr2}"}}"#, hex::encode(domain.mr_td));
    let mrenclave = hex::encode(simulated::mr_enclave());
    files.write("known.json", build(&format!(r#"{{"mrenclave": "{mrenclave}"}}"#), &tdx));
    files.write("others.json", build(&format!(r#"{{"mrenclave": "{}"}}"#, "07".repeat(32)), ""));
    files.write("lax.json", r#"{"builds": [{"version": "0.2.0"}]}"#);
    let verify = |quote: &str, policy: &str, builds: &str| {
        files.verify(&format!(
            "{quote} --collateral both --policy {policy} --danger-root-certificate root.der --known-builds {builds} --json"
        ))
    };
    let named = "version 0.2.0 of this repository, commit c0ffee";
    for (quote, policy, builds, exit, name) in [
        ("quote.bin", "policy.yaml", "known.json", 0, Value::from(named)),
        ("tdx.bin", "policy.yaml", "known.json", 0, named.into()),
        ("quote.bin", "other.yaml", "known.json", 1, named.into()),
        ("quote.bin", "policy.yaml", "others.json", 0, Value::Null),
    ] {
        let output = verify(quote, policy, builds);
        assert_eq!(code(&output), exit, "{quote} {policy} {builds}: {output:?}");
        assert_eq!(
            serde_json::from_slice::<Value>(&output.stdout).unwrap()["build"],
            name,
            "{quote} {policy} {builds}"
        );
    }
    assert_eq!(code(&verify("quote.bin", "policy.yaml", "lax.json")), 2);
}
