use std::fs;

use super::*;

const NEEDED: &str = "database_url: sqlite://tee.sqlite\nobject_store: file://inputs\n";

/// Loads the required keys and `yaml`, overridden by the variables.
fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load_all(&format!("{NEEDED}{yaml}"), variables)
}

fn load_all(yaml: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), yaml).unwrap();
    Config::load(Some(file.path()), get(variables), &names(variables))
}

fn get(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
}

fn names(variables: &[(&str, &str)]) -> Vec<String> {
    variables.iter().map(|(name, _)| name.to_string()).collect()
}

fn needed() -> Config {
    Config::new("sqlite://tee.sqlite".to_owned(), "file://inputs".parse().unwrap())
}

/// Every key except those of pins and those that contradict others.
const FULL: &str = "listen: 0.0.0.0:1
tokens_file: tokens.yaml
public_proofs: true
tls: {certificate: c.pem, key: k.pem, prover_ca: ca.pem}
limits: {max_body: 1MiB, max_upload: 2 GiB, requests_per_sec: 1, request_burst: 2, max_connections: 3, max_connections_per_peer: 4, \
header_timeout: 5s, request_timeout: 2min, stall_timeout: 7, least_upload_per_sec: 8kB, least_answer_per_sec: 9KiB, max_answer: 10MB, \
max_event_streams: 11, stop_grace: 12s}
log_format: json
first_processed_batch: 13
proof_generation_timeout: 14 min
longest_lease: 1d
max_attempts: 15
max_leases_per_prover: 16
batch_permanently_ignored_timeout: 90 min
tee_types: [sgx, none]
required_proofs: {sgx: 2, tdx: 0}
keep_finished_inputs: 30d
mirror: {node_url: 'http://node/s3cret', rpc_url: 'http://rpc/s3cret', first_batch: 17, token_file: node.token}
completion: {rpc_url: 'http://archive/s3cret'}
attestation: {policy: 'policy #1.yaml', collateral: 'https://pccs/?key=s3cret', refresh_before: 1h, rejudge_interval: 2h, \
suspend_after: 3d, known_builds: builds.json, danger_root_certificate: root.pem}
danger_bare_roots: true
danger_unjudged_quotes: true
danger_any_code: true
";

fn full() -> Config {
    Config {
        listen: "0.0.0.0:1".parse().unwrap(),
        tokens_file: Some("tokens.yaml".into()),
        public_proofs: true,
        tls: Some(TlsConfig { certificate: "c.pem".into(), key: "k.pem".into(), prover_ca: Some("ca.pem".into()) }),
        limits: Limits {
            max_body_bytes: 1 << 20,
            max_upload_bytes: 2 << 30,
            requests_per_sec: 1,
            request_burst: 2,
            max_connections: 3,
            max_connections_per_peer: 4,
            header_timeout_secs: 5,
            request_timeout_secs: 120,
            stall_timeout_secs: 7,
            least_upload_bytes_per_sec: 8000,
            least_answer_bytes_per_sec: 9 << 10,
            max_answer_bytes: 10_000_000,
            max_event_streams: 11,
            stop_grace_secs: 12,
        },
        log_format: LogFormat::Json,
        first_processed_batch: 13,
        proof_generation_timeout_secs: 14 * 60,
        longest_lease_secs: 86_400,
        max_attempts: 15,
        max_leases_per_prover: 16,
        batch_permanently_ignored_timeout: Duration::from_secs(90 * 60),
        tee_types: vec![TeeType::Sgx, TeeType::None],
        required_proofs: RequiredProofs { sgx: Some(2), tdx: Some(0) },
        keep_finished_inputs_days: NonZeroU32::new(30),
        mirror: Some(MirrorConfig {
            node_url: "http://node/s3cret".to_owned(),
            rpc_url: Some("http://rpc/s3cret".to_owned()),
            first_batch: 17,
            token_file: Some("node.token".into()),
        }),
        completion: Some(CompletionConfig { rpc_url: "http://archive/s3cret".to_owned() }),
        attestation: Some(AttestationConfig {
            refresh_before_secs: 3600,
            rejudge_interval_secs: 7200,
            suspend_after_secs: 3 * 86_400,
            known_builds: Some("builds.json".into()),
            danger_root_certificate: Some("root.pem".into()),
            ..AttestationConfig::new("policy #1.yaml".into(), "https://pccs/?key=s3cret".to_owned())
        }),
        danger_bare_roots: true,
        danger_unjudged_quotes: true,
        danger_any_code: true,
        ..needed()
    }
}

