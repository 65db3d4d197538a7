//! Pins in a separate file, whose path the environment names.

use std::{fs::File, io::Read, str::FromStr};
use tee_verifier::{ChainFile, ChainPins};

/// An upper limit for the size of pins.
const MAX_BYTES: u64 = 1 << 20;

/// The pins from a file, given by its path.
#[derive(Debug)]
pub(super) struct PinsFromFile(pub(super) ChainPins);

impl FromStr for PinsFromFile {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        read.map_err(|error| format!("{path}: {error}"))?;
        let file: ChainFile =
            serde_saphyr::from_str(&text).map_err(|error| format!("{path}: {}", error.without_snippet()))?;
        Ok(Self(file.chain))
    }
}
