//! Intel's service (PCS), or a cache of it (PCCS), version 4.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use percent_encoding::percent_decode_str;
use reqwest::{Client, StatusCode, Url, header::HeaderMap};
use tee_api::http::{NetworkError, Pace, date, read_body, retry_after};

use super::{PlatformKind, SourceError, http};
use crate::collateral::{Collateral, PcsAnswers};

/// The most bytes that are read of one answer of the service.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;
/// Intel's service keeps the root's revocation list at another host.
const INTELS_HOST: &str = "api.trustedservices.intel.com";
const INTELS_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
/// How long to leave alone a service that asks for it: the first is used if the service names no time, the second is
/// the maximum.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(60);
const RETRY_AFTER_MOST: Duration = Duration::from_secs(60 * 60);
/// A parameter that only these two documents have.
const UPDATE: &str = "update";

/// A service. Clones share the time at which to ask again.
#[derive(Debug, Clone)]
pub struct Service {
    http: Client,
    /// The URL before `/sgx/certification/v4`, ending with a slash. Its query is sent with every request.
    base_url: Url,
    left_alone_until: Arc<Mutex<Option<Instant>>>,
}

impl Service {
    /// Opens a service by its URL, which may end in `/sgx/certification/v4`. `#ca=` at the end may name a PEM file with the certificate of
    /// the service itself, or of an authority to trust instead of the system's.
    pub(super) fn open(place: &str, program: &'static str) -> Result<Self, SourceError> {
        // The query may hold a secret.
        let url = place.split(['?', '#']).next().unwrap_or_default();
        let wrong = |error: &dyn std::fmt::Display| SourceError::Url { url: url.to_owned(), error: error.to_string() };
        let mut base_url = tee_api::http::url(place).map_err(|error| wrong(&error))?;
        let http = match base_url.fragment().map(|fragment| fragment.split_once('=')) {
            None => http::client(&base_url, None, program),
            Some(Some(("ca", file))) => {
                let file = percent_decode_str(file).decode_utf8_lossy();
                http::client(&base_url, Some(Path::new(&*file)), program)
            }
            Some(_) => return Err(wrong(&"only ca=FILE may follow #")),
        };
        let http = http.map_err(|error| wrong(&error))?;
        base_url.set_fragment(None);
        let path = base_url.path().trim_end_matches('/');
        let path = path.trim_end_matches("/sgx/certification/v4").trim_end_matches("/tdx/certification/v4");
        let path = format!("{}/", path.trim_end_matches('/'));
        base_url.set_path(&path);
        Ok(Self { http, base_url, left_alone_until: Arc::default() })
    }

    /// Checks that the service answers, by asking for something that all of them have: the identity of SGX's quoting enclave. Returns
    /// the service's time, if the answer has it.
    pub async fn reach(&self) -> Result<Option<SystemTime>, SourceError> {
        let identity = self.get(self.at("sgx/certification/v4/qe/identity", &[])).await?;
        identity.pem("SGX-Enclave-Identity-Issuer-Chain")?;
        Ok(date(&identity.headers))
    }

    /// Fetches collateral (Intel, "PCS API", version 4). A PCCS differs in the root's revocation list, which it returns in hex.
    pub(super) async fn fetch(&self, kind: PlatformKind) -> Result<Collateral, SourceError> {
        let tee = kind.tee.as_str();
        let fmspc = hex::encode_upper(kind.fmspc);
        let ca = if kind.by_platform_ca { "platform" } else { "processor" };
        let crl = self.get(self.at("sgx/certification/v4/pckcrl", &[("ca", ca), ("encoding", "der")])).await?;
        let tcb = self.get(self.at(&format!("{tee}/certification/v4/tcb"), &[("fmspc", &fmspc)])).await?;
        let identity = self.get(self.at(&format!("{tee}/certification/v4/qe/identity"), &[])).await?;
        let root_url = match self.base_url.host_str() {
            Some(INTELS_HOST) => Url::parse(INTELS_ROOT_CRL).unwrap_or_else(|_| self.base_url.clone()),
            _ => self.at("sgx/certification/v4/rootcacrl", &[]),
        };
        let root = self.get(root_url).await?;
        let tcb_info_issuer_chain =
            tcb.pem("TCB-Info-Issuer-Chain").or_else(|_| tcb.pem("SGX-TCB-Info-Issuer-Chain"))?;
        Ok(Collateral::from_pcs(PcsAnswers {
            tcb_info: &tcb.body,
            tcb_info_issuer_chain,
            qe_identity: &identity.body,
            qe_identity_issuer_chain: identity.pem("SGX-Enclave-Identity-Issuer-Chain")?,
            pck_crl_issuer_chain: crl.pem("SGX-PCK-CRL-Issuer-Chain")?,
            pck_crl: crl.body,
            root_ca_crl: root.body,
        })?)
    }

    /// A document's URL, with the base's own query after its parameters.
    fn at(&self, path: &str, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{path}", self.base_url.path()));
        let updated = path.ends_with("/tcb") || path.ends_with("/identity");
        let own = self.base_url.query_pairs().filter(|(name, _)| updated || name != UPDATE);
        let query: Vec<_> =
            parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).chain(own).collect();
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn get(&self, url: Url) -> Result<Answer, SourceError> {
        // The query may hold a secret.
        let path = url.as_str().split('?').next().unwrap_or_default().to_owned();
        if let Some(until) = self.left_alone_until().filter(|until| *until > Instant::now()) {
            return Err(SourceError::Busy { path, wait: until.saturating_duration_since(Instant::now()) });
        }
        let network = |error: NetworkError| SourceError::Network { path: path.clone(), error };
        let response = self.http.get(url).send().await.map_err(|error| network(error.into()))?;
        let status = response.status();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let asked = retry_after(response.headers()).filter(|wait| !wait.is_zero());
            let wait = asked.unwrap_or(RETRY_AFTER_DEFAULT).min(RETRY_AFTER_MOST);
            *self.lock() = Instant::now().checked_add(wait);
            return Err(SourceError::Busy { path, wait });
        }
        if !status.is_success() {
            return Err(SourceError::Answer { path, problem: format!("status {status}") });
        }
        let headers = response.headers().clone();
        let Some(body) = read_body(response, MAX_ANSWER_BYTES, Pace::default()).await.map_err(network)? else {
            let problem = format!("the answer is larger than {MAX_ANSWER_BYTES} bytes");
            return Err(SourceError::Answer { path, problem });
        };
        Ok(Answer { path, headers, body })
    }

    fn left_alone_until(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Answer {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// A header with percent-encoded certificates.
    fn pem(&self, name: &str) -> Result<String, SourceError> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| percent_decode_str(value).decode_utf8().ok())
            .map(|pem| pem.into_owned())
            .ok_or_else(|| SourceError::Answer {
                path: self.path.clone(),
                problem: format!("the header {name} is missing or unreadable"),
            })
    }
}
