//! An operator's requests to a server.

use reqwest::{
    Method, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde::de::DeserializeOwned;
use tee_verifier::H256;

use super::{AnswerError, Client, ClientError, done};
use crate::{
    AttestationEntry, BatchAdded, Contract, DisagreementEntry, InputEncoding, JobAction, JobEntry, JobStatus,
    KeyRevoked, Page, ProverEntry, PublicKey, RegistrationEntry, ResolveDisagreement, RevokeKey, SigningRequest,
    TeeType, TeeTypeAction,
    http::{Pace, read_body},
};

/// The most bytes that are read of one page of jobs.
const MAX_PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// Selects jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsRequest {
    /// Only of this batch.
    pub batch: Option<u32>,
    /// Only of this type of enclave.
    pub tee_type: Option<TeeType>,
    /// Only in this status.
    pub status: Option<JobStatus>,
    /// [`Page::next`] of an earlier page.
    pub after: Option<String>,
    /// The most jobs on the page, 1 to 1,000.
    pub limit: u32,
}

/// A batch to add, with its input as in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchUpload {
    /// The input.
    pub bytes: Vec<u8>,
    /// The encoding of the input.
    pub encoding: InputEncoding,
    /// The root after the batch, where it is known.
    pub expected_root: Option<H256>,
    /// Where the batch comes from, for people.
    pub source: String,
}

impl Client {
    /// A page of jobs. Needs a reader's token if the server requires tokens.
    pub async fn jobs(&self, request: &JobsRequest) -> Result<Page<JobEntry>, ClientError> {
        let limit = request.limit.to_string();
        let batch = request.batch.map(|batch| batch.to_string());
        let mut url = self.url("api/jobs");
        for (name, value) in [
            ("limit", Some(limit.as_str())),
            ("batch", batch.as_deref()),
            ("tee_type", request.tee_type.map(TeeType::as_str)),
            ("status", request.status.map(JobStatus::as_str)),
            ("after", request.after.as_deref()),
        ] {
            value.into_iter().for_each(|value| _ = url.query_pairs_mut().append_pair(name, value));
        }
        read(self.send(self.http.get(url)).await?).await
    }

    /// Changes a job. Needs an admin's token if the server requires tokens.
    pub async fn change_job(&self, batch: u32, tee_type: TeeType, action: JobAction) -> Result<(), ClientError> {
        let path = format!("admin/jobs/{batch}/{tee_type}/{}", action.as_str());
        done(self.send(self.request(Method::POST, &path)).await?).await
    }

    /// A page of registered keys. Needs a reader's token if the server requires tokens.
    pub async fn attestations(&self, after: Option<&str>, limit: u32) -> Result<Page<AttestationEntry>, ClientError> {
        self.page("api/attestations", after, limit).await
    }

    /// Revokes a key. Needs an admin's token if the server requires tokens.
    pub async fn revoke_key(&self, key: &PublicKey, request: &RevokeKey) -> Result<KeyRevoked, ClientError> {
        let path = format!("admin/attestations/{key}/revoke");
        read(self.send(super::json(self.request(Method::POST, &path), request)?).await?).await
    }

    /// A page of disagreements. Needs a reader's token if the server requires tokens.
    pub async fn disagreements(&self, after: Option<&str>, limit: u32) -> Result<Page<DisagreementEntry>, ClientError> {
        self.page("api/disagreements", after, limit).await
    }

    /// Notes how a disagreement was explained. Needs an admin's token if the server requires tokens.
    pub async fn resolve_disagreement(
        &self,
        batch: u32,
        tee_type: TeeType,
        key: &PublicKey,
        request: &ResolveDisagreement,
    ) -> Result<(), ClientError> {
        let path = format!("admin/disagreements/{batch}/{tee_type}/{key}/resolve");
        done(self.send(super::json(self.request(Method::POST, &path), request)?).await?).await
    }

    /// Retires a type of enclave, or serves it again. Needs an admin's token if the server requires tokens.
    pub async fn change_tee_type(&self, tee_type: TeeType, action: TeeTypeAction) -> Result<(), ClientError> {
        let path = format!("admin/tee_types/{tee_type}/{}", action.as_str());
        done(self.send(self.request(Method::POST, &path)).await?).await
    }

    /// Asks provers to sign for a contract. Needs an admin's token if the server requires tokens.
    pub async fn request_signatures(&self, request: &SigningRequest) -> Result<(), ClientError> {
        done(self.send(super::json(self.request(Method::POST, "admin/signing_requests"), request)?).await?).await
    }

    /// A page of what keys signed to be registered with a contract. Needs a reader's token if the server requires tokens.
    pub async fn registration_signatures(
        &self,
        contract: &Contract,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<RegistrationEntry>, ClientError> {
        let mut url = self.url("api/registration_signatures");
        url.query_pairs_mut().append_pair("contract", &contract.to_string()).append_pair("limit", &limit.to_string());
        after.into_iter().for_each(|after| _ = url.query_pairs_mut().append_pair("after", after));
        read(self.send(self.http.get(url)).await?).await
    }

    /// A page of provers. Needs a reader's token if the server requires tokens.
    pub async fn provers(&self, after: Option<&str>, limit: u32) -> Result<Page<ProverEntry>, ClientError> {
        self.page("api/provers", after, limit).await
    }

    /// The server's metrics, in the OpenMetrics text format. Needs a reader's token if the server requires tokens.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let response = self.send(self.request(Method::GET, "metrics")).await?;
        let body = read_body(response, MAX_PAGE_BYTES, Pace::default()).await?.ok_or(AnswerError::Body)?;
        String::from_utf8(body).map_err(|_| AnswerError::Body.into())
    }

    async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<T>, ClientError> {
        let mut url = self.url(path);
        url.query_pairs_mut().append_pair("limit", &limit.to_string());
        after.into_iter().for_each(|after| _ = url.query_pairs_mut().append_pair("after", after));
        read(self.send(self.http.get(url)).await?).await
    }

    /// Adds a batch. Needs an admin's token if the server requires tokens.
    pub async fn add_batch(&self, upload: BatchUpload) -> Result<BatchAdded, ClientError> {
        let mut url = self.url("admin/batches");
        url.query_pairs_mut().append_pair("source", &upload.source);
        if let Some(root) = upload.expected_root {
            url.query_pairs_mut().append_pair("expected_root", &hex::encode(root));
        }
        let content_type = upload.encoding.form.media_type();
        let mut request = self.http.post(url).header(CONTENT_TYPE, content_type).body(upload.bytes);
        if let Some(name) = upload.encoding.content_encoding() {
            request = request.header(CONTENT_ENCODING, name);
        }
        read(self.send(request).await?).await
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let body = read_body(response, MAX_PAGE_BYTES, Pace::default()).await?.ok_or(AnswerError::Body)?;
    serde_json::from_slice(&body).map_err(|_| AnswerError::Body.into())
}
