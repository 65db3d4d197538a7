//! The server on real databases and object stores, over real HTTP.

mod databases;
mod inputs;
mod jobs;
mod json_rpc;
mod objects;
mod postgres;
mod proofs;
mod queue;
mod requests;
mod sources;
mod world;
