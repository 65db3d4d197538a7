//! TLS: certificates that change, and certificates of provers.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use reqwest::{StatusCode, header::AUTHORIZATION};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tee_server::{Server, StartError, TlsConfig, TlsError};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    access::Tokens,
    world::{World, config},
};

/// A certificate authority, with the folder that the server reads.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a certificate for the server, and its configuration.
    fn serve(&self, provers: Option<&Authority>) -> TlsConfig {
        let Identity { certificate, key } = self.identity();
        fs::write(self.path("cert.pem"), certificate).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
        let prover_ca = provers.map(|provers| {
            fs::write(self.path("provers.pem"), provers.issuer.pem()).unwrap();
            self.path("provers.pem")
        });
        TlsConfig { certificate: self.path("cert.pem"), key: self.path("key.pem"), prover_ca }
    }

    fn client_config(&self, identity: Option<Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        }
    }

    fn client(&self, identity: Option<Identity>) -> reqwest::Client {
        // The server may end a kept connection just when it is used again.
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0);
        builder.tls_backend_preconfigured(self.client_config(identity)).no_proxy().build().unwrap()
    }
}

fn url(world: &World, path: &str) -> String {
    format!("https://{}{path}", world.server.local_addr())
}

async fn assert_serves(world: &World, client: &reqwest::Client) {
    let answer = timeout(Duration::from_secs(20), client.get(url(world, "/health/live")).send()).await.unwrap();
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn garbage_plain_text_and_silence_do_not_disturb_others() {
    let authority = Authority::new();
    let world = World::start_with(|config| {
        config.tls = Some(authority.serve(None));
        config.limits.header_timeout_secs = 1;
    })
    .await;
    let client = authority.client(None);
    assert_serves(&world, &client).await;
    for garbage in [&b""[..], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x40\x00\x01\x00", &[0xff; 4096]] {
        let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        assert_serves(&world, &client).await;
        let mut answer = vec![];
        let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("the server closes");
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
    }
    assert_serves(&world, &client).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_while_the_server_runs_and_a_broken_one_is_not_taken() {
    let authority = Authority::new();
    let world = World::start_with(|config| config.tls = Some(authority.serve(None))).await;
    let connector = TlsConnector::from(Arc::new(authority.client_config(None)));
    let certificate = async || {
        let stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let first = certificate().await;
    // A certificate without its key, as in the middle of a change.
    let next = authority.identity();
    fs::write(authority.path("cert.pem"), &next.certificate).unwrap();
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(certificate().await, first);
    fs::write(authority.path("key.pem"), &next.key).unwrap();
    let replaced = async {
        while certificate().await == first {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), replaced).await.unwrap();
    assert_eq!(certificate().await, CertificateDer::from_pem_slice(next.certificate.as_bytes()).unwrap());
}

#[tokio::test]
async fn a_prover_shows_a_certificate_beside_its_token_and_others_need_none() {
    let (authority, provers, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let tokens = Tokens::new();
    let world = World::start_with(|config| {
        config.tls = Some(authority.serve(Some(&provers)));
        config.tokens_file = Some(tokens.path());
    })
    .await;
    let claim = async |client: &reqwest::Client, token: &str| {
        let request = client.post(url(&world, "/tee/proof_inputs")).header(AUTHORIZATION, format!("Bearer {token}"));
        request.body(json!({ "tee_type": "sgx" }).to_string()).send().await
    };
    let (with, without) = (authority.client(Some(provers.identity())), authority.client(None));
    assert_eq!(claim(&with, &tokens.prover).await.unwrap().status(), StatusCode::NO_CONTENT);
    let refused = claim(&without, &tokens.prover).await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.text().await.unwrap().contains("certificate_needed"));
    assert_eq!(claim(&with, &tokens.reader).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(claim(&with, "tpg_no").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    // A certificate from another authority is not even let in.
    let stranger = authority.client(Some(strangers.identity()));
    assert!(claim(&stranger, &tokens.prover).await.is_err());
    let read = without.get(url(&world, "/api/jobs")).header(AUTHORIZATION, format!("Bearer {}", tokens.reader));
    assert_eq!(read.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn files_that_make_no_certificate_do_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let start =
        async |tls: TlsConfig| Server::start(tee_server::Config { tls: Some(tls), ..config(&folder) }).await.err();
    let missing = TlsConfig { key: "/nowhere".into(), ..authority.serve(None) };
    let error = start(missing).await;
    assert!(
        matches!(&error, Some(StartError::Tls(TlsError::Read { error, .. })) if error.kind() == io::ErrorKind::NotFound),
        "{error:?}"
    );
    let tls = authority.serve(None);
    for (path, text) in
        [("cert.pem", ""), ("cert.pem", "garbage"), ("key.pem", ""), ("key.pem", "-----BEGIN PRIVATE KEY-----\n")]
    {
        authority.serve(None);
        fs::write(authority.path(path), text).unwrap();
        let error = start(tls.clone()).await;
        assert!(matches!(error, Some(StartError::Tls(TlsError::Pem { .. }))), "{path} {text}: {error:?}");
    }
    // A key that is not the certificate's.
    authority.serve(None);
    fs::write(authority.path("key.pem"), authority.identity().key).unwrap();
    assert!(matches!(start(tls.clone()).await, Some(StartError::Tls(TlsError::Setup(_)))));
    authority.serve(None);
    fs::write(authority.path("provers.pem"), "").unwrap();
    let no_provers = TlsConfig { prover_ca: Some(authority.path("provers.pem")), ..tls };
    assert!(matches!(start(no_provers).await, Some(StartError::Tls(TlsError::Pem { .. }))));
}
