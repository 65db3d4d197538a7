//! What runs in the enclave: takes batches from servers, re-executes them, signs the results and hands in the proofs, until
//! told to stop.
//!
//! Three kinds of fault are kept apart. The batch's: it is reported, and the next one is taken. The network's: the same is
//! tried again, ever slower. Ours (configuration, key, quote): there is no use in going on.
//!
//! A prover on a simulated processor, which proves one batch and stops:
//!
//! ```no_run
//! use tee_prover::{Config, Event, Identity, run};
//! use tee_verifier::Pins;
//! use tokio_util::sync::CancellationToken;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! // In earnest: pins of the chain's code, and `Identity::of`, which has the processor attest the key.
//! let config = Config::new("http://127.0.0.1:3320".to_owned(), Pins::danger_any_code());
//! let identity = Identity::simulated(&config)?;
//! let stop = CancellationToken::new();
//! let proven = stop.clone();
//! run(config, identity, stop, move |event| {
//!     if matches!(event, Event::Submitted { .. }) {
//!         proven.cancel();
//!     }
//! })
//! .await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Prover`] is the whole: `prover.rs` says what runs beside what, `fetch.rs`, `queue.rs`, `job.rs` and
//! `delivery.rs` are a batch's way, and `outcome.rs` says how that ends.

mod backoff;
mod budget;
mod config;
mod core_dump;
mod delivery;
mod endpoint;
mod event;
mod fetch;
mod identity;
mod job;
mod lease;
mod listener;
mod memory;
mod metrics;
mod monitor;
mod outcome;
mod prover;
mod queue;
mod run_error;
mod shared;
mod signing_requests;

pub use self::{
    config::{Attestation, Config, ConfigError, Loaded, LogFormat, ServerConfig},
    core_dump::forbid_core_dumps,
    event::Event,
    identity::{Enclave, Identity, IdentityError},
    listener::Listener,
    monitor::Monitor,
    prover::{Prover, run},
    run_error::RunError,
};
