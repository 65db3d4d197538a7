//! The machine against the reference, `zk_evm`. Only the package in `equal/` builds these tests; its `Cargo.toml` says why.
//!
//! - `table`: the encoding of all instructions, their prices and needs.
//! - `single`: one instruction over random states; everything that it may change is compared.
//! - `programs`: random programs over several contracts, compared after each step.
//! - `points`: what other implementations got wrong, each point with a name.
//! - `precompiles`: the functions of the kernel over random and extreme inputs.
//!
//! `judge` is the reference, with storage, memory and logs that keep the same rules as ours; `setup` builds equal
//! states of both machines; `view` is what is compared.

mod assembly;
mod judge;
mod points;
mod precompiles;
mod programs;
mod rng;
mod scene;
mod setup;
mod single;
mod table;
mod view;
mod world;
