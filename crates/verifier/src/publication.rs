//! Publication of bytecodes: what a transaction's dependencies take of the bootloader's memory, and whether they became known.

use std::collections::{HashMap, HashSet};

use zksync_types::{H256, KNOWN_CODES_STORAGE_ADDRESS, StorageKey, bytecode::BytecodeHash, get_known_code_key};
use zksync_vm_interface::{CompressedBytecodeInfo, VmExecutionResultAndLogs};

/// Words for compressed bytecodes in the bootloader's memory (`COMPRESSED_BYTECODES_SLOTS` of the VM), less the one that points to
/// the next.
const ROOM_WORDS: usize = 196_608 - 1;
const WORD_BYTES: usize = 32;
const CHUNK_BYTES: usize = 8;
/// Hash, an empty word, two offsets and two lengths (`encode_call` of the VM).
const OVERHEAD_WORDS: usize = 6;
/// More chunks of one bytecode the compression's dictionary has no numbers for.
const MAX_DICTIONARY: usize = u16::MAX as usize;

/// What became of the bytecodes of the batch so far.
#[derive(Default)]
pub(crate) struct Publication {
    /// Words that compressed bytecodes fill.
    filled_words: usize,
    /// Slots of the registry of known codes that the batch wrote, and whether they say that the code is known.
    written: HashMap<StorageKey, bool>,
}

impl Publication {
    /// Whether the dependencies, compressed, fit what room is left. The VM would write the rest over what lies behind: the number
    /// and the chained hash of L1 transactions, which the system logs tell L1.
    ///
    /// `was_known` says of a slot of the registry whether the code was known before the batch.
    pub(crate) fn fits(&self, dependencies: &[Vec<u8>], mut was_known: impl FnMut(&StorageKey) -> bool) -> bool {
        let left = ROOM_WORDS.saturating_sub(self.filled_words);
        let at_most = dependencies.iter().map(|code| words_at_most(code)).fold(0, usize::saturating_add);
        if at_most <= left {
            return true;
        }
        let mut seen = HashSet::new();
        let mut words = 0_usize;
        for code in dependencies {
            let hash = BytecodeHash::for_bytecode(code).value();
            let key = get_known_code_key(&hash);
            if !seen.insert(hash) || self.written.get(&key).copied().unwrap_or_else(|| was_known(&key)) {
                continue;
            }
            let dictionary = code.chunks(CHUNK_BYTES).collect::<HashSet<_>>().len();
            if dictionary <= MAX_DICTIONARY {
                words = words.saturating_add(words_of(code.len(), compressed_bytes(code.len(), dictionary)));
            }
        }
        words <= left
    }

    /// Whether all bytecodes that a run was given compressed are known after it, as the node judges it.
    pub(crate) fn all_known(compressed: &[H256], result: &VmExecutionResultAndLogs) -> bool {
        let known: HashSet<StorageKey> = known_codes(result).filter(|(_, known)| *known).map(|(key, _)| key).collect();
        compressed.iter().all(|hash| known.contains(&get_known_code_key(hash)))
    }

    /// Notes that compressed bytecodes fill these words for good.
    pub(crate) fn fill(&mut self, words: usize) {
        self.filled_words = self.filled_words.saturating_add(words);
    }

    /// Notes which codes a transaction made known.
    pub(crate) fn note(&mut self, result: &VmExecutionResultAndLogs) {
        self.written.extend(known_codes(result));
    }
}

/// Words that compressed bytecodes fill.
pub(crate) fn words(compressed: &[CompressedBytecodeInfo]) -> usize {
    let words = |info: &CompressedBytecodeInfo| words_of(info.original.len(), info.compressed.len());
    compressed.iter().map(words).fold(0, usize::saturating_add)
}

fn known_codes(result: &VmExecutionResultAndLogs) -> impl Iterator<Item = (StorageKey, bool)> + '_ {
    let logs = result.logs.storage_logs.iter().map(|log| &log.log);
    let registry = logs.filter(|log| *log.key.address() == KNOWN_CODES_STORAGE_ADDRESS);
    registry.map(|log| (log.key, !log.value.is_zero()))
}

/// As if no two chunks were equal.
fn words_at_most(code: &[u8]) -> usize {
    words_of(code.len(), compressed_bytes(code.len(), code.len().div_ceil(CHUNK_BYTES)))
}

/// The dictionary's length, its chunks, and a number for each chunk of the code.
fn compressed_bytes(code_bytes: usize, dictionary: usize) -> usize {
    let numbers = code_bytes.div_ceil(CHUNK_BYTES).saturating_mul(2);
    dictionary.saturating_mul(CHUNK_BYTES).saturating_add(numbers).saturating_add(2)
}

fn words_of(code_bytes: usize, compressed_bytes: usize) -> usize {
    let words = code_bytes.div_ceil(WORD_BYTES).saturating_add(compressed_bytes.div_ceil(WORD_BYTES));
    words.saturating_add(OVERHEAD_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(words: usize, salt: u8) -> Vec<u8> {
        [vec![0; words * WORD_BYTES - 1], vec![salt]].concat()
    }

    #[test]
    fn what_does_not_fit_its_place_is_told_before_it_is_written() {
        let codes = |words| [1, 2, 3].map(|salt| code(words, salt));
        // Two more words of each, and one word is too many.
        let limit = 52_421;
        let words = |words| 3 * words_of(words * WORD_BYTES, compressed_bytes(words * WORD_BYTES, 2));
        assert!(words(limit) <= ROOM_WORDS && words(limit + 2) > ROOM_WORDS, "{}", words(limit));
        let publication = Publication::default();
        assert!(publication.fits(&codes(limit), |_| false));
        assert!(!publication.fits(&codes(limit + 2), |_| false));
        // Neither what is known nor what occurs twice is published.
        assert!(publication.fits(&codes(limit + 2), |_| true));
        assert!(publication.fits(&[code(65_535, 1), code(65_535, 1), code(65_535, 1)], |_| false));
        let one_known = get_known_code_key(&BytecodeHash::for_bytecode(&code(limit + 2, 1)).value());
        assert!(publication.fits(&codes(limit + 2), |key| *key == one_known));
    }

    #[test]
    fn what_is_filled_stays_filled() {
        let mut publication = Publication::default();
        publication.fill(ROOM_WORDS - 100);
        assert!(publication.fits(&[code(33, 1)], |_| false));
        publication.fill(60);
        assert!(!publication.fits(&[code(33, 1)], |_| false));
        assert!(publication.fits(&[], |_| false));
    }
}
