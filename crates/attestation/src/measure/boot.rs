//! RTMR1 and RTMR2 of a domain whose host passes a kernel with initrd and command line, or a unified kernel image, to the firmware, as
//! QEMU's `-kernel` does.
//!
//! Sources: UEFI 2.11, section 38.4.1, and TCG, "PC Client Platform Firmware Profile" 1.06, section 3.3.4 (what firmware measures
//! about a start, in RTMR1, which stands for PCR 2 to 6); Linux, `drivers/firmware/efi/libstub/efi-stub-helper.c` (what the kernel's
//! own loader measures into PCR 9, for which RTMR2 stands); systemd-stub(7), "TPM PCR Notes" (what its stub measures into PCR 11, for
//! which RTMR2 stands, too).

use sha2::{Digest, Sha384};

use super::image::{self, ImageError, authenticode};

/// The text that firmware measures for a start: `EV_EFI_ACTION`.
const CALLING: &str = "Calling EFI Application from Boot Option";
const EXITING: [&str; 2] = ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"];
const SEPARATOR: [u8; 4] = [0; 4];

/// The text that OVMF appends to the command line if there is an initrd.
const INITRD_OPTION: &str = " initrd=initrd";
const INITRD: &str = "Linux initrd";

/// The sections of a unified kernel image for which it is known what becomes of them, in the order in which the stub measures them. It
/// measures the name, with a zero at its end, and then the contents.
const UNIFIED: [(&str, &str); 5] = [
    (".linux", "what is in .linux"),
    (".cmdline", "what is in .cmdline"),
    (".initrd", "what is in .initrd"),
    (".uname", "what is in .uname"),
    (".sbat", "what is in .sbat"),
];
/// Sections that change what the stub passes to the kernel, or whose effect is not known here.
const UNFORESEEN: [&[u8]; 10] = [
    b".osrel",
    b".ucode",
    b".splash",
    b".dtb",
    b".pcrsig",
    b".pcrpkey",
    b".profile",
    b".dtbauto",
    b".hwids",
    b".efifw",
];

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
    let mut measured = vec![load_options(&format!("{command_line}{option}"))];
    measured.extend(initrd.map(|initrd| Measured::of(INITRD, initrd)));
    measured
}

fn load_options(text: &str) -> Measured {
    let bytes: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    Measured::of("LOADED_IMAGE::LoadOptions", &bytes)
}

/// The values that systemd's stub (258 or later), started without a command line and without files beside it, and then the kernel measure into
/// RTMR2 about a unified kernel image. None where the stub passes on other arguments than the image has: sections by which it makes
/// initrds, or a command line that it completes or changes.
pub fn unified_arguments(image: &[u8]) -> Result<Option<Vec<Measured>>, ImageError> {
    let sections = image::sections(image)?;
    let named = |name: &'static str| sections.iter().filter(move |(other, _)| *other == name.as_bytes());
    let contents = |name: &'static str| named(name).find_map(|(_, contents)| *contents);
    let foreseen = sections.iter().all(|(name, _)| !UNFORESEEN.contains(name))
        // With several of a name there are profiles to choose from.
        && UNIFIED.iter().all(|(name, ..)| named(name).count() == usize::from(contents(name).is_some()));
    let command_line = contents(".cmdline").and_then(|bytes| str::from_utf8(bytes).ok()).filter(|text| stays(text));
    let (true, Some(_), Some(command_line), Some(initrd)) =
        (foreseen, contents(".linux"), command_line, contents(".initrd"))
    else {
        return Ok(None);
    };
    let mut measured = Vec::new();
    for (name, contents_name) in UNIFIED {
        if let Some(contents) = contents(name) {
            measured.push(Measured::of(name, &[name.as_bytes(), &[0]].concat()));
            measured.push(Measured::of(contents_name, contents));
        }
    }
    // The stub passes the initrd on by a protocol, and no option of the command line names it.
    measured.push(load_options(command_line));
    measured.push(Measured::of(INITRD, initrd));
    Ok(Some(measured))
}

/// Whether the stub leaves a command line as it is: it adds a console where none is named, and changes white space.
fn stays(command_line: &str) -> bool {
    command_line.split(' ').any(|word| word.starts_with("console="))
        && command_line.trim() == command_line
        && command_line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// A register that began as zeros, after all of these values.
pub fn register(measured: &[Measured]) -> [u8; 48] {
    measured.iter().fold([0; 48], |register, measured| super::extend(register, measured.digest))
}
