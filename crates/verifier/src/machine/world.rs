//! The chain's state as a batch's run sees it: slots, code, and what changes cost.

use std::{collections::HashMap, sync::Arc};

use tee_eravm::{Address, Code, Slot, U256, World};

use crate::{
    H256, Rejection,
    hash::{CodeKind, code_hash, keccak256},
    machine::{abi, events::kernel_address, pubdata},
};

pub(crate) const BOOTLOADER: Address = kernel_address(0x8001);
const KNOWN_CODES_STORAGE: Address = kernel_address(0x8004);
const DEPLOYER: Address = kernel_address(0x8006);
const BASE_TOKEN: Address = kernel_address(0x800a);
const SYSTEM_CONTEXT: Address = kernel_address(0x800b);

/// The most bytes that are looked at. At the usual price of deployment, a batch has gas for a quarter of this, but the
/// operator's own deployer may charge nothing.
const MAX_WATCHED_BYTES: usize = 1 << 24;

/// The chain's state before a batch.
pub trait State {
    /// A storage slot.
    ///
    /// # Errors
    ///
    /// An unknown value is a rejection, never zero.
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection>;

    /// The index of a slot's leaf in the tree; 0 if it has none.
    fn leaf_index(&self, address: &Address, key: &U256) -> u64;

    /// The code of a hash.
    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]>;
}

impl<S: State> State for &mut S {
    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection> {
        (**self).slot(address, key)
    }

    fn leaf_index(&self, address: &Address, key: &U256) -> u64 {
        (**self).leaf_index(address, key)
    }

    fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        (**self).bytecode(hash)
    }
}

/// The state, and the code that came with the batch's own transactions.
#[derive(Debug)]
pub(crate) struct ChainWorld<S> {
    pub(crate) state: S,
    /// Code that was asked for, by hash.
    codes: HashMap<U256, Arc<Code>>,
    /// Dependencies of transactions, by hash.
    dependencies: HashMap<[u8; 32], Vec<u8>>,
    /// EVM code that the batch itself deployed, by hash.
    deployed: HashMap<[u8; 32], Vec<u8>>,
    /// The number of bytes that were looked at to find that code.
    watched_bytes: usize,
    /// The slot of the bootloader's balance, which is never published.
    bootloader_balance: U256,
}

impl<S: State> ChainWorld<S> {
    pub(crate) fn new(state: S) -> Self {
        let mut balance = [0; 64];
        if let Some(address) = balance.get_mut(12..32) {
            address.copy_from_slice(&BOOTLOADER);
        }
        Self {
            state,
            codes: HashMap::new(),
            dependencies: HashMap::new(),
            deployed: HashMap::new(),
            watched_bytes: 0,
            bootloader_balance: U256::from_be_bytes(crate::hash::keccak256(&balance)),
        }
    }

    pub(crate) fn add_dependency(&mut self, hash: [u8; 32], code: &[u8]) {
        self.dependencies.entry(hash).or_insert_with(|| code.to_vec());
    }

    /// The bytes of a code, wherever it came from.
    pub(crate) fn bytecode(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        let code = self.dependencies.get(hash).or_else(|| self.deployed.get(hash));
        code.map(Vec::as_slice).or_else(|| self.state.bytecode(hash))
    }

    /// EVM code that the batch itself deployed, by hash.
    pub(crate) fn into_deployed(self) -> HashMap<[u8; 32], Vec<u8>> {
        self.deployed
    }

    /// Hashes of the code that was asked for.
    pub(crate) fn code_hashes(&self) -> Vec<H256> {
        self.codes.keys().map(|hash| H256(hash.to_be_bytes())).collect()
    }

    /// Whether a code was known before the batch. The operator's claim is enough: it decides only whether the operator
    /// publishes the code in compressed form, and that is the operator's choice.
    pub(crate) fn was_known(&mut self, hash: &[u8; 32]) -> bool {
        let slot = self.state.slot(&KNOWN_CODES_STORAGE, &U256::from_be_bytes(*hash));
        slot.is_ok_and(|slot| !slot.value.is_zero())
    }

    /// The slot that tells whether a code is known.
    pub(crate) fn known_slot(hash: &[u8; 32]) -> (Address, U256) {
        (KNOWN_CODES_STORAGE, U256::from_be_bytes(*hash))
    }
}

impl<S: State> World for ChainWorld<S> {
    type Fault = Rejection;

    fn slot(&mut self, address: &Address, key: &U256) -> Result<Slot, Rejection> {
        self.state.slot(address, key)
    }

