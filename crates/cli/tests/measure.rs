//! `teectl measure`, as a person runs it.

mod documented;
#[path = "../../attestation/tests/samples/firmware.rs"]
mod firmware;
#[path = "../../attestation/tests/samples/image.rs"]
mod image;
#[path = "../../attestation/tests/samples/event_log.rs"]
mod logs;
#[path = "../../attestation/tests/samples/sigstruct.rs"]
mod sigstruct;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::SystemTime,
};

use serde_json::Value;
use tee_attestation::{
    Hex, Policy, PolicyError, ReportData,
    measure::{EventLog, kernel_arguments, register, started_kernel},
    simulated::{Domain, Format, Platform},
};
use tempfile::TempDir;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs `teectl measure` in the folder.
    fn measure(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teectl"));
        command.current_dir(self.folder.path()).arg("measure").args(line.split(' ')).output().unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_sigstruct_becomes_a_policy_that_pins_the_enclave() {
    let files = Files::new();
    files.write("prover.sig", sigstruct::sigstruct());
    let output = files.measure("sgx prover.sig");
    assert_eq!(code(&output), 0, "{output:?}");
    let sgx = Policy::from_yaml(&text(&output.stdout)).unwrap().sgx.unwrap();
    assert_eq!(sgx.mrenclaves, Some(vec![Hex(sigstruct::MR_ENCLAVE)]));
    assert_eq!(sgx.mrsigners, Some(vec![sigstruct::MR_SIGNER.parse().unwrap()]));
    assert_eq!((sgx.isv_prod_ids, sgx.min_isv_svn), (Some(vec![7]), Some(3)));

    let output = files.measure("sgx prover.sig --json");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["MRENCLAVE"], hex::encode(sigstruct::MR_ENCLAVE));
    assert_eq!((&object["DATE"], &object["DEBUG"]), (&"20261127".into(), &"refused".into()));
}

#[test]
fn an_enclave_that_may_be_looked_into_is_measured_only_by_a_dangerous_name() {
    let files = Files::new();
    files.write("debug.sig", sigstruct::signed(&|bytes| bytes[944] &= !2));
    let output = files.measure("sgx debug.sig");
    assert_eq!((code(&output), text(&output.stdout)), (1, String::new()));
    assert!(text(&output.stderr).contains("DEBUG is allowed"), "{output:?}");
    let output = files.measure("sgx debug.sig --danger-debug");
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(text(&output.stdout).contains("# DEBUG          allowed"), "{output:?}");
}

#[test]
fn what_is_no_sigstruct_is_exit_code_2() {
    let files = Files::new();
    let mut changed = sigstruct::sigstruct();
    changed[960] ^= 1;
    files.write("changed.sig", changed);
    files.write("long.sig", [sigstruct::sigstruct(), vec![0]].concat());
    files.write("empty.sig", []);
    for (line, cause) in [
        ("sgx changed.sig", "the signature is invalid"),
        ("sgx long.sig", "larger than 1808 bytes"),
        ("sgx empty.sig", "cut short"),
        ("sgx missing.sig", "No such file"),
    ] {
        let output = files.measure(line);
        assert_eq!(code(&output), 2, "{line}");
        assert!(text(&output.stderr).contains(cause), "{line}: {output:?}");
    }
}

/// A machine's log and the quote of a domain with these registers.
fn started(files: &Files, log: &[u8], rtmrs: [[u8; 48]; 4]) {
    let domain = Domain { rtmrs, ..Domain::default() };
    let quote = Platform::new(SystemTime::now()).unwrap().tdx_quote(Format::V5Td15, &domain, &[7; 64]).unwrap();
    files.write("quote.hex", hex::encode(quote));
    files.write("ccel", log);
}

#[test]
fn a_log_that_gives_the_quotes_registers_matches() {
    let files = Files::new();
    let log = logs::container_optimized_os();
    started(&files, &log, EventLog::parse(&log).unwrap().replay());
    let output = files.measure("replay ccel --quote quote.hex");
    assert_eq!(code(&output), 0, "{output:?}");
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().filter(|line| line.starts_with("ok   RTMR")).count(), 4, "{stdout}");
    assert!(stdout.contains("not verified"), "{stdout}");

    let output = files.measure("replay ccel --quote quote.hex --json");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&object["matches"], object.get("events")), (&true.into(), None));
    documented::assert_documented("teectl measure replay", std::slice::from_ref(&object));
}

#[test]
fn a_log_that_leaves_something_out_does_not_match() {
    let files = Files::new();
    let boot = logs::hashed(2, logs::EFI_ACTION, b"Exit Boot Services Invocation");
    let whole = logs::event_log(&[logs::hashed(1, logs::SEPARATOR, &[0; 4]), boot, boot]);
    let registers = EventLog::parse(&whole).unwrap().replay();
    started(&files, &logs::event_log(&[logs::hashed(1, logs::SEPARATOR, &[0; 4]), boot]), registers);
    let output = files.measure("replay ccel --quote quote.hex --explain");
    assert_eq!(code(&output), 1, "{output:?}");
    let stdout = text(&output.stdout);
    assert!(stdout.contains("ok   RTMR0") && stdout.contains("FAIL RTMR1"), "{stdout}");
    assert!(stdout.contains("EV_EFI_ACTION") && stdout.contains("hashed  Exit Boot Services Invocation"), "{stdout}");

    let output = files.measure("replay ccel --quote quote.hex --explain --json");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&object["matches"], &object["registers"][1]["matches"]), (&false.into(), &false.into()));
    assert_eq!(object["events"][1]["register"], "RTMR1");
    documented::assert_documented("teectl measure replay", std::slice::from_ref(&object));
    assert_eq!(object["events"][1]["data_is_hashed"], true);
}

