//! The prover: which tasks run side by side, and how they stop.

use crate::{
    config::Config,
    endpoint::Endpoint,
    event::Event,
    fetch::Fetcher,
    identity::Identity,
    metrics::ProverMetrics,
    monitor::Monitor,
    queue::Queues,
    run_error::RunError,
    shared::{Observer, Shared},
    signing_requests,
};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{sync::mpsc::channel, task::JoinSet, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the last attempts to submit proofs and to give back leases may take after the grace for stopping has passed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A prover that is ready to run.
pub struct Prover {
    shared: Arc<Shared>,
    endpoints: Vec<Arc<Endpoint>>,
    monitor: Monitor,
}

/// Proves batches until `stop` is cancelled: [`Prover::new`] and [`Prover::run`].
pub async fn run(
    config: Config,
    identity: Identity,
    stop: CancellationToken,
    observe: impl Fn(Event) + Send + Sync + 'static,
) -> Result<(), RunError> {
    Prover::new(config, identity, observe)?.run(stop).await
}

impl Prover {
    /// Checks what can be checked before anything is sent. Each step is reported to `observe`.
    pub fn new(
        config: Config,
        identity: Identity,
        observe: impl Fn(Event) + Send + Sync + 'static,
    ) -> Result<Self, RunError> {
        Self::observed(config, identity, Box::new(observe))
    }

    fn observed(config: Config, identity: Identity, observe: Observer) -> Result<Self, RunError> {
        let metrics = ProverMetrics::default();
        let simulated = matches!(&identity, Identity::Enclave(enclave) if enclave.simulated);
        metrics.describe(identity.tee_type().as_str(), simulated);
        metrics.memory_budget.set(config.memory_budget_bytes);
        metrics.verification_workers.set(config.verification_workers.get() as u64);
        // There is no key to register.
        let registered = matches!(identity, Identity::None);
        let endpoints = config.servers.iter().map(|server| {
            let endpoint = Endpoint::new(server, &config, metrics.clone(), registered);
            endpoint.map(Arc::new).map_err(|error| RunError::Client { url: server.url.clone(), error })
        });
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let elsewhere = endpoints.iter().any(|endpoint| !endpoint.client.is_loopback());
        if simulated && elsewhere && !config.danger_simulated_proofs {
            return Err(RunError::SimulatedProofs);
        }
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.client.exposes_token()) {
            tracing::warn!(
                server = endpoint.url,
                "the token is sent unencrypted, and anyone on the way can read it: use https://"
            );
        }
        let monitor = Monitor::new(metrics.clone(), endpoints.clone(), &config, &identity);
        let shared = Shared {
            config,
            identity,
            metrics,
            stop: CancellationToken::new(),
            stuck: CancellationToken::new(),
            hurry: CancellationToken::new(),
            tasks: TaskTracker::new(),
            observe,
        };
        Ok(Self { shared: Arc::new(shared), endpoints, monitor })
    }

    /// A view of the prover's state while it runs.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Proves batches until `stop` is cancelled, no server is left to ask, or a verification does not end. In the last case a thread
    /// keeps running, and the caller must end the process.
    ///
    /// These run side by side: each server is asked for batches as long as there is room; batches are decoded; as many
    /// are verified as there are workers; and proofs are offered to their servers until they are accepted, finally
    /// refused, or their lease has ended. A batch that cannot be proven is reported, if it has a lease. A prover of
    /// type `none` does everything except signing and submitting.
    ///
    /// When it is told to stop, it takes no new batch, gives back those that wait, and finishes those in progress
    /// within the configured grace; then it gives these back as well.
    // Boxed, so that a prover is compiled here and not in each program that runs one.
    pub fn run(self, stop: CancellationToken) -> Pin<Box<dyn Future<Output = Result<(), RunError>> + Send>> {
        Box::pin(self.prove_until(stop))
    }

    async fn prove_until(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self { shared, endpoints, monitor } = self;
        let (mut fetchers, mut queues) = (JoinSet::new(), Vec::new());
        // These tasks end with this function.
        let mut followers = JoinSet::new();
        for endpoint in endpoints {
            followers.spawn(signing_requests::follow(shared.clone(), endpoint.clone()));
            let (sender, receiver) = channel(shared.config.prefetch.get());
            fetchers.spawn(Fetcher::new(shared.clone(), endpoint, sender).run());
            queues.push(receiver);
        }
        let working = shared.tasks.spawn(Queues::new(queues).work_off(shared.clone()));
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = all(&mut fetchers) => ended,
            () = shared.stuck.cancelled() => Err(RunError::Stuck { limit: shared.config.stuck_verification_timeout }),
        };
        monitor.stopping();
        shared.stop.cancel();
        // Fetchers end by themselves: one may be giving back a batch that has just arrived.
        let finished = async {
            let _ = all(&mut fetchers).await;
            let _ = working.await;
            shared.tasks.close();
            shared.tasks.wait().await;
        };
        tokio::pin!(finished);
        if timeout(shared.config.shutdown_grace, &mut finished).await.is_err() {
            tracing::warn!("shutdown_grace is over; giving back the remaining batches");
            shared.hurry.cancel();
            if timeout(LAST_WORDS, finished).await.is_err() {
                tracing::warn!("some leases could not be given back");
            }
        }
        ended
    }
}

/// Waits until all fetchers have ended. Returns the error of the last one, if it gave up.
async fn all(fetchers: &mut JoinSet<Result<(), RunError>>) -> Result<(), RunError> {
    let mut last = Ok(());
    while let Some(ended) = fetchers.join_next().await {
        match ended {
            Ok(ended) => last = ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    last
}
