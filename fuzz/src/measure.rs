//! What measurements are computed from.

use tee_attestation::measure::{
    EventLog, Firmware, PageOrder, SIGSTRUCT_BYTES, Sigstruct, authenticode, unified_arguments,
};

/// An enclave's SIGSTRUCT, which has one size.
pub fn sigstruct(data: &[u8]) {
    if let Ok(sigstruct) = Sigstruct::parse(data) {
        assert_eq!(data.len(), SIGSTRUCT_BYTES);
        let _ = sigstruct.debugging();
    }
}

/// A domain's event log.
pub fn event_log(data: &[u8]) {
    let Ok(log) = EventLog::parse(data) else { return };
    let _ = log.replay();
    for event in log.events() {
        let _ = event.data_is_hashed();
        assert!(event.description().chars().all(|character| character == ' ' || character.is_ascii_graphic()));
    }
}

/// Firmware for trust domains.
pub fn firmware(data: &[u8]) {
    let Ok(firmware) = Firmware::parse(data) else { return };
    let orders = [PageOrder::PageByPage, PageOrder::SectionBySection];
    let [one, other] = orders.map(|order| firmware.mrtd(order));
    // The order matters only where something is measured.
    assert!(one == other || firmware.sections().iter().any(|section| section.measured));
}

/// A program for UEFI.
pub fn image(data: &[u8]) {
    let _ = authenticode(data);
    let _ = unified_arguments(data);
}

pub(crate) fn sigstruct_seeds() -> Vec<Vec<u8>> {
    let mut unsigned = vec![0; 1808];
    let mut put = |at: usize, field: &[u8]| unsigned[at..at + field.len()].copy_from_slice(field);
    put(0, &[6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1]);
    put(24, &[1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1]);
    put(128, &[0xff; 384]);
    put(512, &[3]);
    vec![unsigned]
}

pub(crate) fn event_log_seeds() -> Vec<Vec<u8>> {
    let header = b"\x01\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x21\0\0\0\
        Spec ID Event03\0\0\0\0\0\0\x02\0\x02\x01\0\0\0\x0c\0\x30\0\0";
    let event = |index: u8, event_type: u32, data: &[u8]| {
        let head = [&[index, 0, 0, 0][..], &event_type.to_le_bytes(), &[1, 0, 0, 0, 0xc, 0]].concat();
        [&head, &[7; 48][..], &(data.len() as u32).to_le_bytes(), data].concat()
    };
    let variable = [&[9; 16][..], &[2, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0], b"d\0b\0", &[1]].concat();
    let path = b"\x04\x04\x08\0a\0b\0\x7f\xff\x04\0";
    let image = [&[0; 8][..], &[1, 0, 0, 0, 0, 0, 0, 0], &[0; 8], &[12, 0, 0, 0, 0, 0, 0, 0], path].concat();
    let events = [
        event(1, 0x8000_0001, &variable),
        event(2, 0x8000_0003, &image),
        event(1, 0x8000_000b, b"\x08TdxTable\x01"),
        event(3, 6, b"\xed\x22\x3b\x8f\x02\0\0\0a\0"),
        event(4, 0xd, b"text"),
        event(1, 4, &[0; 4]),
    ]
    .concat();
    let log = [&header[..], &events].concat();
    assert!(EventLog::parse(&log).is_ok_and(|log| log.events().len() == 6));
    vec![[&log[..], &[0xff; 64]].concat(), log]
}

pub(crate) fn firmware_seeds() -> Vec<Vec<u8>> {
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
    let measured = numbers(&[0, 0x1000, 0xffff_e000, 0, 0x1000, 0, 0, 1]);
    let empty = numbers(&[0, 0, 0x80_9000, 0, 0x2000, 0, 3, 0]);
    let descriptor = [b"TDVF", &numbers(&[16 + 2 * 32, 1, 2])[..], &measured, &empty].concat();
    let from_end = (descriptor.len() + 4 + 18 + 18 + 32) as u32;
    let metadata = b"\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2";
    let footer = b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d";
    let entry = [&from_end.to_le_bytes()[..], &[4 + 18, 0], metadata].concat();
    let firmware = [&[7; 0x1000][..], &descriptor, &entry, &[22 + 18, 0], footer, &[0x90; 32]].concat();
    assert!(Firmware::parse(&firmware).is_ok_and(|firmware| firmware.sections().len() == 2));
    vec![firmware]
}

pub(crate) fn image_seeds() -> Vec<Vec<u8>> {
    let mut image = vec![7; 0x308];
    image[..0x200].fill(0);
    let mut put = |at: usize, field: &[u8]| image[at..at + field.len()].copy_from_slice(field);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0\0\0\x01");
    put(0x40 + 20, &[112 + 8 * 6]);
    put(0x58, &[0x0b, 2]);
    put(0x58 + 61, &[2]);
    put(0x58 + 108, &[6]);
    put(0x58 + 112 + 8 * 4 + 4, &[8]);
    put(0x58 + 112 + 8 * 6 + 17, &[1, 0, 0, 0, 2]);
    assert!(authenticode(&image).is_ok());
    vec![image]
}
