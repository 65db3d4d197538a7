//! Wire types, statement, signatures and HTTP client of the TEE proof protocol.
//!
//! The protocol is zksync-era 29.x's, byte for byte, with extensions that a peer may ignore: leases, a statement besides the root's
//! signature, and batch inputs in CBOR. A peer's bytes are parsed here, once, into types that cannot be invalid.
//!
//! - [`SigningKey`] signs a [`VerifiedBatch`](tee_verifier::VerifiedBatch), which gives a [`SignedBatch`]: the root's
//!   signature, and the [`Statement`] with its own, also for each [`Contract`] that asks for one. It also proves that
//!   it exists, so that it can be registered.
//! - [`SubmitProof`], [`RegisterAttestation`] and their siblings are the bodies of requests.
//! - [`Client`] sends requests to a server, with time-outs, limits on bytes and a minimum rate. Each call sends at most one request:
//!   retries are the caller's decision.
//! - [`settings`] reads the configuration of programs.
//! - [`http`] has the rules for all outgoing HTTP, for this client and others.
//! - `listener` (with the feature `listener`) serves the metrics and the health of a program.
//!
//! A submission, as a server reads and checks it:
//!
//! ```
//! use tee_api::SubmitProof;
//!
//! # let vectors = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vectors/proof.json"))?;
//! # let body = serde_json::from_slice::<serde_json::Value>(&vectors)?["submission"].to_string();
//! let submission: SubmitProof = serde_json::from_str(&body)?;
//! submission.signature.verify(submission.proof, &submission.pubkey)?;
//! let signed = submission.statement.ok_or("a prover of zksync-era makes none")?;
//! signed.verify(&submission.pubkey)?;
//! assert_eq!(signed.statement.root, submission.proof);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The project's `docs/PROTOCOL.md` describes the whole protocol.

mod build;
mod chain;
mod client;
mod contract;
pub mod http;
mod input;
mod key;
#[cfg(feature = "listener")]
pub mod listener;
mod listing;
#[cfg(test)]
mod onchain;
mod published;
pub mod settings;
mod signature;
mod statement;
mod states;
mod system_logs;
mod user_agent;
#[cfg(test)]
mod vectors;
mod wire;

pub use self::{
    build::{BUILD, Build, long_version},
    chain::chain,
    client::{AnswerError, BatchUpload, Claim, Client, ClientError, ClientOptions, EncodedInput, JobsRequest, Work},
    contract::{
        BoundSignature, Contract, ContractError, MAX_CONTRACTS, RegistrationEntry, RegistrationSignature,
        SigningRequest,
    },
    http::{BearerToken, BearerTokenError, ClientCertificate, ClientSetupError, NetworkError, Pace, TlsFiles},
    input::{Compression, DecodedInput, EncodingError, InputEncoding, UnreadableInput},
    key::{KeyError, PublicKey, SignedBatch, SigningKey},
    listing::{
        AttestationEntry, BatchAdded, DisagreementEntry, JobAction, JobActionError, JobEntry, KeyRevoked, Page,
        ProverEntry, ResolveDisagreement, RevokeKey, TeeTypeAction, TeeTypeActionError,
    },
    published::{TEE_PROOFS_METHOD, TeeProof},
    signature::{Signature, SignatureError},
    statement::{MAX_SYSTEM_LOGS, SYSTEM_LOG_BYTES, SignedStatement, Statement, StatementError},
    states::{JobStatus, JobStatusError, KeyStanding, KeyStandingError, OrOther},
    system_logs::SystemLog,
    user_agent::{UserAgent, UserAgentError},
    wire::{
        FailReport, LEASE_EXPIRES_IN_HEADER, LEASE_ID_HEADER, Lease, LeaseId, LeaseIdError, MAX_QUOTE_BYTES,
        PresentBatches, ProofInputsRequest, Quote, QuoteError, RegisterAttestation, SUCCESS, SubmitProof, TeeType,
        TeeTypeError,
    },
};
