//! Paymasters of both flows. The judge of each batch is the legacy VM, which nodes rely on.

use tee_devnet::{Account, Action, Call, Chain, Genesis, slots};
use tee_verifier::{
    Address, H256, StorageKey, U256,
    input::{ExecuteTransactionCommon, Transaction},
    keccak256,
};

use crate::{
    contracts::{assemble, place, version_29},
    scene::judge,
    second_opinion::seal_as_both,
};

const PAYMASTER: Address = Address::repeat_byte(0x9a);
const TOKEN: Address = Address::repeat_byte(0x70);
/// `validateAndPayForPaymasterTransaction`'s selector, at a word's start.
const MAGIC: &str = "1601016972027674087219096584282962507946555294275460347601787516721897144320";

/// What a paymaster does differently from what it should.
#[derive(Debug, Clone, Copy)]
struct Behaviour {
    magic: &'static str,
    pay: &'static str,
    post: &'static str,
    balance: u128,
}

const GOOD: Behaviour = Behaviour { magic: MAGIC, pay: "", post: "", balance: 1 << 90 };

fn chain(behaviour: Behaviour) -> Option<Chain> {
    let mut shown = version_29()?;
    let Behaviour { magic, pay, post, balance } = behaviour;
    let text = include_str!("paymaster.asm").replace("{magic}", magic).replace("{pay}", pay).replace("{post}", post);
    place(&mut shown, PAYMASTER, &assemble(&text));
    place(&mut shown, TOKEN, &assemble(include_str!("token.asm")));
    let mut chain = Chain::new(Genesis::from_batch(shown));
    let mut bytes = [0; 32];
    bytes[16..].copy_from_slice(&balance.to_be_bytes());
    chain.set_slot(&slots::balance(&PAYMASTER), H256(bytes));
    Some(chain)
}

fn number(number: u64) -> [u8; 32] {
    H256::from_low_u64_be(number).0
}

fn selector(signature: &str) -> Vec<u8> {
    keccak256(signature.as_bytes())[..4].to_vec()
}

/// The flow in which the account does nothing for the paymaster.
fn general() -> Vec<u8> {
    [selector("general(bytes)"), [number(0x20), number(0)].concat()].concat()
}

/// The flow in which the account first approves the paymaster for a token.
fn approval_based(minimum: u64) -> Vec<u8> {
    let arguments = [H256::from(TOKEN).0, number(minimum), number(0x60), number(0)];
    [selector("approvalBased(address,uint256,bytes)"), arguments.concat()].concat()
}

struct Payment {
    account: u32,
    nonce: u32,
    gas_limit: u64,
    input: Vec<u8>,
}

fn paid_by_paymaster(chain: &Chain, call: Call, payment: Payment) -> Transaction {
    let mut account = Account::new(payment.account);
    let mut transaction = account.transaction(call);
    if let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data {
        common.nonce = payment.nonce;
        common.fee.gas_limit = payment.gas_limit.into();
        common.paymaster_params.paymaster = PAYMASTER;
        common.paymaster_params.paymaster_input = payment.input;
    }
    account.sign_transaction(transaction, chain.system().chain_id)
}

fn payment(account: u32, input: Vec<u8>) -> Payment {
    Payment { account, nonce: 0, gas_limit: 30_000_000, input }
}

fn write() -> Call {
    Call::storage(Action::Write, 100, 2, 1)
}

/// The value that the batch writes to a slot. Asserts that verifier, chain and legacy VM agree.
#[track_caller]
fn sealed(chain: &Chain, transactions: Vec<Transaction>) -> Option<impl Fn(StorageKey) -> Option<U256>> {
    let sealed = seal_as_both(&mut chain.clone(), vec![transactions])?;
    assert_eq!(judge(sealed.input.clone()).map(|verified| verified.root()), Ok(sealed.root));
    let paths = sealed.input.merkle_paths.merkle_paths;
    Some(move |key: StorageKey| {
        let place = key.hashed_key_u256();
        let path = paths.iter().find(|path| path.leaf_hashed_key == place && path.is_write)?;
        Some(U256::from_big_endian(&path.value_written))
    })
}

fn slot(contract: Address, key: H256) -> StorageKey {
    StorageKey::new(contract, key)
}

