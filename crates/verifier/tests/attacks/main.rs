//! Attackers who know the source, hostile shapes, and honest batches that look odd.

mod documents;
mod forger;
mod hostile_shapes;
mod own_code;
mod publication;
mod rollbacks;
#[path = "../scene/mod.rs"]
mod scene;
mod second_opinion;
mod signatures;
mod versions;
