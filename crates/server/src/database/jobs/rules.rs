//! The rules for jobs.

use tee_api::TeeType;

/// The rules for jobs, from the configuration.
#[derive(Debug)]
pub(crate) struct JobRules {
    /// How long a lease lasts, and how long a failed job rests.
    pub(crate) lease_ms: i64,
    /// How long a prover may hold a batch, however often it renews its lease.
    pub(crate) longest_lease_ms: i64,
    pub(crate) first_processed_batch: u32,
    pub(crate) max_attempts: u32,
    /// A job of this age is not tried again after a failure.
    pub(crate) ignored_after_ms: i64,
    pub(crate) served_tee_types: Vec<TeeType>,
    pub(crate) required_proofs: RequiredProofs,
    pub(crate) max_leases_per_prover: u32,
    /// Whether inputs that lack paths are completed.
    pub(crate) completes_inputs: bool,
}

/// How many keys must prove a batch, by TEE type. A type that is not listed needs one, from when its first prover asks for work.
/// With 0, provers of the type get no work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequiredProofs {
    /// Of Intel SGX.
    pub sgx: Option<u32>,
    /// Of Intel TDX.
    pub tdx: Option<u32>,
}

impl JobRules {
    pub(in crate::database) fn required_proofs(&self, tee_type: TeeType) -> u32 {
        match tee_type {
            TeeType::None => 1,
            TeeType::Sgx => self.required_proofs.sgx.unwrap_or(1),
            TeeType::Tdx => self.required_proofs.tdx.unwrap_or(1),
        }
    }

    /// Whether provers of this TEE type get work.
    pub(in crate::database) fn serves(&self, tee_type: TeeType) -> bool {
        self.served_tee_types.contains(&tee_type) && self.required_proofs(tee_type) > 0
    }

    /// Whether the configuration requires proofs of this TEE type. Otherwise they are required once a prover of the type comes.
    pub(in crate::database) fn expects(&self, tee_type: TeeType) -> bool {
        let listed = match tee_type {
            TeeType::None => None,
            TeeType::Sgx => self.required_proofs.sgx,
            TeeType::Tdx => self.required_proofs.tdx,
        };
        listed.is_some() && self.serves(tee_type)
    }

    /// Whether a job with this number of attempts and this age is worn out.
    pub(in crate::database) fn is_worn_out(&self, attempts: i64, created_at_ms: i64, now_ms: i64) -> bool {
        attempts >= i64::from(self.max_attempts) || created_at_ms <= now_ms.saturating_sub(self.ignored_after_ms)
    }
}
