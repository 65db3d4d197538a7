use super::*;
use tee_api::{ClientCertificate, TlsFiles};
use tee_verifier::{ChainPins, CodeHashes, CodePin, H256};

/// Allows any code, for tests that are only about servers.
const ANY_CODE: (&str, &str) = ("TEE_PROVER_DANGER_ANY_CODE", "true");

/// Loads a configuration, with any code allowed unless the variables say otherwise.
fn load(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load_strictly(file, &[&[ANY_CODE], variables].concat())
}

fn load_strictly(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let path = file.map(|text| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    });
    let names: Vec<_> = variables.iter().map(|(name, _)| name.to_string()).collect();
    let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    Config::load(path.as_ref().map(|file| file.path()), get, &names)
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    load(Some(text), &[]).map(|loaded| loaded.config)
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load(None, variables).map(|loaded| loaded.config)
}

#[test]
fn everything_can_be_said_in_the_file() {
    let config = from_file(
        "api_url: http://127.0.0.1:3320\nmax_retries: 10\ninitial_retry_backoff: 90s\nretry_backoff_multiplier: 1.5\n\
         max_backoff: 5 min\nmax_idle_poll: 3s\nverification_workers: 7\nprefetch: 3\nmemory_budget: 2 GiB\n\
         verification_timeout: 1h\nstuck_verification_timeout: 2h\nshutdown_grace: 0\nattestation: tdx\nquote_timeout: 3 min\n\
         attestation_quote_file_path: /tmp/quote\n\
         tee_type: tdx\nchain_id: 300\ndanger_any_code: true\nmetrics_listen: 127.0.0.1:3321\nlog_format: json\n",
    );
    let expected = Config {
        max_retries: Some(10),
        initial_retry_backoff: Duration::from_secs(90),
        retry_backoff_multiplier: 1.5,
        max_backoff: Duration::from_secs(300),
        max_idle_poll: Duration::from_secs(3),
        verification_workers: NonZeroUsize::new(7).unwrap(),
        prefetch: NonZeroUsize::new(3).unwrap(),
        memory_budget_bytes: 2 << 30,
        verification_timeout: Duration::from_secs(3600),
        stuck_verification_timeout: Duration::from_secs(7200),
        shutdown_grace: Duration::ZERO,
        attestation: Attestation::Tdx,
        quote_timeout: Duration::from_secs(180),
        attestation_quote_file_path: Some("/tmp/quote".into()),
        tee_type: Some(TeeType::Tdx),
        metrics_listen: Some(([127, 0, 0, 1], 3321).into()),
        log_format: LogFormat::Json,
        ..Config::new("http://127.0.0.1:3320", Pins::DangerAnyCode { chain_id: Some(300) })
    };
    assert_eq!(config.unwrap(), expected);
}

#[test]
fn the_environment_goes_over_the_file() {
    let config = load(
        Some("api_urls: [http://file, http://file2]\nmax_backoff: 7\n"),
        &[("TEE_PROVER_API_URL", "http://environment"), ("PROMETHEUS_LISTENER_PORT", "3322")],
    );
    let expected = Config {
        max_backoff: Duration::from_secs(7),
        metrics_listen: Some(([0, 0, 0, 0], 3322).into()),
        ..Config::new("http://environment", Pins::danger_any_code())
    };
    assert_eq!(config.unwrap().config, expected);
}

#[test]
fn zksync_eras_environment_is_enough() {
    let config = from_environment(&[
        ("TEE_PROVER_API_URL", "http://127.0.0.1:3320"),
        ("TEE_PROVER_MAX_RETRIES", "10"),
        ("TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "2"),
        ("TEE_PROVER_RETRY_BACKOFF_MULTIPLIER", "3.0"),
        ("TEE_PROVER_MAX_BACKOFF_SEC", "64"),
        ("TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH", "/tmp/quote"),
        ("TEE_PROVER_TEE_TYPE", "sgx"),
    ]);
    let expected = Config {
        max_retries: Some(10),
        initial_retry_backoff: Duration::from_secs(2),
        retry_backoff_multiplier: 3.0,
        max_backoff: Duration::from_secs(64),
        attestation_quote_file_path: Some("/tmp/quote".into()),
        tee_type: Some(TeeType::Sgx),
        ..Config::new("http://127.0.0.1:3320", Pins::danger_any_code())
    };
    assert_eq!(config.unwrap(), expected);
}

#[test]
fn what_is_shown_loads_to_the_same_and_names_origins_but_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "file-s3cret\n").unwrap();
    let file = format!(
        "api_urls:\n  - http://a\n  - {{url: 'http://b/#c', token_file: '{}', ca_file: /ca.pem, client_certificate_file: /c.pem, \
         client_key_file: /k.pem}}\nmax_backoff: 5 min\nchain_id: 300\n",
        token.display()
    );
    let variables = [("TEE_PROVER_PREFETCH", "4"), ("TEE_PROVER_SIGNING_KEY", "environment-s3cret")];
    let loaded = load(Some(&file), &variables).unwrap();
    assert_eq!(loaded.config.servers[1].token, Some("file-s3cret".parse().unwrap()));
    let shown = loaded.to_string();
    for line in [
        "max_backoff: 300s  # file",
        "prefetch: 4  # TEE_PROVER_PREFETCH",
        "shutdown_grace: 20s  # default",
        "# tee_type is not set",
        "# secret: signing_key (hidden)  # TEE_PROVER_SIGNING_KEY",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    assert!(!shown.contains("s3cret") && !format!("{loaded:?}").contains("s3cret"), "{shown}");
    assert_eq!(from_file(&shown).unwrap(), loaded.config, "{shown}");
}

