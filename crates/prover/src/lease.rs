//! Holding on to a batch while it is in work.

use std::time::Duration;
use tee_api::{Client, ClientError, Lease, LeaseId};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// However short a lease is, it is renewed no more often than this.
const SHORTEST_RENEWAL: Duration = Duration::from_millis(500);

/// A lease that is renewed for as long as this lives.
pub(crate) struct HeldLease {
    id: LeaseId,
    lost: CancellationToken,
    _renewing: AbortOnDropHandle<()>,
}

impl HeldLease {
    pub(crate) fn hold(client: Client, lease: Lease) -> Self {
        let lost = CancellationToken::new();
        let id = lease.id.clone();
        let renewing = AbortOnDropHandle::new(tokio::spawn(renew(client, lease, lost.clone())));
        Self { id, lost, _renewing: renewing }
    }

    pub(crate) fn id(&self) -> &LeaseId {
        &self.id
    }

    /// Whether the server said that the lease is over. A server that cannot be reached has not said so.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Waits for `future`, but no longer than the lease lasts.
    pub(crate) async fn until_lost(&self, future: impl Future<Output = ()>) {
        self.lost.run_until_cancelled(future).await;
    }
}

/// Renews at a third of the time, so that two renewals may fail.
async fn renew(client: Client, mut lease: Lease, lost: CancellationToken) {
    loop {
        tokio::time::sleep((lease.expires_in / 3).max(SHORTEST_RENEWAL)).await;
        match client.renew_lease(&lease.id).await {
            Ok(renewed) => lease = renewed,
            Err(error @ ClientError::Refused { .. }) => {
                tracing::warn!(%error, "the lease is lost");
                lost.cancel();
                return;
            }
            Err(error) => tracing::warn!(%error, "the lease was not renewed"),
        }
    }
}
