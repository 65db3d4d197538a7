//! Simulated quotes for the tests of the contracts, which judge them on an EVM.

use std::{collections::BTreeMap, env, fs, time::SystemTime};

use serde_json::{Value, json};
use tee_attestation::{
    Quote, ReportData,
    simulated::{Domain, Enclave, Format, Platform},
};

/// The committed quotes. `TEE_WRITE_VECTORS=1` rewrites them.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/test/vectors/quotes.json");

/// The address of key 1, which is public.
const SIGNER: &str = "7e5f4552091a69125d5dfcb7b8c2659029395bdf";

/// The platform's keys are different each time. So only what their signatures cover is compared, and the contracts'
/// tests verify the signatures.
#[test]
fn the_contracts_quotes_say_what_a_simulated_platform_says() {
    let platform = Platform::new(SystemTime::now()).unwrap();
    let made = quotes(&platform);
    if env::var_os("TEE_WRITE_VECTORS").is_some() {
        let root = platform.root_certificate().unwrap();
        let (x, y) = public_key(&root);
        let quotes: BTreeMap<_, _> = made.iter().map(|(name, quote)| (name, hex_0x(quote))).collect();
        let written =
            json!({ "signer": format!("0x{SIGNER}"), "rootX": hex_0x(x), "rootY": hex_0x(y), "quotes": quotes });
        fs::write(COMMITTED, serde_json::to_string_pretty(&written).unwrap() + "\n").unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(COMMITTED).unwrap()).unwrap();
    assert_eq!(committed["quotes"].as_object().unwrap().len(), made.len());
    for (name, quote) in made {
        let committed = hex::decode(committed["quotes"][name].as_str().unwrap().trim_start_matches("0x")).unwrap();
        let error = format!("{name} in {COMMITTED}: TEE_WRITE_VECTORS=1 writes it anew");
        let (statement, quoting_enclave) = signed(&quote);
        let (committed_statement, committed_quoting_enclave) = signed(&committed);
        assert_eq!(hex::encode(statement), hex::encode(committed_statement), "{error}");
        assert_eq!(hex::encode(quoting_enclave), hex::encode(committed_quoting_enclave), "{error}");
    }
}

/// One of each format.
fn quotes(platform: &Platform) -> Vec<(&'static str, Vec<u8>)> {
    let address = hex::decode(SIGNER).unwrap().try_into().unwrap();
    let report_data = ReportData::V1 { address }.to_bytes();
    let tdx = |format| platform.tdx_quote(format, &Domain::default(), &report_data).unwrap();
    vec![
        ("sgx", platform.sgx_quote(&Enclave::default(), &report_data).unwrap()),
        ("tdxV4", tdx(Format::V4)),
        ("tdxV5Td10", tdx(Format::V5Td10)),
        ("tdxV5Td15", tdx(Format::V5Td15)),
        ("tdxV5Td15Ex", tdx(Format::V5Td15Ex)),
    ]
}

/// Header and body, and the quoting enclave's report up to its report data.
fn signed(bytes: &[u8]) -> (&[u8], &[u8]) {
    let quote = Quote::parse(bytes).unwrap();
    let (statement, authentication) = bytes.split_at(quote.signed_bytes());
    // A length, a signature and a key come first; from version 4 on, also a type and a length.
    let report = 4 + 64 + 64 + if quote.version() == 3 { 0 } else { 6 };
    (statement, &authentication[report..report + 320])
}

/// The coordinates of the key in a certificate. They follow its algorithm, P-256, and 04 for "uncompressed".
fn public_key(certificate: &[u8]) -> (&[u8], &[u8]) {
    let algorithm = hex::decode("06082a8648ce3d03010703420004").unwrap();
    let at = certificate.windows(algorithm.len()).position(|bytes| bytes == algorithm).unwrap() + algorithm.len();
    certificate[at..at + 64].split_at(32)
}

fn hex_0x(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}