#[test]
fn two_keys_suffice() {
    let Loaded { config, warnings, .. } = load("", &[]).unwrap();
    assert_eq!((config, warnings), (needed(), vec![]));
    assert_eq!(needed().listen.to_string(), "127.0.0.1:3320");
    assert!(!needed().danger_open);
    let variables = [("TEE_SERVER_DATABASE_URL", "sqlite://tee.sqlite"), ("TEE_SERVER_OBJECT_STORE", "file://inputs")];
    assert_eq!(Config::load(None, get(&variables), &names(&variables)).unwrap().config, needed());
}

#[test]
fn everything_can_be_said_in_the_file() {
    assert_eq!(load(FULL, &[]).unwrap().config, full());
    assert!(load("danger_open: true\n", &[]).unwrap().config.danger_open);
}

#[test]
fn everything_can_be_said_in_the_environment_over_the_file() {
    let variables = [
        ("TEE_SERVER_LISTEN", "0.0.0.0:1"),
        ("TEE_SERVER_TOKENS_FILE", "tokens.yaml"),
        ("TEE_SERVER_PUBLIC_PROOFS", "true"),
        ("TEE_SERVER_TLS_CERTIFICATE", "c.pem"),
        ("TEE_SERVER_TLS_KEY", "k.pem"),
        ("TEE_SERVER_TLS_PROVER_CA", "ca.pem"),
        ("TEE_SERVER_LIMITS_MAX_BODY", "1MiB"),
        ("TEE_SERVER_LIMITS_MAX_UPLOAD", "2GiB"),
        ("TEE_SERVER_LIMITS_REQUESTS_PER_SEC", "1"),
        ("TEE_SERVER_LIMITS_REQUEST_BURST", "2"),
        ("TEE_SERVER_LIMITS_MAX_CONNECTIONS", "3"),
        ("TEE_SERVER_LIMITS_MAX_CONNECTIONS_PER_PEER", "4"),
        ("TEE_SERVER_LIMITS_HEADER_TIMEOUT", "5s"),
        ("TEE_SERVER_LIMITS_REQUEST_TIMEOUT", "120"),
        ("TEE_SERVER_LIMITS_STALL_TIMEOUT", "7s"),
        ("TEE_SERVER_LIMITS_LEAST_UPLOAD_PER_SEC", "8kB"),
        ("TEE_SERVER_LIMITS_LEAST_ANSWER_PER_SEC", "9KiB"),
        ("TEE_SERVER_LIMITS_MAX_ANSWER", "10MB"),
        ("TEE_SERVER_LIMITS_MAX_EVENT_STREAMS", "11"),
        ("TEE_SERVER_LIMITS_STOP_GRACE", "12s"),
        ("TEE_SERVER_LOG_FORMAT", "json"),
        ("TEE_SERVER_FIRST_PROCESSED_BATCH", "13"),
        ("TEE_SERVER_PROOF_GENERATION_TIMEOUT", "14min"),
        ("TEE_SERVER_LONGEST_LEASE", "1d"),
        ("TEE_SERVER_MAX_ATTEMPTS", "15"),
        ("TEE_SERVER_MAX_LEASES_PER_PROVER", "16"),
        ("TEE_SERVER_BATCH_PERMANENTLY_IGNORED_TIMEOUT", "90min"),
        ("TEE_SERVER_TEE_TYPES", "sgx, none"),
        ("TEE_SERVER_REQUIRED_PROOFS_SGX", "2"),
        ("TEE_SERVER_REQUIRED_PROOFS_TDX", "0"),
        ("TEE_SERVER_KEEP_FINISHED_INPUTS", "30d"),
        ("TEE_SERVER_MIRROR_NODE_URL", "http://node/s3cret"),
        ("TEE_SERVER_MIRROR_RPC_URL", "http://rpc/s3cret"),
        ("TEE_SERVER_MIRROR_FIRST_BATCH", "17"),
        ("TEE_SERVER_MIRROR_TOKEN_FILE", "node.token"),
        ("TEE_SERVER_COMPLETION_RPC_URL", "http://archive/s3cret"),
        ("TEE_SERVER_ATTESTATION_POLICY", "policy #1.yaml"),
        ("TEE_SERVER_ATTESTATION_COLLATERAL", "https://pccs/?key=s3cret"),
        ("TEE_SERVER_ATTESTATION_REFRESH_BEFORE", "1h"),
        ("TEE_SERVER_ATTESTATION_REJUDGE_INTERVAL", "2h"),
        ("TEE_SERVER_ATTESTATION_SUSPEND_AFTER", "3d"),
        ("TEE_SERVER_ATTESTATION_KNOWN_BUILDS", "builds.json"),
        ("TEE_SERVER_ATTESTATION_DANGER_ROOT_CERTIFICATE", "root.pem"),
        ("TEE_SERVER_DANGER_BARE_ROOTS", "true"),
        ("TEE_SERVER_DANGER_UNJUDGED_QUOTES", "true"),
        ("TEE_SERVER_DANGER_ANY_CODE", "true"),
    ];
    assert_eq!(load("", &variables).unwrap().config, full());
    let file = "max_attempts: 1\nlimits: {stop_grace: 1s}\nmirror: {node_url: 'http://other'}\n";
    assert_eq!(load(file, &variables).unwrap().config, full());
    assert!(load("", &[("TEE_SERVER_DANGER_OPEN", "true")]).unwrap().config.danger_open);
}

