//! What runs in the enclave: takes batches from servers, re-executes them, signs the results and hands in the proofs, until
//! told to stop.
//!
//! Three kinds of fault are kept apart. The batch's: it is reported, and the next one is taken. The network's: the same is
//! tried again, ever slower. Ours (configuration, key, quote): there is no use in going on.
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
