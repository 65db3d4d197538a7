//! Verdicts on real quotes: of Era mainnet, and the samples of the `dcap-qvl` package.

mod samples;

use samples::{ERA_TIME, Era, era, sample, sample_collateral};
use tee_attestation::{Case, Collateral, Flaw, Hex, Key, Policy, Rule, TrustedRoot, Verdict, judge};

/// The TDX part of teepot's example policy, with MRSEAM added.
const POLICY: &str = "
tdx:
  mrs:
    - - 2a90c8fa38672cafd791d994beb6836b99383b2563736858632284f0f760a6446efd1e7ec457cf08b629ea630f7b4525
      - 3300980705adf09d28b707b79699d9874892164280832be2c386a715b6e204e0897fb564a064f810659207ba862b304f
      - c08ab64725566bcc8a6fb1c79e2e64744fcff1594b8f1f02d716fb66592ecd5de94933b2bc54ffbbc43a52aab7eb1146
      - 092a4866a9e6a1672d7439a5d106fbc6eb57b738d5bfea5276d41afa2551824365fdd66700c1ce9c0b20542b9f9d5945
      - 971fb52f90ec98a234301ca9b8fc30b613c33e3dd9c0cc42dcb8003d4a95d8fb218b75baf028b70a3cabcb947e1ca453
    - - 2a90c8fa38672cafd791d994beb6836b99383b2563736858632284f0f760a6446efd1e7ec457cf08b629ea630f7b4525
      - 3300980705adf09d28b707b79699d9874892164280832be2c386a715b6e204e0897fb564a064f810659207ba862b304f
      - c08ab64725566bcc8a6fb1c79e2e64744fcff1594b8f1f02d716fb66592ecd5de94933b2bc54ffbbc43a52aab7eb1146
      - 092a4866a9e6a1672d7439a5d106fbc6eb57b738d5bfea5276d41afa2551824365fdd66700c1ce9c0b20542b9f9d5945
      - f57bb7ed82c6ae4a29e6c9879338c592c7d42a39135583e8ccbe3940f2344b0eb6eb8503db0ffd6a39ddd00cd07d8317
  allowed_tcb_levels:
    - Ok
";

fn policy() -> Policy {
    Policy::from_yaml(POLICY).unwrap()
}

fn verdict(quote: &[u8], collateral: &Collateral, policy: &Policy, key: Option<Key>, at_secs: u64) -> Verdict {
    judge(&Case { quote, collateral, root: &TrustedRoot::intel(), policy, key, at_secs })
}

fn flaw(verdict: &Verdict) -> Option<Flaw> {
    assert!(!verdict.passed());
    assert!(verdict.attested_key().is_none());
    verdict.checks().iter().find_map(|check| check.flaw)
}

fn failed(verdict: &Verdict) -> Vec<Rule> {
    assert_eq!(verdict.attested_key().is_some(), verdict.passed());
    verdict.failures().map(|check| check.rule).collect()
}

#[test]
fn the_attestation_of_an_era_mainnet_prover_is_accepted_as_of_its_time() {
    let Some(Era { quote, collateral, key }) = era() else { return };
    let verdict = verdict(&quote, &collateral, &policy(), Some(key), ERA_TIME);
    assert_eq!(failed(&verdict), [], "{verdict}");
    assert_eq!(verdict.tcb_status(), Some("UpToDate"));
    let attested = verdict.attested_key().unwrap();
    assert!(attested.is(&key.public_key, &key.address));
    assert_eq!(verdict.valid_until_secs(), Some(1_746_170_208));
}

#[test]
fn it_is_refused_outside_of_the_collaterals_time() {
    let Some(Era { quote, collateral, key }) = era() else { return };
    for (at, expected) in [
        (1_743_580_059, Flaw::TcbInfoNotYetValid),
        (1_746_170_209, Flaw::QeIdentityExpired),
        (0, Flaw::TcbInfoNotYetValid),
        (1_900_000_000, Flaw::RevocationListExpired),
    ] {
        let verdict = verdict(&quote, &collateral, &policy(), Some(key), at);
        assert_eq!(flaw(&verdict), Some(expected), "at {at}: {verdict}");
    }
    for at in [1_743_580_060, 1_746_170_208] {
        assert!(verdict(&quote, &collateral, &policy(), Some(key), at).passed(), "at {at}");
    }
}

