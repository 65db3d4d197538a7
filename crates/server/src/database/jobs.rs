//! `tee_proof_generation_details`: one job for each batch and TEE type, and the leases on them.

mod by_hand;
mod claim;
mod finished;
mod leases;
mod list;
mod rules;

pub use self::{
    by_hand::JobChange,
    list::{Job, JobCount, JobCursor, JobFilter},
    rules::RequiredProofs,
};
pub(crate) use self::{
    claim::Claim,
    finished::{FailureCount, FinishedJob},
    leases::{JobFailure, NoInput, ReportedFailure},
    rules::JobRules,
};
pub(super) use self::{
    claim::claim_statement,
    finished::FINISHED,
    leases::FailedLease,
    list::{job_counts_statement, jobs_statement},
};

/// The error that people read when a batch would be proven again but has no input.
pub(super) const RETIRED: &str = "its input was deleted after the batch was proven: add the batch again to restore it";
