//! The event log: what firmware and boot loader recorded about the measurements in a domain's registers.
//!
//! Layout: TCG, "PC Client Platform Firmware Profile" 1.06, section 10 (`TCG_PCR_EVENT2`, preceded by `TCG_EfiSpecIDEvent`). The
//! mapping from indices to registers: UEFI 2.11, section 38.4.1. All numbers are little-endian.
//!
//! Only the registers vouch for a log: replaying it must give their values.

mod describe;
mod event_type;

use std::fmt;

use sha2::{Digest, Sha384};
use thiserror::Error;

pub use self::event_type::EventType;
use crate::reader::{Reader, Truncated};

/// The largest event log, in bytes. Firmware reserves some hundred kilobytes.
pub const MAX_EVENT_LOG_BYTES: usize = 4 << 20;

const SIGNATURE: [u8; 16] = *b"Spec ID Event03\0";
/// TPM_ALG_SHA384 (TCG, "Algorithm Registry").
const SHA384: u16 = 0xc;
const SHA384_BYTES: u16 = 48;
/// An upper limit: the registry has fewer hash algorithms.
const MAX_ALGORITHMS: u32 = 16;

/// A log that is complete and has a SHA-384 for each entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog<'a> {
    events: Vec<Event<'a>>,
}

/// Something that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The register that was extended.
    pub register: Register,
    /// The kind of event.
    pub event_type: EventType,
    /// The SHA-384 that the register was extended with.
    pub digest: [u8; 48],
    /// The data that the log records for it.
    pub data: &'a [u8],
}

/// A register of a trust domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// The measurement of what the domain was built from. It does not change while the domain runs.
    Mrtd,
    /// RTMR0 to RTMR3.
    Rtmr(u8),
}

/// Why bytes are not an event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventLogError {
    /// It is larger than [`MAX_EVENT_LOG_BYTES`].
    #[error("event log: {got} bytes, at most {limit} are allowed", limit = MAX_EVENT_LOG_BYTES)]
    TooLarge {
        /// The number of bytes.
        got: usize,
    },
    /// The bytes are the ACPI table that says where the log is.
    #[error("this is the ACPI table CCEL; the log is in /sys/firmware/acpi/tables/data/CCEL")]
    AcpiTable,
    /// The bytes end inside an entry.
    #[error("the event log is cut short")]
    Truncated,
    /// The format is not crypto-agile, or the header lists too many algorithms.
    #[error("the event log does not begin with the header of a crypto-agile log")]
    Header,
    /// The header lists no SHA-384, or gives it another length.
    #[error("the event log has no SHA-384 digests")]
    NoSha384,
    /// An entry's digests do not match the header.
    #[error("event {event}: its digests do not match the header")]
    Digests {
        /// The entry, from 0.
        event: usize,
    },
    /// An entry is about a register that no domain has.
    #[error("event {event}: unknown register index {index}")]
    UnknownRegister {
        /// The entry, from 0.
        event: usize,
        /// The register index in the entry.
        index: u32,
    },
    /// The bytes after the last entry are neither all zeros nor all ones.
    #[error("unexpected bytes after the last of {events} events")]
    TrailingBytes {
        /// The number of entries.
        events: usize,
    },
}

impl<'a> EventLog<'a> {
    /// Parses a log, as Linux shows it in `/sys/firmware/acpi/tables/data/CCEL`: the whole reserved memory, with padding.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EventLogError> {
        if bytes.len() > MAX_EVENT_LOG_BYTES {
            return Err(EventLogError::TooLarge { got: bytes.len() });
        }
        if bytes.starts_with(b"CCEL") {
            return Err(EventLogError::AcpiTable);
        }
        let mut reader = Reader { rest: bytes };
        let algorithms = algorithms(&mut reader)?;
        let mut events = Vec::new();
        while !reader.rest.is_empty() {
            if is_padding(reader.rest) {
                break;
            }
            events.push(event(&mut reader, &algorithms, events.len())?);
        }
        Ok(Self { events })
    }

    /// The entries in order.
    pub fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// RTMR0 to RTMR3 after all events in the log. Each begins as zeros.
    pub fn replay(&self) -> [[u8; 48]; 4] {
        let mut rtmrs = [[0; 48]; 4];
        for event in self.events.iter().filter(|event| event.event_type.is_extended()) {
            let Register::Rtmr(index) = event.register else { continue };
            if let Some(rtmr) = rtmrs.get_mut(usize::from(index)) {
                *rtmr = super::extend(*rtmr, event.digest);
            }
        }
        rtmrs
    }
}

