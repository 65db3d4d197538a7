//! Finds the two recorded runs that the virtual machine's package ships, so that no binary file is committed here.

use std::{env, fs, path::PathBuf, process::Command};

/// The package and the version that `Cargo.toml` pins.
const PACKAGE: &str = "zksync_multivm";

fn main() {
    let manifest = packages()
        .into_iter()
        .find(|package| package["name"] == PACKAGE)
        .and_then(|package| package["manifest_path"].as_str().map(PathBuf::from))
        .unwrap_or_else(|| panic!("cargo metadata does not list {PACKAGE}"));
    let dumps = manifest.with_file_name("tests").join("vm_dumps");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for name in ["validation_adjacent_storage_slots.json", "estimate_fee_for_transfer_to_self.json"] {
        let dump = dumps.join(name);
        fs::copy(&dump, out.join(name)).unwrap_or_else(|err| panic!("{}: {err}", dump.display()));
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
}

/// The packages of this workspace as cargo resolved them. If possible, this uses no network, so that a machine that has
/// built before can build offline.
fn packages() -> Vec<serde_json::Value> {
    let metadata = |offline: &[&str]| {
        let target = env::var("TARGET").expect("cargo sets TARGET");
        Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform", &target])
            .args(offline)
            .current_dir(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs")
    };
    let mut output = metadata(&["--offline"]);
    if !output.status.success() {
        output = metadata(&[]);
    }
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"].as_array().cloned().unwrap_or_default()
}
