//! RTMR1 and RTMR2 of a domain whose host passes kernel, initrd and command line to the firmware, as QEMU's `-kernel` does.
//!
//! Sources: UEFI 2.11, section 38.4.1, and TCG, "PC Client Platform Firmware Profile" 1.06, section 3.3.4 (what firmware measures
//! about a start, in RTMR1, which stands for PCR 2 to 6); Linux, `drivers/firmware/efi/libstub/efi-stub-helper.c` (what the kernel's
//! own loader measures into PCR 9, for which RTMR2 stands).

use sha2::{Digest, Sha384};

use super::image::{ImageError, authenticode};

/// The text that firmware measures for a start: `EV_EFI_ACTION`.
const CALLING: &str = "Calling EFI Application from Boot Option";
const EXITING: [&str; 2] = ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"];
const SEPARATOR: [u8; 4] = [0; 4];

/// The text that OVMF appends to the command line if there is an initrd.
const INITRD_OPTION: &str = " initrd=initrd";

/// Something that is measured into a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Its name.
    pub name: &'static str,
    /// Its SHA-384.
    pub digest: [u8; 48],
}

impl Measured {
    fn of(name: &'static str, bytes: &[u8]) -> Self {
        Self { name, digest: Sha384::digest(bytes).into() }
    }
}

/// The values that firmware measures into RTMR1 when it starts a kernel, or a unified kernel image in place of a kernel. systemd's stub
/// starts the kernel in such an image without the firmware, so the kernel is measured only as a part of the image (without Secure
/// Boot; versions before 258 behaved differently).
pub fn started_kernel(kernel: &[u8]) -> Result<Vec<Measured>, ImageError> {
    let said = |text: &'static str| Measured::of(text, text.as_bytes());
    let [invocation, success] = EXITING.map(said);
    Ok(vec![
        Measured { name: "kernel", digest: authenticode(kernel)? },
        said(CALLING),
        Measured::of("separator", &SEPARATOR),
        invocation,
        success,
    ])
}

/// The values that a kernel measures into RTMR2 about its arguments.
pub fn kernel_arguments(command_line: &str, initrd: Option<&[u8]>) -> Vec<Measured> {
    let option = if initrd.is_some() { INITRD_OPTION } else { "" };
    let characters = command_line.encode_utf16().chain(option.encode_utf16()).chain([0]);
    let load_options: Vec<u8> = characters.flat_map(u16::to_le_bytes).collect();
    let mut measured = vec![Measured::of("LOADED_IMAGE::LoadOptions", &load_options)];
    measured.extend(initrd.map(|initrd| Measured::of("Linux initrd", initrd)));
    measured
}

/// A register that began as zeros, after all of these values.
pub fn register(measured: &[Measured]) -> [u8; 48] {
    measured.iter().fold([0; 48], |register, measured| super::extend(register, measured.digest))
}
