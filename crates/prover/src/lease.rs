//! Keeps a batch's lease while the batch is in progress.

use crate::{endpoint::Endpoint, metrics::Renewal};
use std::{sync::Arc, time::Duration};
use tee_api::{ClientError, Lease, LeaseId};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use vise::GaugeGuard;

/// The shortest time between renewals, however short the lease is.
const SHORTEST_RENEWAL: Duration = Duration::from_millis(500);
/// How long giving back a lease may take.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(2);

/// A lease that is renewed as long as this value lives. Times are those of the monotonic clock, so that a change of the
/// system's time neither ends a lease nor prolongs it.
pub(crate) struct HeldLease {
    id: LeaseId,
    endpoint: Arc<Endpoint>,
    lost: CancellationToken,
    renewing: AbortOnDropHandle<()>,
    _counted: GaugeGuard,
}

impl HeldLease {
    pub(crate) fn hold(endpoint: &Arc<Endpoint>, lease: Lease) -> Self {
        let lost = CancellationToken::new();
        let id = lease.id.clone();
        let renewing = AbortOnDropHandle::new(tokio::spawn(renew(endpoint.clone(), lease, lost.clone())));
        let _counted = endpoint.metrics.leases.inc_guard(1);
        Self { id, endpoint: endpoint.clone(), lost, renewing, _counted }
    }

    pub(crate) fn id(&self) -> &LeaseId {
        &self.id
    }

    /// Whether the server said that the lease has ended. An unreachable server has not said so.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Completes when the lease is lost.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Lets another prover have the batch now, before the lease expires. It is tried once.
    pub(crate) async fn give_back(self) {
        // A pending renewal would be refused and taken for a loss.
        self.renewing.abort();
        let _ = timeout(GIVE_BACK_TIMEOUT, self.endpoint.client.give_back_lease(&self.id)).await;
    }
}

/// Renews after a third of the time, and sooner after a failure, so that a short outage of the server loses no lease.
async fn renew(endpoint: Arc<Endpoint>, mut lease: Lease, lost: CancellationToken) {
    let count = |outcome| endpoint.metrics.lease_renewals[&outcome].inc();
    let part = |lease: &Lease, of| (lease.expires_in / of).max(SHORTEST_RENEWAL);
    let mut wait = part(&lease, 3);
    loop {
        tokio::time::sleep(wait).await;
        // A server that does not answer must not use up the lease.
        match timeout(part(&lease, 3), endpoint.client.renew_lease(&lease.id)).await {
            Ok(Ok(renewed)) => {
                endpoint.contact();
                count(Renewal::Renewed);
                lease = renewed;
                wait = part(&lease, 3);
                continue;
            }
            Ok(Err(error @ ClientError::Refused { .. })) => {
                tracing::warn!(%error, "the lease is lost");
                count(Renewal::Lost);
                lost.cancel();
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
            Err(_) => tracing::warn!("cannot renew the lease: the server did not answer in time"),
        }
        count(Renewal::Failed);
        wait = part(&lease, 10);
    }
}
