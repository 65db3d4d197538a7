//! TLS: the certificate, and who may vouch for provers. Both are replaced while the server runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::WebPkiClientVerifier,
};
use thiserror::Error;

use crate::watched::{self, Source, Watched};

/// The files that TLS needs, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate, followed by the intermediate certificates up to its root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Certificates of the authorities that vouch for provers. If set, a prover must show one of their certificates besides its token.
    pub prover_ca: Option<PathBuf>,
}

/// Why TLS cannot be set up. Errors never show a key's bytes.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {error}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// The parts do not match each other.
    #[error("certificate, key or prover_ca: {0}")]
    Setup(String),
}

/// The TLS settings in force.
pub(crate) type Tls = Watched<TlsConfig>;

/// The content of the files.
#[derive(PartialEq, Eq)]
pub(crate) struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    prover_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Whether a prover must show a certificate.
    pub(crate) fn asks_provers(&self) -> bool {
        self.source().prover_ca.is_some()
    }
}

impl Source for TlsConfig {
    type Content = Files;
    /// The configuration for connections from now on.
    type Value = ServerConfig;
    type Error = TlsError;
    const NAME: &'static str = "certificate";

    fn read(&self) -> Result<Files, TlsError> {
        let read = |path: &PathBuf| watched::read(path).map_err(|error| TlsError::Read { path: path.clone(), error });
        Ok(Files {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            prover_ca: self.prover_ca.as_ref().map(read).transpose()?,
        })
    }

    fn parse(&self, content: &Files) -> Result<ServerConfig, TlsError> {
        content.server_config(self)
    }
}

impl Files {
    fn server_config(&self, config: &TlsConfig) -> Result<ServerConfig, TlsError> {
        let setup = |error: &dyn std::fmt::Display| TlsError::Setup(error.to_string());
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(&error))?;
        let builder = match (&self.prover_ca, &config.prover_ca) {
            (Some(pem), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate).map_err(|error| setup(&error))?;
                }
                // Readers have none. A prover's request without one is refused later.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| setup(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates(&config.certificate, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| pem_error(&config.key, &error))?;
        let mut server = builder.with_single_cert(chain, key).map_err(|error| setup(&error))?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(server)
    }
}

/// All certificates of a file. It must have at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| pem_error(path, &error))?;
    if certificates.is_empty() {
        return Err(pem_error(path, &pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn pem_error(path: &Path, error: &pem::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), error: error.to_string() }
}
