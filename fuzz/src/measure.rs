//! What measurements are computed from.

use tee_attestation::measure::{EventLog, SIGSTRUCT_BYTES, Sigstruct};

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
