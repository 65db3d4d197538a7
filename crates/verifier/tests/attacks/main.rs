//! Attackers who know the source, hostile shapes, and honest batches that look odd.

mod contracts;
mod documents;
mod evm;
mod forger;
mod hostile_shapes;
mod own_code;
mod paymasters;
mod publication;
mod publishing;
mod rollbacks;
#[path = "../scene/mod.rs"]
mod scene;
mod second_opinion;
mod signatures;
mod versions;
