//! Precompiles: functions over memory that contracts of the kernel call by their own address.

mod bn254;
mod ecrecover;
mod hashes;
mod modexp;
mod secp256r1;

use std::collections::HashMap;

use foldhash::fast::RandomState;

pub use self::ecrecover::Recovery;
use crate::{Address, Limit, Page, U256, memory::Memory};

/// Which precompiles there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precompiles {
    /// Hashes and signatures (before protocol version 28).
    Basic,
    /// Also modular exponentiation and the operations on the curve BN254.
    All,
}

/// Recoveries that were made in advance, by their inputs.
pub(crate) type Recoveries = HashMap<[u8; 128], Recovery, RandomState>;

/// The request to a precompile. Offsets and lengths are in words, except that keccak256's input is in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrecompileCall {
    input_offset: u32,
    input_length: u32,
    output_offset: u32,
    pub(crate) read_page: Page,
    pub(crate) write_page: Page,
    /// The number of rounds, for precompiles that use no length.
    rounds: u64,
}

impl PrecompileCall {
    /// Decodes the request. Page 0 stands for the current heap.
    pub(crate) fn new(encoded: U256, heap: Page) -> Self {
        let [input, output, pages, rounds] = *encoded.as_limbs();
        let page = |page: u32| if page == 0 { heap } else { page };
        Self {
            input_offset: input as u32,
            input_length: (input >> 32) as u32,
            output_offset: output as u32,
            read_page: page(pages as u32),
            write_page: page((pages >> 32) as u32),
            rounds,
        }
    }

    /// The words of the input from `first` on.
    fn words<const COUNT: usize>(&self, memory: &Memory, first: usize) -> [[u8; 32]; COUNT] {
        let mut words = [[0; 32]; COUNT];
        let offset = (self.input_offset as usize + first) * 32;
        memory.read_bytes(self.read_page, offset, words.as_flattened_mut());
        words
    }

    /// Writes the words of the output.
    fn write(&self, memory: &mut Memory, words: impl IntoIterator<Item = U256>) -> Result<(), Limit> {
        for (index, word) in words.into_iter().enumerate() {
            let at = self.output_offset.checked_add(index as u32).ok_or(Limit::Memory)?;
            memory.write_word(self.write_page, at, word)?;
        }
        Ok(())
    }
}

/// Runs the precompile of an address, which its lowest 16 bits determine. For an address without one it does nothing:
/// the contract there only burns gas.
pub(crate) fn call(
    precompiles: Precompiles,
    address: &Address,
    call: &PrecompileCall,
    memory: &mut Memory,
    recoveries: &Recoveries,
) -> Result<(), Limit> {
    let [.., high, low] = *address;
    match (u16::from_be_bytes([high, low]), precompiles) {
        (0x8010, _) => hashes::keccak256(call, memory),
        (0x02, _) => hashes::sha256(call, memory),
        (0x01, _) => ecrecover::recover(call, memory, recoveries),
        (0x100, _) => secp256r1::verify(call, memory),
        (0x05, Precompiles::All) => modexp::power(call, memory),
        (0x06, Precompiles::All) => bn254::add(call, memory),
        (0x07, Precompiles::All) => bn254::multiply(call, memory),
        (0x08, Precompiles::All) => bn254::check_pairings(call, memory),
        _ => Ok(()),
    }
}
