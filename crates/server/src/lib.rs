//! Jobs, proofs and attestations between a chain and its provers.
//!
//! [`Server::start`] binds, migrates and serves; [`Service`] is what it serves, for whoever shares its process. A batch's
//! way: [`Service::add_batch`] stores its input and makes its jobs; `POST /tee/proof_inputs` hands it out under a lease;
//! `POST /tee/submit_proofs/{n}` checks the proof and ends the job.
//!
//! A server in a process of one's own, which ends when it is told to:
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
//! Each folder is a domain: `batches` come in and lie in the object store, `leases` hand them out, `proofs` are checked and
//! published, `keys` are registered and judged. `database` has one file a table and knows none of them; `http` translates
//! requests; `edge` is what stands between a socket and `http`.

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
        TokensError,
    },
    keys::{AttestationConfig, AttestationSetupError},
    server::{Server, StartError},
    service::Service,
};
