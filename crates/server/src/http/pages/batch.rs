//! `GET /batches/{batch}`: everything that is known about a batch, and how to check it without trusting this server.

mod roots;
mod timeline;

use std::collections::HashMap;

use askama::Template;
use axum::{
    Extension, Json,
    extract::State,
    http::{
        HeaderMap,
        header::{CONTENT_DISPOSITION, HOST},
    },
    response::IntoResponse,
};
use serde::Deserialize;
use tee_api::{JobStatus, KeyStanding, PublicKey, SignedStatement, Statement, TeeType};
use tee_verifier::H256;

use self::{roots::RootsOf, timeline::Moment};
use super::{
    badge::{Badge, Facts, Signer},
    frame::{Frame, Page},
    shown::{self, At, Bytes, Short, Span, Stated, Tone, counted, key_tone, tee},
};
use crate::{
    database::{AttestationEntry, BatchEntry, Disagreement, Job, JobFilter, Proof, ProofFilter},
    http::{
        App, Problem,
        authorize::Asking,
        published::json_rpc::tee_proof,
        request::{PathParameter, QueryParameters, parsed_hash},
    },
    keys::Trust,
    service::Service,
};

/// The most proofs and the most disagreements of a batch that are shown. The download has all of them.
const MAX_SHOWN: u32 = 24;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchQuery {
    /// The hash of a transaction whose place is shown.
    transaction: Option<String>,
}

#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage {
    frame: Frame,
    badge: Badge,
    trust: Trust,
    batch: BatchEntry,
    /// The time from the sealing of the batch, or else its arrival, to its first proof.
    took: Option<Span>,
    is_latest: bool,
    jobs: Vec<JobLine>,
    signers: Vec<SignerLine>,
    more_signers: bool,
    disagreements: Vec<DisagreementLine>,
    stated: Vec<Stated>,
    roots: [RootsOf; 2],
    timeline: Vec<Moment>,
    check: String,
    /// The transaction that was looked for, and its place in the batch, from 1.
    transaction: Option<(String, Option<u32>)>,
}

/// Everything that is read about a batch.
struct Found {
    batch: BatchEntry,
    /// The next batch, if it exists.
    next: Option<BatchEntry>,
    jobs: Vec<Job>,
    proofs: Vec<Proof>,
    more_proofs: bool,
    /// The proofs of the batch before.
    proofs_before: Vec<Proof>,
    disagreements: Vec<Disagreement>,
    /// Whether any disagreement is open, shown or not.
    is_disputed: bool,
    keys: HashMap<PublicKey, AttestationEntry>,
}

struct JobLine {
    tee: String,
    status: &'static str,
    tone: Tone,
    attempts: u32,
    updated_at: At,
    /// Its last error, which is a prover's text and only for readers.
    error: Option<String>,
}

struct SignerLine {
    key: String,
    tee: String,
    standing: KeyStanding,
    tone: Tone,
    reason: Option<String>,
    tcb_status: Option<String>,
    has_statement: bool,
    root: String,
    signature: String,
    received_at: At,
}

struct DisagreementLine {
    key: String,
    tee: String,
    root: String,
    accepted_root: String,
    is_accepted: bool,
    received_at: At,
    resolved_at: Option<At>,
    resolution: Option<String>,
}

pub(super) async fn page(
    State(app): State<App>,
    Extension(asking): Extension<Asking>,
    PathParameter(number): PathParameter<u32>,
    QueryParameters(query): QueryParameters<BatchQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let hash = query.transaction.map(|text| parsed_hash("transaction", &text)).transpose()?;
    let found = Found::read(&app.service, number).await?.ok_or_else(Problem::unknown_batch)?;
    let transaction = match hash {
        None => None,
        Some(hash) => Some((format!("{hash:?}"), found.position_of(&app.service, hash).await?)),
    };
    let frame = Frame::of(&asking);
    let trust = app.service.trust();
    let badge = Badge::of(&Facts {
        jobs: found.jobs.iter().map(|job| job.status).collect(),
        signers: found.signers(trust).collect(),
        is_disputed: found.is_disputed,
        root_is_known: found.batch.expected_root.is_some() || found.next_starts_from().is_some(),
    });
    let statements = found.statements();
    Ok(Page(BatchPage {
        frame,
        badge,
        trust,
        took: found.took(),
        is_latest: found.next.is_none(),
        jobs: found.jobs.iter().map(|job| JobLine::of(job, frame.may_read)).collect(),
        signers: found.proofs.iter().map(|proof| SignerLine::of(proof, &found)).collect(),
        more_signers: found.more_proofs,
        disagreements: found.disagreements.iter().map(|one| DisagreementLine::of(one, frame.may_read)).collect(),
        roots: [RootsOf::after(&found), RootsOf::before(&found, &statements)],
        stated: Stated::of(statements),
        timeline: timeline::of(&found, frame.may_read),
        check: check_line(&server_url(&headers, app.speaks_tls), number, trust),
        transaction,
        batch: found.batch,
    }))
}

