//! Builds of this repository that somebody measured. The list gives a quote's measurements a name, and nothing more: what is
//! accepted, the policy alone says.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tee_attestation::{Hex, Quote, Report};
use tee_checker::read;

/// The list as it was when this program was built.
const OURS: &str = include_str!("../../../../deploy/measurements.json");
/// More than any list has.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownBuilds {
    builds: Vec<KnownBuild>,
}

/// A build, with all that it takes to have it again.
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

/// Without RTMR0, which is the machine's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    mrtd: Hex<48>,
    rtmr1: Hex<48>,
    rtmr2: Hex<48>,
}

impl KnownBuilds {
    /// A list in a file; this repository's where there is none.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Self::parse(OURS.as_bytes()).context("the list in this program") };
        Self::parse(&read(path, MAX_BYTES)?).with_context(|| path.display().to_string())
    }

    fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| anyhow!("no list of builds: {error}"))
    }

    /// What the list calls the build with a quote's measurements.
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
