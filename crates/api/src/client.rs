//! The prover's side of the protocol.

mod claim;
mod error;
mod operator;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Serialize;
use tee_verifier::{BatchInput, L1BatchNumber, MAX_INPUT_BYTES};

pub use self::{
    claim::{Claim, EncodedInput},
    error::{AnswerError, ClientError},
    operator::{BatchUpload, JobsRequest},
};
use crate::{
    FailReport, LEASE_EXPIRES_IN_HEADER, LEASE_ID_HEADER, Lease, LeaseId, MAX_CONTRACTS, ProofInputsRequest,
    RegisterAttestation, RegistrationSignature, SUCCESS, SigningRequest, SubmitProof, TeeType, UnreadableInput,
    http::{self, BearerToken, ClientSetupError, HttpOptions, Pace, TlsFiles, Trust, is_loopback, read_body},
};

/// The most bytes that are read of an answer that is not a batch input.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;

/// A client of one server. Cloning it shares its connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Ends with a slash.
    base_url: Url,
    max_input_bytes: u64,
    pace: Pace,
    has_token: bool,
}

/// The limits on a server's time and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The name of the calling program, as the server sees it.
    pub program: &'static str,
    /// For establishing a connection, TLS included.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// For a whole exchange, the batch input's transfer included.
    pub total_timeout: Duration,
    /// How slowly an answer may come.
    pub pace: Pace,
    /// The largest batch input in bytes, before and after decompression. Values above [`MAX_INPUT_BYTES`] have no effect.
    pub max_input_bytes: u64,
    /// Sent with every request, for servers that require a token.
    pub token: Option<BearerToken>,
    /// The certificates to trust and the one to show, for `https`.
    pub tls: TlsFiles,
}

/// A batch to prove.
#[derive(Debug)]
pub struct Work {
    /// The lease, from servers that have them.
    pub lease: Option<Lease>,
    /// The input, or why its bytes could not be read. The latter is the batch's fault, to be reported under the lease.
    pub input: Result<BatchInput, UnreadableInput>,
}

impl Default for ClientOptions {
    /// The prover's options.
    fn default() -> Self {
        let HttpOptions { program, connect_timeout, read_timeout, total_timeout, .. } =
            HttpOptions::new("tee-prover-gateway");
        Self {
            program,
            connect_timeout,
            read_timeout,
            total_timeout,
            pace: Pace::default(),
            max_input_bytes: MAX_INPUT_BYTES,
            token: None,
            tls: TlsFiles::default(),
        }
    }
}