#[test]
fn a_paymaster_pays_and_is_told_of_the_end() {
    let Some(chain) = chain(GOOD) else { return };
    let reverted = Call::storage(Action::WriteAndRevert, 100, 2, 1);
    for call in [write(), reverted, Call::transfer(Address::repeat_byte(0x22), U256::one())] {
        let spent = call.value;
        let written = sealed(&chain, vec![paid_by_paymaster(&chain, call, payment(3, general()))]).unwrap();
        let account = written(slots::balance(&Account::new(3).address()));
        // The account pays for what it sends, but for no gas.
        assert_eq!(account, (!spent.is_zero()).then(|| U256::exp10(24) - spent));
        assert!(written(slots::balance(&PAYMASTER)).unwrap() < U256::from(1_u128 << 90));
        assert!(written(slot(PAYMASTER, H256::zero())).unwrap() > U256::zero());
    }
}

#[test]
fn the_account_approves_a_paymaster_for_its_token_where_it_has_not() {
    let Some(chain) = chain(GOOD) else { return };
    let approval = |nonce, minimum| {
        let payment = Payment { nonce, ..payment(3, approval_based(minimum)) };
        paid_by_paymaster(&chain, write(), payment)
    };
    let allowance = slot(TOKEN, H256::from(Account::new(3).address()));
    let written = sealed(&chain, vec![approval(0, 5)]).unwrap();
    assert_eq!(written(allowance), Some(5.into()));
    // An approval that suffices stays; one that does not is raised.
    let written = sealed(&chain, vec![approval(0, 5), approval(1, 4), approval(2, 9)]).unwrap();
    assert_eq!(written(allowance), Some(9.into()));
    let written = sealed(&chain, vec![approval(0, 0)]).unwrap();
    assert_eq!(written(allowance), None);
}

/// Gas limits at which validation, payment, transaction, and the paymaster's last step each run out.
#[test]
fn paymasters_over_gas_limits_end_as_the_legacy_vm_has_them() {
    let Some(chain) = chain(GOOD) else { return };
    let ends: Vec<_> = (0..24_u64)
        .map(|step| {
            let gas_limit = 60_000 * 5_u64.pow(step as u32 / 4) / 4_u64.pow(step as u32 / 4) + step * 15_000;
            let input = if step % 2 == 0 { general() } else { approval_based(5) };
            let paid = paid_by_paymaster(&chain, write(), Payment { gas_limit, ..payment(3, input) });
            let plain = Account::new(4).sign(write(), chain.system().chain_id);
            sealed(&chain, vec![paid, plain]).is_some()
        })
        .collect();
    println!("sealed: {ends:?}");
    assert!(ends.contains(&true) && ends.contains(&false), "{ends:?}");
}

#[test]
fn paymasters_that_do_not_pay_and_flows_that_nobody_knows_are_in_no_batch() {
    let halting = [
        Behaviour { pay: "add 1, r0, r3", ..GOOD },
        Behaviour { magic: "1", ..GOOD },
        Behaviour { balance: 1, ..GOOD },
    ];
    for behaviour in halting {
        let Some(chain) = chain(behaviour) else { return };
        let transaction = paid_by_paymaster(&chain, write(), payment(3, general()));
        assert!(sealed(&chain, vec![transaction]).is_none(), "{behaviour:?}");
    }
    let Some(chain) = chain(GOOD) else { return };
    for input in [vec![], vec![1, 2, 3], selector("another(bytes)"), selector("approvalBased(address,uint256,bytes)")] {
        let transaction = paid_by_paymaster(&chain, write(), payment(3, input.clone()));
        assert!(sealed(&chain, vec![transaction]).is_none(), "{input:?}");
    }
}

/// Nothing that a paymaster does in its last step can undo the transaction.
#[test]
fn a_paymaster_that_fails_at_the_end_has_paid_all_the_same() {
    for post in ["jump @failed", "jump @post", "near_call r0, @post, @failed"] {
        let Some(chain) = chain(Behaviour { post, ..GOOD }) else { return };
        let gas_limit = 3_000_000;
        let paid = paid_by_paymaster(&chain, write(), Payment { gas_limit, ..payment(3, general()) });
        let written = sealed(&chain, vec![paid]).unwrap();
        assert!(written(slot(tee_devnet::CONTRACT, H256::from_low_u64_be(100))).is_some(), "{post}");
        assert_eq!(written(slot(PAYMASTER, H256::zero())), None, "{post}");
    }
}