#[test]
fn keys_of_the_release_before_are_read_with_a_warning_and_mean_the_same() {
    let before = "proof_generation_timeout_secs: 840\nlongest_lease_secs: 86400\nbatch_permanently_ignored_timeout_hours: 3\n\
                  keep_finished_inputs_days: 30\n\
                  limits: {max_body_bytes: 1, max_upload_bytes: 2, header_timeout_secs: 3, request_timeout_secs: 4, stall_timeout_secs: 5, \
                  least_upload_bytes_per_sec: 6, least_answer_bytes_per_sec: 7, max_answer_bytes: 8, stop_grace_secs: 9}\n\
                  attestation: {policy: p, collateral: c, refresh_before_secs: 10, rejudge_interval_secs: 11, suspend_after_secs: 12}\n";
    let now = "proof_generation_timeout: 14min\nlongest_lease: 1d\nbatch_permanently_ignored_timeout: 3h\nkeep_finished_inputs: 30d\n\
               limits: {max_body: 1, max_upload: 2, header_timeout: 3, request_timeout: 4, stall_timeout: 5, least_upload_per_sec: 6, \
               least_answer_per_sec: 7, max_answer: 8, stop_grace: 9}\n\
               attestation: {policy: p, collateral: c, refresh_before: 10, rejudge_interval: 11, suspend_after: 12}\n";
    let (before, now) = (load(before, &[]).unwrap(), load(now, &[]).unwrap());
    assert_eq!(before.config, now.config);
    assert_eq!(before.to_string(), now.to_string());
    assert_eq!((before.warnings.len(), now.warnings.len()), (16, 0));
    for warning in [
        "limits.max_body_bytes is now limits.max_body; the old name will be removed in the next release",
        "keep_finished_inputs_days is now keep_finished_inputs; the old name will be removed in the next release",
        "attestation.suspend_after_secs is now attestation.suspend_after; the old name will be removed in the next \
         release",
    ] {
        assert!(before.warnings.iter().any(|said| said == warning), "{warning}: {:?}", before.warnings);
    }
    let both = load("longest_lease_secs: 1\nlongest_lease: 1\n", &[]);
    assert!(matches!(both, Err(ConfigError::Value { key: "longest_lease", .. })), "{both:?}");
}

#[test]
fn what_is_shown_names_origins_and_no_secrets_and_loads_to_the_same() {
    let loaded = load(FULL, &[("TEE_SERVER_MAX_ATTEMPTS", "7"), ("TEE_SERVER_LIMITS_STOP_GRACE", "1 min")]).unwrap();
    let shown = loaded.to_string();
    for line in [
        "# secret: database_url (hidden)  # file",
        "object_store: file://inputs  # file",
        "danger_open: false  # default",
        "max_attempts: 7  # TEE_SERVER_MAX_ATTEMPTS",
        "limits:",
        "  stop_grace: 60s  # TEE_SERVER_LIMITS_STOP_GRACE",
        "  least_answer_per_sec: 9KiB  # file",
        "  # secret: node_url (hidden)  # file",
        "  policy: \"policy #1.yaml\"  # file",
        "# chain is not set",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nin\n{shown}");
    }
    assert!(!format!("{shown} {loaded:?}").contains("s3cret"), "{shown}");
    let hidden = [
        ("TEE_SERVER_DATABASE_URL", "sqlite://tee.sqlite"),
        ("TEE_SERVER_MIRROR_NODE_URL", "http://node/s3cret"),
        ("TEE_SERVER_MIRROR_RPC_URL", "http://rpc/s3cret"),
        ("TEE_SERVER_COMPLETION_RPC_URL", "http://archive/s3cret"),
        ("TEE_SERVER_ATTESTATION_COLLATERAL", "https://pccs/?key=s3cret"),
    ];
    assert_eq!(load_all(&shown, &hidden).unwrap().config, loaded.config);
    let least = load("", &[]).unwrap();
    assert_eq!(load_all(&least.to_string(), &hidden[..1]).unwrap().config, least.config);
}

