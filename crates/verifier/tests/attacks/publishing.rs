//! Where a batch's data is published. The legacy VM, which nodes rely on, judges what is handed to the validator.

use tee_devnet::{Account, Action, Call, Chain, Genesis, deposit};
use tee_verifier::{
    Address, H256, U256,
    input::{PubdataParams, PubdataType, PubdataValidator},
};

use crate::{
    contracts::{assemble, place, version_29},
    scene::judge,
    second_opinion::seal_as_both,
};

const VALIDATOR: Address = Address::repeat_byte(0xda);
/// The slot with the validator's answer (`L2_DA_VALIDATOR_OUTPUT_HASH_KEY`).
const OUTPUT_KEY: u64 = 5;

/// The validator answers with the hash of all that it is given, so the system logs depend on each byte of it.
#[test]
fn every_byte_that_is_handed_to_the_validator_is_the_legacy_vms() {
    let Some(shown) = version_29() else { return };
    let kinds = [
        PubdataType::Rollup,
        PubdataType::NoDA,
        PubdataType::Avail,
        PubdataType::Celestia,
        PubdataType::Eigen,
        PubdataType::ObjectStore,
    ];
    let outputs = kinds.map(|pubdata_type| {
        let mut shown = shown.clone();
        place(&mut shown, VALIDATOR, &assemble(include_str!("hasher.asm")));
        shown.pubdata_params = PubdataParams { validator: PubdataValidator::Address(VALIDATOR), pubdata_type };
        let mut chain = Chain::new(Genesis::from_batch(shown));
        let chain_id = chain.system().chain_id;
        let sign = |account, call| Account::new(account).sign(call, chain_id);
        let blocks = vec![
            vec![
                deposit(0, Address::repeat_byte(0x33), U256::exp10(18)),
                sign(1, Call::storage(Action::Write, 5, 40, 1 << 50)),
            ],
            vec![
                sign(2, Call::transfer(Address::repeat_byte(0x22), 7.into())),
                sign(3, send_to_l1(b"a message of some bytes")),
            ],
        ];
        let sealed = seal_as_both(&mut chain, blocks).unwrap();
        let verified = judge(sealed.input).unwrap();
        assert_eq!(verified.root(), sealed.root);
        let mut logs = verified.system_logs().chunks(88);
        let output = logs.find(|log| log[24..56] == H256::from_low_u64_be(OUTPUT_KEY).0);
        H256::from_slice(&output.unwrap()[56..])
    });
    // The state is left out only without publication.
    assert!(!outputs[0].is_zero() && outputs[0] != outputs[1], "{outputs:?}");
    assert!(outputs[2..].iter().all(|output| *output == outputs[0]), "{outputs:?}");
}

/// `sendToL1(bytes)` of the L1Messenger.
fn send_to_l1(message: &[u8]) -> Call {
    let selector = &tee_verifier::keccak256(b"sendToL1(bytes)")[..4];
    let mut padded = message.to_vec();
    padded.resize(message.len().next_multiple_of(32), 0);
    let head = [H256::from_low_u64_be(0x20).0, H256::from_low_u64_be(message.len() as u64).0].concat();
    let calldata = [selector, &head, &padded].concat();
    Call { to: Address::from_low_u64_be(0x8008), value: U256::zero(), calldata, factory_deps: vec![] }
}
