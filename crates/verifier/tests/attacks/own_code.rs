//! The operator's own code: a valid batch, which nobody who relies on a result may accept.

use tee_devnet::{Chain, Genesis, Load, deposit, slots};
use tee_verifier::{
    Address, BatchInput, ChainPins, CodeHashes, CodePin, H256, Options, Rejection, StorageKey, U256, era_code_hash,
    verify,
};
use zkevm_assembly::{Assembly, zkevm_opcode_defs::decoding::EncodingModeProduction};

use crate::scene::judge;

/// The account for which the bootloader mints.
const RECIPIENT: Address = Address::repeat_byte(0x11);

fn honest() -> BatchInput {
    let mut chain = Chain::new(Genesis::sepolia().unwrap());
    chain.seal(Load { transactions: 3, cold_reads: 0, l1_transactions: 0 }).unwrap().input
}

/// A batch of one deposit that its bootloader, the program, never looks at.
fn minting() -> BatchInput {
    batch_of(include_str!("minting.asm"), |_| ())
}

fn batch_of(bootloader: &str, prepare: impl FnOnce(&mut Chain)) -> BatchInput {
    let assembly = Assembly::try_from(bootloader.to_owned());
    let mut words = assembly.unwrap().compile_to_bytecode_for_mode::<8, EncodingModeProduction>().unwrap();
    if words.len().is_multiple_of(2) {
        words.push([0; 32]);
    }
    let mut shown = honest();
    let bootloader = &mut shown.system_env.base_system_smart_contracts.bootloader;
    bootloader.code = words.concat();
    bootloader.hash = H256(era_code_hash(&bootloader.code));
    let mut chain = Chain::new(Genesis::from_batch(shown));
    prepare(&mut chain);
    chain.seal_blocks(vec![vec![deposit(0, Address::repeat_byte(0x22), U256::one())]]).unwrap().input
}

fn code_of(input: &BatchInput) -> CodeHashes {
    let code = &input.system_env.base_system_smart_contracts;
    CodeHashes {
        bootloader: code.bootloader.hash,
        default_account: code.default_aa.hash,
        evm_emulator: code.evm_emulator.as_ref().map(|emulator| emulator.hash),
    }
}

fn pinned(chain_id: u64, protocol_version: u16, code: CodeHashes) -> Options {
    Options::pinned(ChainPins::new(chain_id, vec![CodePin::new(protocol_version, code)]).unwrap())
}

#[test]
fn a_bootloader_that_mints_verifies_where_no_code_is_pinned_and_only_there() {
    let input = minting();
    let balance = slots::balance(&RECIPIENT).hashed_key_u256();
    let minted = input.merkle_paths.merkle_paths.iter().find(|path| path.leaf_hashed_key == balance).unwrap();
    assert_eq!(U256::from_big_endian(&minted.value_written), U256::exp10(24));
    // Valid for its own code, and worth nothing.
    assert!(judge(input.clone()).is_ok());

    let options = pinned(300, 26, code_of(&honest()));
    let rejection = verify(input.clone(), &options).unwrap_err();
    assert_eq!(rejection, Rejection::CodeNotPinned { protocol_version: 26, got: code_of(&input) });
    assert_eq!(rejection.check(), "code_not_pinned");
    assert!(verify(honest(), &options).is_ok());
}

/// A node's bootloader asks after each transaction what is to be published, and stops there. Another bootloader writes
/// a slot without a path, with a claim that it holds exactly what is written. Without the path the new root would keep
/// the slot's old value.
#[test]
fn a_write_that_seems_to_change_nothing_needs_its_path() {
    let slot = StorageKey::new(Address::from_low_u64_be(0x8001), H256::from_low_u64_be(8));
    let mut input = batch_of(include_str!("writing.asm"), |chain| {
        // The first path stays, because others depend on it.
        chain.set_slot(
            &StorageKey::new(Address::from_low_u64_be(0x8001), H256::from_low_u64_be(7)),
            H256::repeat_byte(2),
        );
        chain.set_slot(&slot, H256::repeat_byte(1));
    });
    assert!(judge(input.clone()).is_ok());
    let paths = &mut input.merkle_paths.merkle_paths;
    assert_eq!(paths.len(), 2);
    let dropped = paths.pop().unwrap();
    assert_eq!((dropped.leaf_hashed_key, dropped.is_write), (slot.hashed_key_u256(), true));
    let claims = &mut input.vm_run_data.witness_block_state;
    claims.read_storage_key.insert(slot, H256(dropped.value_written));
    assert_eq!(judge(input).unwrap_err(), "write_without_path");
}

#[test]
fn each_of_the_three_hashes_is_pinned() {
    let honest = honest();
    let mut other = code_of(&honest).bootloader;
    other.0[31] ^= 1;
    let changes: [fn(&mut CodeHashes, H256); 3] = [
        |code, other| code.bootloader = other,
        |code, other| code.default_account = other,
        |code, other| code.evm_emulator = Some(other),
    ];
    for change in changes {
        let mut code = code_of(&honest);
        change(&mut code, other);
        let rejection = verify(honest.clone(), &pinned(300, 26, code)).unwrap_err();
        assert_eq!(rejection.check(), "code_not_pinned");
    }
}

#[test]
fn a_version_that_nobody_pinned() {
    let honest = honest();
    let rejection = verify(honest.clone(), &pinned(300, 27, code_of(&honest))).unwrap_err();
    assert_eq!(rejection, Rejection::ProtocolVersionNotPinned { got: 26 });
    assert_eq!(rejection.check(), "protocol_version_not_pinned");
}

#[test]
fn another_chain_than_the_pinned() {
    let honest = honest();
    let options = |chain| pinned(chain, 26, code_of(&honest));
    assert_eq!(verify(honest.clone(), &options(301)).unwrap_err().check(), "chain_id");
    assert_eq!(verify(honest.clone(), &options(300)).unwrap().chain_id().as_u64(), 300);
}