impl Client {
    /// A client of the server at `base_url`, which may contain a path. Nothing is sent yet.
    pub fn new(base_url: &str, options: ClientOptions) -> Result<Self, ClientSetupError> {
        let mut base_url = http::base_url(base_url)?;
        base_url.set_query(None);
        base_url.set_fragment(None);
        let has_token = options.token.is_some();
        let http = HttpOptions {
            program: options.program,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            total_timeout: options.total_timeout,
            trust: options.tls.ca_file.map_or(Trust::System, Trust::Authorities),
            certificate: options.tls.client,
            token: options.token,
        };
        Ok(Self {
            http: http.client(&base_url)?,
            base_url,
            pace: options.pace,
            has_token,
            max_input_bytes: options.max_input_bytes.min(MAX_INPUT_BYTES),
        })
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base_url)
    }

    /// Whether the token travels unencrypted over a network, where eavesdroppers can take it.
    pub fn exposes_token(&self) -> bool {
        self.has_token && self.base_url.scheme() == "http" && !self.is_loopback()
    }

    /// Registers a key with its quote. Registering the same key again succeeds.
    pub async fn register_attestation(&self, registration: &RegisterAttestation) -> Result<(), ClientError> {
        let request = json(self.request(Method::POST, "tee/register_attestation"), registration)?;
        success(self.send(request).await?).await
    }

    /// What relayers want signed, at most [`MAX_CONTRACTS`] requests. Servers of zksync-era answer with 404.
    pub async fn signing_requests(&self) -> Result<Vec<SigningRequest>, ClientError> {
        let response = self.send(self.request(Method::GET, "tee/signing_requests")).await?;
        let body = read_body(response, MAX_ANSWER_BYTES, Pace::default()).await?.unwrap_or_default();
        let requests: Vec<SigningRequest> = serde_json::from_slice(&body).map_err(|_| AnswerError::Body)?;
        if requests.len() > MAX_CONTRACTS {
            return Err(AnswerError::Body.into());
        }
        Ok(requests)
    }

    /// Submits what a key signed to be registered with a contract.
    pub async fn submit_registration_signature(&self, signature: &RegistrationSignature) -> Result<(), ClientError> {
        let request = json(self.request(Method::POST, "tee/registration_signatures"), signature)?;
        success(self.send(request).await?).await
    }

    /// Asks for a batch; `None` if there is no work. The input is not read yet: [`Claim::read`] reads it. A server that supports `wait`
    /// answers when there is work, or after that time, in whole seconds; other servers ignore it.
    pub async fn claim(&self, tee_type: TeeType, wait: Option<Duration>) -> Result<Option<Claim>, ClientError> {
        let mut url = self.url("tee/proof_inputs");
        if let Some(wait) = wait {
            url.set_query(Some(&format!("wait_secs={}", wait.as_secs())));
        }
        let request = json(self.http.post(url), &ProofInputsRequest { tee_type })?
            .header(ACCEPT, "application/cbor, application/json")
            .header(ACCEPT_ENCODING, "zstd");
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            _ => Claim::of(response, self.max_input_bytes, self.pace).map(Some),
        }
    }

    /// Asks for a batch and reads it completely; `None` if there is no work. The input is decoded on a blocking thread.
    pub async fn proof_inputs(&self, tee_type: TeeType) -> Result<Option<Work>, ClientError> {
        let Some(claim) = self.claim(tee_type, None).await? else { return Ok(None) };
        let lease = claim.lease().cloned();
        let encoded = claim.read().await?;
        let limit_bytes = self.max_input_bytes;
        let decoded = tokio::task::spawn_blocking(move || encoded.decode(limit_bytes)).await;
        let input = decoded.unwrap_or(Err(UnreadableInput::Panicked)).map(|decoded| decoded.input);
        Ok(Some(Work { lease, input }))
    }

    /// Submits the proof of a batch, under the lease if there is one.
    pub async fn submit_proof(
        &self,
        batch: L1BatchNumber,
        proof: &SubmitProof,
        lease: Option<&LeaseId>,
    ) -> Result<(), ClientError> {
        let mut request = json(self.request(Method::POST, &format!("tee/submit_proofs/{batch}")), proof)?;
        if let Some(lease) = lease {
            request = request.header(LEASE_ID_HEADER, lease.as_str());
        }
        success(self.send(request).await?).await
    }

    /// Renews a lease. The answer says how long it lasts from now.
    pub async fn renew_lease(&self, lease_id: &LeaseId) -> Result<Lease, ClientError> {
        let request = self.request(Method::POST, &format!("tee/leases/{lease_id}/renew"));
        let response = self.send(request).await?;
        let renewed = lease(response.headers())?.filter(|lease| lease.id == *lease_id).ok_or(AnswerError::Lease)?;
        done(response).await?;
        Ok(renewed)
    }

    /// Reports that the batch cannot be proven, and ends the lease.
    pub async fn fail_lease(&self, lease_id: &LeaseId, report: &FailReport) -> Result<(), ClientError> {
        let request = json(self.request(Method::POST, &format!("tee/leases/{lease_id}/fail")), report)?;
        success(self.send(request).await?).await
    }

    /// Ends the lease so that another prover can have the batch.
    pub async fn give_back_lease(&self, lease_id: &LeaseId) -> Result<(), ClientError> {
        done(self.send(self.request(Method::DELETE, &format!("tee/leases/{lease_id}"))).await?).await
    }

    /// Asks whether the server can do its work. Returns the server's time, if the answer has it.
    pub async fn ready(&self) -> Result<Option<SystemTime>, ClientError> {
        let response = self.send(self.request(Method::GET, "health/ready")).await?;
        let date = http::date(response.headers());
        done(response).await?;
        Ok(date)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{path}", self.base_url.path()));
        url
    }

    /// Sends a request, and sorts failures by who is at fault.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() || status.is_informational() {
            return Err(AnswerError::Status(status.as_u16()).into());
        }
        let retry_after = http::retry_after(response.headers());
        // The server's explanation is useful, but its absence is no reason to fail.
        let body = read_body(response, MAX_ANSWER_BYTES, Pace::default()).await.ok().flatten().unwrap_or_default();
        Err(error::refusal(status.as_u16(), retry_after, &body))
    }
}

fn json(request: RequestBuilder, body: &impl Serialize) -> Result<RequestBuilder, ClientError> {
    let body = serde_json::to_vec(body).map_err(|_| AnswerError::Unsendable)?;
    Ok(request.header(CONTENT_TYPE, "application/json").body(body))
}

/// Checks that the answer says "success": a portal's page with status 200 does not mean that a proof was accepted.
async fn success(response: Response) -> Result<(), ClientError> {
    let body = read_body(response, MAX_ANSWER_BYTES, Pace::default()).await?.unwrap_or_default();
    match serde_json::from_slice::<String>(&body) {
        Ok(word) if word == SUCCESS => Ok(()),
        _ => Err(AnswerError::NotSuccess.into()),
    }
}

/// Reads the rest of an answer whose status is enough, so that its connection can be used again.
async fn done(response: Response) -> Result<(), ClientError> {
    read_body(response, MAX_ANSWER_BYTES, Pace::default()).await?;
    Ok(())
}

fn lease(headers: &HeaderMap) -> Result<Option<Lease>, AnswerError> {
    let Some(id) = headers.get(LEASE_ID_HEADER) else { return Ok(None) };
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    let id = text(id).parse().map_err(|_| AnswerError::Lease)?;
    let expires_in = headers.get(LEASE_EXPIRES_IN_HEADER).map(text).unwrap_or_default();
    let expires_in = Duration::from_secs(expires_in.parse::<u32>().map_err(|_| AnswerError::Lease)?.into());
    Ok(Some(Lease { id, expires_in }))
}
