//! Event logs: one of a machine whose quote is public, and logs with one fault each.

#[path = "samples/event_log.rs"]
mod logs;
mod samples;

use logs::{EFI_ACTION, Entry, SEPARATOR, container_optimized_os, event_log, hashed, header, sha384};
use tee_attestation::{
    Quote, Report,
    measure::{EventLog, EventLogError, MAX_EVENT_LOG_BYTES, Register},
};

const BOOT: &[u8] = b"Calling EFI Application from Boot Option";
/// What firmware extends a register with before it continues.
const SEPARATED: [u8; 4] = [0; 4];

fn entries() -> [Entry<'static>; 3] {
    [hashed(1, SEPARATOR, &SEPARATED), hashed(2, EFI_ACTION, BOOT), (3, 0xd, [7; 48], b"grub_cmd: boot\n")]
}

#[test]
fn the_log_of_a_public_machine_gives_the_registers_in_its_quote() {
    let log = container_optimized_os();
    let log = EventLog::parse(&log).unwrap();
    let registers = log.replay();
    for (register, known) in
        registers.iter().zip(["3fa2f61f395b7f5f", "f62dbc072bd5d3f3", "4969684dc87381fc", "0000000000000000"])
    {
        assert_eq!(hex::encode(&register[..8]), known);
    }
    let Some(quote) = samples::public_quotes().into_iter().find(|quote| quote.name == "tdx-cos-padded") else { return };
    let quote = Quote::parse(&quote.bytes).unwrap();
    let Report::Tdx(report) = quote.report() else { panic!("a quote of TDX") };
    assert_eq!(report.rtmrs, registers);
}

#[test]
fn each_register_is_the_hash_of_itself_and_the_next_digest() {
    let log = event_log(&[entries().as_slice(), &entries()].concat());
    let [rtmr0, rtmr1, rtmr2, rtmr3] = EventLog::parse(&log).unwrap().replay();
    let twice = |digest: [u8; 48]| {
        let once = sha384(&[[0; 48], digest].concat());
        sha384(&[once, digest].concat())
    };
    assert_eq!(rtmr0, twice(sha384(&SEPARATED)));
    assert_eq!(rtmr1, twice(sha384(BOOT)));
    assert_eq!(rtmr2, twice([7; 48]));
    assert_eq!(rtmr3, [0; 48]);
}

#[test]
fn what_only_informs_or_is_about_no_runtime_register_extends_none() {
    let log = event_log(&[(1, 3, [1; 48], b"StartupLocality"), (0, 1, [2; 48], b"firmware")]);
    let log = EventLog::parse(&log).unwrap();
    assert_eq!(log.replay(), [[0; 48]; 4]);
    assert_eq!(log.events()[1].register, Register::Mrtd);
}

#[test]
fn a_log_ends_with_its_bytes_or_with_zeros_or_ones() {
    let log = event_log(&entries());
    let expected = EventLog::parse(&log).unwrap();
    for padding in [0, 0xff] {
        for bytes in [1, 4, 65536] {
            let padded = [log.clone(), vec![padding; bytes]].concat();
            assert_eq!(EventLog::parse(&padded).as_ref(), Ok(&expected), "{bytes} times {padding}");
        }
        let mut hiding = [log.clone(), vec![padding; 300]].concat();
        *hiding.last_mut().unwrap() = 1;
        assert!(EventLog::parse(&hiding).is_err(), "{padding}");
    }
    let behind = [&log[..], &[0xff; 300], &log].concat();
    assert_eq!(EventLog::parse(&behind), Err(EventLogError::TrailingBytes { events: 3 }));
}

#[test]
fn a_log_that_ends_inside_an_entry_is_cut_short() {
    let log = event_log(&entries());
    let mut whole = 0;
    for bytes in 0..log.len() {
        match EventLog::parse(&log[..bytes]) {
            Ok(log) => whole += usize::from(log.events().len() < 3),
            // The digest of a separator ahead, and the rest is a number's zeros.
            Err(error) => assert_eq!(error, EventLogError::Truncated, "{bytes} bytes"),
        }
    }
    // After the header, and after each entry except the last.
    assert_eq!(whole, 3);
}

