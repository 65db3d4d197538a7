//! Bytecodes of a transaction's dependencies: which ones are published, and how they are compressed.

use std::collections::HashMap;

use crate::machine::abi::Encoder;

/// A chunk of code that the compression's dictionary names by a number.
const CHUNK_BYTES: usize = 8;

/// A dependency, compressed as zksync-era does it: a dictionary of its chunks, the most frequent first, and one number per chunk.
/// `None` if it has more chunks than there are numbers.
fn compress(code: &[u8]) -> Option<Vec<u8>> {
    let (chunks, _) = code.as_chunks::<CHUNK_BYTES>();
    let mut statistics: HashMap<[u8; CHUNK_BYTES], (usize, usize)> = HashMap::new();
    for (position, chunk) in chunks.iter().enumerate() {
        let (count, _) = statistics.entry(*chunk).or_insert((0, position));
        *count = count.saturating_add(1);
    }
    let entries = u16::try_from(statistics.len()).ok()?;
    let mut dictionary: Vec<_> = statistics.into_iter().collect();
    // Of chunks that are equally frequent, the last to appear comes first.
    dictionary.sort_unstable_by_key(|(_, rank)| std::cmp::Reverse(*rank));

    let mut compressed = entries.to_be_bytes().to_vec();
    let mut numbers = HashMap::with_capacity(dictionary.len());
    for (number, (chunk, _)) in (0..entries).zip(dictionary) {
        compressed.extend(chunk);
        numbers.insert(chunk, number);
    }
    for chunk in chunks {
        compressed.extend(numbers.get(chunk)?.to_be_bytes());
    }
    Some(compressed)
}

/// The words that describe a compressed bytecode to the bootloader: hash, room for a selector, both forms.
pub(crate) fn encode_compressed(hash: [u8; 32], code: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new(2);
    encoder.bytes(code);
    encoder.bytes(&compress(code)?);
    Some([hash.as_slice(), &[0; 32], &encoder.finish()].concat())
}

/// The dependencies without repetitions, in the order of first appearance.
pub(crate) fn distinct(dependencies: &[Vec<u8>]) -> impl Iterator<Item = &Vec<u8>> {
    let mut seen = std::collections::HashSet::new();
    dependencies.iter().filter(move |code| seen.insert(*code))
}
