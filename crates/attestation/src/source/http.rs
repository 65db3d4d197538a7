//! An HTTP client for a collateral service.

use std::{path::Path, sync::Arc, time::Duration};

use reqwest::{Client, Url};
use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tee_api::{
    ClientSetupError,
    http::{HttpOptions, Trust, certificates},
};

/// Gives up on a service that does not answer. It trusts the system's certificates or, instead, those in a PEM file: an authority's, or
/// that of the service itself.
pub(super) fn client(url: &Url, trusted: Option<&Path>, program: &'static str) -> Result<Client, ClientSetupError> {
    let trust = match trusted {
        None => Trust::System,
        Some(file) => Trust::Verifier(Arc::new(Named::in_file(file)?)),
    };
    HttpOptions {
        read_timeout: Duration::from_secs(20),
        total_timeout: Duration::from_secs(60),
        trust,
        ..HttpOptions::new(program)
    }
    .client(url)
}

/// Trusts a server that shows one of the certificates, or one that an authority among them has issued. The first case is that of a PCCS
/// in Intel's default set-up: it shows a self-signed authority certificate, for an arbitrary name.
#[derive(Debug)]
struct Named {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl Named {
    fn in_file(file: &Path) -> Result<Self, ClientSetupError> {
        let certificates = certificates(file)?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let provider = Arc::new(ring::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let error = |error| ClientSetupError::Tls(format!("{}: {error}", file.display()));
        Ok(Self { certificates, authorities: authorities.map_err(error)? })
    }
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
        // The handshake's signature proves that the server has the certificate's key.
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
