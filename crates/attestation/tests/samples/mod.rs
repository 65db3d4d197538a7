//! Real quotes with their collateral.

#![allow(dead_code)] // Each test file uses a part.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tee_attestation::{Collateral, Key, PcsAnswers, Policy};

/// A file of the `dcap-qvl` package's samples.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let metadata = metadata();
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["name"] == "dcap-qvl").unwrap();
        PathBuf::from(package["manifest_path"].as_str().unwrap()).with_file_name("sample")
    });
    std::fs::read(FOLDER.join(name)).unwrap()
}

/// The packages of the workspace for this platform: a build never fetches those of others. If possible, this uses no
/// network.
fn metadata() -> Value {
    let cargo = |args: &[&str]| Command::new(env!("CARGO")).args(args).output().unwrap();
    let version = String::from_utf8(cargo(&["--version", "--verbose"]).stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let list = ["metadata", "--format-version=1", "--locked", "--filter-platform", host, "--manifest-path", manifest];
    let mut output = cargo(&[list.as_slice(), &["--offline"]].concat());
    if !output.status.success() {
        output = cargo(&list);
    }
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The collateral of a sample.
pub(crate) fn sample_collateral(name: &str) -> Collateral {
    Collateral::from_json(&sample(&format!("{name}_collateral.json"))).unwrap()
}

/// The attestation of Era mainnet's batch 650000, which verifies at [`ERA_TIME`].
pub(crate) struct Era {
    pub(crate) quote: Vec<u8>,
    pub(crate) collateral: Collateral,
    pub(crate) key: Key,
}

pub(crate) const ERA_TIME: u64 = 1_743_668_010;

pub(crate) fn era() -> Option<Era> {
    let folder = test_skips::data()?.join("attestation/tdx-650000");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    // DER as it is, or DER in hex.
    let der = |name: &str| {
        let bytes = read(name);
        if bytes.is_ascii() { hex::decode(bytes.trim_ascii()).unwrap() } else { bytes }
    };
    let quote = read("quote.bin");
    let text = String::from_utf8_lossy(&quote).into_owned();
    let (begin, end) = (text.rfind("-----BEGIN CERT").unwrap(), text.rfind("-----END CERT").unwrap());
    let root = format!("{}-----END CERTIFICATE-----\n", &text[begin..end]);
    let signer_chain = format!("{}{root}", pem(&der("tcbDer.hex")));
    let collateral = Collateral::from_pcs(PcsAnswers {
        tcb_info: &read("tcb_info.json"),
        tcb_info_issuer_chain: signer_chain.clone(),
        qe_identity: &read("qe_identity.json"),
        qe_identity_issuer_chain: signer_chain,
        pck_crl: der("platformCrlDer.hex"),
        pck_crl_issuer_chain: format!("{}{root}", pem(&der("platformDer.hex"))),
        root_ca_crl: der("rootCrlDer.hex"),
    })
    .unwrap();
    let key = Key {
        public_key: array("0235104e4c31f0b404f73c74df3731f77d2d89080cc2b4117d58e05ffa71199ea6"),
        address: array("726cfd7c264de899cfcd9e1a0d05a83f23321c9b"),
    };
    Some(Era { quote, collateral, key })
}

/// A public quote, with what is known about it.
pub(crate) struct PublicQuote {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) collateral: Option<Collateral>,
    /// A policy that pins its measurements, and allows all statuses and advisories.
    pub(crate) policy: Policy,
    /// A time at which its collateral is valid.
    pub(crate) at_secs: Option<u64>,
    /// The status that another reader found; `None` if it reports none.
    pub(crate) tcb_status: Option<String>,
}

/// All public quotes; none if the test data is missing.
pub(crate) fn public_quotes() -> Vec<PublicQuote> {
    let Some(folder) = test_skips::data().map(|data| data.join("attestation/quotes")) else { return Vec::new() };
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let read = |expected: &Value| {
        let name = expected["quote"].as_str().unwrap().to_owned();
        let file = |kind: &str| std::fs::read(folder.join(format!("{name}.{kind}")));
        PublicQuote {
            bytes: file("quote").unwrap(),
            collateral: file("collateral.json").ok().map(|json| Collateral::from_json(&json).unwrap()),
            policy: Policy::from_yaml(&String::from_utf8(file("policy.yaml").unwrap()).unwrap()).unwrap(),
            at_secs: expected["at"].as_u64(),
            tcb_status: expected["tcb_status"].as_str().map(str::to_owned),
            name,
        }
    };
    expected.as_array().unwrap().iter().map(read).collect()
}

pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
}