#[test]
fn a_log_or_a_quote_that_is_none_is_exit_code_2() {
    let files = Files::new();
    let log = logs::event_log(&[logs::hashed(1, logs::SEPARATOR, &[0; 4])]);
    started(&files, &log[..log.len() - 1], [[0; 48]; 4]);
    files.write(
        "sgx.bin",
        Platform::new(SystemTime::now()).unwrap().quote(&ReportData::V1 { address: [7; 20] }).unwrap(),
    );
    files.write("table", b"CCEL\x38\0\0\0");
    for (line, cause) in [
        ("replay ccel --quote quote.hex", "cut short"),
        ("replay table --quote quote.hex", "tables/data/CCEL"),
        ("replay ccel --quote sgx.bin", "a quote of SGX"),
        ("replay ccel --quote ccel", "quote"),
        ("replay missing --quote quote.hex", "No such file"),
    ] {
        let output = files.measure(line);
        assert_eq!(code(&output), 2, "{line}");
        assert!(text(&output.stderr).contains(cause), "{line}: {output:?}");
    }
}

#[test]
fn firmware_kernel_and_a_quote_of_the_machine_become_a_policy_that_pins_the_domain() {
    let files = Files::new();
    let firmware = firmware::firmware(&firmware::SECTIONS);
    files.write("OVMF.fd", &firmware);
    files.write("vmlinuz", image::image());
    files.write("initrd", "cpio");
    started(&files, &[], [[5; 48], [6; 48], [7; 48], [8; 48]]);
    let output =
        files.measure("tdx --firmware OVMF.fd --kernel vmlinuz --initrd initrd --cmdline quiet --rtmr0-of quote.hex");
    assert_eq!(code(&output), 0, "{output:?}");
    let tdx = Policy::from_yaml(&text(&output.stdout)).unwrap().tdx.unwrap();
    let rtmr1 = register(&started_kernel(&image::image()).unwrap());
    let rtmr2 = register(&kernel_arguments("quiet", Some(b"cpio")));
    let mrtd = firmware::mrtd(&firmware, true);
    assert_eq!(tdx.mrs, Some(vec![[mrtd, [5; 48], rtmr1, rtmr2, [0; 48]].map(Hex)]));
    assert!(text(&output.stdout).contains("not compared with a public value"), "{output:?}");

    let output = files.measure("tdx --firmware OVMF.fd --section-by-section --json");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["MRTD"], hex::encode(firmware::mrtd(&firmware, false)));
    assert_eq!(object["RTMR0"], Value::Null);
}

#[test]
fn what_cannot_be_known_is_named_and_makes_no_policy() {
    let files = Files::new();
    files.write("OVMF.fd", firmware::firmware(&firmware::SECTIONS));
    files.write("prover.efi", image::image());
    let sections: [(&str, &[u8]); 3] = [(".cmdline", b"console=ttyS0"), (".linux", b"kernel"), (".initrd", b"cpio")];
    files.write("unified.efi", image::unified(&sections));
    for (line, missing) in [
        ("tdx --firmware OVMF.fd", &["RTMR0", "RTMR1", "RTMR2"][..]),
        ("tdx --firmware OVMF.fd --uki prover.efi --explain", &["RTMR0", "RTMR2"]),
        ("tdx --firmware OVMF.fd --uki unified.efi", &["RTMR0"]),
    ] {
        let output = files.measure(line);
        assert_eq!(code(&output), 0, "{output:?}");
        let stdout = text(&output.stdout);
        for register in ["RTMR0", "RTMR1", "RTMR2"] {
            let named = stdout.contains(&format!("{register} cannot be computed"));
            assert_eq!(named, missing.contains(&register), "{register} in {stdout}");
        }
        assert!(matches!(Policy::from_yaml(&stdout), Err(PolicyError::Yaml(_))), "{stdout}");
    }
}

#[test]
fn what_no_domain_can_be_started_from_is_exit_code_2() {
    let files = Files::new();
    files.write("OVMF.fd", firmware::firmware(&firmware::SECTIONS));
    files.write("vmlinuz", "MZ");
    for (line, cause) in [
        ("tdx --firmware vmlinuz", "table of GUIDs"),
        ("tdx --firmware OVMF.fd --kernel vmlinuz", "not a UEFI program"),
        ("tdx --firmware OVMF.fd --uki OVMF.fd", "not a UEFI program"),
        ("tdx --firmware OVMF.fd --initrd vmlinuz", "--kernel"),
    ] {
        let output = files.measure(line);
        assert_eq!(code(&output), 2, "{line}: {output:?}");
        assert!(text(&output.stderr).contains(cause), "{line}: {output:?}");
    }
}
