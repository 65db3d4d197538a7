//! Judges a quote of SGX or TDX under a policy:
//!
//!     cargo run -p tee-attestation --features judge --example judge_quote -- quote.bin collateral.json policy.yaml
//!
//! The collateral is what Intel publishes about the platform, in the JSON that `dcap-qvl` writes, too. The verdict is as of now, and
//! shows each rule, those that the quote breaks among them.

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
        // Give the key here that the quote is to name.
        key: None,
        at_secs: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
    });
    println!("{verdict}");
    if verdict.passed() { Ok(()) } else { Err("the quote is refused".into()) }
}
