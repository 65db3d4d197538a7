//! Signatures: for hostile transactions of every type, the verifier's verdict is the legacy VM's.
//!
//! The verifier recovers signers ahead of the run; the legacy VM does not. What the legacy VM seals must verify, to the
//! same root. What it does not seal must be rejected in place of an honest transaction. Transactions are made with
//! zksync-era's published types, as wallets sign them.

use std::{collections::BTreeMap, panic, sync::LazyLock};

use tee_devnet::{Account, Action, Call, Chain, Genesis, deposit, slots, upgrade};
use tee_verifier::{
    Address, H256, L2ChainId, ProtocolVersionId, StorageKey, U256, era_code_hash,
    input::{ExecuteTransactionCommon, Transaction},
    keccak256, l1_transaction_hash, transaction_hashes,
};
use zksync_types::{
    Execute, InputData, K256PrivateKey, Nonce, PackedEthSignature,
    fee::Fee,
    l2::{L2Tx, L2TxCommonData, TransactionType},
    transaction_request::{PaymasterParams, TransactionRequest},
    web3::Bytes,
};

use crate::{
    scene::{chain_blocks, hash, judge},
    second_opinion::opinions,
};

const CHAIN_ID: u64 = 300;
/// The contract that deploys.
const DEPLOYER: u64 = 0x8006;
/// The order of secp256k1. Half of it is the highest s that Ethereum accepts.
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

static CHAIN: LazyLock<Chain> = LazyLock::new(|| Chain::new(Genesis::sepolia().unwrap()));

/// A type of transaction, and whether its signature names the chain.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    LegacyWithoutChain,
    Legacy,
    Eip2930,
    Eip1559,
    Eip712,
}

const KINDS: [Kind; 5] = [Kind::LegacyWithoutChain, Kind::Legacy, Kind::Eip2930, Kind::Eip1559, Kind::Eip712];

impl Kind {
    fn transaction_type(self) -> TransactionType {
        match self {
            Self::LegacyWithoutChain | Self::Legacy => TransactionType::LegacyTransaction,
            Self::Eip2930 => TransactionType::EIP2930Transaction,
            Self::Eip1559 => TransactionType::EIP1559Transaction,
            Self::Eip712 => TransactionType::EIP712Transaction,
        }
    }

    fn chain_id(self) -> Option<u64> {
        (self != Self::LegacyWithoutChain).then_some(CHAIN_ID)
    }
}

/// The first transaction of an account, not yet signed.
fn unsigned(kind: Kind, account: &Account) -> L2Tx {
    // Where the type has no priority fee, the VM wants it equal to the fee.
    let priority_fee = match kind {
        Kind::Legacy | Kind::LegacyWithoutChain | Kind::Eip2930 => 1_000_000_000,
        Kind::Eip1559 | Kind::Eip712 => 0_u64,
    };
    let Call { to, value, calldata, .. } = Call::storage(Action::Write, 9, 2, 4);
    L2Tx {
        execute: Execute { contract_address: Some(to), calldata, value, factory_deps: vec![] },
        common_data: L2TxCommonData {
            nonce: Nonce(0),
            fee: Fee {
                gas_limit: 30_000_000_u64.into(),
                max_fee_per_gas: 1_000_000_000_u64.into(),
                max_priority_fee_per_gas: priority_fee.into(),
                gas_per_pubdata_limit: 50_000_u64.into(),
            },
            initiator_address: account.address(),
            signature: vec![],
            transaction_type: kind.transaction_type(),
            input: None,
            paymaster_params: PaymasterParams::default(),
        },
        received_timestamp_ms: 0,
        raw_bytes: None,
    }
}

/// An account's key in the published type.
fn key(account: &Account) -> K256PrivateKey {
    K256PrivateKey::from_bytes(H256(account.key().secret_bytes())).unwrap()
}

