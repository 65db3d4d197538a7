//! Firmware for trust domains, as small as possible.

#![allow(dead_code)] // Each test file uses a part.

use super::logs::sha384;

/// A section of the descriptor: offset and size of its data, address and size of its memory, type, attributes.
pub(crate) type Fields = (u32, u32, u64, u64, u32, u32);

pub(crate) const IMAGE_BYTES: usize = 0x4000;

/// Variables that are not measured, code that is measured, empty memory, and memory that is added only later.
pub(crate) const SECTIONS: [Fields; 4] = [
    (0, 0x1000, 0xffff_c000, 0x1000, 1, 0),
    (0x1000, 0x2000, 0xffff_d000, 0x2000, 0, 1),
    (0, 0, 0x80_9000, 0x3000, 3, 0),
    (0, 0, 0x10_0000, 0x7000, 4, 2),
];

/// An image with these sections.
pub(crate) fn firmware(sections: &[Fields]) -> Vec<u8> {
    let mut descriptor = b"TDVF".to_vec();
    descriptor.extend(numbers(&[16 + 32 * sections.len() as u32, 1, sections.len() as u32]));
    for (data_offset, data_bytes, address, memory_bytes, section_type, attributes) in sections {
        descriptor.extend(numbers(&[*data_offset, *data_bytes]));
        descriptor.extend([address.to_le_bytes(), memory_bytes.to_le_bytes()].concat());
        descriptor.extend(numbers(&[*section_type, *attributes]));
    }
    let entry = |data: &[u8], guid: &str| [data, &(data.len() as u16 + 18).to_le_bytes(), &bytes(guid)].concat();
    // Another entry, then the one for TDX, so that a reader that starts at the end must continue.
    let tdx = entry(&0x1000_u32.to_le_bytes(), "35657ae44a989847865e4685a7bf8ec2");
    let other = entry(&[9; 4], "de71f7007e1acb4f890e68c77e2fb44e");
    let entries = [tdx, other].concat();
    let footer = entry(&entries, "de82b596b21ff745baeaa366c55a082d");
    let mut image: Vec<u8> = (0..IMAGE_BYTES).map(|at| (at % 251) as u8).collect();
    image[IMAGE_BYTES - 0x1000..][..descriptor.len()].copy_from_slice(&descriptor);
    let end = IMAGE_BYTES - 32;
    image[end - footer.len()..end].copy_from_slice(&footer);
    image
}

/// The MRTD of [`SECTIONS`], with all that is hashed, call by call.
pub(crate) fn mrtd(image: &[u8], page_by_page: bool) -> [u8; 48] {
    let call = |name: &str, address: u64| {
        let mut buffer = name.as_bytes().to_vec();
        buffer.resize(16, 0);
        buffer.extend(address.to_le_bytes());
        buffer.resize(128, 0);
        buffer
    };
    let chunks = |address: u64, offset: usize| {
        let chunk = |at: usize| {
            [call("MR.EXTEND", address + at as u64), image[offset + at..offset + at + 256].to_vec()].concat()
        };
        (0..0x1000).step_by(256).flat_map(chunk).collect::<Vec<_>>()
    };
    let add = |address| call("MEM.PAGE.ADD", address);
    let (first, second) = (chunks(0xffff_d000, 0x1000), chunks(0xffff_e000, 0x2000));
    let code = if page_by_page {
        [add(0xffff_d000), first, add(0xffff_e000), second].concat()
    } else {
        [add(0xffff_d000), add(0xffff_e000), first, second].concat()
    };
    sha384(&[add(0xffff_c000), code, add(0x80_9000), add(0x80_a000), add(0x80_b000)].concat())
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}
