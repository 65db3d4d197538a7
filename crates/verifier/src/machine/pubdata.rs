//! Pubdata: what a batch publishes, as the bootloader hands it to the L1Messenger.

use tee_eravm::U256;

use crate::{
    hash::{era_code_hash, keccak256, slot_key},
    machine::{abi::Encoder, events::L1Messages},
};

/// Leaves of the tree over the logs of a batch.
const LOGS_TREE_LEAVES: usize = 16_384;
/// The version of this compression of state changes.
const COMPRESSION_VERSION: u8 = 1;
/// Bytes of an existing leaf's index, as published.
pub(crate) const INDEX_BYTES: u32 = 4;
/// Bytes of a new leaf's key, as published.
pub(crate) const KEY_BYTES: u32 = 32;
/// Bytes of a state change that is not compressed, padded.
const PADDED_CHANGE_BYTES: usize = 272;

/// How a batch's data is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publication {
    /// Who checks it: a contract's address, or since protocol version 31 the number of a commitment scheme.
    pub(crate) validator: U256,
    /// Whether the changes of state are published.
    pub(crate) publishes_state: bool,
}

/// A slot that a batch changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateChange {
    /// The contract.
    pub(crate) address: [u8; 20],
    /// The slot.
    pub(crate) key: U256,
    /// The index of its leaf before the batch; 0 for a new one.
    pub(crate) index: u64,
    /// The value before.
    pub(crate) before: U256,
    /// The value after.
    pub(crate) after: U256,
}

impl StateChange {
    fn tree_key(&self) -> [u8; 32] {
        slot_key(&self.address, &self.key.to_be_bytes())
    }

    fn compress_to(&self, to: &mut Vec<u8>) -> Option<()> {
        match self.index {
            0 => to.extend(self.tree_key()),
            index => to.extend(u32::try_from(index).ok()?.to_be_bytes()),
        }
        let (operation, bytes, value) = compressed_value(self.before, self.after);
        to.push((bytes << 3) as u8 | operation);
        let word = value.to_be_bytes::<32>();
        // Without compression: all 32 bytes, and 0 as their length.
        let start = if operation == 0 { 0 } else { 32_usize.saturating_sub(bytes) };
        to.extend(word.get(start..)?);
        Some(())
    }

    fn padded_to(&self, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend(self.address);
        to.extend(self.key.to_be_bytes::<32>());
        to.extend(self.tree_key());
        to.extend(self.index.to_be_bytes());
        to.extend(self.before.to_be_bytes::<32>());
        to.extend(self.after.to_be_bytes::<32>());
        to.resize(start.saturating_add(PADDED_CHANGE_BYTES), 0);
    }
}

/// Returns the operation's number, the length of the compressed value in bytes, and the value. It is the shortest of
/// the increase, the decrease and the new value; if two are equally short, the first of them. If none is shorter than
/// 31 bytes, it is the new value in full.
fn compressed_value(before: U256, after: U256) -> (u8, usize, U256) {
    let candidates = [(1, after.wrapping_sub(before)), (2, before.wrapping_sub(after)), (3, after)];
    candidates
        .into_iter()
        .map(|(operation, value)| (operation, value.bit_len().div_ceil(8), value))
        .filter(|(_, bytes, _)| *bytes < 31)
        .min_by_key(|(_, bytes, _)| *bytes)
        .unwrap_or((0, 0, after))
}

/// Bytes to publish for a slot that goes from one value to another.
pub(crate) fn cost(is_new: bool, before: U256, after: U256) -> u32 {
    let (operation, bytes, _) = compressed_value(before, after);
    let value = if operation == 0 { 32 } else { bytes as u32 };
    let key = if is_new { KEY_BYTES } else { INDEX_BYTES };
    key.saturating_add(1).saturating_add(value)
}

/// The input of the L1Messenger, as it lies in the bootloader's heap behind the first word. `changes` are in the order
/// of address and slot. `None` if an index is too large to be published.
pub(crate) fn messenger_input(
    publication: &Publication,
    messages: &L1Messages,
    bytecodes: &[Vec<u8>],
    changes: &[StateChange],
) -> Option<Vec<u8>> {
    let mut pubdata = Vec::new();
    push_count(&mut pubdata, messages.logs.len())?;
    pubdata.extend(messages.logs.as_flattened());
    if publication.publishes_state {
        push_all(&mut pubdata, &messages.messages)?;
        push_all(&mut pubdata, bytecodes)?;
        push_compressed(&mut pubdata, changes)?;
        push_count(&mut pubdata, changes.len())?;
        changes.iter().for_each(|change| change.padded_to(&mut pubdata));
    }
    let mut header = Encoder::new(5);
    header.word(chained(messages.logs.iter().map(|log| keccak256(log))));
    header.word(logs_root(&messages.logs));
    header.word(chained(messages.messages.iter().map(|message| keccak256(message))));
    header.word(chained(bytecodes.iter().map(|code| era_code_hash(code))));
    header.bytes(&pubdata);
    let selector = keccak256(b"validatePubdata(bytes32,bytes32,bytes32,bytes32,bytes)");
    let mut call = selector.first_chunk::<4>()?.to_vec();
    call.extend(header.finish());

    let mut input = Encoder::new(2);
    input.number(publication.validator);
    input.bytes(&call);
    Some(input.finish())
}

fn push_count(to: &mut Vec<u8>, count: usize) -> Option<()> {
    to.extend(u32::try_from(count).ok()?.to_be_bytes());
    Some(())
}

fn push_all(to: &mut Vec<u8>, items: &[Vec<u8>]) -> Option<()> {
    push_count(to, items.len())?;
    for item in items {
        push_count(to, item.len())?;
        to.extend(item);
    }
    Some(())
}

/// Appends a header with the length, then the number of new slots, the new slots, and the others.
fn push_compressed(to: &mut Vec<u8>, changes: &[StateChange]) -> Option<()> {
    let (new, known): (Vec<&StateChange>, Vec<&StateChange>) = changes.iter().partition(|change| change.index == 0);
    let mut compressed = (new.len() as u16).to_be_bytes().to_vec();
    for change in new.into_iter().chain(known) {
        change.compress_to(&mut compressed)?;
    }
    let [_, high, middle, low] = u32::try_from(compressed.len()).ok()?.to_be_bytes();
    to.extend([COMPRESSION_VERSION, high, middle, low, INDEX_BYTES as u8]);
    to.extend(compressed);
    Some(())
}

fn chained(hashes: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    hashes.fold([0; 32], |chain, hash| keccak256([chain, hash].as_flattened()))
}

/// The root of the tree over the logs, which is filled up with logs of zeros.
fn logs_root(logs: &[[u8; 88]]) -> [u8; 32] {
    let mut level: Vec<_> = logs.iter().map(|log| keccak256(log)).collect();
    let mut empty = keccak256(&[0; 88]);
    let mut width = LOGS_TREE_LEAVES.max(level.len().next_power_of_two());
    while width > 1 {
        if !level.len().is_multiple_of(2) {
            level.push(empty);
        }
        level = level.as_chunks::<2>().0.iter().map(|pair| keccak256(pair.as_flattened())).collect();
        empty = keccak256([empty, empty].as_flattened());
        width /= 2;
    }
    level.first().copied().unwrap_or(empty)
}
