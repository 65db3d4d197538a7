//! The server on real databases and object stores, over real HTTP.

mod access;
mod admin;
mod attestations;
mod browser;
mod contradictions;
mod databases;
mod era;
mod hostile;
mod inputs;
mod jobs;
mod json_rpc;
mod objects;
mod openapi;
mod operating;
mod outages;
mod page;
mod postgres;
mod process;
mod proofs;
mod provers;
mod queue;
mod reads;
mod requests;
mod sources;
mod tls;
mod world;