/// Signs a transaction as it now is, and stores its encoding as a node receives it.
fn sign(transaction: &mut L2Tx, key: &K256PrivateKey, chain_id: Option<u64>) {
    let mut request = TransactionRequest::from(transaction.clone());
    request.chain_id = chain_id;
    let message = request.get_default_signed_message().unwrap();
    let signature = PackedEthSignature::sign_raw(key, &message).unwrap();
    let mut data = request.get_signed_bytes(&signature).unwrap();
    if request.is_legacy_tx() && chain_id.is_none() {
        // The encoder drops the 27; behind v are r and s, of 33 bytes each.
        let at = data.len() - 67;
        data[at] = signature.v() + 27;
    }
    transaction.common_data.signature = signature.serialize_packed().to_vec();
    transaction.raw_bytes = Some(Bytes(data.clone()));
    transaction.common_data.input = Some(InputData { hash: H256(keccak256(&data)), data });
}

fn signed(kind: Kind, account: &Account) -> L2Tx {
    let mut transaction = unsigned(kind, account);
    sign(&mut transaction, &key(account), kind.chain_id());
    transaction
}

fn high_s(signature: &mut [u8]) {
    let order = U256::from_str_radix(ORDER, 16).unwrap();
    let s = order - U256::from_big_endian(&signature[32..64]);
    s.to_big_endian(&mut signature[32..64]);
    signature[64] ^= 27 ^ 28;
}

fn order() -> [u8; 32] {
    let mut bytes = [0; 32];
    U256::from_str_radix(ORDER, 16).unwrap().to_big_endian(&mut bytes);
    bytes
}

type Change = fn(&mut L2Tx);

/// Changes of a signed transaction.
const CHANGES: &[(&str, Change)] = &[
    ("nothing", |_| {}),
    ("v = 0", |tx| tx.common_data.signature[64] = 0),
    ("v = 1", |tx| tx.common_data.signature[64] = 1),
    ("the other v", |tx| tx.common_data.signature[64] ^= 27 ^ 28),
    ("v = 29", |tx| tx.common_data.signature[64] = 29),
    ("v = 255", |tx| tx.common_data.signature[64] = 255),
    ("s high", |tx| high_s(&mut tx.common_data.signature)),
    ("s high, v kept", |tx| {
        high_s(&mut tx.common_data.signature);
        tx.common_data.signature[64] ^= 27 ^ 28;
    }),
    ("r = 0", |tx| tx.common_data.signature[..32].fill(0)),
    ("s = 0", |tx| tx.common_data.signature[32..64].fill(0)),
    ("r = order", |tx| tx.common_data.signature[..32].copy_from_slice(&order())),
    ("s = order", |tx| tx.common_data.signature[32..64].copy_from_slice(&order())),
    ("r and s full", |tx| tx.common_data.signature[..64].fill(0xff)),
    ("64 bytes", |tx| tx.common_data.signature.truncate(64)),
    ("66 bytes", |tx| tx.common_data.signature.push(0)),
    ("no bytes", |tx| tx.common_data.signature.clear()),
    ("a bit of r", |tx| tx.common_data.signature[3] ^= 4),
    ("nonce", |tx| tx.common_data.nonce.0 += 1),
    ("gas limit", |tx| tx.common_data.fee.gas_limit += U256::one()),
    ("max fee", |tx| tx.common_data.fee.max_fee_per_gas += U256::one()),
    ("priority fee", |tx| {
        tx.common_data.fee.max_priority_fee_per_gas -= U256::one().min(tx.common_data.fee.max_priority_fee_per_gas)
    }),
    ("gas per pubdata", |tx| tx.common_data.fee.gas_per_pubdata_limit -= U256::one()),
    ("value", |tx| tx.execute.value += U256::one()),
    ("data", |tx| tx.execute.calldata[127] ^= 1),
    ("data cut", |tx| tx.execute.calldata.truncate(96)),
    ("recipient", |tx| tx.execute.contract_address = Some(Address::repeat_byte(0x5e))),
    ("no recipient", |tx| tx.execute.contract_address = None),
    ("initiator", |tx| tx.common_data.initiator_address = Account::new(9).address()),
    ("paymaster", |tx| tx.common_data.paymaster_params.paymaster = Address::repeat_byte(0x77)),
    ("paymaster's input", |tx| tx.common_data.paymaster_params.paymaster_input = vec![1, 2, 3, 4]),
    ("a factory dependency", |tx| tx.execute.factory_deps = vec![vec![0; 32]]),
    ("type legacy", |tx| tx.common_data.transaction_type = TransactionType::LegacyTransaction),
    ("type 1", |tx| tx.common_data.transaction_type = TransactionType::EIP2930Transaction),
    ("type 2", |tx| tx.common_data.transaction_type = TransactionType::EIP1559Transaction),
    ("type 113", |tx| tx.common_data.transaction_type = TransactionType::EIP712Transaction),
    ("encoding of another", |tx| tx.common_data.input.as_mut().unwrap().data = vec![0x5a; 70]),
    ("encoding that names no chain", |tx| tx.common_data.input.as_mut().unwrap().data = vec![0x02, 0xc0]),
];

