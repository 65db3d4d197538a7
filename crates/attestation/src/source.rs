//! Where collateral comes from: a file, a folder, or a service like Intel's.

mod cache;

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dcap_qvl::{config::PckCa, intel};
use percent_encoding::percent_decode_str;
use reqwest::{Client, Response, Url, redirect};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;

pub use self::cache::CollateralCache;
use crate::{
    collateral::{Collateral, CollateralError, MAX_COLLATERAL_BYTES, PcsAnswers},
    quote::Tee,
};

/// The most files of a folder that are looked at.
const MAX_FILES: usize = 1000;
/// The most that is read of one of the service's answers, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;
/// Intel's service keeps the root's revocation list elsewhere.
const INTELS_HOST: &str = "api.trustedservices.intel.com";
const INTELS_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

/// Where collateral comes from.
#[derive(Debug, Clone)]
pub enum CollateralSource {
    /// A file, for every quote the same.
    File(PathBuf),
    /// A folder of files; of those about the quote's kind of platform the latest that is valid at the time in question, or, if
    /// none is, the latest of all, so that the verdict says what is wrong with it.
    Folder(PathBuf),
    /// Intel's service (PCS), or a cache of it (PCCS), version 4.
    Service {
        /// With its time-outs and TLS settled.
        http: Client,
        /// What is before `/sgx/certification/v4`, ending with a slash.
        base_url: Url,
    },
}

/// The kind of platform that collateral is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlatformKind {
    tee: Tee,
    fmspc: [u8; 6],
    by_platform_ca: bool,
}

/// Why there is no collateral.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The quote does not say which kind of platform it is of.
    #[error("the quote does not tell its platform: {0}")]
    Quote(String),
    /// A file or a folder cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The folder has nothing about this kind of platform.
    #[error("{folder} has no collateral for {kind}")]
    NotInFolder {
        /// The folder.
        folder: PathBuf,
        /// What was looked for.
        kind: PlatformKind,
    },
    /// What was read is not collateral.
    #[error(transparent)]
    Collateral(#[from] CollateralError),
    /// The service cannot be reached, or breaks off.
    #[error("{path}: {error}")]
    Network {
        /// What was asked for.
        path: String,
        /// What happened.
        error: String,
    },
    /// Not a URL, or TLS cannot be set up.
    #[error("{url}: {error}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong.
        error: String,
    },
    /// The service answers, but not with what was asked for.
    #[error("{path}: {problem}")]
    Answer {
        /// What was asked for.
        path: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl PlatformKind {
    /// Of the platform that made a quote, as the certificate in it says.
    pub fn of(quote: &[u8]) -> Result<Self, SourceError> {
        let unknown = |error: &dyn fmt::Display| SourceError::Quote(format!("{error:#}"));
        let quote = dcap_qvl::quote::Quote::parse(quote).map_err(|error| unknown(&error))?;
        let by_platform_ca = match intel::quote_ca(&quote).map_err(|error| unknown(&error))? {
            PckCa::Platform => true,
            PckCa::Processor => false,
        };
        Ok(Self {
            tee: if quote.header.is_sgx() { Tee::Sgx } else { Tee::Tdx },
            fmspc: intel::quote_fmspc(&quote).map_err(|error| unknown(&error))?,
            by_platform_ca,
        })
    }
}

impl fmt::Display for PlatformKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with FMSPC {}", self.tee, hex::encode_upper(self.fmspc))
    }
}

impl CollateralSource {
    /// The URL of a service, a folder or a file.
    pub fn open(place: &str) -> Result<Self, SourceError> {
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return Self::at(Path::new(place));
        }
        let wrong = |error: &dyn fmt::Display| SourceError::Url { url: place.to_owned(), error: error.to_string() };
        let url = Url::parse(place).map_err(|error| wrong(&error))?;
        Ok(Self::service(http_client(&url).map_err(|error| wrong(&error))?, url))
    }

    /// A file, which is looked into now, or a folder.
    pub fn at(path: &Path) -> Result<Self, SourceError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        read(path)?;
        Ok(Self::File(path.to_owned()))
    }

    /// A service. The URL may end in `/sgx/certification/v4`.
    pub fn service(http: Client, mut base_url: Url) -> Self {
        let path = base_url.path().trim_end_matches('/');
        let path = path.trim_end_matches("/sgx/certification/v4").trim_end_matches("/tdx/certification/v4");
        let path = format!("{}/", path.trim_end_matches('/'));
        base_url.set_path(&path);
        Self::Service { http, base_url }
    }

    /// The collateral for a quote that is to be judged at a time, in Unix seconds.
    pub async fn collateral(&self, quote: &[u8], at_secs: u64) -> Result<Collateral, SourceError> {
        match self {
            Self::File(path) => read(path),
            Self::Folder(folder) => in_folder(folder, PlatformKind::of(quote)?, at_secs),
            Self::Service { http, base_url } => fetch(http, base_url, PlatformKind::of(quote)?).await,
        }
    }
}

