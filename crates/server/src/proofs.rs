//! Proofs: which are accepted, which contradict each other, and what is published about them.

mod accept;
mod shown;

use std::collections::HashSet;

use tee_api::{LeaseId, PublicKey, SubmitProof, TeeProof, TeeType};
use tee_verifier::H256;

pub(crate) use self::{
    accept::RefusedProof,
    shown::{JudgedProof, NotJudged},
};
use crate::{
    database::{Disagreement, Proof, ProofFilter, ProofOfKey, ProverName, PublishedProof},
    service::Service,
};

/// Operations on proofs.
impl Service {
    /// Checks a proof and stores it.
    pub(crate) async fn take_proof(
        &self,
        number: u32,
        submission: &SubmitProof,
        lease: Option<&LeaseId>,
        prover: &ProverName,
    ) -> Result<(), RefusedProof> {
        accept::take(self, number, submission, lease, prover).await
    }

    /// Judges a proof that somebody shows. It changes nothing. `None` if there is no proof in it.
    pub(crate) async fn judge_proof(&self, proof: TeeProof) -> Result<Option<JudgedProof>, NotJudged> {
        shown::judge(self, proof).await
    }

    /// What is published about a batch.
    pub(crate) async fn published_proofs(
        &self,
        number: u32,
        tee_type: Option<TeeType>,
    ) -> Result<Vec<PublishedProof>, sqlx::Error> {
        self.database.published_proofs(number, tee_type).await
    }

    /// Proofs by batch, TEE type and key, beginning after `after`.
    pub async fn proofs(
        &self,
        filter: &ProofFilter,
        after: Option<(u32, TeeType, PublicKey)>,
        limit: u32,
    ) -> Result<Vec<Proof>, sqlx::Error> {
        self.database.proofs(filter, after, limit).await
    }

    /// A key's proofs of batches below a number, the highest batch first.
    pub(crate) async fn proofs_of_key(
        &self,
        pubkey: &PublicKey,
        below: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ProofOfKey>, sqlx::Error> {
        self.database.proofs_of_key(pubkey, below, limit).await
    }

    /// The batches with accepted proofs of this root.
    pub(crate) async fn batches_of_root(&self, root: H256, limit: u32) -> Result<Vec<u32>, sqlx::Error> {
        self.database.batches_of_root(root, limit).await
    }

    /// Refused proofs that contradict accepted ones, the latest first.
    pub async fn disagreements(&self) -> Result<Vec<Disagreement>, sqlx::Error> {
        self.database.disagreements().await
    }

    /// Disagreements by batch, TEE type and key, beginning after `after`.
    pub(crate) async fn disagreements_after(
        &self,
        after: Option<(u32, TeeType, PublicKey)>,
        limit: u32,
    ) -> Result<Vec<Disagreement>, sqlx::Error> {
        self.database.disagreements_after(after, limit).await
    }

    /// The disagreements on a batch, by TEE type and key.
    pub(crate) async fn disagreements_of(&self, number: u32, limit: u32) -> Result<Vec<Disagreement>, sqlx::Error> {
        self.database.disagreements_of(number, limit).await
    }

    /// The batches from `first` to `last` that have an unexplained disagreement.
    pub(crate) async fn disputed_batches(&self, first: u32, last: u32) -> Result<HashSet<u32>, sqlx::Error> {
        self.database.disputed_batches(first, last).await
    }

    /// Notes how a person explained a disagreement. The first explanation stays. False if there is no such disagreement.
    pub async fn resolve_disagreement(
        &self,
        number: u32,
        tee_type: TeeType,
        pubkey: &PublicKey,
        resolution: &str,
    ) -> Result<bool, sqlx::Error> {
        self.database.resolve_disagreement(number, tee_type, pubkey, resolution, self.clock.now_ms()).await
    }
}
