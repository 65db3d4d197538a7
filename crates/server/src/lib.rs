//! Jobs, proofs and attestations between a chain and its provers.
//!
//! [`Server::start`] binds, migrates and serves; [`Service`] is what it serves, for whoever shares its process. A batch's
//! way: [`Service::add_batch`] stores its input and makes its jobs; `POST /tee/proof_inputs` hands it out under a lease;
//! `POST /tee/submit_proofs/{n}` checks the proof and ends the job.

mod batches;
mod clock;
mod config;
mod crypto;
mod database;
mod edge;
mod housekeeping;
mod http;
mod keys;
mod leases;
mod metrics;
mod proofs;
mod server;
mod service;

pub use self::{
    batches::{
        AddBatchError, AddedBatch, CompleteError, Compression, EncodedBatch, Garbage, ImportError, NewBatch, NodeRpc,
        NodeRpcError, ObjectStoreFault, ObjectStoreUrl, ObjectStoreUrlError, complete,
    },
    clock::{Clock, DatabaseClock, ManualClock},
    config::{CompletionConfig, Config, ConfigError, LogFormat, MirrorConfig},
    database::{
        AttestationEntry, BatchEntry, DatabaseUrl, DatabaseUrlError, Disagreement, Job, JobChange, JobCount, JobCursor,
        JobFilter, JobStatus, JobStatusError, Migrated, MigrationError, OverviewProof, OverviewRow, Proof, ProofFilter,
        ProverEntry, Requeued, RequiredProofs, migrate,
    },
    edge::{
        AccessError, Limits, LimitsError, NewToken, Role, RoleError, TlsConfig, TlsError, TokenName, TokenNameError,
        TokensError,
    },
    keys::{AttestationConfig, AttestationSetupError},
    server::{Server, StartError},
    service::Service,
};
