//! A small ZK Stack chain that makes real batches, for demos, tests and benchmarks.
//!
//! It forks ZKsync Sepolia at a recorded transaction, or builds on the state that a batch input shows; runs the chain's own
//! system contracts on the machine that the verifier has; and writes what a node would hand to a prover.

mod account;
mod chain;
mod genesis;
pub mod slots;
mod traffic;
mod tree;

pub use self::{
    account::{Account, Call, deposit, upgrade},
    chain::{Chain, ChainState, SealError, SealedBatch},
    genesis::{Genesis, GenesisError},
    traffic::{Action, CONTRACT, Load},
};