#[test]
fn one_server_may_have_its_token_in_the_environment() {
    let token = ("TEE_PROVER_API_TOKEN", "s3cret");
    let config = from_environment(&[("TEE_PROVER_API_URL", "http://a"), token]).unwrap();
    assert_eq!(config.servers[0].token, Some("s3cret".parse().unwrap()));
    let two = from_environment(&[("TEE_PROVER_API_URLS", "http://a, http://b"), token]);
    assert!(matches!(two, Err(ConfigError::TokenForWhom)));
    let error =
        from_environment(&[("TEE_PROVER_API_URL", "http://a"), ("TEE_PROVER_API_TOKEN", "s3 cret")]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("cret\""), "{error:?}");
}

#[test]
fn one_server_may_have_its_tls_files_in_the_environment() {
    let (url, ca) = (("TEE_PROVER_API_URL", "https://a"), ("TEE_PROVER_API_CA_FILE", "/ca.pem"));
    let certificate = ("TEE_PROVER_API_CLIENT_CERTIFICATE_FILE", "/c.pem");
    let key = ("TEE_PROVER_API_CLIENT_KEY_FILE", "/k.pem");
    let loaded = load(None, &[url, ca, certificate, key]).unwrap();
    let client = ClientCertificate { certificate_file: "/c.pem".into(), key_file: "/k.pem".into() };
    assert_eq!(loaded.config.servers[0].tls, TlsFiles { ca_file: Some("/ca.pem".into()), client: Some(client) });
    assert_eq!(from_file(&loaded.to_string()).unwrap(), loaded.config, "{loaded}");
    assert!(matches!(from_environment(&[url, certificate]), Err(ConfigError::HalfAClientCertificate)));
    let two = from_environment(&[("TEE_PROVER_API_URLS", "https://a, https://b"), ca]);
    assert!(matches!(two, Err(ConfigError::FilesForWhom)));
}

#[test]
fn an_unknown_key_is_an_error_that_does_not_show_its_value() {
    for file in [
        "api_url: http://127.0.0.1\nsigning_key: ac0974bec39a17e3\n",
        "api_urls: [{url: http://127.0.0.1, token: ac0974bec39a17e3}]\n",
    ] {
        let error = from_file(file).unwrap_err();
        assert!(matches!(error, ConfigError::File { .. }));
        assert!(!format!("{error} {error:?}").contains("ac0974bec39a17e3"), "{error:?}");
    }
}

#[test]
fn servers_must_be_named_once_and_without_credentials() {
    assert!(matches!(from_environment(&[]), Err(ConfigError::NoServer)));
    assert!(matches!(from_environment(&[("TEE_PROVER_API_URLS", " , ")]), Err(ConfigError::NoServer)));
    assert!(matches!(from_file("api_url: http://a\napi_urls: [http://b]\n"), Err(ConfigError::TwoServerKeys)));
    for url in ["http://user:password@host", "https://user@host/path", "http://user@host?x"] {
        assert!(matches!(from_environment(&[("TEE_PROVER_API_URL", url)]), Err(ConfigError::Credentials)), "{url}");
    }
    assert!(from_environment(&[("TEE_PROVER_API_URL", "http://host/a@b")]).is_ok());
}

#[test]
fn values_that_make_no_sense_are_refused_by_the_name_of_their_variable() {
    for (name, value) in [
        ("TEE_PROVER_VERIFICATION_WORKERS", "0"),
        ("TEE_PROVER_PREFETCH", "-1"),
        ("TEE_PROVER_MEMORY_BUDGET", "lots"),
        ("TEE_PROVER_ATTESTATION", "SGX"),
        ("TEE_PROVER_LOG_FORMAT", "xml"),
        ("TEE_PROVER_TEE_TYPE", "Sgx"),
        ("PROMETHEUS_LISTENER_PORT", "99999"),
    ] {
        let error = from_environment(&[("TEE_PROVER_API_URL", "http://host"), (name, value)]).unwrap_err();
        assert!(
            matches!(&error, ConfigError::Environment(VariableError::Invalid { name: named, .. }) if named == name),
            "{error}"
        );
    }
}

