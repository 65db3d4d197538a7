//! The prover's state, visible while it runs.

use crate::{
    config::Config,
    endpoint::{Endpoint, ServerState, Trouble},
    identity::Identity,
    metrics::ProverMetrics,
    outcome::OutcomeLabel,
};
use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tee_api::listener::Monitored;
use tokio::time::Instant;

/// Added to twice the longest wait: a server that answered within that time counts as in contact.
const CONTACT_SLACK: Duration = Duration::from_secs(60);

/// A view of a prover. Clones show the same prover.
#[derive(Debug, Clone)]
pub struct Monitor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metrics: ProverMetrics,
    endpoints: Vec<Arc<Endpoint>>,
    attested: bool,
    recent: Duration,
    started: Instant,
    stopping: AtomicBool,
}

impl Monitor {
    pub(crate) fn new(
        metrics: ProverMetrics,
        endpoints: Vec<Arc<Endpoint>>,
        config: &Config,
        identity: &Identity,
    ) -> Self {
        Self(Arc::new(Inner {
            metrics,
            endpoints,
            attested: matches!(identity, Identity::Enclave(_)),
            recent: config.max_backoff.saturating_mul(2).saturating_add(CONTACT_SLACK),
            started: Instant::now(),
            stopping: false.into(),
        }))
    }

    pub(crate) fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// The prover's state on one line, for people.
    pub fn status(&self) -> String {
        let metrics = &self.0.metrics;
        let count = |outcome: OutcomeLabel| -> u64 {
            let entries = metrics.batches.to_entries();
            entries.filter(|((ended, _), _)| *ended == outcome).map(|(_, counter)| counter.get()).sum()
        };
        let mut line = format!(
            "up {}s, {} batches proven (last {}), {} failed, {} refused; {} queued, {} in verification, {} undelivered, \
             {} stuck; {} MiB of {} MiB reserved",
            self.0.started.elapsed().as_secs(),
            count(OutcomeLabel::Submitted),
            metrics.last_batch.get(),
            count(OutcomeLabel::Failed),
            count(OutcomeLabel::Refused),
            metrics.queued.get(),
            metrics.verifying.get(),
            metrics.undelivered.get(),
            metrics.stuck_verifications.get(),
            metrics.memory_reserved.get() >> 20,
            metrics.memory_budget.get() >> 20,
        );
        for endpoint in &self.0.endpoints {
            let (state, trouble) = self.server(endpoint);
            // Writing to a string does not fail.
            let _ = write!(line, "; {}: {state}", endpoint.url);
            if let Some(trouble) = trouble {
                let _ = write!(line, " ({trouble})");
            }
        }
        line
    }

    /// A server's state, and the reason if it is bad.
    fn server(&self, endpoint: &Endpoint) -> (ServerState, Option<String>) {
        let url = &endpoint.url;
        let since = endpoint.since_contact();
        let trouble = endpoint.current_trouble();
        match (endpoint.is_registered(), since) {
            (_, Some(since)) if since > self.0.recent => {
                (ServerState::Silent, Some(format!("{url}: no answer for {}s", since.as_secs())))
            }
            (true, Some(_)) => (trouble.as_ref().map_or(ServerState::Registered, Trouble::server_state), None),
            _ => match trouble {
                Some(trouble) => (trouble.server_state(), Some(format!("{url}: {}", trouble.error))),
                None => (ServerState::Unregistered, Some(format!("{url}: not registered yet"))),
            },
        }
    }
}

impl Monitored for Monitor {
    /// Values that depend on the time are computed now.
    fn metrics(&self) -> String {
        let metrics = &self.0.metrics;
        let uptime = self.0.started.elapsed().as_secs_f64();
        metrics.uptime.set(uptime);
        if self.0.attested {
            // The quote is made or read at the start.
            metrics.attestation_age.set(uptime);
        }
        metrics.ready.set(self.not_ready().is_empty().into());
        for state in ServerState::ALL {
            let servers = self.0.endpoints.iter().filter(|endpoint| self.server(endpoint).0 == state);
            metrics.servers[&state].set(servers.count() as u64);
        }
        metrics.text()
    }

    /// The prover is ready if it is not stopping, a worker is free of verifications that never
    /// end, and at least one server has registered the key and answered lately.
    fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.0.stopping.load(Ordering::Relaxed) {
            reasons.push("stopping".to_owned());
        }
        let stuck = self.0.metrics.stuck_verifications.get();
        if u64::try_from(stuck).unwrap_or(0) >= self.0.metrics.verification_workers.get() {
            reasons.push(format!("{stuck} verifications ran out of time and still run"));
        }
        let servers: Vec<_> = self.0.endpoints.iter().map(|endpoint| self.server(endpoint).1).collect();
        if servers.iter().all(Option::is_some) {
            reasons.extend(servers.into_iter().flatten());
        }
        reasons
    }
}
