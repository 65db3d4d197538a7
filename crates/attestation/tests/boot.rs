//! What firmware and kernel measure when they start a domain.

#[path = "samples/image.rs"]
mod images;
#[path = "samples/event_log.rs"]
mod logs;

use images::{CERTIFICATES, CHECKSUM, HEADER_BYTES, OPTIONAL, SECTIONS, hashed, image, unified};
use logs::{EFI_ACTION, SEPARATOR, event_log, sha384};
use tee_attestation::measure::{
    EventLog, ImageError, Measured, authenticode, kernel_arguments, register, started_kernel, unified_arguments,
};

#[test]
fn an_image_is_hashed_without_its_checksum_and_its_signatures() {
    let whole = image();
    let digest = sha384(&hashed(&whole));
    assert_eq!(authenticode(&whole), Ok(digest));
    for (at, counts) in [
        (CHECKSUM, false),
        (CHECKSUM + 4, true),
        (CERTIFICATES, false),
        (CERTIFICATES + 8, true),
        (0x3ff, true),
        (0x507, true),
        (0x508, false),
    ] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert_eq!(authenticode(&changed) != Ok(digest), counts, "byte {at:#x}");
    }
}

#[test]
fn an_image_without_room_for_signatures_is_hashed_to_its_end() {
    let mut image = image();
    image[OPTIONAL + 108] = 4;
    let parts = [&image[..CHECKSUM], &image[CHECKSUM + 4..]].concat();
    assert_eq!(authenticode(&image), Ok(sha384(&parts)));
}

#[test]
fn what_is_no_image_or_a_broken_one_is_refused() {
    let whole = image();
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = whole.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    for (what, image, error) in [
        ("nothing", vec![], ImageError::NotAnImage),
        ("no DOS header", changed(0, b"ZM"), ImageError::NotAnImage),
        ("a PE header behind the end", changed(0x3c, &[0xff; 4]), ImageError::NotAnImage),
        ("another signature", changed(0x80, b"NE"), ImageError::NotAnImage),
        ("for 32 bits", changed(OPTIONAL, &[0x0b, 1]), ImageError::NotAnImage),
        ("headers behind the end", changed(OPTIONAL + 60, &[0xff; 4]), ImageError::Broken),
        ("headers that end ahead of the directories", changed(OPTIONAL + 60, &[0x10, 0, 0, 0]), ImageError::Broken),
        ("more sections than there are", changed(0x80 + 6, &[0xff; 2]), ImageError::Broken),
        ("a section behind the end", changed(SECTIONS + 20, &[0xff; 4]), ImageError::Broken),
        ("a section that is too long", changed(SECTIONS + 16, &[0x19, 1, 0, 0]), ImageError::Broken),
        ("sections that overlap", changed(SECTIONS + 20, &[0, 2, 0, 0, 0xff, 0xff]), ImageError::Broken),
        ("more signatures than bytes", changed(CERTIFICATES + 4, &[0x19, 0, 0, 0]), ImageError::Broken),
    ] {
        let got = authenticode(&image);
        match what {
            // The parts together are no larger than the image.
            "sections that overlap" => assert_ne!(got, Ok(sha384(&hashed(&whole)))),
            _ => assert_eq!(got, Err(error), "{what}"),
        }
    }
    for bytes in 0..HEADER_BYTES {
        assert!(authenticode(&whole[..bytes]).is_err(), "{bytes} bytes");
    }
}

#[test]
fn rtmr1_is_that_of_a_log_of_the_same_start() {
    let kernel = image();
    let log = event_log(&[
        (2, 0x8000_0003, sha384(&hashed(&kernel)), b"kernel"),
        logs::hashed(2, EFI_ACTION, b"Calling EFI Application from Boot Option"),
        logs::hashed(2, SEPARATOR, &[0; 4]),
        logs::hashed(2, EFI_ACTION, b"Exit Boot Services Invocation"),
        logs::hashed(2, EFI_ACTION, b"Exit Boot Services Returned with Success"),
    ]);
    let [_, rtmr1, ..] = EventLog::parse(&log).unwrap().replay();
    assert_eq!(register(&started_kernel(&kernel).unwrap()), rtmr1);
}

#[test]
fn rtmr2_holds_the_command_line_in_utf_16_and_the_initrd() {
    assert_eq!(digests(&kernel_arguments("quiet ä", None)), [sha384(&utf16("quiet ä\0"))]);
    let with_initrd = kernel_arguments("quiet", Some(b"cpio"));
    assert_eq!(digests(&with_initrd), [sha384(&utf16("quiet initrd=initrd\0")), sha384(b"cpio")]);
}

const LINUX: (&str, &[u8]) = (".linux", b"kernel");
const CONSOLE: (&str, &[u8]) = (".cmdline", b"console=ttyS0 quiet");
const INITRD: (&str, &[u8]) = (".initrd", b"cpio");

#[test]
fn rtmr2_of_a_unified_image_holds_what_stub_and_kernel_measure() {
    // As in the file, and not as they are measured.
    let image = unified(&[(".text", b"stub"), (".sbat", b"sbat"), CONSOLE, (".uname", b"7.3"), LINUX, INITRD]);
    let parts: [&[u8]; 12] = [
        b".linux\0",
        b"kernel",
        b".cmdline\0",
        b"console=ttyS0 quiet",
        b".initrd\0",
        b"cpio",
        b".uname\0",
        b"7.3",
        b".sbat\0",
        b"sbat",
        &utf16("console=ttyS0 quiet\0"),
        b"cpio",
    ];
    assert_eq!(digests(&unified_arguments(&image).unwrap().unwrap()), parts.map(sha384));
}

#[test]
fn where_the_stub_passes_on_something_else_rtmr2_is_not_known() {
    let known = |sections: &[(&str, &[u8])]| unified_arguments(&unified(sections)).unwrap().is_some();
    assert!(known(&[CONSOLE, LINUX, INITRD]));
    for (what, sections) in [
        ("no kernel", &[CONSOLE, INITRD][..]),
        ("no command line", &[LINUX, INITRD]),
        ("no initrd", &[CONSOLE, LINUX]),
        ("a name for an initrd of its own", &[CONSOLE, LINUX, INITRD, (".osrel", b"ID=x")]),
        ("profiles", &[CONSOLE, LINUX, INITRD, (".profile", b"ID=x"), CONSOLE]),
        ("two of a name", &[CONSOLE, LINUX, INITRD, (".uname", b"1"), (".uname", b"2")]),
        ("a console to add", &[(".cmdline", b"quiet noconsole=1"), LINUX, INITRD]),
        ("space to remove", &[(".cmdline", b"console=ttyS0 "), LINUX, INITRD]),
        ("a line's end to replace", &[(".cmdline", b"console=ttyS0\nquiet"), LINUX, INITRD]),
        ("characters to convert", &[(".cmdline", "console=ttyS0 ä".as_bytes()), LINUX, INITRD]),
    ] {
        assert!(!known(sections), "{what}");
    }
    // A kernel that ends in zeros which are not in the file.
    let mut image = unified(&[CONSOLE, LINUX, INITRD]);
    image[SECTIONS + 40 + 8] = 0x11;
    assert_eq!(unified_arguments(&image), Ok(None));
    // The last section ends behind the end.
    let image = unified(&[CONSOLE, LINUX, INITRD]);
    assert_eq!(unified_arguments(&image[..image.len() - 0x10]), Err(ImageError::Broken));
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn digests(measured: &[Measured]) -> Vec<[u8; 48]> {
    measured.iter().map(|it| it.digest).collect()
}
