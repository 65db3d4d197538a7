//! `tee_proof_generation_details`: one job for each batch and TEE type, and the leases on them.

mod by_hand;
mod claim;
mod leases;
mod list;
mod rules;

use std::{fmt, str::FromStr};

use thiserror::Error;

pub use self::{
    by_hand::JobChange,
    list::{Job, JobCount, JobCursor, JobFilter},
    rules::RequiredProofs,
};
pub(crate) use self::{
    claim::Claim,
    leases::{JobFailure, NoInput, ReportedFailure},
    rules::JobRules,
};
pub(super) use self::{
    claim::claim_statement,
    leases::FailedLease,
    list::{job_counts_statement, jobs_statement},
};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Waits for a prover.
    ReadyToBeProven,
    /// A prover has it. Of TEE type `none` this is the end of a batch that was found right.
    PickedByProver,
    /// As many proofs were accepted as are required.
    Generated,
    /// A prover reported that the batch cannot be proven, or its input is not readable. It is tried again later.
    Failed,
    /// Given up.
    PermanentlyIgnored,
}

/// Not a status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown job status {0:?}")]
pub struct JobStatusError(String);

/// What people read of a job whose batch would be proven again and has no input.
pub(super) const RETIRED: &str = "its input was deleted once it was proven: add the batch again to put it back";

impl JobStatus {
    /// As it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadyToBeProven => "ready_to_be_proven",
            Self::PickedByProver => "picked_by_prover",
            Self::Generated => "generated",
            Self::Failed => "failed",
            Self::PermanentlyIgnored => "permanently_ignored",
        }
    }
}

impl FromStr for JobStatus {
    type Err = JobStatusError;

    fn from_str(text: &str) -> Result<Self, JobStatusError> {
        [Self::ReadyToBeProven, Self::PickedByProver, Self::Generated, Self::Failed, Self::PermanentlyIgnored]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| JobStatusError(text.to_owned()))
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
