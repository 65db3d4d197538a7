//! The digest that firmware measures for a UEFI program, which is the digest that a signature of the program would cover.
//!
//! Microsoft, "Windows Authenticode Portable Executable Signature Format" 1.0, "Calculating the PE Image Hash", and "PE Format". All
//! numbers are little-endian.

use sha2::{Digest, Sha384};
use thiserror::Error;

/// The largest image, in bytes.
pub const MAX_IMAGE_BYTES: usize = 512 << 20;

const PE_OFFSET_AT: usize = 0x3c;
const PE_SIGNATURE: [u8; 4] = *b"PE\0\0";
const FILE_HEADER_BYTES: usize = 20;
const SECTION_HEADER_BYTES: usize = 40;
const NAME_BYTES: usize = 8;
/// PE32+, the format of all 64-bit programs.
const MAGIC: u16 = 0x20b;
/// The offset in the optional header.
const SIZE_OF_HEADERS_AT: usize = 60;
const CHECKSUM_AT: usize = 64;
const DIRECTORIES_AT: usize = 108;
/// The index of the signatures among the directories.
const CERTIFICATES: usize = 4;

/// Why bytes are not a program for UEFI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ImageError {
    /// It is neither a UKI nor a kernel that UEFI could start.
    #[error("not a UEFI program (PE32+)")]
    NotAnImage,
    /// It ends inside something that its headers announce, or its parts overlap.
    #[error("the program is cut short, or its headers are invalid")]
    Broken,
}

/// The SHA-384 of an image without its checksum and its signatures.
pub fn authenticode(image: &[u8]) -> Result<[u8; 48], ImageError> {
    let layout = Layout::read(image)?;
    let mut hash = Sha384::new();
    let mut hashed_bytes = 0_usize;
    for part in &layout.headers {
        hash.update(image.get(part.clone()).ok_or(ImageError::Broken)?);
    }
    hashed_bytes += layout.size_of_headers;
    for Section { offset, bytes, .. } in layout.sections {
        hash.update(at(image, offset, bytes)?);
        hashed_bytes = hashed_bytes.checked_add(bytes).ok_or(ImageError::Broken)?;
        // Not more than the image has: the parts must not overlap, and a hostile image must not keep us hashing.
        if hashed_bytes > image.len() {
            return Err(ImageError::Broken);
        }
    }
    // The bytes after all sections, except the signatures at the end.
    let rest = image.get(hashed_bytes..).ok_or(ImageError::Broken)?;
    let rest_bytes = rest.len().checked_sub(layout.certificate_bytes);
    hash.update(at(rest, 0, rest_bytes.ok_or(ImageError::Broken)?)?);
    Ok(hash.finalize().into())
}

/// A section's name, and what of the file the program sees there; none if it also sees zeros that are not in the file.
pub(super) type NamedBytes<'image> = (&'image [u8], Option<&'image [u8]>);

pub(super) fn sections(image: &[u8]) -> Result<Vec<NamedBytes<'_>>, ImageError> {
    let described = |section: &Section| {
        let name = at(image, section.header, NAME_BYTES)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let whole = section.memory_bytes <= section.bytes;
        Ok((name, whole.then(|| at(image, section.offset, section.memory_bytes)).transpose()?))
    };
    Layout::read(image)?.sections.iter().map(described).collect()
}

struct Layout {
    /// The parts of the headers that are hashed.
    headers: Vec<std::ops::Range<usize>>,
    size_of_headers: usize,
    /// Those that are not empty, in the order of the file.
    sections: Vec<Section>,
    certificate_bytes: usize,
}

struct Section {
    /// The offset of its header, which begins with its name.
    header: usize,
    offset: usize,
    bytes: usize,
    /// What of it the program sees. The file has multiples of a block.
    memory_bytes: usize,
}

impl Layout {
    fn read(image: &[u8]) -> Result<Self, ImageError> {
        let pe = number(image, PE_OFFSET_AT).map_err(|_| ImageError::NotAnImage)?;
        let signature = at(image, pe, PE_SIGNATURE.len()).map_err(|_| ImageError::NotAnImage)?;
        if !image.starts_with(b"MZ") || signature != PE_SIGNATURE {
            return Err(ImageError::NotAnImage);
        }
        let file_header = pe + PE_SIGNATURE.len();
        let optional = file_header + FILE_HEADER_BYTES;
        if short(image, optional)? != MAGIC {
            return Err(ImageError::NotAnImage);
        }
        let size_of_headers = number(image, optional + SIZE_OF_HEADERS_AT)?;
        let checksum = optional + CHECKSUM_AT;
        let directories = number(image, optional + DIRECTORIES_AT)?;
        let certificates = optional + DIRECTORIES_AT + 4 + 8 * CERTIFICATES;
        let (headers, certificate_bytes) = if directories > CERTIFICATES {
            let headers = vec![0..checksum, checksum + 4..certificates, certificates + 8..size_of_headers];
            (headers, number(image, certificates + 4)?)
        } else {
            (vec![0..checksum, checksum + 4..size_of_headers], 0)
        };
        let table = optional + usize::from(short(image, file_header + 16)?);
        let count = usize::from(short(image, file_header + 2)?);
        let section = |index: usize| {
            let header = table + index * SECTION_HEADER_BYTES;
            let [memory_bytes, bytes, offset] = [8, 16, 20].map(|field| number(image, header + field));
            Ok(Section { header, offset: offset?, bytes: bytes?, memory_bytes: memory_bytes? })
        };
        let mut sections = (0..count).map(section).collect::<Result<Vec<_>, ImageError>>()?;
        sections.retain(|section| section.bytes > 0);
        sections.sort_by_key(|section| section.offset);
        Ok(Self { headers, size_of_headers, sections, certificate_bytes })
    }
}

fn at(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], ImageError> {
    bytes.get(offset..).and_then(|rest| rest.get(..length)).ok_or(ImageError::Broken)
}

fn short(bytes: &[u8], offset: usize) -> Result<u16, ImageError> {
    at(bytes, offset, 2)?.try_into().map(u16::from_le_bytes).map_err(|_| ImageError::Broken)
}

fn number(bytes: &[u8], offset: usize) -> Result<usize, ImageError> {
    let number = at(bytes, offset, 4)?.try_into().map(u32::from_le_bytes).map_err(|_| ImageError::Broken)?;
    usize::try_from(number).map_err(|_| ImageError::Broken)
}
