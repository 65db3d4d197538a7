//! Pins: which chain's batches a caller accepts, and which code may have run them.
//!
//! A batch brings its own bootloader. A bootloader of a few instructions that mints gives a valid batch, too: of its
//! own code. So a caller that relies on a result says which code may have run the batch.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{CodeHashes, H256};

/// The chain and the code that a caller relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pins {
    /// Only batches of this chain and this code.
    Chain(ChainPins),
    /// Any code that the batch brings. A result then only says that this code leads from one root to the other.
    DangerAnyCode {
        /// Only batches of this chain, if one is given.
        chain_id: Option<u64>,
    },
}

/// A chain and the code of its protocol versions, as a configuration names them: `{id: 300, code: [{protocol_version: 29,
/// bootloader: "0x…", default_account: "0x…", evm_emulator: "0x…"}]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ChainPins {
    id: u64,
    code: Vec<CodePin>,
}

/// The code of a protocol version. A version whose code was patched has several of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodePin {
    /// The protocol version.
    pub protocol_version: u16,
    /// Hash of the bootloader.
    pub bootloader: H256,
    /// Hash of the default account.
    pub default_account: H256,
    /// Hash of the EVM emulator, where the chain has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evm_emulator: Option<H256>,
}

/// The content of a file with pins, in YAML or JSON: `chain: {…}`, as in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainFile {
    /// The pins.
    pub chain: ChainPins,
}

/// Pins as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    id: u64,
    code: Vec<CodePin>,
}

/// Why pins make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PinsError {
    /// No batch at all would be accepted.
    #[error("no code is pinned")]
    NoCode,
    /// A hash of zero does not stand for a missing one, which is left out.
    #[error("a pinned hash is zero")]
    ZeroHash,
}

/// How a batch differs from the pinned chain and code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the fields are named in the messages")]
pub enum PinMismatch {
    #[error("chain id {got} instead of {expected}")]
    ChainId { got: u64, expected: u64 },
    #[error("no code is pinned for protocol version {got}")]
    ProtocolVersion { got: u16 },
    #[error("the code is not pinned for protocol version {protocol_version}: {got}")]
    Code { protocol_version: u16, got: CodeHashes },
}

impl Pins {
    /// Accepts any code, of any chain.
    pub fn danger_any_code() -> Self {
        Self::DangerAnyCode { chain_id: None }
    }

    /// Checks that a batch is of the pinned chain and code.
    pub fn judge(&self, chain_id: u64, protocol_version: u16, code: &CodeHashes) -> Result<(), PinMismatch> {
        match self {
            Self::Chain(chain) => chain.judge(chain_id, protocol_version, code),
            Self::DangerAnyCode { chain_id: Some(expected) } => same_chain(chain_id, *expected),
            Self::DangerAnyCode { chain_id: None } => Ok(()),
        }
    }

    /// Whether the code is pinned.
    pub fn pin_code(&self) -> bool {
        matches!(self, Self::Chain(_))
    }

    /// The pinned chain.
    pub fn chain_id(&self) -> Option<u64> {
        match self {
            Self::Chain(chain) => Some(chain.id),
            Self::DangerAnyCode { chain_id } => *chain_id,
        }
    }
}

impl ChainPins {
    /// Pins a chain and the code of its protocol versions.
    pub fn new(id: u64, code: Vec<CodePin>) -> Result<Self, PinsError> {
        if code.is_empty() {
            return Err(PinsError::NoCode);
        }
        let hashes = |pin: &CodePin| [Some(pin.bootloader), Some(pin.default_account), pin.evm_emulator];
        if code.iter().flat_map(hashes).flatten().any(|hash| hash.is_zero()) {
            return Err(PinsError::ZeroHash);
        }
        Ok(Self { id, code })
    }

    /// The chain.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The code that may have run its batches.
    pub fn code(&self) -> &[CodePin] {
        &self.code
    }

    fn judge(&self, chain_id: u64, protocol_version: u16, code: &CodeHashes) -> Result<(), PinMismatch> {
        same_chain(chain_id, self.id)?;
        let mut of_version = self.code.iter().filter(|pin| pin.protocol_version == protocol_version).peekable();
        if of_version.peek().is_none() {
            return Err(PinMismatch::ProtocolVersion { got: protocol_version });
        }
        if of_version.any(|pin| pin.hashes() == *code) {
            return Ok(());
        }
        Err(PinMismatch::Code { protocol_version, got: *code })
    }
}

fn same_chain(got: u64, expected: u64) -> Result<(), PinMismatch> {
    if got == expected { Ok(()) } else { Err(PinMismatch::ChainId { got, expected }) }
}

