//! Precompiles: functions over memory that contracts of the kernel call by their own address.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{Address, Limit, Page, U256, memory::Memory};

/// What a precompile is asked for. What offsets and lengths count, words or bytes, is each precompile's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrecompileCall {
    pub(crate) input_offset: u32,
    pub(crate) input_length: u32,
    pub(crate) output_offset: u32,
    pub(crate) output_length: u32,
    pub(crate) read_page: Page,
    pub(crate) write_page: Page,
    /// What a precompile reads as it likes, such as a number of rounds.
    pub(crate) extra: u64,
}

impl PrecompileCall {
    /// From its encoding. Page 0 stands for the current heap.
    pub(crate) fn new(encoded: U256, heap: Page) -> Self {
        let [input, output, pages, extra] = *encoded.as_limbs();
        let page = |page: u32| if page == 0 { heap } else { page };
        Self {
            input_offset: input as u32,
            input_length: (input >> 32) as u32,
            output_offset: output as u32,
            output_length: (output >> 32) as u32,
            read_page: page(pages as u32),
            write_page: page((pages >> 32) as u32),
            extra,
        }
    }
}

/// The result of a recovery of a signer's address, made ahead of the call that asks for it.
#[derive(Debug, Clone)]
pub struct Recovery {
    input: [u8; 128],
}

impl Recovery {
    /// Digest, v, r and s, 32 bytes each, as `ecrecover` takes them.
    pub(crate) fn input(&self) -> [u8; 128] {
        self.input
    }
}

/// Runs the precompile of an address. An address that has none is let alone: its contract only burns gas.
pub(crate) fn call(
    _address: &Address,
    _call: &PrecompileCall,
    _memory: &mut Memory,
    _recoveries: &HashMap<[u8; 128], Recovery, RandomState>,
) -> Result<(), Limit> {
    Ok(())
}
impl Recovery {
    /// temp
    pub fn new(_digest: [u8; 32], _v: u8, _r: [u8; 32], _s: [u8; 32]) -> Self {
        Self { input: [0; 128] }
    }
}
