//! Judges a quote of SGX or TDX under a policy:
//!
//!     cargo run -p tee-attestation --features judge --example judge_quote -- quote.bin collateral.json policy.yaml
//!
//! The collateral is what Intel publishes about the platform, in the JSON form that `dcap-qvl` also writes. The verdict
//! is as of now, and shows each rule, including those that the quote breaks.

use std::{error::Error, fs, time::SystemTime};

use tee_attestation::{Case, Collateral, Policy, TrustedRoot, judge};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [quote, collateral, policy] = arguments.as_slice() else {
        return Err("usage: judge_quote QUOTE COLLATERAL.json POLICY.yaml".into());
    };
    let verdict = judge(&Case {
        quote: &fs::read(quote)?,
        collateral: &Collateral::from_json(&fs::read(collateral)?)?,
        root: &TrustedRoot::intel(),
        policy: &Policy::from_yaml(&fs::read_to_string(policy)?)?,
        // Pass a key here if the quote must name it.
        key: None,
        at_secs: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
    });
    println!("{verdict}");
    if verdict.passed() { Ok(()) } else { Err("the quote is refused".into()) }
}
