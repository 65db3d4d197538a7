//! Clients for what is read over the network.

use std::{fs::File, io::Read, path::Path, sync::Arc, time::Duration};

use reqwest::{Client, Url, redirect};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// More than any file of certificates has.
const MAX_CERTIFICATES_BYTES: u64 = 1024 * 1024;

/// A client for what is read over the network, which gives up on whoever does not answer. Certificates are those that the
/// system trusts.
pub fn http_client(url: &Url) -> Result<Client, Error> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    client(url, tls)
}

/// The same, where a file in PEM has the certificates that are trusted instead: an authority's, or the server's very own.
pub(super) fn http_client_trusting(url: &Url, file: &Path) -> Result<Client, Error> {
    let mut pem = Vec::new();
    File::open(file).and_then(|file| file.take(MAX_CERTIFICATES_BYTES).read_to_end(&mut pem))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err("no certificate in PEM".into());
    }
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Named { certificates, authorities }))
        .with_no_client_auth();
    client(url, tls)
}

fn client(url: &Url, tls: ClientConfig) -> Result<Client, Error> {
    let mut http = Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(20))
        .timeout(Duration::from_secs(60))
        .redirect(redirect::Policy::none())
        .user_agent(concat!("tee-prover-gateway/", env!("CARGO_PKG_VERSION")));
    if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        // A proxy could not reach it.
        http = http.no_proxy();
    }
    Ok(http.build()?)
}

/// Trusts a server that shows one of the certificates, or one that an authority among them has issued. The first is what a PCCS
/// of Intel's default set-up shows: it signed its certificate itself, as an authority, for whatever name.
#[derive(Debug)]
struct Named {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // That it has the certificate's key is proven by the handshake's signature.
        if self.certificates.iter().any(|certificate| **certificate == **shown) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(shown, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
