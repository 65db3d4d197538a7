//! Describes an event's data for people. Structures: TCG, "PC Client Platform Firmware Profile" 1.06, section 10.2, and UEFI
//! 2.11, section 10.3 (device paths).

use super::{Event, EventType};
use crate::reader::{Reader, Truncated};

/// The longest description, in characters.
const MAX_CHARACTERS: usize = 160;

/// The type of a device path node with a file's name: media, file path.
const FILE_PATH: (u8, u8) = (4, 4);

impl Event<'_> {
    /// The data on one line of text. This is the log's claim: whoever wrote the log chose it, unless [`Event::data_is_hashed`].
    pub fn description(&self) -> String {
        let structured = match self.event_type {
            EventType::EFI_VARIABLE_DRIVER_CONFIG
            | EventType::EFI_VARIABLE_BOOT
            | EventType::EFI_VARIABLE_BOOT2
            | EventType::EFI_VARIABLE_AUTHORITY => variable(self.data),
            EventType(0x8000_0003..=0x8000_0005) => image(self.data),
            EventType::EFI_PLATFORM_FIRMWARE_BLOB2 | EventType::EFI_HANDOFF_TABLES2 => blob(self.data),
            EventType::EVENT_TAG => tagged(self.data),
            _ => Err(Truncated),
        };
        let text = structured.unwrap_or_else(|Truncated| text(self.data));
        text.chars().take(MAX_CHARACTERS).collect()
    }
}

/// `UEFI_VARIABLE_DATA`: the variable's name.
fn variable(data: &[u8]) -> Result<String, Truncated> {
    let mut reader = Reader { rest: data };
    reader.skip(16)?; // VariableName, a GUID
    let characters = length(&mut reader)?;
    reader.skip(8)?; // VariableDataLength
    Ok(utf16(reader.take(characters.checked_mul(2).ok_or(Truncated)?)?))
}

/// `UEFI_IMAGE_LOAD_EVENT`: the file's name, if it came from a file system.
fn image(data: &[u8]) -> Result<String, Truncated> {
    let mut reader = Reader { rest: data };
    reader.skip(8)?; // ImageLocationInMemory
    let image_bytes = length(&mut reader)?;
    reader.skip(8)?; // ImageLinkTimeAddress
    let path_bytes = length(&mut reader)?;
    let mut path = Reader { rest: reader.take(path_bytes)? };
    let mut name = String::new();
    while let Ok([kind, subkind]) = path.array() {
        // The length includes the four bytes of this header.
        let Some(node_bytes) = path.u16()?.checked_sub(4) else { break };
        let node = path.take(usize::from(node_bytes))?;
        if (kind, subkind) == FILE_PATH {
            name.push_str(&utf16(node));
        }
    }
    Ok(format!("{image_bytes} bytes {name}").trim_end().to_owned())
}

/// `UEFI_PLATFORM_FIRMWARE_BLOB2` and `UEFI_HANDOFF_TABLE_POINTERS2` begin with a description.
fn blob(data: &[u8]) -> Result<String, Truncated> {
    let mut reader = Reader { rest: data };
    let [bytes] = reader.array()?;
    Ok(text(reader.take(usize::from(bytes))?))
}

/// `TCG_PCClientTaggedEvent`: systemd's stub writes text after its own tag.
fn tagged(data: &[u8]) -> Result<String, Truncated> {
    let mut reader = Reader { rest: data };
    let id = reader.u32()?;
    let bytes = usize::try_from(reader.u32()?).map_err(|_| Truncated)?;
    Ok(format!("{id:#010x} {}", text(reader.take(bytes)?)))
}

fn length(reader: &mut Reader<'_>) -> Result<usize, Truncated> {
    usize::try_from(u64::from_le_bytes(reader.array()?)).map_err(|_| Truncated)
}

/// Decodes UTF-16 if every other byte is zero; otherwise takes the ASCII characters.
fn text(data: &[u8]) -> String {
    let (pairs, rest) = data.as_chunks::<2>();
    if !pairs.is_empty() && rest.is_empty() && pairs.iter().all(|[_, high]| *high == 0) {
        return utf16(data);
    }
    printable(data.iter().map(|byte| char::from(*byte)))
}

fn utf16(data: &[u8]) -> String {
    let units = data.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    printable(char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)))
}

/// Removes characters that move a terminal's cursor or reverse its text.
fn printable(characters: impl Iterator<Item = char>) -> String {
    let kept = characters.filter(|character| character.is_ascii_graphic() || *character == ' ');
    kept.take(MAX_CHARACTERS).collect::<String>().trim().to_owned()
}
