//! Passes the provers' signatures to contracts on a settlement chain.
//!
//! [`Relayer`] has one method for each of its tasks: to make provers sign for the contracts, to register their keys, to prove batches, to
//! approve executions. Each method reads the chain first and does what is left to do, so that nothing is stored on disk and a restart
//! loses nothing. Only what the check of published proofs ([`tee_checker`]) accepts is passed on.

mod config;
mod contracts;
mod execution;
mod metrics;
mod relayer;
mod sender;
mod settlement;
mod signer;
mod transaction;

pub use self::{
    config::{Config, ServerConfig, SettlementChainConfig, SignerConfig},
    relayer::{KeyStatus, Relayer, Status},
};

/// The program's name, as servers see it.
const PROGRAM: &str = "tee-relayer";
