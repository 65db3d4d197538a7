//! Builds of this repository that somebody measured. The list only gives a quote's measurements a name: only the policy
//! decides what is accepted.

use std::path::Path;

use anyhow::{Context, Result};
use tee_checker::KnownBuilds;

/// The list at the time when this program was built.
const OURS: &str = include_str!("../../../../deploy/measurements.json");

/// The list in a file, or this repository's without one.
pub(super) fn read(path: Option<&Path>) -> Result<KnownBuilds> {
    let Some(path) = path else { return KnownBuilds::parse(OURS.as_bytes()).context("the list in this program") };
    KnownBuilds::read(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_this_program_can_be_read() {
        read(None).unwrap();
    }
}
