//! The list of known builds that this program goes by.

use std::path::Path;

use anyhow::{Context, Result};
use tee_checker::KnownBuilds;

/// The list as it was when this program was built.
const OURS: &str = include_str!("../../../../deploy/measurements.json");

/// A list in a file; this repository's where there is none.
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
