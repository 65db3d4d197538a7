//! The devnet's traffic: transfers, storage access of all kinds, reverts, deposits.

use tee_verifier::{Address, H256, L2ChainId, U256, era_code_hash, input::Transaction, keccak256};

use crate::account::{Account, Call, deposit};

/// Address of the contract for storage traffic.
pub const CONTRACT: Address = Address::repeat_byte(0x7e);
/// The system contract that deploys.
const DEPLOYER: u64 = 0x8006;
const ACCOUNTS: u32 = 16;
/// The most slots that one transaction reads; more would exceed its gas.
const READS_PER_TRANSACTION: usize = 4_000;

/// How much traffic a batch holds.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Transactions of the usual mix.
    pub transactions: usize,
    /// Slots read for the first time, in transactions of their own.
    pub cold_reads: usize,
    /// Deposits from L1.
    pub l1_transactions: usize,
}

/// The actions of the traffic contract, with the contract's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Writes slots that follow one another, with values that count up.
    Write = 0,
    /// Reads slots that follow one another.
    Read = 1,
    /// Writes, and reverts the whole transaction.
    WriteAndRevert = 2,
    /// Writes in a frame that is rolled back, then the last slot once more.
    WriteRolledBack = 3,
    /// Writes, reads the counter of published bytes, and reverts. The cost of publishing a write depends on the value before it,
    /// which nothing proves for a slot without a path.
    WriteMeasureAndRevert = 4,
    /// Reads the first slot, and writes its value to the slot with the number `first_value`.
    Copy = 5,
}

impl Call {
    /// An access to the traffic contract.
    pub fn storage(action: Action, first_slot: u64, count: u64, first_value: u64) -> Self {
        let words = [action as u64, first_slot, count, first_value];
        let calldata = words.map(|word| H256::from_low_u64_be(word).0).concat();
        Self { to: CONTRACT, value: U256::zero(), calldata, factory_deps: vec![] }
    }
}

/// Makes transactions. The same sequence of calls always gives the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    accounts: Vec<Account>,
    chain_id: L2ChainId,
    deploys: bool,
    made: u64,
    deposits: u64,
    next_slot: u64,
}

impl Traffic {
    pub(crate) fn new(chain_id: L2ChainId) -> Self {
        let accounts = (0..ACCOUNTS).map(Account::new).collect();
        Self { accounts, chain_id, deploys: false, made: 0, deposits: 0, next_slot: 1 << 32 }
    }

    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Continues with the nonces that the chain has for the accounts.
    pub(crate) fn set_nonces(&mut self, nonce: impl Fn(&Address) -> u32) {
        for account in &mut self.accounts {
            account.set_nonce(nonce(&account.address()));
        }
    }

    /// Sets whether contracts are deployed too, from now on.
    pub(crate) fn set_deploys(&mut self, deploys: bool) {
        self.deploys = deploys;
    }

    /// A batch's transactions: deposits first, as the chain puts them, then the mix, then the cold reads.
    pub(crate) fn batch(&mut self, load: Load) -> Vec<Transaction> {
        let mut transactions = Vec::new();
        for _ in 0..load.l1_transactions {
            let to = Address::from_low_u64_be(0xdeb0_0000 + self.deposits % 7);
            transactions.push(deposit(self.deposits, to, U256::exp10(18)));
            self.deposits += 1;
        }
        for _ in 0..load.transactions {
            transactions.push(self.next());
        }
        let mut unread = load.cold_reads;
        while unread > 0 {
            let count = unread.min(READS_PER_TRANSACTION);
            let slots = self.fresh_slots(count as u64);
            transactions.push(self.access(Action::Read, slots, count as u64));
            unread -= count;
        }
        transactions
    }

    /// The next transaction of the mix, a round of ten kinds.
    fn next(&mut self) -> Transaction {
        let made = self.made;
        match made % 10 {
            // To an account without funds, and to one with funds.
            0 | 5 => self.transfer(Address::from_low_u64_be(0xacc0_0000_0000 + made)),
            1 | 4 | 7 => self.transfer(Address::from_low_u64_be(0xacc0_0000_0000 + made % 50)),
            2 => {
                let slots = self.fresh_slots(3);
                self.access(Action::Write, slots, 3)
            }
            // The same slots over and over: updates, and warm and cold reads.
            3 => self.access(Action::Write, made % 40, 2),
            6 => self.access(Action::Read, made % 60, 5),
            8 if made % 20 == 8 => {
                let slots = self.fresh_slots(2);
                self.access(Action::WriteAndRevert, slots, 2)
            }
            8 if self.deploys => self.deployment(),
            8 => self.access(Action::WriteAndRevert, made % 40, 2),
            _ => {
                let slots = self.fresh_slots(3);
                self.access(Action::WriteRolledBack, slots, 3)
            }
        }
    }

    fn transfer(&mut self, to: Address) -> Transaction {
        self.send(Call::transfer(to, U256::from(1_000 + self.made)))
    }

    fn access(&mut self, action: Action, first_slot: u64, count: u64) -> Transaction {
        self.send(Call::storage(action, first_slot, count, self.made + 1))
    }

    /// Deploys the traffic contract again, with a word at its end that makes its code new.
    fn deployment(&mut self) -> Transaction {
        let mut code = bytecode();
        let mut words = [0; 64];
        words[56..].copy_from_slice(&self.made.to_be_bytes());
        code.extend(words);
        let selector = &keccak256(b"create(bytes32,bytes32,bytes)")[..4];
        // No salt, the hash, and no constructor arguments: their offset and their length.
        let number = |number| H256::from_low_u64_be(number).0;
        let arguments = [number(0), era_code_hash(&code), number(0x60), number(0)];
        let calldata = [selector, arguments.as_flattened()].concat();
        let to = Address::from_low_u64_be(DEPLOYER);
        self.send(Call { to, value: U256::zero(), calldata, factory_deps: vec![code] })
    }

    fn send(&mut self, call: Call) -> Transaction {
        let sender = (self.made % u64::from(ACCOUNTS)) as usize;
        self.made += 1;
        self.accounts[sender].sign(call, self.chain_id)
    }

    fn fresh_slots(&mut self, count: u64) -> u64 {
        let first = self.next_slot;
        self.next_slot += count;
        first
    }
}

/// The traffic contract's code, assembled from `traffic.asm`.
pub(crate) fn bytecode() -> Vec<u8> {
    hex::decode(include_str!("traffic.hex").trim_end()).expect("a test compares it with its source")
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use zkevm_assembly::{Assembly, zkevm_opcode_defs::decoding::EncodingModeProduction};

    /// Builds of the devnet spare the assembler and its thirty packages.
    #[test]
    fn the_code_is_what_the_assembler_makes_of_its_source() {
        let mut assembly = Assembly::try_from(include_str!("traffic.asm").to_owned()).unwrap();
        let mut words = assembly.compile_to_bytecode_for_mode::<8, EncodingModeProduction>().unwrap();
        // A bytecode has an odd number of words.
        if words.len().is_multiple_of(2) {
            words.push([0; 32]);
        }
        if env::var_os("UPDATE_TRAFFIC").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/traffic.hex");
            fs::write(path, hex::encode(words.concat()) + "\n").unwrap();
            return;
        }
        assert!(super::bytecode() == words.concat(), "traffic.hex is not current: run this test with UPDATE_TRAFFIC=1");
    }
}
