//! Leases: who gets a batch to prove, what happens to it, and how people change that.

mod claim;

use std::time::Duration;

use tee_api::{LeaseId, TeeType};
use tee_verifier::InputForm;

pub(crate) use self::claim::{HandOutError, HandedOut};
use crate::{
    database::{
        FailureCount, FinishedJob, Job, JobChange, JobCount, JobCursor, JobFailure, JobFilter, Prover, ProverCount,
        ProverEntry, ReportedFailure,
    },
    service::Service,
};

/// Operations on jobs and their leases.
impl Service {
    /// Hands out the lowest ready batch. If there is none, waits for one.
    pub(crate) async fn hand_out(
        &self,
        tee_type: TeeType,
        prover: &Prover,
        form: InputForm,
        wait: Duration,
    ) -> Result<Option<HandedOut>, HandOutError> {
        claim::hand_out(self, tee_type, prover, form, wait).await
    }

    /// How long a lease lasts.
    pub(crate) fn lease_secs(&self) -> u32 {
        self.lease_secs
    }

    /// Renews a lease. Returns how long it lasts, or `None` if it has ended.
    pub(crate) async fn renew_lease(&self, lease: &LeaseId) -> Result<Option<Duration>, sqlx::Error> {
        let now_ms = self.clock.now_ms();
        let expires_at_ms = self.database.renew_lease(lease, now_ms).await?;
        let left = |expires_at_ms: i64| u64::try_from(expires_at_ms.saturating_sub(now_ms)).unwrap_or(0);
        Ok(expires_at_ms.map(|expires_at_ms| Duration::from_millis(left(expires_at_ms))))
    }

    /// Ends a lease whose batch cannot be proven.
    pub(crate) async fn fail_lease(
        &self,
        lease: &LeaseId,
        failure: JobFailure<'_>,
    ) -> Result<ReportedFailure, sqlx::Error> {
        self.database.fail_lease(lease, failure, self.clock.now_ms()).await
    }

    /// Ends a lease: another prover may have its batch. False if the lease is not current.
    pub(crate) async fn give_back_lease(&self, lease: &LeaseId) -> Result<bool, sqlx::Error> {
        self.database.give_back_lease(lease, self.clock.now_ms()).await
    }

    /// Makes a failed or given-up job ready again, with all its attempts.
    pub async fn retry_job(&self, number: u32, tee_type: TeeType) -> Result<JobChange, sqlx::Error> {
        self.database.retry_job(number, tee_type, self.clock.now_ms()).await
    }

    /// Gives up a job that has no proof yet. A lease on it ends.
    pub async fn ignore_job(&self, number: u32, tee_type: TeeType) -> Result<JobChange, sqlx::Error> {
        self.database.ignore_job(number, tee_type, self.clock.now_ms()).await
    }

    /// Makes a job ready again, whatever its status. A lease on it ends; its proofs stay.
    pub async fn requeue_job(&self, number: u32, tee_type: TeeType) -> Result<JobChange, sqlx::Error> {
        self.database.requeue_job(number, tee_type, self.clock.now_ms()).await
    }

    /// Stops the proving of batches by enclaves of this type, and removes the jobs that have no proof; the first chunk is removed before
    /// this returns. False if the type was retired before.
    pub async fn retire_tee_type(&self, tee_type: TeeType) -> Result<bool, sqlx::Error> {
        self.database.retire_tee_type(tee_type, self.clock.now_ms()).await
    }

    /// Undoes [`Self::retire_tee_type`].
    pub async fn serve_tee_type(&self, tee_type: TeeType) -> Result<bool, sqlx::Error> {
        self.database.serve_tee_type(tee_type, self.clock.now_ms()).await
    }

    /// Jobs by batch and TEE type, beginning after `after`.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        after: Option<(u32, TeeType)>,
        limit: u32,
    ) -> Result<Vec<Job>, sqlx::Error> {
        self.database.jobs(filter, after, limit).await
    }

    /// Jobs that changed after `after`, in that order, with their current state. A change appears two seconds after it was made.
    pub async fn job_changes(&self, after: JobCursor, limit: u32) -> Result<Vec<Job>, sqlx::Error> {
        self.database.job_changes(after, limit, self.clock.now_ms()).await
    }

    /// How many unfinished jobs there are per type and status, up to 100,000 each.
    pub async fn job_counts(&self) -> Result<Vec<JobCount>, sqlx::Error> {
        self.database.job_counts().await
    }

    /// The jobs that were finished since a time, the latest first, at most `limit` of them.
    pub(crate) async fn finished_jobs(&self, since_ms: i64, limit: u32) -> Result<Vec<FinishedJob>, sqlx::Error> {
        self.database.finished_jobs(since_ms, limit).await
    }

    /// The last errors of failed and given-up jobs, the most frequent first.
    pub(crate) async fn failures_by_kind(&self) -> Result<Vec<FailureCount>, sqlx::Error> {
        self.database.failures_by_kind().await
    }

    /// How many provers there are.
    pub(crate) async fn prover_counts(&self) -> Result<Vec<ProverCount>, sqlx::Error> {
        self.database.prover_counts(self.clock.now_ms()).await
    }

    /// Who asks for work, by TEE type and name, beginning after `after`.
    pub async fn provers(&self, after: Option<(TeeType, &str)>, limit: u32) -> Result<Vec<ProverEntry>, sqlx::Error> {
        self.database.provers(after, limit, self.clock.now_ms()).await
    }
}
