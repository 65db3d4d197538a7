//! The small part of the contract ABI's encoding that a batch needs.

use tee_eravm::U256;

/// Encodes a list of arguments, of which some are of dynamic length.
pub(crate) struct Encoder {
    head: Vec<[u8; 32]>,
    tail: Vec<u8>,
    head_bytes: usize,
}

impl Encoder {
    /// An encoder for this many words of arguments; an argument of dynamic length counts as one.
    pub(crate) fn new(head_words: usize) -> Self {
        Self { head: Vec::with_capacity(head_words), tail: Vec::new(), head_bytes: head_words.saturating_mul(32) }
    }

    pub(crate) fn word(&mut self, word: [u8; 32]) {
        self.head.push(word);
    }

    pub(crate) fn number(&mut self, number: U256) {
        self.word(number.to_be_bytes());
    }

    pub(crate) fn address(&mut self, address: &[u8; 20]) {
        self.number(U256::from_be_slice(address));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.begin_tail(bytes.len());
        self.tail.extend(bytes);
        self.tail.resize(self.tail.len().next_multiple_of(32), 0);
    }

    pub(crate) fn words(&mut self, words: &[[u8; 32]]) {
        self.begin_tail(words.len());
        self.tail.extend(words.as_flattened());
    }

    fn begin_tail(&mut self, length: usize) {
        self.number(U256::from(self.head_bytes.saturating_add(self.tail.len())));
        self.tail.extend(U256::from(length).to_be_bytes::<32>());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut encoded = self.head.concat();
        encoded.extend(self.tail);
        encoded
    }
}

/// The argument of dynamic bytes that starts at a word of the head.
pub(crate) fn decode_bytes(encoded: &[u8], head_word: usize) -> Option<&[u8]> {
    let offset = usize::try_from(decode_number(encoded, head_word.checked_mul(32)?)?).ok()?;
    let length = usize::try_from(decode_number(encoded, offset)?).ok()?;
    let start = offset.checked_add(32)?;
    encoded.get(start..start.checked_add(length)?)
}

fn decode_number(encoded: &[u8], offset: usize) -> Option<U256> {
    let word = encoded.get(offset..offset.checked_add(32)?)?;
    Some(U256::from_be_slice(word))
}