type Signing = fn(Kind, &Account) -> L2Tx;

/// Signatures that are wrong from the start.
const SIGNINGS: &[(&str, Signing)] = &[
    ("another's key", |kind, account| {
        let mut transaction = unsigned(kind, account);
        sign(&mut transaction, &key(&Account::new(9)), kind.chain_id());
        transaction
    }),
    ("another chain", |kind, account| {
        let mut transaction = unsigned(kind, account);
        sign(&mut transaction, &key(account), Some(CHAIN_ID + 1));
        transaction
    }),
    ("a dependency and a paymaster that were signed", |kind, account| {
        let mut transaction = unsigned(kind, account);
        transaction.execute.factory_deps = vec![vec![0; 32]];
        transaction.common_data.paymaster_params =
            PaymasterParams { paymaster: account.address(), paymaster_input: vec![0; 4] };
        sign(&mut transaction, &key(account), kind.chain_id());
        transaction
    }),
];

fn every_hostile_transaction(account: &Account) -> Vec<(String, L2Tx)> {
    let changed = KINDS.iter().flat_map(|kind| {
        CHANGES.iter().map(move |(name, change)| {
            let mut transaction = signed(*kind, account);
            change(&mut transaction);
            (format!("{kind:?}: {name}"), transaction)
        })
    });
    let badly_signed = KINDS.iter().flat_map(|kind| {
        SIGNINGS.iter().map(move |(name, sign)| (format!("{kind:?}: signed by or for {name}"), sign(*kind, account)))
    });
    changed.chain(badly_signed).collect()
}

/// The transaction with the hash that it now has.
fn finish(transaction: L2Tx) -> Transaction {
    let published = zksync_types::Transaction::from(transaction);
    let mut transaction: Transaction = serde_json::from_value(serde_json::to_value(published).unwrap()).unwrap();
    let hash = hash(&transaction, L2ChainId::from(CHAIN_ID as u32));
    if let ExecuteTransactionCommon::L2(common) = &mut transaction.common_data
        && let Some(input) = &mut common.input
    {
        input.hash = hash;
    }
    transaction
}