#[test]
fn pins_are_in_the_file_or_in_one_that_the_environment_names() {
    let pins = "chain: {id: 300, code: [{protocol_version: 29, bootloader: '0xHASH', default_account: '0xHASH'}]}\n";
    let pins = pins.replace("HASH", &"01".repeat(32));
    let config = load(&pins, &[]).unwrap().config;
    assert_eq!(config.chain.as_ref().map(ChainPins::id), Some(300));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &pins).unwrap();
    let variables = [("TEE_SERVER_CHAIN_FILE", file.path().to_str().unwrap())];
    let loaded = load("", &variables).unwrap();
    assert_eq!(loaded.config, config);
    assert!(loaded.to_string().contains("# TEE_SERVER_CHAIN_FILE"), "{loaded}");
    assert_eq!(
        load_all(&format!("{NEEDED}{loaded}").replace("object_store: file://inputs  #", "#"), &[]).unwrap().config,
        config
    );
}

#[test]
fn unknown_keys_and_garbage_are_errors() {
    for yaml in [
        "listen_on: 127.0.0.1:1\n",
        "required_proofs: {sev: 1}\n",
        "listen: nowhere\n",
        "proof_generation_timeout_secs: -1\n",
        "proof_generation_timeout: soon\n",
        "limits: {max_body: lots}\n",
        "limits: 7\n",
        "mirror: {node_url: http://x, last_batch: 1}\n",
        "chain: {id: 300, code: []}\n",
        "chain: {id: 300}\n",
        "keep_finished_inputs_days: 0\n",
        "tee_types: [sev]\n",
        "{",
        "\u{0}",
    ] {
        let error = load(yaml, &[]).unwrap_err();
        assert!(matches!(error, ConfigError::Yaml(_)), "{yaml}: {error}");
    }
    assert!(matches!(load_all("database_url: sqlite://x\nobject_store: inputs\n", &[]), Err(ConfigError::Yaml(_))));
    assert!(matches!(Config::read(Path::new("/nowhere")), Err(ConfigError::Read(_))));
    for (name, value) in [
        ("TEE_SERVER_LISTEN", "nowhere"),
        ("TEE_SERVER_TEE_TYPES", "sgx;tdx"),
        ("TEE_SERVER_LIMITS_MAX_BODY", "-1"),
        ("TEE_SERVER_CHAIN_FILE", "/nowhere"),
        ("TEE_SERVER_MAX_ATTEMPT", "1"),
    ] {
        let error = load("", &[(name, value)]).unwrap_err();
        assert!(matches!(&error, ConfigError::Environment(error) if error.to_string().contains(name)), "{error}");
    }
}

#[test]
fn what_is_missing_or_makes_no_sense_is_named() {
    let missing = |yaml: &str, variables: &[(&str, &str)]| match load_all(yaml, variables) {
        Err(ConfigError::Missing(key)) => key,
        other => panic!("{yaml}: {other:?}"),
    };
    assert_eq!(missing("object_store: file://inputs\n", &[]), "database_url");
    assert_eq!(missing("database_url: sqlite://x\n", &[]), "object_store");
    let section = |yaml: &str| missing(&format!("{NEEDED}{yaml}"), &[]);
    assert_eq!(section("tls: {certificate: c.pem}\n"), "tls.key");
    assert_eq!(section("tls: {prover_ca: c.pem}\n"), "tls.certificate");
    assert_eq!(section("mirror: {first_batch: 0}\n"), "mirror.node_url");
    assert_eq!(section("completion: {}\n"), "completion.rpc_url");
    assert_eq!(section("attestation: {policy: p}\n"), "attestation.collateral");
    assert_eq!(section("attestation: {suspend_after: 1d}\n"), "attestation.policy");
    assert_eq!(missing(NEEDED, &[("TEE_SERVER_ATTESTATION_SUSPEND_AFTER", "1d")]), "attestation.policy");
    for (yaml, key) in [
        ("proof_generation_timeout: 1500ms\n", "proof_generation_timeout"),
        ("longest_lease: 5000000000\n", "longest_lease"),
        ("longest_lease_secs: 5000000000\n", "longest_lease"),
        ("keep_finished_inputs: 36h\n", "keep_finished_inputs"),
        ("keep_finished_inputs: 0\n", "keep_finished_inputs"),
        ("limits: {least_upload_per_sec: 4GiB}\n", "limits.least_upload_per_sec"),
    ] {
        let error = load(yaml, &[]).unwrap_err();
        assert!(matches!(error, ConfigError::Value { key: named, .. } if named == key), "{yaml}: {error}");
    }
}
