//! Policies as people write them.

use tee_attestation::{Advisories, Hex, Policy, PolicyError, TcbStatus};

/// teepot's `examples/attestation_policy.yaml`, shortened.
const TEEPOTS: &str = "\
sgx:
  mrenclaves:
    - a2caa7055e333f69c3e46ca7ba65b135a86c90adfde2afb356e05075b7818b3c
    - 36eeb64cc816f80a1cf5818b26710f360714b987d3799e757cbefba7697b9589
  allowed_tcb_levels:
    - Ok
    - SwHardeningNeeded
  allowed_advisory_ids:
    - INTEL-SA-00615
tdx:
  mrs:
    - - 2a90c8fa38672cafd791d994beb6836b99383b2563736858632284f0f760a6446efd1e7ec457cf08b629ea630f7b4525
      - 3300980705adf09d28b707b79699d9874892164280832be2c386a715b6e204e0897fb564a064f810659207ba862b304f
      - c08ab64725566bcc8a6fb1c79e2e64744fcff1594b8f1f02d716fb66592ecd5de94933b2bc54ffbbc43a52aab7eb1146
      - 092a4866a9e6a1672d7439a5d106fbc6eb57b738d5bfea5276d41afa2551824365fdd66700c1ce9c0b20542b9f9d5945
      - 971fb52f90ec98a234301ca9b8fc30b613c33e3dd9c0cc42dcb8003d4a95d8fb218b75baf028b70a3cabcb947e1ca453
  allowed_tcb_levels:
    - Ok
";

#[test]
fn teepots_policy_is_read_as_it_is() {
    let policy = Policy::from_yaml(TEEPOTS).unwrap();
    let sgx = policy.sgx.unwrap();
    assert_eq!(sgx.mrenclaves.as_ref().unwrap().len(), 2);
    assert_eq!(sgx.allowed_tcb_levels, [TcbStatus::UpToDate, TcbStatus::SwHardeningNeeded]);
    assert_eq!(sgx.allowed_advisory_ids, Advisories::Only(vec!["INTEL-SA-00615".to_owned()]));
    let tdx = policy.tdx.unwrap();
    let [[mrtd, .., rtmr3]] = tdx.mrs.unwrap()[..] else { panic!("one set of five") };
    assert!(mrtd.to_string().starts_with("2a90c8fa") && rtmr3.to_string().starts_with("971fb52f"));
    assert_eq!(tdx.allowed_tcb_levels, [TcbStatus::UpToDate]);
    assert_eq!(tdx.allowed_advisory_ids, Advisories::Only(vec![]));
}

#[test]
fn what_is_left_out_is_strict() {
    let policy = Policy::from_yaml("sgx: {}").unwrap();
    let sgx = policy.sgx.unwrap();
    assert_eq!(sgx.mrenclaves, None);
    assert_eq!(sgx.allowed_tcb_levels, [TcbStatus::UpToDate]);
    assert_eq!(sgx.allowed_advisory_ids, Advisories::Only(vec![]));
    assert_eq!((policy.tdx, policy.max_collateral_age_secs), (None, None));
    let any = Policy::from_yaml("tdx: {allowed_advisory_ids: any}").unwrap();
    assert_eq!(any.tdx.unwrap().allowed_advisory_ids, Advisories::Any);
}

#[test]
fn every_status_has_intels_name_and_those_of_teepot_too() {
    for (name, status) in [
        ("UpToDate", TcbStatus::UpToDate),
        ("Ok", TcbStatus::UpToDate),
        ("SWHardeningNeeded", TcbStatus::SwHardeningNeeded),
        ("SwHardeningNeeded", TcbStatus::SwHardeningNeeded),
        ("ConfigurationNeeded", TcbStatus::ConfigurationNeeded),
        ("ConfigNeeded", TcbStatus::ConfigurationNeeded),
        ("ConfigurationAndSWHardeningNeeded", TcbStatus::ConfigurationAndSwHardeningNeeded),
        ("ConfigAndSwHardeningNeeded", TcbStatus::ConfigurationAndSwHardeningNeeded),
        ("OutOfDate", TcbStatus::OutOfDate),
        ("OutOfDateConfigurationNeeded", TcbStatus::OutOfDateConfigurationNeeded),
        ("OutOfDateConfigNeeded", TcbStatus::OutOfDateConfigurationNeeded),
        ("TDRelaunchAdvised", TcbStatus::TdRelaunchAdvised),
        ("TDRelaunchAdvisedConfigurationNeeded", TcbStatus::TdRelaunchAdvisedConfigurationNeeded),
    ] {
        let policy = Policy::from_yaml(&format!("sgx: {{allowed_tcb_levels: [{name}]}}")).unwrap();
        assert_eq!(policy.sgx.unwrap().allowed_tcb_levels, [status], "{name}");
        assert_eq!(TcbStatus::from_intel(status.as_str()), Some(status));
    }
    assert_eq!(TcbStatus::from_intel("Revoked"), None);
}