/// What is published about the batch, as the JSON-RPC returns it, as a file.
pub(super) async fn proofs(
    State(service): State<Service>,
    PathParameter(number): PathParameter<u32>,
) -> Result<impl IntoResponse, Problem> {
    let published = service.published_proofs(number, None).await?;
    if published.is_empty() && Found::batch(&service, number).await?.is_none() {
        return Err(Problem::unknown_batch());
    }
    let proofs: Vec<_> = published.into_iter().map(|proof| tee_proof(number, proof)).collect();
    let name = format!("attachment; filename=\"batch-{number}-proofs.json\"");
    Ok(([(CONTENT_DISPOSITION, name)], Json(proofs)))
}

impl Found {
    /// The place of a transaction in the batch, from 1.
    async fn position_of(&self, service: &Service, hash: H256) -> Result<Option<u32>, sqlx::Error> {
        let places = service.places_of_transaction(hash, MAX_SHOWN).await?;
        Ok(places.iter().find(|place| place.number == self.batch.number).map(|place| place.position))
    }

    /// `None` if there is no such batch.
    async fn read(service: &Service, number: u32) -> Result<Option<Self>, sqlx::Error> {
        let Some((batch, next)) = Self::batch(service, number).await? else { return Ok(None) };
        let filter = JobFilter { number: Some(number), ..JobFilter::default() };
        let mut jobs = service.jobs(&filter, None, MAX_SHOWN).await?;
        jobs.retain(|job| job.tee_type != TeeType::None);
        let of = |number| ProofFilter { number: Some(number), tee_type: None };
        let mut proofs = service.proofs(&of(number), None, MAX_SHOWN + 1).await?;
        let more_proofs = proofs.len() > MAX_SHOWN as usize;
        proofs.truncate(MAX_SHOWN as usize);
        let proofs_before = match number.checked_sub(1) {
            Some(before) => service.proofs(&of(before), None, MAX_SHOWN).await?,
            None => vec![],
        };
        let disagreements = service.disagreements_of(number, MAX_SHOWN).await?;
        let is_disputed = !service.disputed_batches(number, number).await?.is_empty();
        let mut signed: Vec<_> = proofs.iter().chain(&proofs_before).map(|proof| proof.pubkey).collect();
        signed.sort();
        signed.dedup();
        let keys = service.attestations_of(&signed).await?.into_iter().map(|key| (key.pubkey, key)).collect();
        Ok(Some(Self { batch, next, jobs, proofs, more_proofs, proofs_before, disagreements, is_disputed, keys }))
    }

    /// A batch, and the next one if it exists.
    async fn batch(service: &Service, number: u32) -> Result<Option<(BatchEntry, Option<BatchEntry>)>, sqlx::Error> {
        let mut rows = service.batches(number.checked_sub(1), 2).await?.into_iter();
        let Some(batch) = rows.next().filter(|batch| batch.number == number) else { return Ok(None) };
        Ok(Some((batch, rows.next().filter(|next| Some(next.number) == number.checked_add(1)))))
    }

    fn standing(&self, key: &PublicKey) -> KeyStanding {
        // Keys are never deleted.
        self.keys.get(key).map_or(KeyStanding::Unjudged, |key| key.standing)
    }

    fn signers(&self, trust: Trust) -> impl Iterator<Item = Signer> {
        self.proofs.iter().map(move |proof| Signer {
            tee_type: proof.tee_type,
            standing: self.standing(&proof.pubkey),
            has_statement: proof.statement.is_some(),
            is_vouched_for: trust == Trust::Nobody
                || self.keys.get(&proof.pubkey).is_some_and(|key| key.passed_at_ms.is_some()),
        })
    }

    /// The statements of the proofs that count.
    fn statements(&self) -> Vec<Statement> {
        let read = |proof: &Proof| serde_json::from_str::<SignedStatement>(proof.statement.as_deref()?).ok();
        self.counting(&self.proofs).filter_map(read).map(|signed| signed.statement).collect()
    }

