//! One server, as seen by the prover.

use crate::{
    backoff::Backoff,
    budget::Budget,
    config::{Config, ServerConfig},
    identity::Identity,
    memory,
    metrics::ProverMetrics,
    signing_requests::SigningRequests,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tee_api::{Client, ClientError, ClientOptions, ClientSetupError, NetworkError, RegisterAttestation};
use tee_verifier::InputForm;
use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, timeout},
};
use vise::EncodeLabelValue;

/// How long to wait for a server's signing requests before it is asked for batches.
const SIGNING_PATIENCE: Duration = Duration::from_secs(10);
/// A guess at the memory for the first batch, in bytes.
const FIRST_BATCH_BYTES: u64 = 512 << 20;

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) metrics: ProverMetrics,
    /// The memory for this server's batches.
    pub(crate) budget: Arc<Budget>,
    /// What relayers want signed, from the server's latest answer.
    pub(crate) signing_requests: SigningRequests,
    registered: AtomicBool,
    last_memory_bytes: AtomicU64,
    contacted: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_contact: Option<Instant>,
    /// What is wrong since the last good answer.
    trouble: Option<Trouble>,
    /// Waits after a batch that failed and could not be reported: the server may hand out the same one again.
    setbacks: Backoff,
    pause_until: Option<Instant>,
}

/// What keeps the prover from a server's batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    pub(crate) error: String,
}

/// The kind of a problem between the prover and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[metrics(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// No connection could be made.
    Connect,
    /// The answer takes too long, or comes too slowly.
    Timeout,
    /// The connection broke.
    Broken,
    /// The server, or a proxy before it, says that it cannot answer now.
    Unavailable,
    /// The server refused.
    Refused,
    /// The answer is malformed.
    Answer,
}

/// The state of a server, as seen by the prover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[metrics(format = "{}")]
pub(crate) enum ServerState {
    /// It has the key and answers.
    Registered,
    /// It has not been asked to register the key, or has forgotten it.
    Unregistered,
    /// The last request got no answer, or a malformed one.
    Unreachable,
    /// The last request was refused.
    Refused,
    /// It has not answered for a long time.
    Silent,
}

impl Endpoint {
    pub(crate) fn new(
        server: &ServerConfig,
        config: &Config,
        metrics: ProverMetrics,
        registered: bool,
    ) -> Result<Self, ClientSetupError> {
        let share_bytes = config.memory_budget_bytes / config.servers.len().max(1) as u64;
        let options = ClientOptions {
            max_input_bytes: memory::largest_input(share_bytes, InputForm::Json),
            token: server.token.clone(),
            tls: server.tls.clone(),
            ..ClientOptions::default()
        };
        Ok(Self {
            url: server.url.clone(),
            client: Client::new(&server.url, options)?,
            budget: Budget::new(share_bytes, metrics.memory_reserved.clone()),
            metrics,
            signing_requests: SigningRequests::default(),
            registered: registered.into(),
            last_memory_bytes: FIRST_BATCH_BYTES.into(),
            contacted: Notify::new(),
            state: Mutex::new(State {
                last_contact: None,
                trouble: None,
                setbacks: Backoff::new(config),
                pause_until: None,
            }),
        })
    }

    /// Registers the key with its quote. Registering the same again is fine.
    pub(crate) async fn register(&self, identity: &Identity) -> Result<(), ClientError> {
        let Identity::Enclave(enclave) = identity else {
            self.registered.store(true, Ordering::Relaxed);
            return Ok(());
        };
        let registration = RegisterAttestation { attestation: enclave.quote.clone(), pubkey: enclave.key.public_key() };
        self.client.register_attestation(&registration).await?;
        tracing::info!(server = self.url, public_key = %registration.pubkey, tee_type = %enclave.tee_type, "registered");
        // This comes before the first batch, because otherwise its statement would be signed for no contract. Batches
        // wait no longer than this for it.
        let _ = timeout(SIGNING_PATIENCE, self.signing_requests.answer(self, enclave)).await;
        self.registered.store(true, Ordering::Relaxed);
        self.contact();
        Ok(())
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Relaxed)
    }

    /// Notes that the server may have forgotten the key.
    pub(crate) fn register_again(&self) {
        self.registered.store(false, Ordering::Relaxed);
    }

    /// The memory that the next batch will take, if it is like the last one.
    pub(crate) fn expected_memory(&self) -> u64 {
        self.last_memory_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self, memory_bytes: u64) {
        self.last_memory_bytes.store(memory_bytes, Ordering::Relaxed);
    }

    /// Notes that the server answered correctly.
    pub(crate) fn contact(&self) {
        let mut state = self.state();
        state.last_contact = Some(Instant::now());
        state.trouble = None;
        drop(state);
        self.contacted.notify_waiters();
    }

    /// Completes when the server answers correctly after this call.
    pub(crate) fn next_contact(&self) -> Notified<'_> {
        self.contacted.notified()
    }

    /// Notes that a request to the server failed.
    pub(crate) fn trouble(&self, error: &ClientError) {
        self.state().trouble = Some(Trouble { fault: Fault::of(error), error: error.to_string() });
    }

    pub(crate) fn current_trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    pub(crate) fn since_contact(&self) -> Option<Duration> {
        self.state().last_contact.map(|at| at.elapsed())
    }

    /// Notes that a batch failed and the server could not be told. It is left alone for a while.
    pub(crate) fn setback(&self) {
        let mut state = self.state();
        let wait = state.setbacks.next(None);
        state.pause_until = Some(Instant::now() + wait);
    }

    /// Notes that a batch was proven.
    pub(crate) fn success(&self) {
        self.state().setbacks.reset();
        self.contact();
    }

    /// Waits after a batch that could not be reported.
    pub(crate) async fn pause(&self) {
        let until = self.state().pause_until.take();
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    pub(crate) fn server_state(&self) -> ServerState {
        match self.fault {
            Fault::Refused => ServerState::Refused,
            Fault::Connect | Fault::Timeout | Fault::Broken | Fault::Unavailable | Fault::Answer => {
                ServerState::Unreachable
            }
        }
    }
}

impl Fault {
    pub(crate) fn of(error: &ClientError) -> Self {
        match error {
            ClientError::Network { error, .. } => match error {
                NetworkError::Connect(_) => Self::Connect,
                NetworkError::TimeOut | NetworkError::Slow { .. } => Self::Timeout,
                NetworkError::Broken(_) => Self::Broken,
                NetworkError::Unavailable { .. } => Self::Unavailable,
            },
            ClientError::Refused { .. } => Self::Refused,
            ClientError::Answer(_) => Self::Answer,
        }
    }
}

impl ServerState {
    /// All states.
    pub(crate) const ALL: [Self; 5] =
        [Self::Registered, Self::Unregistered, Self::Unreachable, Self::Refused, Self::Silent];
}

/// Writes its name, for the status line and metrics.
impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registered => "registered",
            Self::Unregistered => "unregistered",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Silent => "silent",
        })
    }
}
