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


#[derive(Debug, Clone)]
pub struct Recovery { input: [u8; 128], address: Option<Address> }
impl Recovery {
    pub fn new(digest: [u8; 32], v: u8, r: [u8; 32], s: [u8; 32]) -> Self {
        let mut input = [0; 128];
        input[..32].copy_from_slice(&digest); input[63] = v; input[64..96].copy_from_slice(&r); input[96..].copy_from_slice(&s);
        Self { input, address: rec(&input) }
    }
    pub(crate) fn input(&self) -> [u8; 128] { self.input }
}
fn rec(input: &[u8; 128]) -> Option<Address> {
    use secp256k1::{Message, SECP256K1, ecdsa::{RecoverableSignature, RecoveryId}};
    let id = RecoveryId::from_i32(input[63].into()).ok()?;
    let sig = RecoverableSignature::from_compact(&input[64..], id).ok()?;
    let key = SECP256K1.recover_ecdsa(&Message::from_slice(&input[..32]).ok()?, &sig).ok()?;
    let h = kec(&key.serialize_uncompressed()[1..]);
    let mut a = [0; 20]; a.copy_from_slice(&h[12..]); Some(a)
}
fn kec(bytes: &[u8]) -> [u8; 32] { use sha3::Digest; sha3::Keccak256::digest(bytes).into() }
pub(crate) fn call(address: &Address, call: &PrecompileCall, memory: &mut Memory, recoveries: &HashMap<[u8; 128], Recovery, RandomState>) -> Result<(), Limit> {
    match u16::from_be_bytes([address[18], address[19]]) {
        0x8010 => {
            let mut bytes = vec![0; call.input_length as usize];
            memory.read_bytes(call.read_page, call.input_offset as usize, &mut bytes);
            memory.write_word(call.write_page, call.output_offset, U256::from_be_bytes(kec(&bytes)))?;
        }
        1 => {
            let mut input = [0; 128];
            memory.read_bytes(call.read_page, call.input_offset as usize * 32, &mut input);
            let a = match recoveries.get(&input) { Some(r) => r.address, None => rec(&input) };
            memory.write_word(call.write_page, call.output_offset, U256::from(u8::from(a.is_some())))?;
            memory.write_word(call.write_page, call.output_offset + 1, a.map_or(U256::ZERO, |a| U256::from_be_slice(&a)))?;
        }
        2 => {
            let mut state = [0x6a09e667u32,0xbb67ae85,0x3c6ef372,0xa54ff53a,0x510e527f,0x9b05688c,0x1f83d9ab,0x5be0cd19];
            for round in 0..call.extra as usize {
                let mut block = [0u8; 64];
                memory.read_bytes(call.read_page, call.input_offset as usize * 32 + round * 64, &mut block);
                sha2::compress256(&mut state, &[block.into()]);
            }
            let mut out = [0u8; 32];
            for (i, w) in state.iter().enumerate() { out[i * 4..i * 4 + 4].copy_from_slice(&w.to_be_bytes()); }
            memory.write_word(call.write_page, call.output_offset, U256::from_be_bytes(out))?;
        }
        _ => {}
    }
    Ok(())
}
