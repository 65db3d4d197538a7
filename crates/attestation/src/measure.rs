//! Computes the measurements in a program's quotes from the program itself, so that a policy need not trust a machine that runs it.

mod boot;
mod event_log;
mod firmware;
mod image;
mod sigstruct;

use sha2::{Digest, Sha384};

pub use self::{
    boot::{Measured, kernel_arguments, register, started_kernel, unified_arguments},
    event_log::{Event, EventLog, EventLogError, EventType, MAX_EVENT_LOG_BYTES, Register},
    firmware::{Firmware, FirmwareError, MAX_FIRMWARE_BYTES, PageOrder, Section},
    image::{ImageError, MAX_IMAGE_BYTES, authenticode},
    sigstruct::{Debugging, SIGSTRUCT_BYTES, Sigstruct, SigstructError, SigstructField},
};

/// TDG.MR.RTMR.EXTEND (Intel, "TDX Module ABI" 348551).
fn extend(register: [u8; 48], digest: [u8; 48]) -> [u8; 48] {
    Sha384::new().chain_update(register).chain_update(digest).finalize().into()
}