/// Asserts that chain and verifier agree on each, and that they accept those that are valid.
fn verdicts_agree(chain: &Chain, account: &Account) {
    let hostile = every_hostile_transaction(account);
    let all = hostile.len();
    let other = Account::new(7).sign(Call::transfer(Address::repeat_byte(0x11), U256::one()), 300_u32.into());
    let seal = |transaction: &Transaction| {
        let blocks = vec![vec![other.clone(), transaction.clone()]];
        opinions(&mut chain.clone(), blocks)
    };
    let honest = seal(&finish(signed(Kind::Eip712, account))).unwrap().unwrap();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut disagreements = Vec::new();
    let (mut taken, mut refusals) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for (name, transaction) in hostile {
        let transaction = finish(transaction);
        match seal(&transaction) {
            Err(disagreement) => disagreements.push(format!("{name}: {disagreement}")),
            Ok(Some(sealed)) => {
                let verdict = judge(sealed.input).map(|verified| verified.root());
                if verdict != Ok(sealed.root) {
                    disagreements.push(format!("{name}: the chain seals it, the verifier: {verdict:?}"));
                }
                taken.push(name);
            }
            // It halts, the end of the batch fails, or the legacy VM panics on it.
            Ok(None) => {
                let mut input = honest.input.clone();
                input.l2_blocks_execution_data[0].txs[1] = transaction;
                chain_blocks(&mut input);
                let check = match judge(input) {
                    Ok(verified) => {
                        disagreements.push(format!("{name}: the chain does not seal it, {:?}", verified.root()));
                        continue;
                    }
                    Err(check) => check,
                };
                *refusals.entry(check).or_default() += 1;
                // At worst, what runs in place of the honest transaction needs more than the witness has.
                let expected = [
                    "transaction_halted",
                    "malformed_transaction",
                    "batch_tip_failed",
                    "slot_missing",
                    "read_without_path",
                ];
                if !expected.contains(&check) {
                    disagreements.push(format!("{name}: {check}"));
                }
            }
        }
    }
    panic::set_hook(hook);
    println!("{all} transactions, refused {refusals:?}, in order {taken:?}");
    assert_eq!(disagreements, [""; 0]);
    for kind in KINDS {
        assert!(taken.contains(&format!("{kind:?}: nothing")), "{kind:?}");
    }
}

#[test]
fn the_verifier_and_the_legacy_vm_agree_on_every_hostile_transaction() {
    verdicts_agree(&CHAIN, &Account::new(3));
}

/// The account has its own code: the default account's, at its address. The VM skips nothing for it.
#[test]
fn the_verdicts_agree_on_accounts_that_are_contracts() {
    let account = Account::new(3);
    let mut chain = CHAIN.clone();
    let code = &chain.system().base_system_smart_contracts.default_aa.code;
    let hash = H256(era_code_hash(code));
    chain.set_slot(&slots::account_code(&account.address()), hash);
    // The deployer's first slot maps accounts to their kinds: 1 is the first version.
    let kind = StorageKey::new(Address::from_low_u64_be(DEPLOYER), slots::mapping(&account.address(), 0));
    chain.set_slot(&kind, H256::from_low_u64_be(1));

    verdicts_agree(&chain, &account);
}

#[test]
fn hashes_are_those_of_the_published_types() {
    let chain_id = L2ChainId::from(CHAIN_ID as u32);
    for kind in KINDS {
        let published = signed(kind, &Account::new(3));
        let mut request = TransactionRequest::from(published.clone());
        request.chain_id = kind.chain_id();
        let (message, hash) = request.get_signed_and_tx_hashes().unwrap();
        let transaction = finish(published);
        let ExecuteTransactionCommon::L2(common) = &transaction.common_data else { panic!("not signed") };
        let ours = transaction_hashes(common, &transaction.execute, chain_id).unwrap();
        assert_eq!((ours.signed, ours.transaction), (message, hash), "{kind:?}");
    }
    let calldata = Call::storage(Action::Write, 9, 2, 4).calldata;
    for transaction in [
        deposit(7, Address::repeat_byte(0x33), U256::exp10(18)),
        upgrade(ProtocolVersionId::VERSION_29, Address::repeat_byte(0x44), calldata),
    ] {
        let json = serde_json::to_value(&transaction).unwrap();
        let published: zksync_types::Transaction = serde_json::from_value(json).unwrap();
        let zksync_types::abi::Transaction::L1 { tx, .. } = published.try_into().unwrap() else {
            panic!("not from L1")
        };
        assert_eq!(l1_transaction_hash(&transaction), tx.hash());
    }
}