#[test]
fn a_misspelt_variable_is_refused_with_the_name_that_it_is_most_like() {
    for (misspelt, meant) in [
        ("TEE_PROVER_VERIFICATION_WORKER", "TEE_PROVER_VERIFICATION_WORKERS"),
        ("TEE_PROVER_MAX_BACKOF_SECS", "TEE_PROVER_MAX_BACKOFF_SECS"),
        ("TEE_PROVER_CHAINFILE", "TEE_PROVER_CHAIN_FILE"),
        ("TEE_PROVER_SIGNINGKEY", "TEE_PROVER_SIGNING_KEY"),
    ] {
        let error = from_environment(&[("TEE_PROVER_API_URL", "http://host"), (misspelt, "s3cret")]).unwrap_err();
        let ConfigError::Environment(VariableError::Unknown { name, nearest }) = &error else {
            panic!("{misspelt}: {error}")
        };
        assert_eq!((name.as_str(), nearest.as_str()), (misspelt, meant));
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    // Other programs' variables are left alone.
    assert!(from_environment(&[("TEE_PROVER_API_URL", "http://host"), ("PATH", "/bin")]).is_ok());
}

#[test]
fn a_wait_of_nothing_or_one_that_shrinks_is_refused() {
    for (name, value) in [
        ("TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "0"),
        ("TEE_PROVER_MAX_BACKOFF_SECS", "0ms"),
        ("TEE_PROVER_VERIFICATION_TIMEOUT", "0"),
        ("TEE_PROVER_QUOTE_TIMEOUT", "0"),
        ("TEE_PROVER_RETRY_BACKOFF_MULTIPLIER", "0.5"),
        ("TEE_PROVER_RETRY_BACKOFF_MULTIPLIER", "inf"),
        ("TEE_PROVER_RETRY_BACKOFF_MULTIPLIER", "NaN"),
    ] {
        let config = from_environment(&[("TEE_PROVER_API_URL", "http://host"), (name, value)]);
        assert!(matches!(config, Err(ConfigError::Backoff)), "{name}={value}");
    }
}

#[test]
fn each_server_has_memory_for_a_batch() {
    let config = |urls: &str| from_file(&format!("api_urls: {urls}\nmemory_budget: 200 MiB\n"));
    assert!(config("[http://a]").is_ok());
    assert!(matches!(config("[http://a, http://b]"), Err(ConfigError::Memory { servers: 2, .. })));
}

fn pins() -> ChainPins {
    let hash = H256::repeat_byte;
    let code = CodeHashes { bootloader: hash(1), default_account: hash(2), evm_emulator: Some(hash(3)) };
    ChainPins::new(300, vec![CodePin::new(28, CodeHashes { evm_emulator: None, ..code }), CodePin::new(29, code)])
        .unwrap()
}

#[test]
fn pins_come_from_the_file_or_from_one_of_their_own() {
    let file = format!("api_url: http://a\nchain: {}\nchain_id: 300\n", pins());
    let loaded = load_strictly(Some(&file), &[]).unwrap();
    assert_eq!(loaded.config.pins, Pins::Chain(pins()));
    let shown = load_strictly(Some(&loaded.to_string()), &[]).unwrap();
    assert_eq!(shown.config, loaded.config);

    let own = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(own.path(), format!("chain: {}\n", pins())).unwrap();
    let variables = [("TEE_PROVER_API_URL", "http://a"), ("TEE_PROVER_CHAIN_FILE", own.path().to_str().unwrap())];
    assert_eq!(load_strictly(None, &variables).unwrap().config.pins, Pins::Chain(pins()));
}

/// Without pins, an enclave would sign the results of any bootloader.
#[test]
fn code_is_pinned_or_said_not_to_be_and_never_both() {
    let server = "api_url: http://a\n";
    let load = |more: &str| load_strictly(Some(&format!("{server}{more}")), &[]).map(|loaded| loaded.config.pins);
    assert!(matches!(load(""), Err(ConfigError::NoPins)));
    assert!(matches!(load("chain_id: 300\n"), Err(ConfigError::NoPins)));
    assert!(matches!(load("danger_any_code: false\n"), Err(ConfigError::NoPins)));
    assert!(matches!(load(&format!("chain: {}\ndanger_any_code: true\n", pins())), Err(ConfigError::PinsOfAnyCode)));
    let two = load(&format!("chain: {}\nchain_id: 301\n", pins()));
    assert!(matches!(two, Err(ConfigError::TwoChains { chain_id: 301, pinned: 300 })));
    assert!(matches!(load("chain: {id: 300, code: []}\n"), Err(ConfigError::File { .. })));
    assert_eq!(load("danger_any_code: true\n").unwrap(), Pins::danger_any_code());
    let nowhere = [("TEE_PROVER_API_URL", "http://a"), ("TEE_PROVER_CHAIN_FILE", "/nowhere")];
    assert!(matches!(load_strictly(None, &nowhere), Err(ConfigError::Environment(VariableError::Invalid { .. }))));
}
