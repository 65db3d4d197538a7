//! `teectl bench`: what it reports. The times depend on the machine.

use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::{Value, json};

fn teectl<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_teectl")).args(arguments).output().unwrap()
}

/// The lines of a bench with `--json` and these arguments.
#[track_caller]
fn bench<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Vec<Value> {
    let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    let output = teectl(["bench".into()].into_iter().chain(arguments).chain(["--json".into()]));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with the devnet's first batch of three transactions.
fn devnet() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let output = teectl(["devnet", "--batches", "1", "--txs", "3", "--out", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let file = folder.path().join("batch-14034.json.zst");
    (folder, file)
}

#[track_caller]
fn number(line: &Value, key: &str) -> f64 {
    line[key].as_f64().unwrap_or_else(|| panic!("{key} of {line}"))
}

/// Asserts that a median lies in its range, and returns it.
#[track_caller]
fn median(line: &Value, name: &str) -> f64 {
    let median = number(line, &format!("{name}_ms"));
    let [shortest, longest] = [0, 1].map(|end| line[format!("{name}_range_ms")][end].as_f64().unwrap());
    assert!(0.0 < shortest && shortest <= median && median <= longest, "{name} of {line}");
    median
}

#[track_caller]
fn assert_near(one: f64, other: f64) {
    assert!((one / other - 1.0).abs() < 1e-6, "{one} and {other}");
}

#[cfg(feature = "reference")]
#[test]
fn files_are_compared_with_the_reference() {
    let (_folder, file) = devnet();
    let lines = bench([file.as_os_str(), "--runs".as_ref(), "2".as_ref()]);
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&line["batch"], &line["runs"], &line["transactions"]), (&json!(14034), &json!(2), &json!(3)));
    assert_near(median(line, "reference") / median(line, "verifier"), number(line, "ratio"));
    assert!(number(line, "ratio_without_decoding") > 0.0 && number(line, "decode_ms") > 0.0);
    assert!(!cfg!(target_os = "linux") || number(line, "peak_rss_bytes") > 1e6);
}

/// Installed programs do not contain the published virtual machine.
#[cfg(not(feature = "reference"))]
#[test]
fn without_the_reference_the_command_says_how_to_get_it() {
    let (_folder, file) = devnet();
    let output = teectl(["bench".as_ref(), file.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cargo run --release --features reference -- bench"), "{said}");
}

#[test]
fn decoding_is_measured_in_both_forms() {
    let (_folder, file) = devnet();
    let lines = bench(["decode".as_ref(), file.as_os_str(), "--runs".as_ref(), "1".as_ref()]);
    assert_eq!(lines.iter().map(|line| &line["form"]).collect::<Vec<_>>(), ["cbor", "json"]);
    for line in &lines {
        let decode = median(line, "decode");
        assert_near(decode / (decode + number(line, "verify_ms")), number(line, "decode_share"));
        assert_near(median(line, "derived") / median(line, "parse"), number(line, "ratio"));
        assert!(number(line, "compressed_bytes") < number(line, "plain_bytes"));
    }
}

#[test]
fn two_batches_at_once_are_compared_with_two_in_turn() {
    let (_folder, file) = devnet();
    let lines = bench(["throughput".as_ref(), file.as_os_str(), "--runs".as_ref(), "1".as_ref()]);
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_near(median(line, "in_turn") / median(line, "at_once"), number(line, "ratio"));
}

#[test]
fn growth_has_a_row_for_each_number_of_transactions() {
    let lines = bench(["growth", "--txs", "2,6", "--runs", "1"]);
    assert_eq!(lines.iter().map(|line| &line["transactions"]).collect::<Vec<_>>(), [2, 6]);
    let [first, second] = [0, 1].map(|row| median(&lines[row], "verifier"));
    assert_eq!(lines[0]["ratio"], json!(1.0));
    assert_near(number(&lines[1], "ratio"), (second / 6.0) / (first / 2.0));
    assert!(number(&lines[1], "peak_rss_bytes") > 1e6 || !cfg!(target_os = "linux"));
}

#[test]
fn trees_differ_in_the_length_of_paths_alone() {
    let lines = bench(["trees", "--leaves", "0,3000", "--txs", "2", "--runs", "1"]);
    let column = |name: &str| lines.iter().map(|line| number(line, name)).collect::<Vec<_>>();
    assert_eq!(column("transactions"), [2.0, 2.0]);
    assert_eq!(column("leaves")[1] - column("leaves")[0], 3000.0);
    assert_eq!(column("paths")[0], column("paths")[1]);
    assert!(column("path_hashes")[0] < column("path_hashes")[1]);
}

#[test]
fn memory_is_set_against_the_decoded_input() {
    let lines = bench(["memory", "--cold-reads", "50"]);
    assert_eq!(lines.iter().map(|line| &line["form"]).collect::<Vec<_>>(), ["cbor", "json"]);
    for line in &lines {
        assert_eq!(line["cold_reads"], json!(50));
        assert!(number(line, "paths") > 50.0);
        if cfg!(target_os = "linux") {
            let grown = number(line, "peak_rss_bytes") - number(line, "smallest_peak_rss_bytes");
            assert!((grown / number(line, "plain_bytes") - number(line, "ratio")).abs() < 1e-6);
        }
    }
}

#[test]
fn what_does_not_verify_is_not_measured() {
    let (folder, file) = devnet();
    let mut json: Value = serde_json::from_slice(&zstd::decode_all(fs::File::open(&file).unwrap()).unwrap()).unwrap();
    json["V1"]["merkle_paths"]["merkle_paths"].as_array_mut().unwrap().pop();
    let forged = folder.path().join("forged.json");
    fs::write(&forged, serde_json::to_vec(&json).unwrap()).unwrap();
    for command in [&[][..], &["decode"], &["throughput"]] {
        let output = teectl(["bench"].iter().chain(command).map(OsStr::new).chain([forged.as_os_str()]));
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: "), "{command:?}");
    }
    assert_eq!(teectl(["bench"]).status.code(), Some(2));
}
