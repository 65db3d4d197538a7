//! Builds of this repository that somebody measured. The list only gives a quote's measurements a name: the policy alone decides what
//! is accepted.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tee_attestation::{Hex, Quote, Report};
use tee_checker::read;

/// The list at the time when this program was built.
const OURS: &str = include_str!("../../../../deploy/measurements.json");
/// An upper limit for the size of a list.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownBuilds {
    builds: Vec<KnownBuild>,
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

/// RTMR0 is left out: it depends on the machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    mrtd: Hex<48>,
    rtmr1: Hex<48>,
    rtmr2: Hex<48>,
}

impl KnownBuilds {
    /// Reads a list from a file; without a path, this repository's list.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Self::parse(OURS.as_bytes()).context("the list in this program") };
        Self::parse(&read(path, MAX_BYTES)?).with_context(|| path.display().to_string())
    }

    fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| anyhow!("no list of builds: {error}"))
    }

    /// The list's name for the build with a quote's measurements.
    pub(super) fn name(&self, quote: &[u8]) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_this_program_can_be_read() {
        KnownBuilds::read(None).unwrap();
    }
}
