//! Collateral from files, folders and services.

mod pccs;
mod samples;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, http::StatusCode};
use base64::{Engine, prelude::BASE64_STANDARD};
use pccs::Service;
use samples::{sample, sample_collateral};
use tee_attestation::{
    Case, Collateral, CollateralCache, CollateralError, CollateralSource, PcsAnswers, Policy, ReportData, SourceError,
    TrustedRoot, judge,
    simulated::{Domain, Format, Platform, Publication},
};

const NAMED: ReportData = ReportData::V1 { address: [0xab; 20] };

async fn source(service: &Service) -> CollateralSource {
    CollateralSource::open(&service.url().await, "test").unwrap()
}

/// The URL of the same service over TLS, with this certificate.
async fn tls_url(service: &Service, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> String {
    let router = service.router();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/x", tcp.local_addr().unwrap());
    let listener = Tls { tcp, acceptor: Arc::new(config).into() };
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    url
}

struct Tls {
    tcp: tokio::net::TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, address) = self.tcp.accept().await.unwrap();
            // A client that does not trust the certificate closes the connection.
            if let Ok(tls) = self.acceptor.accept(tcp).await {
                return (tls, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

fn secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_service_gives_what_judges_a_quote() {
    let now = SystemTime::now();
    let machine = Platform::new(now).unwrap();
    let service = Service::default();
    let (sgx, tdx) = (machine.collateral().unwrap(), machine.publish(&Publication::tdx()).unwrap());
    service.publish(&sgx, &tdx);
    let source = source(&service).await;
    let sgx_quote = machine.quote(&NAMED).unwrap();
    assert_eq!(source.collateral(&sgx_quote, secs(SystemTime::now())).await.unwrap(), sgx);
    let quote = machine.tdx_quote(Format::V4, &Domain::default(), &NAMED.to_bytes()).unwrap();
    let collateral = source.collateral(&quote, secs(SystemTime::now())).await.unwrap();
    assert_eq!(collateral, tdx);
    let root = TrustedRoot::danger_other(machine.root_certificate().unwrap());
    let policy = Policy::default();
    let case =
        Case { quote: &quote, collateral: &collateral, root: &root, policy: &policy, key: None, at_secs: secs(now) };
    assert_eq!(judge(&case).tcb_status(), Some("UpToDate"));
}

#[tokio::test]
async fn what_a_service_does_not_have_is_an_error_and_nothing_is_made_up() {
    let machine = Platform::new(SystemTime::now()).unwrap();
    let service = Service::default();
    let source = source(&service).await;
    let quote = machine.quote(&NAMED).unwrap();
    let error = source.collateral(&quote, secs(SystemTime::now())).await.unwrap_err();
    assert!(matches!(error, SourceError::Answer { .. }), "{error}");
    let error = source.collateral(b"no quote", secs(SystemTime::now())).await.unwrap_err();
    assert!(matches!(error, SourceError::Quote(_)), "{error}");
    let nobody = CollateralSource::open("http://127.0.0.1:9/", "test").unwrap();
    let error = nobody.collateral(&quote, secs(SystemTime::now())).await.unwrap_err();
    assert!(matches!(error, SourceError::Network { .. }), "{error}");
    assert!(matches!(CollateralSource::open("http://", "test"), Err(SourceError::Url { .. })));
    assert!(matches!(CollateralSource::open("/nowhere", "test"), Err(SourceError::File { .. })));
    // An answer that is too large, and an empty one.
    let (sgx, tdx) = (machine.collateral().unwrap(), machine.publish(&Publication::tdx()).unwrap());
    service.publish(&sgx, &tdx);
    let identity = "/x/sgx/certification/v4/qe/identity";
    service.answers.lock().unwrap().get_mut(identity).unwrap().2 = vec![b' '; 2 * 1024 * 1024];
    let error = source.collateral(&quote, secs(SystemTime::now())).await.unwrap_err();
    assert!(matches!(error, SourceError::Answer { .. }), "{error}");
    service.answers.lock().unwrap().get_mut(identity).unwrap().2 = b"{}".to_vec();
    let error = source.collateral(&quote, secs(SystemTime::now())).await.unwrap_err();
    assert!(matches!(error, SourceError::Collateral(CollateralError::Signed { .. })), "{error}");
}

fn published(machine: &Platform) -> Service {
    let service = Service::default();
    service.publish(&machine.collateral().unwrap(), &machine.publish(&Publication::tdx()).unwrap());
    service
}

/// Intel's PCCS makes its own certificate during set-up: an authority's certificate, with a name other than the
/// requested one.
#[tokio::test]
async fn a_service_with_a_certificate_of_its_own_is_trusted_by_a_file_and_not_without() {
    let machine = Platform::new(SystemTime::now()).unwrap();
    let quote = machine.quote(&NAMED).unwrap();
    let own = |names: &[&str], is_ca| {
        let mut parameters =
            rcgen::CertificateParams::new(names.iter().map(|name| name.to_string()).collect::<Vec<_>>()).unwrap();
        if is_ca {
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let signing_key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertifiedKey { cert: parameters.self_signed(&signing_key).unwrap(), signing_key }
    };
    let (certificate, another) = (own(&["pccs"], true), own(&["127.0.0.1"], false));
    let url = tls_url(&published(&machine), &certificate).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let path = folder.path().join(name);
        fs::write(&path, certificate.cert.pem()).unwrap();
        format!("{url}#ca={}", path.display())
    };
    let now = secs(SystemTime::now());
    let named = CollateralSource::open(&file("own.pem", &certificate), "test").unwrap();
    named.collateral(&quote, now).await.unwrap();
    for other in [url.clone(), file("another.pem", &another)] {
        let error = CollateralSource::open(&other, "test").unwrap().collateral(&quote, now).await.unwrap_err();
        assert!(matches!(error, SourceError::Network { .. }), "{other}: {error}");
    }
    for wrong in [
        format!("{url}#ca=/nowhere"),
        format!("{url}?key=s3cret#pin=00"),
        "http://?key=s3cret".to_owned(),
        file("none.pem", &certificate) + "x",
    ] {
        let error = CollateralSource::open(&wrong, "test").unwrap_err();
        assert!(matches!(error, SourceError::Url { .. }), "{wrong}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn services_are_asked_in_turn_until_one_has_it() {
    let machine = Platform::new(SystemTime::now()).unwrap();
    let quote = machine.quote(&NAMED).unwrap();
    let (empty, full) = (Service::default(), published(&machine));
    let urls = format!("http://127.0.0.1:9/ {}, {}", empty.url().await, full.url().await);
    let source = CollateralSource::open(&urls, "test").unwrap();
    source.collateral(&quote, secs(SystemTime::now())).await.unwrap();
    assert_eq!(empty.asked(), 1);
    full.answers.lock().unwrap().clear();
    let error = source.collateral(&quote, secs(SystemTime::now())).await.unwrap_err();
    assert!(matches!(&error, SourceError::NoService(errors) if errors.len() == 3), "{error}");
}

#[tokio::test]
async fn parameters_of_the_url_go_with_the_questions() {
    let machine = Platform::new(SystemTime::now()).unwrap();
    let service = published(&machine);
    let with = |path: &str| {
        let early = path.contains("/tcb") || path.contains("/identity");
        let more = if early { "update=early&team=a%26b" } else { "team=a%26b" };
        format!("{path}{}{more}", if path.contains('?') { '&' } else { '?' })
    };
    let answers = std::mem::take(&mut *service.answers.lock().unwrap());
    *service.answers.lock().unwrap() = answers.into_iter().map(|(path, answer)| (with(&path), answer)).collect();
    let url = format!("{}?update=early&team=a%26b", service.url().await);
    let source = CollateralSource::open(&url, "test").unwrap();
    source.collateral(&machine.quote(&NAMED).unwrap(), secs(SystemTime::now())).await.unwrap();
    // The parameters are in no error: they may be secret.
    service.answers.lock().unwrap().clear();
    let error = source.collateral(&machine.quote(&NAMED).unwrap(), secs(SystemTime::now())).await.unwrap_err();
    assert!(!error.to_string().contains("team"), "{error}");
}

#[tokio::test]
async fn a_service_that_asks_to_be_left_alone_is_left_alone() {
    let machine = Platform::new(SystemTime::now()).unwrap();
    let quote = machine.quote(&NAMED).unwrap();
    // A date in the past says as little as no date.
    for (retry_after, least_secs) in [("1800", 1000), ("Thu, 01 Jan 1970 00:00:00 GMT", 30)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let busy = Router::new().fallback(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", retry_after)]) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, busy).await.unwrap() });
        let source = CollateralSource::open(&url, "test").unwrap();
        for _ in 0..3 {
            let error = source.collateral(&quote, secs(SystemTime::now())).await.unwrap_err();
            let least = Duration::from_secs(least_secs);
            assert!(matches!(error, SourceError::Busy { wait, .. } if wait > least), "{error}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{retry_after}");
    }
}

#[tokio::test]
async fn collateral_is_fetched_once_and_anew_before_its_end() {
    let now = SystemTime::now();
    let machine = Platform::new(now).unwrap();
    let service = Service::default();
    let day = Duration::from_secs(24 * 60 * 60);
    let short = Publication { tcb_info_valid: Some((now, now + day)), ..Publication::default() };
    let tdx = machine.publish(&Publication::tdx()).unwrap();
    service.publish(&machine.publish(&short).unwrap(), &tdx);
    let cache = CollateralCache::new(source(&service).await, secs(now), 3600);
    let quote = machine.quote(&NAMED).unwrap();
    let first = cache.collateral(&quote, secs(now)).await.unwrap();
    let asked = service.asked();
    assert_eq!(cache.collateral(&quote, secs(now + day) - 3601).await.unwrap(), first);
    assert_eq!(service.asked(), asked);
    // An hour before its end, it is requested again.
    let longer = Publication { tcb_info_valid: Some((now, now + day * 30)), ..Publication::default() };
    service.publish(&machine.publish(&longer).unwrap(), &tdx);
    let second = cache.collateral(&quote, secs(now + day) - 3600).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(service.asked(), 2 * asked);
    // If the service is away, the collateral at hand is used until its end.
    service.answers.lock().unwrap().clear();
    let end = second.next_update_secs().unwrap();
    assert_eq!(cache.collateral(&quote, end - 1).await.unwrap(), second);
    assert!(cache.collateral(&quote, end).await.is_err());
}

#[tokio::test]
async fn collateral_of_some_age_is_fetched_anew_and_a_service_that_is_away_is_left_alone_for_a_minute() {
    let now = SystemTime::now();
    let machine = Platform::new(now).unwrap();
    let service = Service::default();
    let (sgx, tdx) = (machine.collateral().unwrap(), machine.publish(&Publication::tdx()).unwrap());
    service.publish(&sgx, &tdx);
    let cache = CollateralCache::new(source(&service).await, 600, 0);
    let quote = machine.quote(&NAMED).unwrap();
    cache.collateral(&quote, secs(now)).await.unwrap();
    let asked = service.asked();
    // Intel's new findings are known ten minutes later.
    let worse = Publication { tcb_status: "OutOfDate", ..Publication::default() };
    service.publish(&machine.publish(&worse).unwrap(), &tdx);
    assert_eq!(cache.collateral(&quote, secs(now) + 599).await.unwrap().tcb_info, sgx.tcb_info);
    assert_ne!(cache.collateral(&quote, secs(now) + 600).await.unwrap().tcb_info, sgx.tcb_info);
    assert_eq!(service.asked(), 2 * asked);

    service.answers.lock().unwrap().clear();
    let known = cache.collateral(&quote, secs(now) + 1200).await.unwrap();
    let asked = service.asked();
    assert_eq!(cache.collateral(&quote, secs(now) + 1259).await.unwrap(), known);
    assert_eq!(service.asked(), asked);
    assert_eq!(cache.collateral(&quote, secs(now) + 1260).await.unwrap(), known);
    assert!(service.asked() > asked);
}

#[tokio::test]
async fn a_folders_latest_collateral_of_the_right_kind_counts() {
    let now = SystemTime::now();
    let machine = Platform::new(now).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let published = |change: &dyn Fn(&mut Publication), tee: Publication| {
        let mut publication = tee;
        change(&mut publication);
        machine.publish(&publication).unwrap()
    };
    let at = |days: u32| Some((now - day * days, now + day));
    let old = published(&|p| p.tcb_info_valid = at(9), Publication::default());
    let new = published(&|p| p.tcb_info_valid = at(0), Publication::default());
    let others = published(&|p| p.fmspc = [1; 6], Publication::default());
    let tdx = published(&|_| (), Publication::tdx());
    let folder = tempfile::tempdir().unwrap();
    for (name, collateral) in [("a", &old), ("b", &new), ("c", &others), ("d", &tdx)] {
        fs::write(folder.path().join(name), serde_json::to_vec(collateral).unwrap()).unwrap();
    }
    fs::write(folder.path().join("e"), "half a fi").unwrap();
    let source = CollateralSource::at(folder.path()).unwrap();
    assert_eq!(
        source.collateral(&machine.quote(&NAMED).unwrap(), secs(SystemTime::now())).await.unwrap().tcb_info,
        new.tcb_info
    );
    let quote = machine.tdx_quote(Format::V4, &Domain::default(), &NAMED.to_bytes()).unwrap();
    assert_eq!(source.collateral(&quote, secs(SystemTime::now())).await.unwrap().tcb_info, tdx.tcb_info);
    let error = source.collateral(&sample("tdx_quote"), 0).await.unwrap_err();
    assert!(matches!(error, SourceError::NotInFolder { .. }), "{error}");
    fs::write(folder.path().join("f"), sample("tdx_quote_collateral.json")).unwrap();
    let collateral = source.collateral(&sample("tdx_quote"), 0).await.unwrap();
    assert_eq!(collateral, sample_collateral("tdx_quote"));
    // A file is used for every quote.
    let file = CollateralSource::at(&folder.path().join("c")).unwrap();
    assert_eq!(file.collateral(b"", 0).await.unwrap(), others);
}

#[tokio::test]
async fn of_a_folder_the_latest_that_is_valid_at_the_time_in_question_counts() {
    let now = SystemTime::now();
    let day = Duration::from_secs(24 * 60 * 60);
    let machine = Platform::valid_between(now - day * 99, now + day * 99).unwrap();
    let between = |from: u32, until: u32| {
        let valid = Some((now - day * from, now - day * until));
        let publication = Publication { tcb_info_valid: valid, qe_identity_valid: valid, ..Publication::default() };
        machine.publish(&publication).unwrap()
    };
    let (oldest, older, old) = (between(40, 20), between(30, 10), between(5, 1));
    let folder = tempfile::tempdir().unwrap();
    for (name, collateral) in [("a", &oldest), ("b", &older), ("c", &old)] {
        fs::write(folder.path().join(name), serde_json::to_vec(collateral).unwrap()).unwrap();
    }
    let source = CollateralSource::at(folder.path()).unwrap();
    let cache = CollateralCache::new(source.clone(), 600, 0);
    let quote = machine.quote(&NAMED).unwrap();
    for (days_ago, expected) in [(2, &old), (15, &older), (25, &older), (35, &oldest), (7, &old), (0, &old)] {
        let at_secs = secs(now - day * days_ago);
        let found = source.collateral(&quote, at_secs).await.unwrap();
        assert_eq!(found.tcb_info, expected.tcb_info, "{days_ago} days ago");
        let kept = cache.collateral(&quote, at_secs).await.unwrap();
        assert_eq!(kept.tcb_info, expected.tcb_info, "{days_ago} days ago, from the cache");
    }
}

/// Intel's C structure has NUL-terminated text and, in its first version, revocation lists in hex.
#[test]
fn revocation_lists_and_texts_are_read_in_the_forms_that_intels_libraries_have() {
    let collateral = sample_collateral("tdx_quote");
    let pem = |der: &[u8]| {
        format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", BASE64_STANDARD.encode(der)).into_bytes()
    };
    let nul = |bytes: &[u8]| [bytes, &[0]].concat();
    let list = &collateral.pck_crl;
    for form in
        [hex::encode(list).into_bytes(), nul(hex::encode(list).as_bytes()), pem(list), nul(&pem(list)), nul(list)]
    {
        let other = Collateral {
            pck_crl: form,
            tcb_info: format!("{}\0", collateral.tcb_info),
            pck_crl_issuer_chain: format!("{}\0", collateral.pck_crl_issuer_chain),
            ..collateral.clone()
        };
        let json = serde_json::to_vec(&other).unwrap();
        assert_eq!(Collateral::from_json(&json), Ok(collateral.clone()));
    }
}

#[test]
fn a_tcb_info_of_the_version_before_is_named_as_such() {
    let old = Collateral { tcb_info: r#"{"version":2,"fmspc":"00"}"#.to_owned(), ..sample_collateral("tdx_quote") };
    assert_eq!(old.tcb_info_head(), Err(CollateralError::OldTcbInfo { version: 2 }));
}

#[test]
fn collateral_survives_its_json_and_what_is_none_is_refused() {
    let collateral = sample_collateral("tdx_quote");
    let json = serde_json::to_vec(&collateral).unwrap();
    assert_eq!(Collateral::from_json(&json), Ok(collateral.clone()));
    assert_eq!(collateral.tcb_info_head().unwrap().id, "TDX");
    assert!(collateral.issued_at_secs().unwrap() < collateral.next_update_secs().unwrap());
    let large = vec![b' '; 3 * 1024 * 1024];
    assert!(matches!(Collateral::from_json(&large), Err(CollateralError::TooLarge { .. })));
    for json in ["", "{}", "null", "[]", r#"{"tcb_info": 1}"#] {
        assert!(matches!(Collateral::from_json(json.as_bytes()), Err(CollateralError::Json(_))), "{json}");
    }
    let parts = |tcb_info: &'static str| PcsAnswers {
        tcb_info: tcb_info.as_bytes(),
        tcb_info_issuer_chain: String::new(),
        qe_identity: br#"{"enclaveIdentity":{},"signature":"00"}"#,
        qe_identity_issuer_chain: String::new(),
        pck_crl: vec![],
        pck_crl_issuer_chain: String::new(),
        root_ca_crl: vec![],
    };
    // Byte for byte, with spaces: this is what is signed.
    let odd = r#"{"tcbInfo": {"a" :1, "a":2 } , "signature":"0aFF"}"#;
    let collateral = Collateral::from_pcs(parts(odd)).unwrap();
    assert_eq!(
        (collateral.tcb_info.as_str(), collateral.tcb_info_signature.as_slice()),
        (r#"{"a" :1, "a":2 }"#, &[0x0a, 0xff][..])
    );
    assert!(matches!(collateral.issued_at_secs(), Err(CollateralError::Content { .. })));
    for tcb_info in
        ["", "{}", r#"{"tcbInfo":{}}"#, r#"{"tcbInfo":{},"signature":"0"}"#, r#"{"tcbInfo":{},"signature":1}"#]
    {
        assert!(matches!(Collateral::from_pcs(parts(tcb_info)), Err(CollateralError::Signed { .. })), "{tcb_info}");
    }
}

#[test]
fn changed_at_random_collateral_is_read_or_refused_without_a_panic() {
    let json = sample("tdx_quote_collateral.json");
    let quote = sample("tdx_quote");
    let (root, policy) = (TrustedRoot::intel(), Policy::default());
    let mut seed = 11_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) % below as u64) as usize
    };
    for _ in 0..600 {
        let mut bytes = json.clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            bytes[at] = random(128) as u8;
        }
        let Ok(collateral) = Collateral::from_json(&bytes) else { continue };
        let _ = (collateral.tcb_info_head(), collateral.issued_at_secs(), collateral.next_update_secs());
        let case = Case {
            quote: &quote,
            collateral: &collateral,
            root: &root,
            policy: &policy,
            key: None,
            at_secs: 1_751_000_000,
        };
        assert!(!judge(&case).passed());
    }
}
