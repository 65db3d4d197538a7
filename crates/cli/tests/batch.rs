//! `teectl devnet`, `batch verify` and `batch inspect`, as a person runs them.

mod documented;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    slice,
};

use documented::assert_documented;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tee_verifier::BatchInput;

fn teectl<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_teectl")).args(arguments).output().unwrap()
}

fn verify(files: &[&Path]) -> Output {
    teectl(["batch", "verify", "--json"].map(Path::new).iter().chain(files))
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with the devnet's first batch of five transactions.
fn devnet() -> (tempfile::TempDir, PathBuf, BatchInput) {
    let folder = tempfile::tempdir().unwrap();
    let output = teectl(["devnet", "--batches", "1", "--txs", "5", "--out", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let file = folder.path().join("batch-14034.json.zst");
    let json = zstd::decode_all(File::open(&file).unwrap()).unwrap();
    (folder, file, BatchInput::from_json(&json).unwrap())
}

/// Verifies an input from the standard input.
fn fed(bytes: &[u8]) -> Output {
    let mut teectl = Command::new(env!("CARGO_BIN_EXE_teectl"));
    teectl.args(["batch", "verify", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut teectl = teectl.spawn().unwrap();
    let mut stdin = teectl.stdin.take().unwrap();
    for piece in [&bytes[..bytes.len().min(1)], &bytes[bytes.len().min(1)..]] {
        // A reader that has seen enough closes the pipe.
        let _ = stdin.write_all(piece).and_then(|()| stdin.flush());
    }
    drop(stdin);
    teectl.wait_with_output().unwrap()
}

#[test]
fn a_batch_verifies_in_every_format() {
    let (folder, json_zst, input) = devnet();
    let (mut json, mut cbor) = (Vec::new(), Vec::new());
    input.to_json(&mut json).unwrap();
    input.to_cbor(&mut cbor).unwrap();
    let name = |name: &str| folder.path().join(name);
    fs::write(name("b.json"), &json).unwrap();
    fs::write(name("b.cbor"), &cbor).unwrap();
    fs::write(name("b.cbor.zst"), zstd::encode_all(&cbor[..], 3).unwrap()).unwrap();
    for (file, plain) in [("b.json.gz", &json), ("b.cbor.gz", &cbor)] {
        let mut gzip = GzEncoder::new(File::create(name(file)).unwrap(), Compression::default());
        gzip.write_all(plain).unwrap();
        gzip.finish().unwrap();
    }

    let files = [json_zst, name("b.json"), name("b.cbor"), name("b.cbor.zst"), name("b.json.gz"), name("b.cbor.gz")];
    let output = verify(&files.each_ref().map(PathBuf::as_path));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = lines(&output);
    assert_eq!(lines.len(), 6);
    assert_documented("teectl batch verify", &lines);
    // The standard input has no name that shows its encoding, and may arrive in pieces.
    let piped = files.each_ref().map(|file| {
        let output = fed(&fs::read(file).unwrap());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        self::lines(&output).remove(0)
    });
    for line in lines.iter().chain(&piped) {
        assert_eq!(
            (&line["verdict"], &line["batch"], &line["transactions"]),
            (&json!("verified"), &json!(14034), &json!(5))
        );
        assert_eq!((&line["root"], &line["previous_root"]), (&lines[0]["root"], &lines[0]["previous_root"]));
        assert!(line["elapsed_ms"].is_u64() && line["root"] != line["previous_root"]);
        assert!(!cfg!(target_os = "linux") || line["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    }
}

#[test]
fn a_forged_batch_is_rejected_with_the_check_and_exit_code_1() {
    let (folder, honest, mut input) = devnet();
    input.merkle_paths.merkle_paths[0].value_read[31] ^= 1;
    let forged = folder.path().join("forged.json");
    input.to_json(File::create(&forged).unwrap()).unwrap();

    let output = verify(&[&forged, &honest]);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let first = (&lines[0]["verdict"], &lines[0]["check"], &lines[0]["root"]);
    assert_eq!(first, (&json!("rejected"), &json!("witness_value"), &Value::Null));
    assert_documented("teectl batch verify", &lines);
    assert_eq!(lines[1]["verdict"], json!("verified"));

    let output = teectl([Path::new("batch"), Path::new("verify"), &forged]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("rejected: witness_value: "));
}

#[test]
fn what_is_no_batch_input_is_unreadable_with_exit_code_2() {
    let (folder, honest, _) = devnet();
    let compressed = fs::read(&honest).unwrap();
    let json = zstd::decode_all(&compressed[..]).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        file
    };
    let oversized = folder.path().join("oversized.json");
    File::create(&oversized).unwrap().set_len(tee_verifier::MAX_INPUT_BYTES + 1).unwrap();
    let files = [
        write("empty.json", b""),
        write("empty.cbor", b""),
        write("empty.json.zst", b""),
        write("garbage.json", b"\xff\x00garbage"),
        write("garbage.cbor", &[0xff; 64]),
        write("garbage.cbor.zst", &[0xff; 64]),
        write("truncated.json", &json[..json.len() / 2]),
        write("truncated.json.zst", &compressed[..compressed.len() / 2]),
        write("garbage.cbor.gz", &[0xff; 64]),
        write("trailing.json", &[&json[..], b"{}"].concat()),
        write("another.json", b"{\"V2\":{}}"),
        write("name.txt", &json),
        // Nesting and lengths that a careless decoder would follow.
        write("deep.json", "[".repeat(100_000).as_bytes()),
        write("deep.cbor", &[0x81; 100_000]),
        write("long.cbor", &[0xa1, 0x62, b'V', b'1', 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        oversized,
        folder.path().join("nowhere.json"),
        folder.path().to_owned(),
    ];
    for file in &files {
        let output = verify(&[file]);
        assert_eq!(output.status.code(), Some(2), "{} {output:?}", file.display());
        let line = &lines(&output)[0];
        assert_eq!(line["verdict"], json!("unreadable"), "{}", file.display());
        assert_documented("teectl batch verify", slice::from_ref(line));
        assert!(!line["error"].as_str().unwrap().is_empty());
        assert_eq!(teectl([Path::new("batch"), Path::new("inspect"), file]).status.code(), Some(2));
    }
    assert_eq!(verify(&[&files[0], &honest]).status.code(), Some(2));
    let hostile = [&b""[..], b"\x28", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"{", b" ", &[0xff; 64]];
    for piped in hostile.into_iter().chain([&compressed[..compressed.len() / 2], &json[..json.len() / 2]]) {
        let output = fed(piped);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(lines(&output)[0]["verdict"], json!("unreadable"));
    }
}

#[test]
fn inspect_shows_what_is_inside() {
    let (_folder, file, _) = devnet();
    let output = teectl([Path::new("batch"), Path::new("inspect"), &file]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in ["14034 of chain 300, protocol version 26", "5 (0 from L1, 0 upgrades)"] {
        assert!(text.contains(expected), "{text}");
    }
    let output = teectl([Path::new("batch"), Path::new("inspect"), Path::new("--json"), &file]);
    let inspected = lines(&output).remove(0);
    assert_eq!((&inspected["batch"], &inspected["transactions"]), (&json!(14034), &json!(5)));
    assert_documented("teectl batch inspect", slice::from_ref(&inspected));
}

/// A batch's own bootloader is compared with nothing but its hash.
#[test]
fn code_is_judged_where_it_is_pinned_and_said_not_to_be_elsewhere() {
    let (folder, honest, _) = devnet();
    let inspected = String::from_utf8(teectl([Path::new("batch"), Path::new("inspect"), &honest]).stdout).unwrap();
    let pins = inspected.lines().find_map(|line| line.split_once("chain: {")).unwrap().1;
    let file = folder.path().join("chain.yaml");
    let judged = |pins: String| {
        fs::write(&file, pins).unwrap();
        let arguments =
            [Path::new("batch"), Path::new("verify"), Path::new("--json"), Path::new("--chain-file"), &file];
        teectl(arguments.into_iter().chain([honest.as_path()]))
    };
    let output = judged(format!("chain: {{{pins}\n"));
    assert_eq!((output.status.code(), &lines(&output)[0]["code_pinned"]), (Some(0), &json!(true)));
    let other = pins.replacen("\"bootloader\": \"0x0100", "\"bootloader\": \"0x0101", 1);
    assert_ne!(other, pins);
    let output = judged(format!("chain: {{{other}\n"));
    let line = &lines(&output)[0];
    assert_eq!((output.status.code(), &line["check"]), (Some(1), &json!("code_not_pinned")));
    assert_eq!(judged("chain: {id: 300}\n".to_owned()).status.code(), Some(2));

    let output = verify(&[&honest]);
    assert_eq!((output.status.code(), &lines(&output)[0]["code_pinned"]), (Some(0), &json!(false)));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--chain-file"));
}
