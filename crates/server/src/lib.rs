//! Jobs, proofs and attestations between a chain and its provers.
//!
//! [`Server::start`] binds, migrates and serves. [`Service`] is what it serves, for code in the same process. The steps
//! of a batch: [`Service::add_batch`] stores its input and makes its jobs; `POST /tee/proof_inputs` hands it out under
//! a lease; `POST /tee/submit_proofs/{n}` checks the proof and ends the job.
//!
//! A server inside another program, which stops it:
//!
//! ```
//! use tee_server::{Config, Server};
//!
//! # let folder = tempfile::tempdir()?;
//! let file = folder.path().join("server.yaml");
//! std::fs::write(&file, format!("
//!     listen: 127.0.0.1:0
//!     database_url: sqlite://{}/tee.sqlite
//!     object_store: memory://
//!     danger_unjudged_quotes: true    # in earnest: attestation, with a policy
//!     danger_any_code: true           # in earnest: chain, with the code's hashes
//! ", folder.path().display()))?;
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let server = Server::start(Config::read(&file)?).await?;
//! println!("http://{}", server.local_addr());
//! server.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each folder is a domain: `batches` adds batches and stores their inputs, `leases` hands them out, `proofs` checks and publishes
//! proofs, `keys` registers and judges keys. `database` has one file per table and uses none of them; `http` translates requests;
//! `edge` stands between the sockets and `http`.

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
mod watched;

pub use tee_api::{JobStatus, KeyStanding};

pub use self::{
    batches::{
        AddBatchError, AddedBatch, CompleteError, EncodedBatch, Garbage, ImportError, NewBatch, NodeRpc, NodeRpcError,
        ObjectStoreFault, ObjectStoreUrl, ObjectStoreUrlError, complete,
    },
    clock::{Clock, DatabaseClock, ManualClock},
    config::{CompletionConfig, Config, ConfigError, Loaded, LogFormat, MirrorConfig},
    database::{
        AttestationEntry, BatchEntry, DatabaseUrl, DatabaseUrlError, Disagreement, Job, JobChange, JobCount, JobCursor,
        JobFilter, Migrated, MigrationError, OverviewProof, OverviewRow, Proof, ProofFilter, ProverEntry, Requeued,
        RequiredProofs, migrate,
    },
    edge::{
        AccessError, Limits, LimitsError, NewToken, Role, RoleError, TlsConfig, TlsError, TokenName, TokenNameError,
        TokensError, serve_router,
    },
    keys::{AttestationConfig, AttestationSetupError},
    server::{Server, StartError},
    service::Service,
};
