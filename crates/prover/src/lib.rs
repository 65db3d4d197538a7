//! The software in the enclave: it takes batches from servers, re-executes them, signs the results and submits the proofs, until
//! told to stop.
//!
//! Three kinds of fault are kept apart. A fault of the batch is reported, and the next batch is taken. After a fault of
//! the network, the same is tried again, after longer and longer waits. After a fault of ours (configuration, key,
//! quote), there is no point in continuing.
//!
//! [`Prover`] is the entry point: `prover.rs` shows which tasks run side by side; `fetch.rs`, `queue.rs`, `job.rs` and
//! `delivery.rs` are the steps of a batch, and `outcome.rs` lists its ends.

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
    monitor::Monitor,
    prover::{Prover, run},
    run_error::RunError,
};
