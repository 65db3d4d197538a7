//! Unfinished jobs, by type of enclave.

use serde::Serialize;
use tee_api::{JobStatus, TeeType};

use super::samples::{Sample, Samples};

/// The unfinished jobs of a type of enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Queue {
    pub(super) tee_type: TeeType,
    pub(super) waiting: u64,
    pub(super) being_proven: u64,
    pub(super) failing: u64,
    pub(super) given_up: u64,
    /// The lowest batch that has no proof and was not given up.
    pub(super) lowest_batch: Option<u64>,
}

impl Queue {
    /// The queue of each type that has any jobs, and of those that enclaves have.
    pub(super) fn all(samples: &Samples) -> Vec<Self> {
        let queues = [TeeType::Sgx, TeeType::Tdx, TeeType::None].map(|tee_type| Self::of(samples, tee_type));
        queues.into_iter().filter(|queue| queue.tee_type != TeeType::None || queue.jobs() > 0).collect()
    }

    fn of(samples: &Samples, tee_type: TeeType) -> Self {
        let is = |sample: &Sample, status: JobStatus| {
            sample.label("tee_type") == Some(tee_type.as_str()) && sample.label("status") == Some(status.as_str())
        };
        let jobs = |status| {
            samples
                .of("tee_server_jobs")
                .filter(|sample| is(sample, status))
                .map(Sample::count)
                .fold(0, u64::saturating_add)
        };
        let unproven = [JobStatus::ReadyToBeProven, JobStatus::PickedByProver, JobStatus::Failed];
        let lowest = samples.of("tee_server_jobs_lowest_batch");
        let lowest = lowest.filter(|sample| unproven.into_iter().any(|status| is(sample, status)));
        Self {
            tee_type,
            waiting: jobs(JobStatus::ReadyToBeProven),
            being_proven: jobs(JobStatus::PickedByProver),
            failing: jobs(JobStatus::Failed),
            given_up: jobs(JobStatus::PermanentlyIgnored),
            lowest_batch: lowest.map(Sample::count).min(),
        }
    }

    fn jobs(&self) -> u64 {
        [self.waiting, self.being_proven, self.failing, self.given_up].into_iter().fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_counted_by_type_and_status() {
        let samples = Samples::parse(
            "tee_server_jobs{tee_type=\"sgx\",status=\"ready_to_be_proven\"} 5\n\
             tee_server_jobs{tee_type=\"sgx\",status=\"permanently_ignored\"} 2\n\
             tee_server_jobs{tee_type=\"sgx\",status=\"of a later release\"} 9\n\
             tee_server_jobs{tee_type=\"unknown\",status=\"failed\"} 9\n\
             tee_server_jobs_lowest_batch{tee_type=\"sgx\",status=\"permanently_ignored\"} 3\n\
             tee_server_jobs_lowest_batch{tee_type=\"sgx\",status=\"ready_to_be_proven\"} 7\n",
        );
        let [sgx, tdx] = Queue::all(&samples)[..] else { panic!("two types") };
        assert_eq!((sgx.waiting, sgx.given_up, sgx.failing, sgx.lowest_batch), (5, 2, 0, Some(7)));
        assert_eq!((tdx.jobs(), tdx.lowest_batch), (0, None));
    }
}