#[test]
fn it_is_refused_for_another_key_and_by_a_policy_without_its_measurements() {
    let Some(Era { quote, collateral, key }) = era() else { return };
    let other = Key { public_key: [2; 33], address: [0; 20] };
    assert_eq!(failed(&verdict(&quote, &collateral, &policy(), Some(other), ERA_TIME)), [Rule::Key]);
    for register in 0..5 {
        let mut policy = policy();
        for mrs in policy.tdx.as_mut().unwrap().mrs.as_mut().unwrap() {
            mrs[register] = Hex([7; 48]);
        }
        assert_eq!(failed(&verdict(&quote, &collateral, &policy, Some(key), ERA_TIME)), [Rule::Mrs]);
    }
    let empty = Policy::from_yaml("tdx: {mrs: []}").unwrap();
    assert_eq!(failed(&verdict(&quote, &collateral, &empty, Some(key), ERA_TIME)), [Rule::Mrs]);
    let silent = Policy::from_yaml("tdx: {}").unwrap();
    assert_eq!(failed(&verdict(&quote, &collateral, &silent, Some(key), ERA_TIME)), [Rule::Mrs]);
}

#[test]
fn it_is_refused_under_another_root() {
    let Some(Era { quote, collateral, key }) = era() else { return };
    let simulated = tee_attestation::simulated::Platform::new(std::time::SystemTime::now()).unwrap();
    let root = TrustedRoot::danger_other(simulated.root_certificate().unwrap());
    let case = Case {
        quote: &quote,
        collateral: &collateral,
        root: &root,
        policy: &policy(),
        key: Some(key),
        at_secs: ERA_TIME,
    };
    assert_eq!(flaw(&judge(&case)), Some(Flaw::RootRevocationList));
}

#[test]
fn one_bit_flipped_in_any_signed_region_is_refused() {
    let Some(Era { quote, collateral, key }) = era() else { return };
    let policy = policy();
    let refused = |quote: &[u8], collateral: &Collateral, what: &str| {
        let verdict = verdict(quote, collateral, &policy, Some(key), ERA_TIME);
        // With some bits of the header changed, it is no quote at all.
        let failed = failed(&verdict);
        assert!(failed.contains(&Rule::Genuine) || failed == [Rule::Readable], "{what}: {verdict}");
    };
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    };
    // Header and body; after the length, signature and attestation key; after a type and a length, the quoting
    // enclave's report, the platform's signature of it and, after a length, its own data.
    const SIGNED: usize = 48 + 584;
    const QE: usize = SIGNED + 4 + 64 + 64 + 2 + 4;
    let parts = (0..SIGNED).step_by(7).chain((SIGNED + 4..SIGNED + 4 + 128).step_by(7));
    for at in parts.chain((QE..QE + 384 + 64).step_by(11)).chain(QE + 450..QE + 482) {
        refused(&flipped(&quote, at), &collateral, &format!("byte {at} of the quote"));
    }
    // The platform's certificate and its authority's, in base64.
    let begins = quote.windows(27).enumerate().filter(|(_, window)| *window == b"-----BEGIN CERTIFICATE-----");
    let starts: Vec<_> = begins.take(2).map(|(at, _)| at + 28).collect();
    assert_eq!(starts.len(), 2);
    for start in starts {
        for at in (start..start + 800).step_by(37) {
            if quote[at] != b'\n' {
                refused(&flipped(&quote, at), &collateral, &format!("byte {at}, in a certificate"));
            }
        }
    }
    type Field = for<'a> fn(&'a mut Collateral) -> &'a mut Vec<u8>;
    let fields: [(&str, Field); 4] = [
        ("TCB info's signature", |c| &mut c.tcb_info_signature),
        ("QE identity's signature", |c| &mut c.qe_identity_signature),
        ("root's revocation list", |c| &mut c.root_ca_crl),
        ("PCK revocation list", |c| &mut c.pck_crl),
    ];
    for (name, field) in fields {
        let length = field(&mut collateral.clone()).len();
        for at in (0..length).step_by(1 + length / 60) {
            let mut changed = collateral.clone();
            field(&mut changed)[at] ^= 1 << (at % 8);
            refused(&quote, &changed, &format!("byte {at} of {name}"));
        }
    }
    type Text = for<'a> fn(&'a mut Collateral) -> &'a mut String;
    let texts: [(&str, Text); 2] = [("TCB info", |c| &mut c.tcb_info), ("QE identity", |c| &mut c.qe_identity)];
    for (name, text) in texts {
        let length = text(&mut collateral.clone()).len();
        for at in (0..length).step_by(1 + length / 60) {
            let mut changed = collateral.clone();
            let mut bytes = text(&mut changed).clone().into_bytes();
            bytes[at] ^= 1; // stays ASCII
            *text(&mut changed) = String::from_utf8(bytes).unwrap();
            refused(&quote, &changed, &format!("byte {at} of {name}"));
        }
    }
}

