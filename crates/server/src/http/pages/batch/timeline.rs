//! What happened to a batch, in order.

use tee_api::JobStatus;

use super::{At, Found, Short, Tone, tee};

/// Something that happened or will happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: At,
    pub(super) tone: Tone,
    pub(super) what: String,
}

/// Everything that is known about it. Errors are only for readers.
pub(super) fn of(found: &Found, may_read: bool) -> Vec<Moment> {
    let mut moments = vec![];
    let mut add = |at_ms: Option<i64>, tone, what: String| {
        moments.extend(at_ms.map(|at_ms| Moment { at: At(at_ms), tone, what }));
    };
    let batch = &found.batch;
    add(batch.sealed_at_ms, Tone::Plain, "The chain sealed it".to_owned());
    add(Some(batch.created_at_ms), Tone::Plain, "This server received its input".to_owned());
    for job in &found.jobs {
        let tee = tee(job.tee_type);
        if job.created_at_ms != batch.created_at_ms {
            add(Some(job.created_at_ms), Tone::Plain, format!("{tee}: queued"));
        }
        let attempt = if job.attempts > 1 { format!(", attempt {}", job.attempts) } else { String::new() };
        add(job.prover_taken_at_ms, Tone::Plain, format!("{tee}: a prover took it{attempt}"));
        let kind = job.error_kind.as_deref().filter(|_| may_read).map(|kind| format!(" ({kind})")).unwrap_or_default();
        match job.status {
            JobStatus::PickedByProver => {
                add(job.lease_expires_at_ms, Tone::Plain, format!("{tee}: the prover's lease ends"))
            }
            JobStatus::Failed => add(Some(job.updated_at_ms), Tone::Warning, format!("{tee}: failed{kind}")),
            JobStatus::PermanentlyIgnored => {
                add(Some(job.updated_at_ms), Tone::Warning, format!("{tee}: given up{kind}"))
            }
            JobStatus::ReadyToBeProven | JobStatus::Generated => {}
        }
    }
    for proof in &found.proofs {
        let (tee, key) = (tee(proof.tee_type), proof.pubkey.to_string());
        add(Some(proof.received_at_ms), Tone::Good, format!("{tee}: proof of key {} accepted", Short(&key)));
        if let Some(key) = found.keys.get(&proof.pubkey) {
            let what = format!("Key {} was refused or revoked: {}", Short(&key.pubkey.to_string()), key.standing);
            add(key.revoked_at_ms, Tone::Warning, what);
        }
    }
    for disagreement in &found.disagreements {
        let key = disagreement.pubkey.to_string();
        let what = format!("{}: a proof of key {} contradicts what is known", tee(disagreement.tee_type), Short(&key));
        add(Some(disagreement.received_at_ms), Tone::Bad, what);
        add(disagreement.resolved_at_ms, Tone::Plain, format!("The disagreement of key {} was explained", Short(&key)));
    }
    add(batch.input_retired_at_ms, Tone::Plain, "Its input was deleted: it is no longer needed".to_owned());
    moments.sort_by_key(|moment| moment.at);
    moments
}