#[test]
fn what_is_not_understood_is_an_error() {
    let half = "ab".repeat(16);
    for yaml in [
        "sgx: {mrenclave: []}".to_owned(),
        "sgx: {}\nsdx: {}".to_owned(),
        "sgx: {}\nsgx: {}".to_owned(),
        "sgx: {allowed_tcb_levels: [Invalid]}".to_owned(),
        "sgx: {allowed_tcb_levels: [Revoked]}".to_owned(),
        "sgx: {allowed_tcb_levels: [ok]}".to_owned(),
        "sgx: {allowed_tcb_levels: Ok}".to_owned(),
        "sgx: {allowed_advisory_ids: all}".to_owned(),
        format!("sgx: {{mrenclaves: ['{half}']}}"),
        format!("sgx: {{mrenclaves: ['0x{half}{half}']}}"),
        format!("sgx: {{mrenclaves: ['{half}{half}00']}}"),
        format!("sgx: {{mrenclaves: '{half}{half}'}}"),
        format!("tdx: {{mrs: [['{half}{half}{half}']]}}"),
        "sgx: {isv_prod_ids: [65536]}".to_owned(),
        "sgx: {min_isv_svn: -1}".to_owned(),
        "max_collateral_age_secs: 1 day\nsgx: {}".to_owned(),
        "sgx: [".to_owned(),
        "\u{0}".to_owned(),
        "&a [*a, *a]".to_owned(),
    ] {
        assert!(matches!(Policy::from_yaml(&yaml), Err(PolicyError::Yaml(_))), "{yaml}");
    }
    assert!(matches!(Policy::from_yaml("{}"), Err(PolicyError::Empty)));
    assert!(matches!(Policy::from_yaml("max_collateral_age_secs: 1"), Err(PolicyError::Empty)));
    let large = format!("sgx: {{}} #{}", "x".repeat(300_000));
    assert!(matches!(Policy::from_yaml(&large), Err(PolicyError::TooLarge { .. })));
}

#[test]
fn a_measurement_of_digits_alone_is_still_text() {
    let digits = "1234567890".repeat(7)[..64].to_owned();
    let policy = Policy::from_yaml(&format!("sgx: {{mrenclaves: [{digits}]}}")).unwrap();
    let read = policy.sgx.unwrap().mrenclaves.unwrap();
    assert_eq!(read[0].to_string(), digits);
    let exponent = format!("1e{}", "5".repeat(62));
    let policy = Policy::from_yaml(&format!("sgx: {{mrenclaves: [{exponent}]}}")).unwrap();
    assert_eq!(policy.sgx.unwrap().mrenclaves.unwrap()[0].to_string(), exponent);
    assert_eq!("AB".parse(), Ok(Hex([0xab])));
}

#[test]
fn changed_at_random_a_policy_is_read_or_refused_without_a_panic() {
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) % below as u64) as usize
    };
    const LETTERS: &[u8] = b" \n-:[]{}&*!|>'\"%#,?~a0.\t";
    for _ in 0..3000 {
        let mut bytes = TEEPOTS.as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = LETTERS[random(LETTERS.len())],
                1 => bytes.insert(at, LETTERS[random(LETTERS.len())]),
                _ => drop(bytes.remove(at)),
            }
        }
        let _ = Policy::from_yaml(&String::from_utf8(bytes).unwrap());
    }
}
