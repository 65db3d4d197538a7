//! The server on a real SQLite file and a real folder, over real HTTP.

mod inputs;
mod jobs;
mod proofs;
mod requests;
mod world;