#[test]
fn what_the_header_does_not_announce_is_refused() {
    let whole = event_log(&entries());
    let first = header(&[(0xc, 48)]).len();
    let changed = |at: usize, bytes: &[u8]| {
        let mut log = whole.clone();
        log[at..at + bytes.len()].copy_from_slice(bytes);
        log
    };
    for (log, error) in [
        (changed(4, &[4]), EventLogError::Header),
        (changed(32, b"Spec ID Event02"), EventLogError::Header),
        (changed(32 + 24, &[17]), EventLogError::Header),
        (header(&[(0xb, 32)]), EventLogError::NoSha384),
        (header(&[(0xc, 32)]), EventLogError::NoSha384),
        (header(&[(0xc, 48), (0xc, 48)]), EventLogError::NoSha384),
        (header(&[]), EventLogError::NoSha384),
        (changed(first, &[5]), EventLogError::UnknownRegister { event: 0, index: 5 }),
        (changed(first + 8, &[2]), EventLogError::Digests { event: 0 }),
        (changed(first + 8, &[0]), EventLogError::Digests { event: 0 }),
        (changed(first + 12, &[0xb]), EventLogError::Digests { event: 0 }),
        (changed(first + 62, &[0xff; 4]), EventLogError::Truncated),
        (changed(28, &[0xff; 4]), EventLogError::Truncated),
        (b"CCEL\x38\0\0\0".to_vec(), EventLogError::AcpiTable),
        (vec![0xff; MAX_EVENT_LOG_BYTES + 1], EventLogError::TooLarge { got: MAX_EVENT_LOG_BYTES + 1 }),
    ] {
        assert_eq!(EventLog::parse(&log), Err(error));
    }
}

#[test]
fn an_entry_has_one_digest_for_each_algorithm() {
    let entry = |ids: [u16; 2]| {
        let digests = ids.map(|id| [&id.to_le_bytes()[..], if id == 0xc { &[9; 48] } else { &[8; 32] }].concat());
        [&header(&[(0xb, 32), (0xc, 48)])[..], &[1, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0], &digests.concat(), &[0; 4]]
            .concat()
    };
    for ids in [[0xb, 0xc], [0xc, 0xb]] {
        assert_eq!(EventLog::parse(&entry(ids)).unwrap().events()[0].digest, [9; 48]);
    }
    for ids in [[0xb, 0xb], [0xc, 0xc]] {
        assert_eq!(EventLog::parse(&entry(ids)), Err(EventLogError::Digests { event: 0 }));
    }
}

#[test]
fn data_that_were_hashed_are_told_from_data_that_only_tell() {
    let log = event_log(&entries());
    let log = EventLog::parse(&log).unwrap();
    assert_eq!(log.events().iter().map(|event| event.data_is_hashed()).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn an_event_is_described_in_one_line_without_what_moves_a_cursor() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let number = |number: u64| number.to_le_bytes().to_vec();
    let variable = [vec![9; 16], number(9), number(1), utf16("BootOrder"), vec![1]].concat();
    let file = [vec![4, 4, 4 + 30, 0], utf16("\\EFI\\BOOT\\a.efi")].concat();
    let end = vec![0x7f, 0xff, 4, 0];
    let image = [number(1), number(4096), number(0), number((file.len() + 4) as u64), file, end].concat();
    let tagged = [&0x8f3b_22ed_u32.to_le_bytes()[..], &8_u32.to_le_bytes(), &utf16("init")].concat();
    for (event_type, data, description) in [
        (0x8000_0002, variable.as_slice(), "BootOrder"),
        (0x8000_0003, &image, "4096 bytes \\EFI\\BOOT\\a.efi"),
        (0x8000_000b, b"\x08TdxTable\x01\0\0\0", "TdxTable"),
        (6, &tagged, "0x8f3b22ed init"),
        (0xd, &utf16("quiet\0"), "quiet"),
        (0xd, b"grub\x1b[2J\r\n\x9b", "grub[2J"),
        // Lengths that are too long: only what can be read is shown.
        (0x8000_0001, &[0xff; 40], ""),
        (0x8000_000b, b"\xffTdxTable", "TdxTable"),
        (6, b"text", "text"),
        (4, &[0; 4], ""),
    ] {
        let log = event_log(&[(1, event_type, [0; 48], data)]);
        assert_eq!(EventLog::parse(&log).unwrap().events()[0].description(), description, "{event_type:#x}");
    }
    let long = vec![b'a'; 1 << 20];
    let log = event_log(&[(1, 0xd, [0; 48], &long)]);
    assert_eq!(EventLog::parse(&log).unwrap().events()[0].description().len(), 160);
}