impl CodePin {
    /// Pins this code for a protocol version.
    pub fn new(protocol_version: u16, code: CodeHashes) -> Self {
        let CodeHashes { bootloader, default_account, evm_emulator } = code;
        Self { protocol_version, bootloader, default_account, evm_emulator }
    }

    fn hashes(&self) -> CodeHashes {
        let Self { protocol_version: _, bootloader, default_account, evm_emulator } = *self;
        CodeHashes { bootloader, default_account, evm_emulator }
    }
}

impl TryFrom<Unchecked> for ChainPins {
    type Error = PinsError;

    fn try_from(Unchecked { id, code }: Unchecked) -> Result<Self, PinsError> {
        Self::new(id, code)
    }
}

/// Writes the pins on one line that is both YAML and JSON.
impl fmt::Display for ChainPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"id\": {}, \"code\": [", self.id)?;
        for (place, pin) in self.code.iter().enumerate() {
            let CodePin { protocol_version, bootloader, default_account, evm_emulator } = pin;
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{{\"protocol_version\": {protocol_version}, \"bootloader\": \"{bootloader:?}\", ")?;
            write!(f, "\"default_account\": \"{default_account:?}\"")?;
            if let Some(emulator) = evm_emulator {
                write!(f, ", \"evm_emulator\": \"{emulator:?}\"")?;
            }
            f.write_str("}")?;
        }
        f.write_str("]}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(byte: u8, emulator: bool) -> CodeHashes {
        CodeHashes {
            bootloader: H256::repeat_byte(byte),
            default_account: H256::repeat_byte(2),
            evm_emulator: emulator.then(|| H256::repeat_byte(3)),
        }
    }

    fn pins() -> ChainPins {
        let code = vec![CodePin::new(28, hashes(1, false)), CodePin::new(29, hashes(1, true))];
        ChainPins::new(300, [code, vec![CodePin::new(29, hashes(4, true))]].concat()).unwrap()
    }

    #[test]
    fn chain_version_and_each_hash_are_judged() {
        let judge = |chain, version, code| Pins::Chain(pins()).judge(chain, version, &code);
        for (version, code) in [(28, hashes(1, false)), (29, hashes(1, true)), (29, hashes(4, true))] {
            assert_eq!(judge(300, version, code), Ok(()));
            assert_eq!(judge(301, version, code), Err(PinMismatch::ChainId { got: 301, expected: 300 }));
            assert_eq!(judge(300, 27, code), Err(PinMismatch::ProtocolVersion { got: 27 }));
        }
        let other_account = CodeHashes { default_account: H256::repeat_byte(9), ..hashes(1, true) };
        for (version, got) in [
            (28, hashes(1, true)),
            (28, hashes(4, false)),
            (29, hashes(1, false)),
            (29, hashes(7, true)),
            (29, other_account),
        ] {
            assert_eq!(judge(300, version, got), Err(PinMismatch::Code { protocol_version: version, got }));
        }
    }

    #[test]
    fn without_pinned_code_only_the_chain_is_judged() {
        let judge = |expected, chain| Pins::DangerAnyCode { chain_id: expected }.judge(chain, 7, &hashes(8, false));
        assert_eq!(judge(None, 1), Ok(()));
        assert_eq!(judge(Some(1), 1), Ok(()));
        assert_eq!(judge(Some(2), 1), Err(PinMismatch::ChainId { got: 1, expected: 2 }));
    }

    #[test]
    fn what_is_shown_reads_as_the_same() {
        assert_eq!(serde_json::from_str::<ChainPins>(&pins().to_string()).unwrap(), pins());
        assert_eq!(serde_json::from_value::<ChainPins>(serde_json::to_value(pins()).unwrap()).unwrap(), pins());
    }

    #[test]
    fn pins_that_make_no_sense_are_refused() {
        let [one, zero] = [H256::repeat_byte(1), H256::zero()].map(|hash| format!("\"{hash:?}\""));
        for code in [
            String::new(),
            format!(r#"{{"protocol_version": 29, "bootloader": {zero}, "default_account": {one}}}"#),
            format!(r#"{{"protocol_version": 29, "bootloader": {one}, "default_account": {zero}}}"#),
            format!(
                r#"{{"protocol_version": 29, "bootloader": {one}, "default_account": {one}, "evm_emulator": {zero}}}"#
            ),
            format!(r#"{{"protocol_version": 29, "bootloader": {one}, "default_account": {one}, "emulator": {one}}}"#),
            format!(r#"{{"protocol_version": 29, "bootloader": {one}}}"#),
        ] {
            assert!(serde_json::from_str::<ChainPins>(&format!(r#"{{"id": 1, "code": [{code}]}}"#)).is_err(), "{code}");
        }
    }
}
