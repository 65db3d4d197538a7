//! Valid firmware, and firmware with one fault each.

#[path = "samples/firmware.rs"]
mod images;
#[path = "samples/event_log.rs"]
mod logs;

use images::{IMAGE_BYTES, SECTIONS, firmware, mrtd};
use tee_attestation::measure::{Firmware, FirmwareError, MAX_FIRMWARE_BYTES, PageOrder};

#[test]
fn mrtd_is_the_hash_of_the_calls_that_add_and_measure_the_firmware() {
    let image = firmware(&SECTIONS);
    let firmware = Firmware::parse(&image).unwrap();
    assert_eq!(firmware.mrtd(PageOrder::PageByPage), mrtd(&image, true));
    assert_eq!(firmware.mrtd(PageOrder::SectionBySection), mrtd(&image, false));
    assert_eq!(
        firmware.sections().iter().map(|section| section.measured).collect::<Vec<_>>(),
        [false, true, false, false]
    );
}

#[test]
fn every_measured_byte_and_no_other_is_in_mrtd() {
    let image = firmware(&SECTIONS);
    let whole = mrtd(&image, true);
    for (at, measured) in [(0, false), (0xfff, false), (0x1000, true), (0x2fff, true), (0x3800, false)] {
        let mut changed = image.clone();
        changed[at] ^= 1;
        let changed = Firmware::parse(&changed).unwrap().mrtd(PageOrder::PageByPage);
        assert_eq!(changed != whole, measured, "byte {at:#x}");
    }
}

#[test]
fn a_section_that_no_host_can_add_or_measure_is_refused() {
    let [variables, code, empty, later] = SECTIONS;
    for (what, section) in [
        ("not a page's address", (0, 0, 0x80_9100, 0x3000, 3, 0)),
        ("not whole pages", (0, 0, 0x80_9000, 0x3100, 3, 0)),
        ("behind the end of memory", (0, 0, 0xffff_ffff_ffff_f000, 0x1000, 3, 0)),
        ("more memory than anybody has", (0, 0, 0, 0xffff_ffff_ffff_f000, 3, 0)),
        ("more memory than firmware needs", (0, 0, 0, (1 << 30) + 0x1000, 3, 0)),
        ("measured data that end with the image", (0x3000, 0x2000, 0, 0x2000, 0, 1)),
        ("fewer data than are measured", (0x1000, 0x1000, 0, 0x2000, 0, 1)),
        ("measured and added later", (0x1000, 0x1000, 0, 0x1000, 0, 3)),
        ("an unknown attribute", (0, 0, 0, 0x1000, 3, 4)),
    ] {
        let image = firmware(&[variables, code, section, later]);
        assert_eq!(Firmware::parse(&image), Err(FirmwareError::Section { section: 2 }), "{what}");
    }
    Firmware::parse(&firmware(&[variables, code, empty])).unwrap();
}

#[test]
fn what_is_no_firmware_for_trust_domains_says_so() {
    let whole = firmware(&SECTIONS);
    let changed = |at: usize, byte: u8| {
        let mut image = whole.clone();
        image[at] = byte;
        image
    };
    let descriptor = IMAGE_BYTES - 0x1000;
    let footer = IMAGE_BYTES - 32 - 18;
    for (what, image, error) in [
        ("nothing", vec![], FirmwareError::Table),
        ("a reset vector alone", vec![0; 32], FirmwareError::Table),
        ("too large", vec![0; MAX_FIRMWARE_BYTES + 1], FirmwareError::TooLarge { got: MAX_FIRMWARE_BYTES + 1 }),
        ("another footer", changed(footer + 2, 0), FirmwareError::Table),
        ("a table without its own end", changed(footer, 17), FirmwareError::Table),
        ("a table larger than the image", changed(footer + 1, 0xff), FirmwareError::Table),
        ("an entry larger than the table", changed(footer - 18, 0xff), FirmwareError::Table),
        ("no entry for TDX", changed(footer - 22 - 1, 0), FirmwareError::NotForTdx),
        ("a descriptor before the image", changed(footer - 22 - 19, 1), FirmwareError::Descriptor),
        ("another signature", changed(descriptor, b'X'), FirmwareError::Descriptor),
        ("a length that is not the sections'", changed(descriptor + 4, 17), FirmwareError::Descriptor),
        ("another version", changed(descriptor + 8, 2), FirmwareError::Descriptor),
        ("more sections than its length", changed(descriptor + 12, 5), FirmwareError::Descriptor),
    ] {
        assert_eq!(Firmware::parse(&image), Err(error), "{what}");
    }
}
