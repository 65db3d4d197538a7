//! What runs in the enclave: takes a batch from a server, re-executes it, signs the result and hands in the proof, until
//! told to stop.
//!
//! Three kinds of fault are kept apart. The batch's: it is reported, and the next one is taken. The network's: the same is
//! tried again, ever slower. Ours (configuration, key, quote): there is no use in going on.

mod backoff;
mod config;
mod event;
mod identity;
mod lease;
mod prover;

pub use self::{
    config::{Config, ConfigError},
    event::Event,
    identity::{Enclave, Identity, IdentityError},
    prover::{RunError, run},
};
