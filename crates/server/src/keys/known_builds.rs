//! The name that a list of builds has for a quote's program. It is a name and nothing more: only the policy decides
//! what is accepted.

use std::path::PathBuf;

use tee_checker::KnownBuilds;

use super::judge::AttestationSetupError;
use crate::watched::{self, Source};

/// A build that is in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownBuild {
    pub(crate) name: String,
    /// The list's file name only: the folder is the operator's business.
    pub(crate) list: String,
}

#[derive(Debug)]
pub(super) struct KnownBuildsFile(pub(super) PathBuf);

impl KnownBuildsFile {
    pub(super) fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Source for KnownBuildsFile {
    type Content = Vec<u8>;
    type Value = KnownBuilds;
    type Error = AttestationSetupError;
    const NAME: &'static str = "known builds";

    fn read(&self) -> Result<Vec<u8>, AttestationSetupError> {
        watched::read(&self.0).map_err(|error| AttestationSetupError::Read { path: self.0.clone(), error })
    }

    fn parse(&self, content: &Vec<u8>) -> Result<KnownBuilds, AttestationSetupError> {
        let error = |error| AttestationSetupError::KnownBuilds { path: self.0.clone(), error };
        KnownBuilds::parse(content).map_err(error)
    }
}
