//! Hands what provers sign on to contracts on a settlement chain.
//!
//! [`Relayer`] has one method for each thing that there is to do: to have provers sign for the contracts, to register their keys, to prove
//! batches, to approve executions. Each looks at the chain first and does what is left to do, so nothing is kept on disk and nothing is
//! lost by a restart. Nothing is handed on that the check of published proofs ([`tee_checker`]) does not accept.

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

/// What servers are told of who asks.
const PROGRAM: &str = "tee-relayer";
