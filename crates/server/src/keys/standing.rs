//! Judges registered keys again, while they are in use.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::judge::{Attestor, JudgeError, secs};
use crate::{clock::millis, database::KeyToJudge, metrics::Metrics, service::Service, watched::Reload};

/// How often the policy's file is checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How soon keys that could not be judged are judged again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How many keys are judged at a time. Those of one kind of platform wait for one fetch.
const KEYS_AT_A_TIME: usize = 16;

/// Judges all registered keys again: at the start, from time to time, when the policy changes, and soon if some could not be judged.
/// Ends when `stop` says so. A source of collateral that hangs does not delay a change of the policy.
pub(crate) async fn watch(service: Service, attestor: Arc<Attestor>, metrics: Metrics, stop: CancellationToken) {
    let mut due = Instant::now();
    let mut judging: Option<BoxFuture<'static, bool>> = None;
    loop {
        let judged = async {
            match &mut judging {
                Some(judging) => judging.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            all_judged = judged => {
                judging = None;
                due = Instant::now() + if all_judged { attestor.rejudge_interval() } else { RETRY_INTERVAL };
            }
            () = sleep(LOOK_INTERVAL) => {}
        }
        let reloaded = attestor.reload_policy();
        metrics.reloaded("policy", reloaded);
        metrics.reloaded("known_builds", attestor.reload_known_builds());
        let changed = reloaded == Some(Reload::TakenOver);
        if changed || (judging.is_none() && Instant::now() >= due) {
            let (service, attestor, metrics) = (service.clone(), attestor.clone(), metrics.clone());
            judging = Some(Box::pin(async move { rejudge(&service, &attestor, &metrics).await }));
        }
    }
}

/// Judges every registered key again, except those that somebody revoked. A key that cannot be judged keeps its standing until it
/// is suspended. False if some keys could not be judged.
async fn rejudge(service: &Service, attestor: &Attestor, metrics: &Metrics) -> bool {
    let keys = match service.database.keys_to_judge().await {
        Ok(keys) => keys,
        Err(error) => {
            tracing::error!(%error, "cannot judge registered keys again");
            return false;
        }
    };
    // The policy comes first: it can refuse a key without any collateral, which may take long to arrive.
    let mut left = vec![];
    let mut all_judged = true;
    for key in keys {
        match attestor.policy_refusal(&key.quote, &key.pubkey, secs(service.clock.now_ms())) {
            Some(refusal) => all_judged &= refuse(service, &key, &refusal).await,
            None => left.push(key),
        }
    }
    let judging =
        stream::iter(left).map(|key| rejudge_key(service, attestor, metrics, key)).buffer_unordered(KEYS_AT_A_TIME);
    all_judged &= judging.fold(true, async |all, judged| all & judged).await;
    save_good_collateral(service, attestor).await;
    suspend(service, attestor).await;
    all_judged
}

async fn rejudge_key(service: &Service, attestor: &Attestor, metrics: &Metrics, key: KeyToJudge) -> bool {
    let now_ms = service.clock.now_ms();
    let judged = match attestor.judge(&key.quote, &key.pubkey, key.stands, secs(now_ms)).await {
        Ok(judged) => judged,
        Err(JudgeError::Policy(refusal)) => return refuse(service, &key, &refusal).await,
        Err(error) => {
            metrics.judgements_failed.inc();
            tracing::error!(pubkey = %key.pubkey, %error, "ALARM: cannot judge the key again");
            return false;
        }
    };
    let noted = match (judged.verdict.passed(), key.stands) {
        (true, true) => service.database.note_passed(&key.pubkey, &judged, now_ms).await,
        (true, false) => {
            tracing::info!(pubkey = %key.pubkey, "the key is accepted again");
            service.database.restore_standing(&key.pubkey, &judged, now_ms).await
        }
        (false, _) => return refuse(service, &key, &judged.verdict.refusal()).await,
    };
    noted.inspect_err(|error| tracing::error!(pubkey = %key.pubkey, %error, "cannot store a judgement")).is_ok()
}

async fn refuse(service: &Service, key: &KeyToJudge, refusal: &str) -> bool {
    match service.database.refuse(&key.pubkey, refusal, service.clock.now_ms()).await {
        Ok(false) => true,
        Ok(true) => {
            tracing::error!(
                pubkey = %key.pubkey, refusal,
                "ALARM: the key is no longer accepted; to have its batches proven again, revoke it"
            );
            true
        }
        Err(error) => {
            tracing::error!(pubkey = %key.pubkey, %error, "cannot store a judgement");
            false
        }
    }
}

async fn suspend(service: &Service, attestor: &Attestor) {
    let now_ms = service.clock.now_ms();
    let grace_ms = millis(Duration::from_secs(attestor.config.suspend_after_secs));
    match service.database.suspend_unjudged(now_ms.saturating_sub(grace_ms), now_ms).await {
        Ok(0) => {}
        Ok(keys) => {
            tracing::error!(keys, "ALARM: keys could not be judged for too long, and may make no new proofs");
        }
        Err(error) => tracing::error!(%error, "cannot suspend keys"),
    }
}

/// Stores the collateral that was found good since the last call.
pub(super) async fn save_good_collateral(service: &Service, attestor: &Attestor) {
    for kept in attestor.take_unsaved() {
        let platform = kept.platform.clone();
        if let Err(error) = service.database.keep_collateral(kept, service.clock.now_ms()).await {
            tracing::error!(platform, %error, "cannot store good collateral for a restart");
        }
    }
}