impl Event<'_> {
    /// Whether the digest is that of the data. For other events the data only describe what was hashed, and prove nothing.
    pub fn data_is_hashed(&self) -> bool {
        Sha384::digest(self.data)[..] == self.digest
    }
}

struct Algorithm {
    id: u16,
    digest_bytes: u16,
}

/// Reads the first entry. It is in the format of TPM 1.2, so that parsers of that format know to stop.
fn algorithms(reader: &mut Reader<'_>) -> Result<Vec<Algorithm>, EventLogError> {
    reader.skip(4)?; // an index, which firmware sets as it likes
    let event_type = EventType(reader.u32()?);
    reader.skip(20)?; // SHA-1
    let length = reader.u32()?;
    let mut header = Reader { rest: data(reader, length)? };
    let known = event_type == EventType::NO_ACTION && header.array()? == SIGNATURE;
    header.skip(4 + 1 + 1 + 1 + 1)?; // platform class, specification's version and errata, size of UINTN
    let count = header.u32()?;
    if !known || count > MAX_ALGORITHMS {
        return Err(EventLogError::Header);
    }
    let mut algorithms = Vec::new();
    for _ in 0..count {
        algorithms.push(Algorithm { id: header.u16()?, digest_bytes: header.u16()? });
    }
    if algorithms
        .iter()
        .filter(|algorithm| algorithm.id == SHA384)
        .map(|algorithm| algorithm.digest_bytes)
        .ne([SHA384_BYTES])
    {
        return Err(EventLogError::NoSha384);
    }
    Ok(algorithms)
}

fn event<'a>(reader: &mut Reader<'a>, algorithms: &[Algorithm], event: usize) -> Result<Event<'a>, EventLogError> {
    let index = reader.u32()?;
    let event_type = EventType(reader.u32()?);
    let register = match index {
        0 => Register::Mrtd,
        1 => Register::Rtmr(0),
        2 => Register::Rtmr(1),
        3 => Register::Rtmr(2),
        4 => Register::Rtmr(3),
        // The padding's first bytes, with other bytes behind them.
        u32::MAX => return Err(EventLogError::TrailingBytes { events: event }),
        _ => return Err(EventLogError::UnknownRegister { event, index }),
    };
    // There is one digest for each algorithm, and therefore exactly one SHA-384.
    if usize::try_from(reader.u32()?) != Ok(algorithms.len()) {
        return Err(EventLogError::Digests { event });
    }
    let mut digest = None;
    for _ in algorithms {
        let id = reader.u16()?;
        let known = algorithms.iter().find(|algorithm| algorithm.id == id);
        let Algorithm { digest_bytes, .. } = known.ok_or(EventLogError::Digests { event })?;
        let bytes = reader.take(usize::from(*digest_bytes))?;
        if id == SHA384 && digest.replace(bytes).is_some() {
            return Err(EventLogError::Digests { event });
        }
    }
    let digest = digest.and_then(|digest| digest.try_into().ok()).ok_or(EventLogError::Digests { event })?;
    let length = reader.u32()?;
    Ok(Event { register, event_type, digest, data: data(reader, length)? })
}

fn data<'a>(reader: &mut Reader<'a>, length: u32) -> Result<&'a [u8], Truncated> {
    reader.take(usize::try_from(length).map_err(|_| Truncated)?)
}

/// Whether only padding is left: firmware fills the reserved memory with ones, other software with zeros.
fn is_padding(rest: &[u8]) -> bool {
    rest.first().is_some_and(|first| matches!(first, 0 | 0xff) && rest.iter().all(|byte| byte == first))
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mrtd => f.pad("MRTD"),
            Self::Rtmr(index) => f.pad(&format!("RTMR{index}")),
        }
    }
}

impl From<Truncated> for EventLogError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}