    /// Accepted proofs whose keys were not revoked.
    fn counting<'a>(&'a self, proofs: &'a [Proof]) -> impl Iterator<Item = &'a Proof> {
        proofs.iter().filter(|proof| self.standing(&proof.pubkey) != KeyStanding::Revoked)
    }

    fn took(&self) -> Option<Span> {
        let proven_at_ms = self.counting(&self.proofs).map(|proof| proof.received_at_ms).min()?;
        let came_at_ms = self.batch.sealed_at_ms.unwrap_or(self.batch.created_at_ms);
        Some(Span(proven_at_ms.saturating_sub(came_at_ms)))
    }

    fn next_starts_from(&self) -> Option<tee_verifier::H256> {
        self.next.as_ref().and_then(|next| next.previous_root)
    }
}

impl JobLine {
    fn of(job: &Job, may_read: bool) -> Self {
        let (tone, status) = match job.status {
            JobStatus::ReadyToBeProven => (Tone::Plain, "waits for a prover"),
            JobStatus::PickedByProver => (Tone::Plain, "a prover has it"),
            JobStatus::Generated => (Tone::Good, "proven"),
            JobStatus::Failed => (Tone::Warning, "failed, will be tried again"),
            JobStatus::PermanentlyIgnored => (Tone::Warning, "given up"),
        };
        let error = match (&job.error_kind, &job.error) {
            (Some(kind), Some(error)) if may_read => Some(format!("{kind}: {error}")),
            (Some(kind), None) if may_read => Some(kind.clone()),
            _ => None,
        };
        Self { tee: tee(job.tee_type), status, tone, attempts: job.attempts, updated_at: At(job.updated_at_ms), error }
    }
}

impl SignerLine {
    fn of(proof: &Proof, found: &Found) -> Self {
        let key = found.keys.get(&proof.pubkey);
        let standing = found.standing(&proof.pubkey);
        Self {
            key: proof.pubkey.to_string(),
            tee: tee(proof.tee_type),
            standing,
            tone: key_tone(standing),
            reason: key.and_then(|key| key.standing_reason.clone()),
            tcb_status: key.and_then(|key| key.tcb_status.clone()),
            has_statement: proof.statement.is_some(),
            root: hex::encode(proof.root),
            signature: hex::encode(proof.signature.to_bytes()),
            received_at: At(proof.received_at_ms),
        }
    }
}

impl DisagreementLine {
    /// The explanation is an operator's text, and only for readers.
    fn of(disagreement: &Disagreement, may_read: bool) -> Self {
        Self {
            key: disagreement.pubkey.to_string(),
            tee: tee(disagreement.tee_type),
            root: hex::encode(disagreement.root),
            accepted_root: hex::encode(disagreement.accepted_root),
            is_accepted: disagreement.is_accepted,
            received_at: At(disagreement.received_at_ms),
            resolved_at: disagreement.resolved_at_ms.map(At),
            resolution: disagreement.resolution.clone().filter(|_| may_read),
        }
    }
}

/// The command that an outsider runs.
pub(super) fn check_line(server: &str, number: impl std::fmt::Display, trust: Trust) -> String {
    let option = shown::root_option(trust);
    format!(
        "teectl proofs verify --rpc {server} --batch {number} --policy policy.yaml --chain-file chain.yaml --l2-rpc NODE{option}"
    )
}

/// This server as the browser calls it, if that is safe to paste into a shell.
pub(super) fn server_url(headers: &HeaderMap, speaks_tls: bool) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST.as_str()).filter(|host| {
        !host.is_empty() && host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter))
    });
    let is_https = speaks_tls || text("x-forwarded-proto") == Some("https");
    match host {
        Some(host) => format!("{}://{host}", if is_https { "https" } else { "http" }),
        None => "URL".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_a_shell_would_run_is_not_shown() {
        let url = |host: &str, proto: Option<&str>, speaks_tls| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            if let Some(proto) = proto {
                headers.insert("x-forwarded-proto", proto.parse().unwrap());
            }
            server_url(&headers, speaks_tls)
        };
        assert_eq!(url("tee.example:3320", None, false), "http://tee.example:3320");
        assert_eq!(url("[::1]:3320", None, true), "https://[::1]:3320");
        assert_eq!(url("tee.example", Some("https"), false), "https://tee.example");
        for host in ["", "x;reboot", "$(reboot)", "`reboot`", "a b", "x&y", "x'y", "x\"y", "x|y", "x\\y"] {
            assert_eq!(url(host, None, false), "URL", "{host}");
        }
        assert_eq!(server_url(&HeaderMap::new(), true), "URL");
    }
}