#[test]
fn the_samples_have_the_statuses_that_are_known_of_them() {
    for (name, at, status, advisories) in [
        ("sgx_quote", 1_751_000_000, "ConfigurationAndSWHardeningNeeded", vec!["INTEL-SA-00289", "INTEL-SA-00615"]),
        ("tdx_quote", 1_751_000_000, "UpToDate", vec![]),
        ("tdx_quote_td15ex", 1_792_000_000, "UpToDate", vec![]),
    ] {
        let verdict = verdict(&sample(name), &sample_collateral(name), &Policy::default(), None, at);
        assert_eq!(verdict.tcb_status(), Some(status), "{name}: {verdict}");
        assert_eq!(verdict.advisories(), advisories, "{name}");
        // They are other people's quotes: they name none of our keys.
        assert!(!verdict.passed());
    }
    let name = "tdx_quote_outdated";
    let verdict = verdict(&sample(name), &sample_collateral(name), &Policy::default(), None, 1_772_000_000);
    // It is older than all levels in Intel's TCB info.
    assert_eq!(flaw(&verdict), Some(Flaw::NoTcbLevel), "{verdict}");
    assert!(!verdict.passed());
}

#[test]
fn a_samples_status_passes_only_where_the_policy_allows_it_with_its_advisories() {
    let (quote, collateral) = (sample("sgx_quote"), sample_collateral("sgx_quote"));
    let rules =
        |yaml: &str| failed(&verdict(&quote, &collateral, &Policy::from_yaml(yaml).unwrap(), None, 1_751_000_000));
    let has = |yaml: &str, rule: Rule| rules(yaml).contains(&rule);
    assert!(has("sgx: {}", Rule::TcbStatus));
    assert!(has("sgx: {allowed_tcb_levels: [Ok, SwHardeningNeeded, ConfigNeeded, OutOfDate]}", Rule::TcbStatus));
    for name in ["ConfigAndSwHardeningNeeded", "ConfigurationAndSWHardeningNeeded"] {
        assert!(!has(&format!("sgx: {{allowed_tcb_levels: [{name}]}}"), Rule::TcbStatus));
    }
    assert!(has("sgx: {allowed_advisory_ids: [INTEL-SA-00615]}", Rule::Advisories));
    assert!(!has("sgx: {allowed_advisory_ids: [INTEL-SA-00615, INTEL-SA-00289]}", Rule::Advisories));
    assert!(!has("sgx: {allowed_advisory_ids: any}", Rule::Advisories));
    assert!(has("sgx: {allowed_advisory_ids: any, refused_advisory_ids: [INTEL-SA-00289]}", Rule::Advisories));
}

#[test]
fn the_verdict_shows_every_claim_and_rule() {
    let Some(Era { quote, collateral, key }) = era() else { return };
    let verdict = verdict(&quote, &collateral, &policy(), Some(key), ERA_TIME);
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["passed"], true);
    assert_eq!(json["claims"]["FMSPC"], "00806F050000");
    assert_eq!(json["claims"]["key named"], "0x726cfd7c264de899cfcd9e1a0d05a83f23321c9b");
    assert_eq!(json["checks"].as_array().unwrap().len(), verdict.checks().len());
    let table = verdict.to_string();
    for check in verdict.checks() {
        assert!(table.contains(check.rule.as_str()), "{table}");
    }
    assert!(table.contains("accepted: all"), "{table}");
}
