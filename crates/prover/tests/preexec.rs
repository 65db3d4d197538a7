//! `tee-key-preexec` as a script sees it.

use std::{
    collections::HashMap,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};
use tee_api::SigningKey;

#[test]
fn the_command_gets_a_key_and_a_quote_that_names_it() {
    for (prefix, arguments) in [("TEE_PROVER_", vec![]), ("X_", vec!["--env-prefix", "X_"])] {
        let output = preexec(&[&["--simulation"], &arguments[..], &["--", "env"]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let environment = environment(&output);
        let get = |name: &str| environment[&format!("{prefix}{name}")].as_str();
        assert_eq!(get("TEE_TYPE"), "sgx");
        let key = SigningKey::from_hex(get("SIGNING_KEY")).unwrap().public_key();
        let path = get("ATTESTATION_QUOTE_FILE_PATH");
        let quote = tee_attestation::Quote::parse(&std::fs::read(path).unwrap()).unwrap();
        assert!(quote.report_data().unwrap().names(&key.to_bytes(), &key.address().0));
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(environment["KEPT"], "as it was");
    }
}

#[test]
fn each_start_makes_another_key() {
    let keys = [(); 2].map(|()| environment(&preexec(&["--simulation", "env"]))["TEE_PROVER_SIGNING_KEY"].clone());
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn outside_an_enclave_nothing_is_started_unless_told_so() {
    let refused = preexec(&["--", "echo", "started"]);
    assert_eq!((refused.status.code(), &refused.stdout[..]), (Some(3), &b""[..]));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("--allow-no-tee"), "{said}");

    let allowed = preexec(&["--allow-no-tee", "--", "env"]);
    let environment = environment(&allowed);
    assert_eq!(environment["TEE_PROVER_TEE_TYPE"], "none");
    assert!(SigningKey::from_hex(&environment["TEE_PROVER_SIGNING_KEY"]).is_ok());
    let path = &environment["TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH"];
    assert!(std::fs::read(path).unwrap().is_empty());
}

#[test]
fn the_commands_arguments_and_exit_code_are_its_own() {
    let output = preexec(&["--simulation", "sh", "-c", "echo $0 $1; exit 42", "--env-prefix", "--help"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(42), &b"--env-prefix --help\n"[..]));
}

/// The key is in the command's environment, so the command must not leave it in a core dump either.
#[test]
fn the_command_leaves_no_core_dump() {
    let limits = String::from_utf8(preexec(&["--simulation", "cat", "/proc/self/limits"]).stdout).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
}

#[test]
fn a_command_that_cannot_be_started_has_the_shells_exit_codes() {
    for (command, code) in [("/no/such/command", 127), ("/etc/passwd", 126)] {
        let output = preexec(&["--simulation", command]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(command), "{said}");
    }
    assert_eq!(preexec(&["--simulation"]).status.code(), Some(2));
}

fn preexec(arguments: &[&str]) -> Output {
    let path = std::env::var_os("PATH").unwrap();
    Command::new(env!("CARGO_BIN_EXE_tee-key-preexec"))
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("KEPT", "as it was")
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap()
}

fn environment(output: &Output) -> HashMap<String, String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
