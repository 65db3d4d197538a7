//! A small ZK Stack chain that makes real batches, for demos, tests and benchmarks.
//!
//! It forks ZKsync Sepolia at a recorded transaction, or builds on the state in a batch input; runs the chain's own system
//! contracts on the verifier's machine; and writes what a node would give to a prover.
//!
//! - [`Genesis`]: the state to start from.
//! - [`Chain`]: takes transactions and seals batches. [`Load`] asks for the devnet's own traffic: transfers, calls,
//!   deployments, deposits from L1. [`Account`] signs the caller's transactions.
//! - [`slots`]: where the system contracts keep balances, nonces and code.
//!
//! It leaves out an L1 (deposits are what their priority operations say), a network, and time, which advances by a
//! second per block. Its keys are public.
//!
//! ```
//! use tee_devnet::{Account, Call, Chain, Genesis, Load};
//! use tee_verifier::{Address, U256};
//!
//! // The first batch holds the recorded transaction, beside a deposit and three transactions of the devnet's mix.
//! let mut chain = Chain::new(Genesis::sepolia()?);
//! let sealed = chain.seal(Load { transactions: 3, cold_reads: 0, l1_transactions: 1 })?;
//! assert!(sealed.recorded_transaction.is_some());
//! assert_eq!(sealed.root, chain.root());
//! let next = chain.seal(Load { transactions: 1, cold_reads: 0, l1_transactions: 0 })?;
//! assert_eq!(next.input.l1_batch_env.previous_batch_hash, Some(sealed.root));
//!
//! // A chain whose only batch is one transfer.
//! let mut chain = Chain::new(Genesis::sepolia()?);
//! let call = Call::transfer(Address::repeat_byte(7), U256::from(1));
//! let transfer = Account::new(0).sign(call, chain.system().chain_id);
//! assert_eq!(chain.seal_blocks(vec![vec![transfer]])?.input.transaction_count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
