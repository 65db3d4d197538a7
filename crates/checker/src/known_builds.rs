//! Builds of this repository that somebody measured. The list gives a quote's measurements a name, and nothing more:
//! only the policy decides what is accepted.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use tee_attestation::{Hex, Quote, Report};
use thiserror::Error;

use crate::files::{FileError, read};

/// More than any list has.
const MAX_BYTES: usize = 1 << 20;

/// A list of builds (`deploy/measurements.json`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBuilds {
    builds: Vec<KnownBuild>,
}

/// Why there is no list.
#[derive(Debug, Error)]
pub enum KnownBuildsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It contains something else.
    #[error("not a list of builds")]
    NotAList(#[from] serde_json::Error),
}

/// A build, with everything that is needed to reproduce it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownBuild {
    version: String,
    commit: String,
    /// How to build the same bytes.
    #[allow(dead_code)] // For people.
    rebuild: String,
    /// SHA-256 of each file.
    #[allow(dead_code)] // For people.
    files: BTreeMap<String, Hex<32>>,
    #[serde(default)]
    sgx: Vec<Enclave>,
    #[serde(default)]
    tdx: Vec<Domain>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Enclave {
    mrenclave: Hex<32>,
}

/// Without RTMR0, which depends on the machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    mrtd: Hex<48>,
    rtmr1: Hex<48>,
    rtmr2: Hex<48>,
}

impl KnownBuilds {
    /// A list in a file.
    pub fn read(path: &Path) -> Result<Self, KnownBuildsError> {
        Self::parse(&read(path, MAX_BYTES)?)
    }

    /// A list.
    pub fn parse(json: &[u8]) -> Result<Self, KnownBuildsError> {
        Ok(serde_json::from_slice(json)?)
    }

    /// The list's name for the build with a quote's measurements. The quote may be anybody's: nothing in it is verified
    /// here.
    pub fn name(&self, quote: &[u8]) -> Option<String> {
        let quote = Quote::parse(quote).ok()?;
        let KnownBuild { version, commit, .. } = self.builds.iter().find(|build| build.is_in(quote.report()))?;
        Some(format!("version {version} of this repository, commit {commit}"))
    }
}

impl KnownBuild {
    fn is_in(&self, report: &Report) -> bool {
        match report {
            Report::Sgx(report) => self.sgx.iter().any(|enclave| enclave.mrenclave.0 == report.mr_enclave),
            Report::Tdx(report) => {
                let [_, rtmr1, rtmr2, _] = report.rtmrs;
                let found = [report.mr_td, rtmr1, rtmr2];
                self.tdx.iter().any(|Domain { mrtd, rtmr1, rtmr2 }| [mrtd.0, rtmr1.0, rtmr2.0] == found)
            }
        }
    }
}
