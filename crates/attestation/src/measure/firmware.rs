//! MRTD: the measurement of what a trust domain was built from, which is its firmware and the firmware's place in memory.
//!
//! Layout of the firmware: Intel, "TDX Virtual Firmware Design Guide" 344991, section 11 (the descriptor and its sections), and
//! QEMU, `docs/specs/sev-guest-firmware.rst` (the table of GUIDs at the image's end). The hash: Intel, "TDX Module Base
//! Architecture" 348549, section "MRTD", with TDH.MEM.PAGE.ADD and TDH.MR.EXTEND of "TDX Module ABI" 348551. All numbers are
//! little-endian.

use sha2::{Digest, Sha384};
use thiserror::Error;

use crate::reader::{Reader, Truncated};

/// The largest firmware image, in bytes. Four megabytes are usual.
pub const MAX_FIRMWARE_BYTES: usize = 16 << 20;

const TABLE_FOOTER: [u8; 16] = guid(0x96b5_82de, 0x1fb2, 0x45f7, [0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d]);
const TDX_METADATA_OFFSET: [u8; 16] =
    guid(0xe47a_6535, 0x984a, 0x4798, [0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2]);
/// The size of the reset vector, which follows the table.
const BYTES_BEHIND_TABLE: usize = 32;

const SIGNATURE: [u8; 4] = *b"TDVF";
const VERSION: u32 = 1;
const DESCRIPTOR_BYTES: u32 = 16;
const SECTION_BYTES: u32 = 32;

/// The section's data are measured, not only its place.
const MR_EXTEND: u32 = 1 << 0;
/// The section's memory is added while the domain runs, and is therefore not measured.
const PAGE_AUG: u32 = 1 << 1;

const PAGE_BYTES: u64 = 4096;
const CHUNK_BYTES: usize = 256;
const CHUNKS_OF_PAGE: usize = PAGE_BYTES as usize / CHUNK_BYTES;
/// An upper limit for the memory before the start, above what any firmware uses: a hostile image must not keep us hashing.
const MAX_PAGES: u64 = (1 << 30) / PAGE_BYTES;

/// A firmware image for trust domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware<'a> {
    image: &'a [u8],
    sections: Vec<Section>,
}

/// A part of the memory that the host adds to the domain before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its kind: 0 code, 1 variables, 2 list of memory, 3 empty memory; 4 and above for firmware that is not UEFI.
    pub section_type: u32,
    /// Its address in the domain's memory, in bytes.
    pub memory_address: u64,
    /// Its size there, in bytes.
    pub memory_bytes: u64,
    /// Whether its data are part of MRTD.
    pub measured: bool,
    added: bool,
    data_offset: usize,
}

/// The order in which the host adds pages and has their data measured. The module hashes in the order of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOrder {
    /// Each page is added and measured before the next one: Linux since 6.16, and Google's hosts.
    PageByPage,
    /// All pages of a section are added, then all are measured: older hosts, such as Ubuntu 24.04 with Canonical's TDX packages.
    SectionBySection,
}

/// Why bytes are not firmware for trust domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FirmwareError {
    /// It is larger than [`MAX_FIRMWARE_BYTES`].
    #[error("firmware: {got} bytes, at most {limit} are allowed", limit = MAX_FIRMWARE_BYTES)]
    TooLarge {
        /// The number of bytes.
        got: usize,
    },
    /// The image does not end with a table of GUIDs, or the table is broken.
    #[error("the firmware does not end with a table of GUIDs")]
    Table,
    /// The table has no entry for TDX.
    #[error("the firmware is not made for TDX")]
    NotForTdx,
    /// The TDX descriptor is not where the table says, or is invalid.
    #[error("the firmware's TDX descriptor is invalid")]
    Descriptor,
    /// A section is not a whole number of pages, has unknown attributes, or lacks data that must be measured.
    #[error("section {section} of the firmware's TDX descriptor is invalid")]
    Section {
        /// The section, from 0.
        section: usize,
    },
}

impl<'a> Firmware<'a> {
    /// Reads which parts of the image go where.
    pub fn parse(image: &'a [u8]) -> Result<Self, FirmwareError> {
        if image.len() > MAX_FIRMWARE_BYTES {
            return Err(FirmwareError::TooLarge { got: image.len() });
        }
        let offset_from_end = metadata_offset(image)?;
        let at = image.len().checked_sub(offset_from_end).ok_or(FirmwareError::Descriptor)?;
        let mut reader = Reader { rest: image.get(at..).ok_or(FirmwareError::Descriptor)? };
        let count = descriptor(&mut reader)?;
        let mut sections = Vec::new();
        let mut pages = 0;
        for section in 0..count {
            let read = Section::read(&mut reader, image).map_err(|Truncated| FirmwareError::Descriptor)?;
            let read = read.ok_or(FirmwareError::Section { section })?;
            pages += read.pages();
            if pages > MAX_PAGES {
                return Err(FirmwareError::Section { section });
            }
            sections.push(read);
        }
        Ok(Self { image, sections })
    }

    /// The sections in the order in which the host adds them.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// MRTD: what the module measures while the host adds the sections.
    pub fn mrtd(&self, order: PageOrder) -> [u8; 48] {
        let mut mrtd = Sha384::new();
        for section in self.sections.iter().filter(|section| section.added) {
            match order {
                PageOrder::PageByPage => {
                    for page in 0..section.pages() {
                        section.add(page, &mut mrtd);
                        section.extend(page, self.image, &mut mrtd);
                    }
                }
                PageOrder::SectionBySection => {
                    (0..section.pages()).for_each(|page| section.add(page, &mut mrtd));
                    (0..section.pages()).for_each(|page| section.extend(page, self.image, &mut mrtd));
                }
            }
        }
        mrtd.finalize().into()
    }
}

