//! The kernel's command line, which is measured.

use anyhow::{Result, bail};

/// Words that begin with this are ours; all others are the kernel's.
const PREFIX: &str = "tee_prover.";

/// Where the prover's key and quote come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attestation {
    Tdx,
    /// For trials without TDX. Such a quote proves nothing about the image.
    Simulation,
}

impl Attestation {
    pub(crate) fn of(command_line: &str) -> Result<Self> {
        let mut attestation = Self::Tdx;
        for word in command_line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(PREFIX)) {
            match word {
                "danger_simulation" => attestation = Self::Simulation,
                _ => bail!("unknown word on the kernel's command line: {PREFIX}{word}"),
            }
        }
        Ok(attestation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quote_is_the_processors_unless_the_command_line_says_otherwise() {
        assert_eq!(Attestation::of("console=ttyS0 panic=10\n").unwrap(), Attestation::Tdx);
        assert_eq!(Attestation::of("").unwrap(), Attestation::Tdx);
        assert_eq!(Attestation::of("quiet tee_prover.danger_simulation\n").unwrap(), Attestation::Simulation);
    }

    #[test]
    fn an_unknown_word_of_ours_is_refused() {
        for word in ["tee_prover.", "tee_prover.danger_any_code", "tee_prover.danger_simulation=no"] {
            assert!(Attestation::of(&format!("quiet {word}")).is_err(), "{word}");
        }
    }
}
