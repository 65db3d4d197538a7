//! What an operator should look at and what to do. Each alarm links to its section of the guide.

use tee_api::{JobStatus, TeeType};

use super::{Seen, Tone};
use crate::http::pages::shown::{self, Span, counted};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http::pages) struct Alarm {
    pub(in crate::http::pages) tone: Tone,
    pub(in crate::http::pages) what: String,
    pub(in crate::http::pages) todo: &'static str,
    /// A section of the guide.
    pub(in crate::http::pages) guide: &'static str,
}

/// A prover that wants work asks within seconds. The time is recorded to within a minute.
const SILENT_MS: i64 = 5 * 60 * 1000;

/// How long before its end an operator should see to new collateral.
const COLLATERAL_ENDS_MS: i64 = 3 * 24 * 3600 * 1000;

/// The log warns from the same value on.
const SKEW_MS: i64 = 2000;

/// The alarms, the worst first.
pub(super) fn of(seen: &Seen) -> Vec<Alarm> {
    let mut alarms = vec![];
    let mut alarm = |tone, what: String, todo, guide| alarms.push(Alarm { tone, what, todo, guide });
    if seen.state.disagreements > 0 {
        let what = format!(
            "{} about a batch's root",
            many(seen.state.disagreements, "open disagreement", "open disagreements")
        );
        let todo =
            "One of the signatures is forged, or the node's data were changed. Find out which before you resolve it.";
        alarm(Tone::Bad, what, todo, "TeeServerDisagreement");
    }
    for tee_type in [TeeType::Sgx, TeeType::Tdx] {
        let name = shown::tee(tee_type);
        let of_type = |status| {
            let counts = seen.jobs.iter().filter(|count| count.tee_type == tee_type && count.status == status);
            counts.map(|count| count.jobs).sum::<u64>()
        };
        let ready = of_type(JobStatus::ReadyToBeProven);
        let asked =
            seen.provers.iter().filter(|prover| prover.tee_type == tee_type).map(|prover| prover.asked_at_ms).max();
        let is_silent = asked.is_none_or(|asked_ms| seen.now_ms.saturating_sub(asked_ms) > SILENT_MS);
        let jobs = many(ready, "batch waits", "batches wait");
        if ready > 0 && is_silent && of_type(JobStatus::PickedByProver) == 0 {
            let todo =
                "No prover has asked for work for five minutes. Check that the provers run and reach this server.";
            alarm(Tone::Bad, format!("{name}: {jobs} and nobody proves"), todo, "TeeServerProvingStalled");
        }
        let counts = seen.provers_at_work.iter().find(|count| count.tee_type == tee_type);
        if let Some(count) = counts.filter(|count| count.paused > 0) {
            let what = format!(
                "{name}: {} because they only fail",
                many(count.paused, "prover is paused", "provers are paused")
            );
            let todo =
                "The table of provers says which, and why. The cause is usually its machine, its build or its pins.";
            alarm(Tone::Warning, what, todo, "TeeServerProverPaused");
        }
    }
    let failed = seen.jobs(JobStatus::Failed);
    if failed > 0 {
        let todo = "The failures below name the check that rejected each; a batch's page says more.";
        alarm(Tone::Warning, many(failed, "job fails", "jobs fail"), todo, "TeeServerJobsFailed");
    }
    let ignored = seen.jobs(JobStatus::PermanentlyIgnored);
    if ignored > 0 {
        let todo = "They are not tried again automatically. Once the cause is gone: teectl server jobs retry.";
        alarm(Tone::Warning, many(ignored, "job was given up", "jobs were given up"), todo, "TeeServerJobsGivenUp");
    }
    if seen.state.keys_suspended > 0 {
        let what = many(seen.state.keys_suspended, "key is suspended", "keys are suspended");
        let todo = "Collateral has been missing for too long. Check that this server reaches its source.";
        alarm(Tone::Bad, what, todo, "TeeServerKeysSuspended");
    }
    if let Some(Span(left_ms)) = seen.collateral_left()
        && left_ms < COLLATERAL_ENDS_MS
    {
        let what = match left_ms > 0 {
            true => format!("Collateral expires in {}", Span(left_ms)),
            false => format!("Collateral expired {} ago", Span(left_ms.saturating_neg())),
        };
        let todo = "Without valid collateral no quote can be judged. Check that this server reaches its source.";
        alarm(Tone::Warning, what, todo, "TeeServerCollateralEnds");
    }
    if seen.state.incomplete_inputs > 0 {
        let what = many(seen.state.incomplete_inputs, "input lacks paths", "inputs lack paths");
        let todo =
            "The chain's node is asked for them. If it does not have that state any more, complete them by hand.";
        alarm(Tone::Warning, what, todo, "TeeServerInputsIncomplete");
    }
    if seen.skew_ms.abs() >= SKEW_MS {
        let what = format!("This machine's clock is wrong by {}", Span(seen.skew_ms.abs()));
        alarm(
            Tone::Warning,
            what,
            "Leases and quotes follow the database's clock. Correct this machine's clock.",
            "TeeServerClockWrong",
        );
    }
    alarms.sort_by_key(|alarm| alarm.tone != Tone::Bad);
    alarms
}

fn many(count: u64, one: &str, many: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), one, many)
}
