//! Compares judging a quote with `dcap-qvl` alone, in turn: `cargo bench --package tee-attestation`. Prints the median
//! of each, and fails if a verdict takes more than 2 ms.

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use dcap_qvl::{QuoteCollateralV3, configs::RingConfig, verify::QuoteVerifier};
use tee_attestation::{
    Case, Key, Policy, ReportData, TrustedRoot, judge,
    simulated::{self, Domain, Format, Platform, Publication},
};

const RUNS: usize = 200;
const LIMIT: Duration = Duration::from_millis(2);

fn main() -> ExitCode {
    let now = SystemTime::now();
    let at_secs = now.duration_since(UNIX_EPOCH).expect("now is after 1970").as_secs();
    let machine = Platform::new(now).expect("the clock is sane");
    let key = Key { public_key: [2; 33], address: [0xab; 20] };
    let named = ReportData::V1 { address: key.address };
    let root_der = machine.root_certificate().expect("it has one");
    let root = TrustedRoot::danger_other(root_der.clone());
    let domain = Domain::default();
    let mrs: Vec<_> = [domain.mr_td].iter().chain(&domain.rtmrs).map(hex::encode).collect();
    let yaml = format!(
        "sgx: {{mrenclaves: [{}]}}\ntdx: {{mrs: [[{}]]}}\n",
        hex::encode(simulated::mr_enclave()),
        mrs.join(", ")
    );
    let policy = Policy::from_yaml(&yaml).expect("it is a policy");
    let quotes = [
        ("sgx v3", machine.quote(&named), Publication::default()),
        ("tdx v4", machine.tdx_quote(Format::V4, &domain, &named.to_bytes()), Publication::tdx()),
        ("tdx v5", machine.tdx_quote(Format::V5Td15, &domain, &named.to_bytes()), Publication::tdx()),
    ];
    let mut slow = false;
    for (name, quote, publication) in quotes {
        let quote = quote.expect("it makes quotes");
        let collateral = machine.publish(&publication).expect("it publishes");
        let case =
            Case { quote: &quote, collateral: &collateral, root: &root, policy: &policy, key: Some(key), at_secs };
        assert!(judge(&case).passed(), "{}", judge(&case));
        let json = serde_json::to_string(&collateral).expect("collateral is JSON");
        let theirs: QuoteCollateralV3 = serde_json::from_str(&json).expect("its form is theirs");
        let verifier = QuoteVerifier::new(root_der.clone()).with_config::<RingConfig>();
        let (mut ours, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(timed(|| judge(black_box(&case)).passed()));
            alone.push(timed(|| verifier.verify(black_box(&quote), &theirs, at_secs).is_ok()));
        }
        let (ours, alone) = (median(ours), median(alone));
        println!("{name}: verdict {ours:?}, dcap-qvl alone {alone:?}, median of {RUNS}");
        slow |= ours > LIMIT;
    }
    if slow { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn timed(work: impl FnOnce() -> bool) -> Duration {
    let started = Instant::now();
    assert!(work());
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