impl Section {
    /// `None` if the section is invalid.
    fn read(reader: &mut Reader<'_>, image: &[u8]) -> Result<Option<Self>, Truncated> {
        let data_offset = usize::try_from(reader.u32()?).map_err(|_| Truncated)?;
        let data_bytes = reader.u32()?;
        let memory_address = u64::from_le_bytes(reader.array()?);
        let memory_bytes = u64::from_le_bytes(reader.array()?);
        let section_type = reader.u32()?;
        let attributes = reader.u32()?;
        let measured = attributes & MR_EXTEND != 0;
        let section = Self {
            section_type,
            memory_address,
            memory_bytes,
            measured,
            added: attributes & PAGE_AUG == 0,
            data_offset,
        };
        let pages = memory_address.is_multiple_of(PAGE_BYTES) && memory_bytes.is_multiple_of(PAGE_BYTES);
        let fits = memory_address.checked_add(memory_bytes).is_some();
        let known = attributes & !(MR_EXTEND | PAGE_AUG) == 0 && (section.added || !measured);
        // Measured data must be complete. Data that are not measured do not matter here.
        let data = section.data(image).is_some() && u64::from(data_bytes) == memory_bytes;
        Ok((pages && fits && known && (data || !measured)).then_some(section))
    }

    fn data<'a>(&self, image: &'a [u8]) -> Option<&'a [u8]> {
        image.get(self.data_offset..)?.get(..usize::try_from(self.memory_bytes).ok()?)
    }

    fn pages(&self) -> u64 {
        self.memory_bytes / PAGE_BYTES
    }

    /// TDH.MEM.PAGE.ADD.
    fn add(&self, page: u64, mrtd: &mut Sha384) {
        mrtd.update(call(b"MEM.PAGE.ADD", self.memory_address + page * PAGE_BYTES));
    }

    /// TDH.MR.EXTEND of each chunk of a page.
    fn extend(&self, page: u64, image: &[u8], mrtd: &mut Sha384) {
        let start = page * PAGE_BYTES;
        // The data exist: that was checked when the section was read.
        let data = self.data(image).filter(|_| self.measured).and_then(|data| data.get(start as usize..));
        let chunks = data.map(|data| data.as_chunks::<CHUNK_BYTES>().0).unwrap_or_default();
        for (chunk, data) in chunks.iter().take(CHUNKS_OF_PAGE).enumerate() {
            mrtd.update(call(b"MR.EXTEND", self.memory_address + start + (chunk * CHUNK_BYTES) as u64));
            mrtd.update(data);
        }
    }
}

/// The 128 bytes that represent a call: its name, and from byte 16 on the address in the domain's memory.
fn call(name: &[u8], address: u64) -> [u8; 128] {
    let mut buffer = [0; 128];
    buffer[..name.len()].copy_from_slice(name);
    buffer[16..24].copy_from_slice(&address.to_le_bytes());
    buffer
}

/// The distance of the descriptor from the image's end, in bytes.
fn metadata_offset(image: &[u8]) -> Result<usize, FirmwareError> {
    let table_end = image.len().checked_sub(BYTES_BEHIND_TABLE).ok_or(FirmwareError::Table)?;
    let footer = entry_before(image.get(..table_end).ok_or(FirmwareError::Table)?).ok_or(FirmwareError::Table)?;
    if footer.guid != TABLE_FOOTER {
        return Err(FirmwareError::Table);
    }
    // The footer's length is that of the whole table.
    let mut rest = footer.data;
    while !rest.is_empty() {
        let entry = entry_before(rest).ok_or(FirmwareError::Table)?;
        if entry.guid == TDX_METADATA_OFFSET {
            let offset = entry.data.try_into().map(u32::from_le_bytes).map_err(|_| FirmwareError::Table)?;
            return usize::try_from(offset).map_err(|_| FirmwareError::Descriptor);
        }
        rest = entry.before;
    }
    Err(FirmwareError::NotForTdx)
}

/// An entry of the table. The table is read from its end: an entry is data, the length of all three parts, and a GUID.
struct Entry<'a> {
    guid: [u8; 16],
    data: &'a [u8],
    before: &'a [u8],
}

fn entry_before(bytes: &[u8]) -> Option<Entry<'_>> {
    let (rest, guid) = bytes.split_last_chunk::<16>()?;
    let (rest, length) = rest.split_last_chunk::<2>()?;
    let data_bytes = usize::from(u16::from_le_bytes(*length)).checked_sub(16 + 2)?;
    let (before, data) = rest.split_at_checked(rest.len().checked_sub(data_bytes)?)?;
    Some(Entry { guid: *guid, data, before })
}

/// Reads the descriptor and returns the number of sections.
fn descriptor(reader: &mut Reader<'_>) -> Result<usize, FirmwareError> {
    let mut read = || Ok((reader.array()?, reader.u32()?, reader.u32()?, reader.u32()?));
    let (signature, length, version, sections) = read().map_err(|Truncated| FirmwareError::Descriptor)?;
    let expected = sections.checked_mul(SECTION_BYTES).and_then(|bytes| bytes.checked_add(DESCRIPTOR_BYTES));
    if signature != SIGNATURE || version != VERSION || expected != Some(length) {
        return Err(FirmwareError::Descriptor);
    }
    usize::try_from(sections).map_err(|_| FirmwareError::Descriptor)
}

/// A GUID in firmware's byte order: the first three numbers are little-endian.
const fn guid(first: u32, second: u16, third: u16, rest: [u8; 8]) -> [u8; 16] {
    let ([a, b, c, d], [e, f], [g, h]) = (first.to_le_bytes(), second.to_le_bytes(), third.to_le_bytes());
    let [i, j, k, l, m, n, o, p] = rest;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}
