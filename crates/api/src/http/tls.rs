//! Which servers an HTTP client trusts, and how it authenticates itself.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::Url;
use rustls::{
    ClientConfig, RootCertStore,
    client::danger::ServerCertVerifier,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use zeroize::Zeroizing;

use super::ClientSetupError;

/// An upper limit for the size of these files.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The files for a client's TLS, in PEM. By default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate to show to a server that requires one.
    pub client: Option<ClientCertificate>,
}

/// A client's certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by the intermediate certificates up to its authority.
    pub certificate_file: PathBuf,
    /// The certificate's private key.
    pub key_file: PathBuf,
}

/// Which server certificates are trusted.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Those that the system's authorities issued.
    #[default]
    System,
    /// Those that the authorities in a PEM file issued.
    Authorities(PathBuf),
    /// Those that a custom verifier accepts.
    Verifier(Arc<dyn ServerCertVerifier>),
}

/// Without `https` no certificates are loaded, since an enclave's image may have none.
pub(super) fn config(
    url: &Url,
    trust: &Trust,
    certificate: Option<&ClientCertificate>,
) -> Result<ClientConfig, ClientSetupError> {
    let error = |error: rustls::Error| ClientSetupError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(error)?;
    let builder = match trust {
        Trust::System if url.scheme() == "https" => builder.with_platform_verifier().map_err(error)?,
        Trust::System => builder.with_root_certificates(RootCertStore::empty()),
        Trust::Authorities(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| in_file(file, &error))?;
            }
            builder.with_root_certificates(roots)
        }
        Trust::Verifier(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier.clone()),
    };
    match certificate {
        None => Ok(builder.with_no_client_auth()),
        Some(ClientCertificate { certificate_file, key_file }) => {
            let chain = certificates(certificate_file)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key_file)?).map_err(|error| in_file(key_file, &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| in_file(certificate_file, &error))
        }
    }
}

/// The certificates of a PEM file. It must have at least one.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ClientSetupError> {
    let certificates = CertificateDer::pem_slice_iter(&read(file)?).collect::<Result<Vec<_>, _>>();
    match certificates.map_err(|error| in_file(file, &error))? {
        none if none.is_empty() => Err(in_file(file, &"no PEM certificate found")),
        certificates => Ok(certificates),
    }
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, ClientSetupError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(file).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    read.map_err(|error| in_file(file, &error))?;
    Ok(bytes)
}

fn in_file(file: &Path, error: &dyn std::fmt::Display) -> ClientSetupError {
    ClientSetupError::Tls(format!("{}: {error}", file.display()))
}
