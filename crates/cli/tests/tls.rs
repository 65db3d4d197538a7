//! `teectl` and a prover against a server that requires certificates of provers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tee_api::{Client, ClientCertificate, ClientError, ClientOptions, TeeType, TlsFiles};
use tee_attestation::simulated::Platform;
use tee_prover::{Enclave, Identity};
use tee_server::{Config, NewToken, ObjectStoreUrl, Role, Server, TlsConfig};
use tee_verifier::Pins;
use tokio_util::sync::CancellationToken;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// This certificate, in a file.
    fn file(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// A certificate of this machine and its key, in files.
    fn identity(&self, folder: &Path, name: &str) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let files = ClientCertificate {
            certificate_file: folder.join(format!("{name}.pem")),
            key_file: folder.join(format!("{name}.key")),
        };
        fs::write(&files.certificate_file, certificate.pem()).unwrap();
        fs::write(&files.key_file, key.serialize_pem()).unwrap();
        files
    }
}

async fn teectl(token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teectl"));
    command.args(arguments).env("TEECTL_TOKEN", token);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn teectl_and_a_prover_show_their_certificates_to_a_server_that_asks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (servers, provers) = (Authority::new(), Authority::new());
    let ca_file = servers.file(folder, "ca.pem");
    let ClientCertificate { certificate_file, key_file } = servers.identity(folder, "server");
    let own = provers.identity(folder, "prover");
    let strangers = Authority::new().identity(folder, "stranger");

    let [prover_token, admin_token] =
        [("p", Role::Prover), ("a", Role::Admin)].map(|(name, role)| NewToken::random(name.parse().unwrap(), role));
    let tokens_file = folder.join("tokens.yaml");
    fs::write(&tokens_file, format!("tokens:\n{}\n{}\n", prover_token.line(), admin_token.line())).unwrap();
    let database = format!("sqlite://{}", folder.join("tee.sqlite").display());
    let server = Server::start(Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tokens_file: Some(tokens_file),
        danger_unjudged_quotes: true,
        danger_any_code: true,
        tls: Some(TlsConfig {
            certificate: certificate_file,
            key: key_file,
            prover_ca: Some(provers.file(folder, "provers.pem")),
        }),
        ..Config::new(database, ObjectStoreUrl::folder(&folder.join("inputs")))
    })
    .await
    .unwrap();
    let url = format!("https://{}", server.local_addr());

    // teectl trusts the server's authority when it is told to, and shows a certificate if it has one.
    let out = folder.join("batches");
    assert!(
        teectl("", &["devnet", "--batches", "1", "--txs", "1", "--out", out.to_str().unwrap()]).await.status.success()
    );
    let file = out.join("batch-14034.json.zst");
    let add = ["server", "batches", "add", file.to_str().unwrap(), "--server", &url];
    let untrusted = teectl(admin_token.secret(), &add).await;
    assert!(!untrusted.status.success());
    assert!(String::from_utf8_lossy(&untrusted.stderr).contains("certificate"), "{untrusted:?}");
    let trusting = ["--ca-file", ca_file.to_str().unwrap()];
    let showing = [
        "--client-certificate-file",
        own.certificate_file.to_str().unwrap(),
        "--client-key-file",
        own.key_file.to_str().unwrap(),
    ];
    let added = teectl(admin_token.secret(), &[&add[..], &trusting, &showing].concat()).await;
    assert!(added.status.success(), "{added:?}");
    let generated = ["server", "jobs", "list", "--json", "--status", "generated", "--server", &url];
    let list = [&generated[..], &trusting].concat();
    assert!(teectl(admin_token.secret(), &list).await.status.success(), "readers need no certificate");

    // A token alone does not make a prover, nor does a certificate from another authority.
    let tls = |client: Option<ClientCertificate>| TlsFiles { ca_file: Some(ca_file.clone()), client };
    let ask = async |client: Option<ClientCertificate>| {
        let token = Some(prover_token.secret().parse().unwrap());
        let options = ClientOptions { token, tls: tls(client), ..ClientOptions::default() };
        Client::new(&url, options).unwrap().claim(TeeType::Sgx, None).await.map(|claim| claim.is_some())
    };
    let refused = ask(None).await;
    assert!(
        matches!(&refused, Err(ClientError::Refused { status: 403, code: Some(code), .. }) if code == "certificate_needed"),
        "{refused:?}"
    );
    let refused = ask(Some(strangers)).await;
    assert!(matches!(&refused, Err(ClientError::Network { .. })), "{refused:?}");

    let mut config = tee_prover::Config::new(url.clone(), Pins::danger_any_code());
    config.servers[0].token = Some(prover_token.secret().parse().unwrap());
    config.servers[0].tls = tls(Some(own));
    let identity = Enclave::simulated_on(&Platform::new(SystemTime::now()).unwrap()).map(Identity::Enclave).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(tee_prover::run(config, identity, stop.clone(), |_| ()));
    let proven = async {
        while teectl(admin_token.secret(), &list).await.stdout.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), proven).await.expect("the batch is proven");
    stop.cancel();
    running.await.unwrap().unwrap();
    server.stop().await;
}