/// A client for what is read over the network, which gives up on whoever does not answer. Certificates are those that the
/// system trusts.
pub fn http_client(url: &Url) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
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

fn read(path: &Path) -> Result<Collateral, SourceError> {
    let mut json = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_COLLATERAL_BYTES as u64 + 1).read_to_end(&mut json))
        .map_err(|error| SourceError::File { path: path.to_owned(), error })?;
    Ok(Collateral::from_json(&json)?)
}

fn in_folder(folder: &Path, kind: PlatformKind, at_secs: u64) -> Result<Collateral, SourceError> {
    let error = |error| SourceError::File { path: folder.to_owned(), error };
    let mut best: Option<((bool, u64, u64), Collateral)> = None;
    for entry in fs::read_dir(folder).map_err(error)?.take(MAX_FILES) {
        let path = entry.map_err(error)?.path();
        // Another's file, or half of one, hides no other.
        let Ok(collateral) = read(&path) else { continue };
        let Ok(head) = collateral.tcb_info_head() else { continue };
        let about = head.id.eq_ignore_ascii_case(kind.tee.as_str())
            && head.fmspc.eq_ignore_ascii_case(&hex::encode(kind.fmspc));
        let (Ok(issued), Ok(from)) = (collateral.issued_at_secs(), collateral.valid_from_secs()) else { continue };
        let Ok(until) = collateral.next_update_secs() else { continue };
        let rank = ((from..=until).contains(&at_secs), issued, from);
        if about && best.as_ref().is_none_or(|(before, _)| rank > *before) {
            best = Some((rank, collateral));
        }
    }
    let missing = || SourceError::NotInFolder { folder: folder.to_owned(), kind };
    best.map(|(_, collateral)| collateral).ok_or_else(missing)
}

/// Intel, "PCS API", version 4; the answers of a PCCS differ in the root's revocation list, which it gives in hex.
async fn fetch(http: &Client, base_url: &Url, kind: PlatformKind) -> Result<Collateral, SourceError> {
    let tee = kind.tee.as_str();
    let fmspc = hex::encode_upper(kind.fmspc);
    let ca = if kind.by_platform_ca { "platform" } else { "processor" };
    let at = |path: String| {
        let mut url = base_url.clone();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        url.set_path(&format!("{}{path}", base_url.path()));
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    };
    let crl = get(http, at(format!("sgx/certification/v4/pckcrl?ca={ca}&encoding=der"))).await?;
    let tcb = get(http, at(format!("{tee}/certification/v4/tcb?fmspc={fmspc}"))).await?;
    let identity = get(http, at(format!("{tee}/certification/v4/qe/identity"))).await?;
    let root_url = match base_url.host_str() {
        Some(INTELS_HOST) => Url::parse(INTELS_ROOT_CRL).unwrap_or_else(|_| base_url.clone()),
        _ => at("sgx/certification/v4/rootcacrl".to_owned()),
    };
    let root = get(http, root_url).await?;
    let root_ca_crl = hex::decode(root.body.trim_ascii()).unwrap_or(root.body);
    let tcb_info_issuer_chain = tcb.pem("TCB-Info-Issuer-Chain").or_else(|_| tcb.pem("SGX-TCB-Info-Issuer-Chain"))?;
    Ok(Collateral::from_pcs(PcsAnswers {
        tcb_info: &tcb.body,
        tcb_info_issuer_chain,
        qe_identity: &identity.body,
        qe_identity_issuer_chain: identity.pem("SGX-Enclave-Identity-Issuer-Chain")?,
        pck_crl_issuer_chain: crl.pem("SGX-PCK-CRL-Issuer-Chain")?,
        pck_crl: hex::decode(crl.body.trim_ascii()).unwrap_or(crl.body),
        root_ca_crl,
    })?)
}

struct Answer {
    path: String,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// A header with certificates, percent-encoded.
    fn pem(&self, name: &str) -> Result<String, SourceError> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| percent_decode_str(value).decode_utf8().ok())
            .map(|pem| pem.into_owned())
            .ok_or_else(|| SourceError::Answer { path: self.path.clone(), problem: format!("no {name}") })
    }
}

async fn get(http: &Client, url: Url) -> Result<Answer, SourceError> {
    let path = url.to_string();
    let network = |error: reqwest::Error| SourceError::Network { path: path.clone(), error: chain(&error) };
    let mut response: Response = http.get(url.clone()).send().await.map_err(network)?;
    let status = response.status();
    if !status.is_success() {
        return Err(SourceError::Answer { path, problem: format!("status {status}") });
    }
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        if body.len().saturating_add(chunk.len()) as u64 > MAX_ANSWER_BYTES {
            let problem = format!("more than {MAX_ANSWER_BYTES} bytes");
            return Err(SourceError::Answer { path, problem });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { path, headers, body })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
