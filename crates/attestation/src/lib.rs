//! Makes, simulates and judges report data and attestation quotes of SGX and TDX enclaves.
//!
//! In a quote, the processor confirms that an enclave with certain measurements asked for 64 bytes of *report data* to be
//! included. We put the name of a signing key there. [`Quote`] parses a quote, [`Platform`] has one made, and `judge` (with the
//! feature `judge`) decides whether to believe it: it returns a `Verdict`, and only a good one contains an `AttestedKey`.
//! `measure` (with the feature `measure`) computes what a quote will say about a given program.
//!
//! Time is passed in. Nothing here reads a clock or, without the feature `fetch`, uses a network. The code for an enclave needs no
//! feature; `judge`, `measure` and `fetch` are for those who judge it from outside.
//!
//! Judging a simulated platform works like judging a real one:
//!
//! ```
//! use std::time::{SystemTime, UNIX_EPOCH};
//! use tee_attestation::{Case, Policy, ReportData, TrustedRoot, judge, simulated};
//!
//! let now = SystemTime::now();
//! let machine = simulated::Platform::new(now)?;
//! let quote = machine.quote(&ReportData::V1 { address: [7; 20] })?;
//!
//! let policy = format!("sgx: {{mrenclaves: [{}]}}", hex::encode(simulated::mr_enclave()));
//! let verdict = judge(&Case {
//!     quote: &quote,
//!     collateral: &machine.collateral()?,
//!     // Intel's would be `TrustedRoot::intel()`.
//!     root: &TrustedRoot::danger_other(machine.root_certificate()?),
//!     policy: &Policy::from_yaml(&policy)?,
//!     key: None,
//!     at_secs: now.duration_since(UNIX_EPOCH)?.as_secs(),
//! });
//! assert!(verdict.passed(), "{verdict:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules and the policy's keys are in the project's `docs/ATTESTATION.md`.

mod collateral;
#[cfg(feature = "judge")]
mod judge;
#[cfg(feature = "measure")]
pub mod measure;
mod platform;
#[cfg(feature = "judge")]
mod policy;
mod quote;
mod reader;
mod report_data;
#[cfg(feature = "simulation")]
pub mod simulated;
#[cfg(feature = "fetch")]
mod source;

#[cfg(feature = "fetch")]
pub use self::source::{CollateralCache, CollateralSource, PlatformKind, Service, SourceError};
pub use self::{
    collateral::{Collateral, MAX_COLLATERAL_BYTES},
    platform::{Platform, PlatformError, TdxFiles},
    quote::{EnclaveReport, Quote, QuoteError, Report, TdReport, Tee},
    report_data::{REPORT_DATA_BYTES, ReportData, ReportDataError},
};
#[cfg(feature = "judge")]
pub use self::{
    collateral::{CollateralError, PcsAnswers, TcbInfoHead},
    judge::{
        AttestedKey, Case, Check, Claim, Flaw, Key, MAX_QUOTE_BYTES, Rule, TrustedRoot, Verdict, claims_of, judge,
    },
    policy::{Advisories, Hex, HexError, MAX_POLICY_BYTES, Policy, PolicyError, SgxPolicy, TcbStatus, TdxPolicy},
};
