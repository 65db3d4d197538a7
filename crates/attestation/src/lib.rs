//! Report data and attestation quotes of SGX and TDX enclaves.
//!
//! A quote is the processor's word that an enclave with certain measurements asked for 64 bytes of *report data* to be
//! repeated. We put the name of a signing key there. [`Quote`] reads what a quote says; whether it may be believed is
//! not decided here.

mod platform;
mod quote;
mod report_data;
#[cfg(feature = "simulation")]
pub mod simulated;

pub use self::{
    platform::{Platform, PlatformError, TdxFiles},
    quote::{EnclaveReport, Quote, QuoteError, Report, TdReport, Tee},
    report_data::{REPORT_DATA_BYTES, ReportData, ReportDataError},
};
