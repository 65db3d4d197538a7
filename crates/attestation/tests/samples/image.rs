//! Programs for UEFI, as small as possible.

#![allow(dead_code)] // Each test file uses a part.

/// The offset of the optional header.
pub(crate) const OPTIONAL: usize = 0x80 + 4 + 20;
pub(crate) const CHECKSUM: usize = OPTIONAL + 64;
pub(crate) const CERTIFICATES: usize = OPTIONAL + 112 + 8 * 4;
pub(crate) const SECTIONS: usize = OPTIONAL + 112 + 8 * 6;
pub(crate) const HEADER_BYTES: usize = 0x200;

/// Two sections, the later one first in the table, then other bytes, and 16 bytes of signatures.
pub(crate) fn image() -> Vec<u8> {
    let mut image: Vec<u8> = (0..0x518).map(|at| (at % 253) as u8).collect();
    image[..HEADER_BYTES].fill(0);
    let mut put = |at: usize, field: &[u8]| image[at..at + field.len()].copy_from_slice(field);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x80 + 4 + 2, &3_u16.to_le_bytes());
    put(0x80 + 4 + 16, &(112 + 8 * 6_u16).to_le_bytes());
    put(OPTIONAL, &0x20b_u16.to_le_bytes());
    put(OPTIONAL + 60, &(HEADER_BYTES as u32).to_le_bytes());
    put(CHECKSUM, &[0xcc; 4]);
    put(OPTIONAL + 108, &6_u32.to_le_bytes());
    put(CERTIFICATES, &[0x508_u32.to_le_bytes(), 16_u32.to_le_bytes()].concat());
    // Size and place in the file; an empty section has no place.
    for (index, (bytes, offset)) in [(0x100_u32, 0x400_u32), (0, 0xffff_ffff), (0x200, 0x200)].into_iter().enumerate() {
        put(SECTIONS + index * 40 + 16, &[bytes.to_le_bytes(), offset.to_le_bytes()].concat());
    }
    image
}

/// What of it is hashed.
pub(crate) fn hashed(image: &[u8]) -> Vec<u8> {
    let headers = [&image[..CHECKSUM], &image[CHECKSUM + 4..CERTIFICATES], &image[CERTIFICATES + 8..HEADER_BYTES]];
    [&headers.concat(), &image[0x200..0x400], &image[0x400..0x500], &image[0x500..0x508]].concat()
}

/// A unified kernel image with these sections, each padded to a block in the file.
pub(crate) fn unified(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut image = image();
    image.truncate(HEADER_BYTES);
    // Room for the headers of more sections.
    image.resize(2 * HEADER_BYTES, 0);
    let count = sections.len() as u16;
    image[0x80 + 4 + 2..][..2].copy_from_slice(&count.to_le_bytes());
    image[CERTIFICATES..][..8].fill(0);
    for (index, (name, contents)) in sections.iter().enumerate() {
        let offset = image.len() as u32;
        image.extend_from_slice(contents);
        image.resize(image.len().next_multiple_of(0x10), 0xee);
        let in_file = image.len() as u32 - offset;
        let header = &mut image[SECTIONS + index * 40..][..40];
        header.fill(0);
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[8..12].copy_from_slice(&(contents.len() as u32).to_le_bytes());
        header[16..20].copy_from_slice(&in_file.to_le_bytes());
        header[20..24].copy_from_slice(&offset.to_le_bytes());
    }
    image
}