    fn code(&mut self, hash: &U256) -> Result<Arc<Code>, Rejection> {
        if let Some(code) = self.codes.get(hash) {
            return Ok(Arc::clone(code));
        }
        let bytes = hash.to_be_bytes::<32>();
        // Missing code is not replaced by anything.
        let code = self.bytecode(&bytes).ok_or(Rejection::BytecodeMissing { hash: H256(bytes) })?;
        let code = Arc::new(Code::new(code.to_vec()));
        self.codes.insert(*hash, Arc::clone(&code));
        Ok(code)
    }

    fn publishing_cost(&self, before: &Slot, value: &U256) -> u32 {
        pubdata::cost(before.is_new, before.value, *value)
    }

    fn is_free(&self, address: &Address, key: &U256) -> bool {
        *address == SYSTEM_CONTEXT || (*address == BASE_TOKEN && *key == self.bootloader_balance)
    }

    /// Watches for code that the EVM emulator's constructors return, which is in no transaction's dependencies. The
    /// deployer has it published in this call, where nodes see it, too. It is known by the hash of the bytes that are
    /// seen.
    fn watches_call(&self, caller: &Address, callee: &Address) -> bool {
        *callee == KNOWN_CODES_STORAGE && *caller == DEPLOYER && self.watched_bytes < MAX_WATCHED_BYTES
    }

    fn see_call(&mut self, data: &[u8]) {
        self.watched_bytes = self.watched_bytes.saturating_add(data.len());
        let Some((length, code)) = published_evm_code(data) else { return };
        self.deployed.entry(code_hash(CodeKind::Evm, length, code)).or_insert_with(|| code.to_vec());
    }
}

/// The length in bytes and the padded code of a call of `publishEVMBytecode(uint256,bytes)`.
fn published_evm_code(data: &[u8]) -> Option<(u16, &[u8])> {
    let (selector, arguments) = data.split_at_checked(4)?;
    if !keccak256(b"publishEVMBytecode(uint256,bytes)").starts_with(selector) {
        return None;
    }
    let length = U256::from_be_slice(arguments.get(..32)?);
    Some((u16::try_from(length).ok()?, abi::decode_bytes(arguments, 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::abi::Encoder;

    struct Empty;

    impl State for Empty {
        fn slot(&mut self, _: &Address, _: &U256) -> Result<Slot, Rejection> {
            Err(Rejection::NoPaths)
        }

        fn leaf_index(&self, _: &Address, _: &U256) -> u64 {
            0
        }

        fn bytecode(&self, _: &[u8; 32]) -> Option<&[u8]> {
            None
        }
    }

    fn publication(signature: &str, length: u64, code: &[u8]) -> Vec<u8> {
        let mut arguments = Encoder::new(2);
        arguments.number(U256::from(length));
        arguments.bytes(code);
        [keccak256(signature.as_bytes()).get(..4).unwrap_or_default().to_vec(), arguments.finish()].concat()
    }

    const SIGNATURE: &str = "publishEVMBytecode(uint256,bytes)";

    #[test]
    fn code_is_known_by_its_own_hash_and_by_nothing_that_is_said_of_it() {
        let mut world = ChainWorld::new(Empty);
        assert!(world.watches_call(&DEPLOYER, &KNOWN_CODES_STORAGE));
        assert!(!world.watches_call(&KNOWN_CODES_STORAGE, &DEPLOYER) && !world.watches_call(&DEPLOYER, &DEPLOYER));
        let code = [7; 32];
        world.see_call(&publication(SIGNATURE, 20, &code));
        assert_eq!(world.bytecode(&code_hash(CodeKind::Evm, 20, &code)), Some(&code[..]));
        for other in [
            publication("publishEVMBytecode(bytes)", 21, &code),
            publication(SIGNATURE, 1 << 16, &code),
            publication(SIGNATURE, 21, &code).into_iter().take(90).collect(),
            vec![],
        ] {
            world.see_call(&other);
        }
        assert_eq!(world.into_deployed().len(), 1);
    }

    /// Gas does not bound what the operator's own deployer shows.
    #[test]
    fn what_is_looked_at_is_bounded() {
        let mut world = ChainWorld::new(Empty);
        let mut seen = 0_u8;
        while world.watches_call(&DEPLOYER, &KNOWN_CODES_STORAGE) {
            seen += 1;
            world.see_call(&publication(SIGNATURE, 9, &vec![seen; 1 << 20]));
        }
        assert_eq!((seen, world.into_deployed().len()), (16, 16));
    }
}
