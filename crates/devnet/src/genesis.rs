//! The start of a chain: state, code and parameters.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use tee_verifier::{
    Address, BatchInput, H256, ProtocolVersionId, StorageKey, U256, era_code_hash,
    input::{L1BatchEnv, L2BlockExecutionData, PubdataParams, PubdataType, PubdataValidator, SystemEnv, Transaction},
};
use thiserror::Error;

use crate::{account::Account, slots, traffic};

const DEPLOYER: u64 = 0x8006;
const KNOWN_CODES: u64 = 0x8004;
const EMPTY_CONTRACT: u64 = 0x8001;

/// The recorded run from which the chain forks (package `zksync_multivm`, `tests/vm_dumps`).
const RECORDED_RUN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/validation_adjacent_storage_slots.json"));
/// Another recorded run, for the system contracts that the first never touched.
const OTHER_RUN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/estimate_fee_for_transfer_to_self.json"));

/// The system contracts that the recorded run never touched: the null address, `ecrecover`, AccountCodeStorage, KnownCodes,
/// L1Messenger, Compressor and PubdataChunkPublisher.
const UNTOUCHED_CONTRACTS: [u64; 7] = [0, 1, 0x8002, KNOWN_CODES, 0x8008, 0x800e, 0x8011];

/// Number of the first batch. The recorded run's batch was 14032, and its system context has moved past that.
const FIRST_BATCH: u32 = 14_034;

/// Balance of each of the chain's own accounts, in wei: 10^24.
const BALANCE_WEI: u128 = 1_000_000_000_000_000_000_000_000;

/// The start of a chain.
#[derive(Debug, Clone)]
pub struct Genesis {
    /// Values by hashed key; absent slots are left out.
    pub(crate) storage: BTreeMap<H256, H256>,
    pub(crate) bytecodes: HashMap<H256, Vec<u8>>,
    pub(crate) batch: L1BatchEnv,
    pub(crate) system: SystemEnv,
    pub(crate) pubdata: PubdataParams,
    /// A transaction of the real chain that comes first in the first batch.
    pub(crate) recorded: Option<Transaction>,
}

/// Why a genesis cannot be made.
#[derive(Debug, Error)]
pub enum GenesisError {
    /// A recorded run in the virtual machine's package is not the expected one.
    #[error("the recorded run of the virtual machine's package does not fit: {0}")]
    RecordedRun(String),
}

/// A recorded run (zksync-era's `VmDump`).
#[derive(Deserialize)]
struct Dump {
    l1_batch_env: L1BatchEnv,
    system_env: SystemEnv,
    l2_blocks: Vec<L2BlockExecutionData>,
    storage: DumpedStorage,
}

#[derive(Deserialize)]
struct DumpedStorage {
    /// Value and leaf index by hashed key; nothing for a slot that was found absent.
    storage: HashMap<H256, Option<(H256, u64)>>,
    factory_deps: HashMap<H256, String>,
}

impl Genesis {
    /// ZKsync Sepolia (chain 300) as of a transaction of 5 March 2025, that transaction first.
    pub fn sepolia() -> Result<Self, GenesisError> {
        let recorded_run =
            |json| serde_json::from_slice::<Dump>(json).map_err(|err| GenesisError::RecordedRun(err.to_string()));
        let (dump, other) = (recorded_run(RECORDED_RUN)?, recorded_run(OTHER_RUN)?);
        let missing = |what: &str| GenesisError::RecordedRun(what.to_owned());

        let mut genesis = Self {
            storage: dump.storage.present().collect(),
            bytecodes: dump.storage.bytecodes().chain(other.storage.bytecodes()).collect(),
            batch: L1BatchEnv {
                number: FIRST_BATCH.into(),
                enforced_base_fee: None,
                previous_batch_hash: None,
                ..dump.l1_batch_env
            },
            system: dump.system_env,
            pubdata: PubdataParams {
                validator: PubdataValidator::Address(Address::zero()),
                pubdata_type: PubdataType::Rollup,
            },
            recorded: dump.l2_blocks.into_iter().flat_map(|block| block.txs).next(),
        };
        // The recorded run touched few of the system contracts. The other run has some more; calls to the rest get the
        // empty contract, and succeed.
        let other_storage: BTreeMap<H256, H256> = other.storage.present().collect();
        let empty = genesis.code_of(EMPTY_CONTRACT).or_else(|| code_in(&other_storage, EMPTY_CONTRACT));
        let empty = empty.ok_or_else(|| missing("no empty contract"))?;
        for address in UNTOUCHED_CONTRACTS {
            genesis.set_code(address, code_in(&other_storage, address).unwrap_or(empty));
        }
        genesis.recorded.as_ref().ok_or_else(|| missing("no transaction"))?;
        Ok(genesis)
    }

    /// The state in a batch input: what it reads, its code, its chain's parameters.
    pub fn from_batch(input: BatchInput) -> Self {
        let values = input.vm_run_data.witness_block_state.read_storage_key;
        // An absent slot reads as zero, and so does one that holds zero: here both are absent.
        let present = values.into_iter().filter(|(_, value)| !value.is_zero());
        let base = &input.system_env.base_system_smart_contracts;
        let base = [Some(&base.default_aa), base.evm_emulator.as_ref()];
        let base = base.into_iter().flatten().map(|contract| (contract.hash, contract.code.clone()));
        let used = input.vm_run_data.used_bytecodes.into_iter();
        let used = used.map(|(hash, words)| (word(hash), words.concat()));
        Self {
            storage: present.map(|(key, value)| (key.hashed_key(), value)).collect(),
            bytecodes: used.chain(base).collect(),
            batch: L1BatchEnv { previous_batch_hash: None, enforced_base_fee: None, ..input.l1_batch_env },
            system: input.system_env,
            pubdata: input.pubdata_params,
            recorded: None,
        }
    }

    /// The same with another protocol version.
    pub fn with_version(mut self, version: ProtocolVersionId) -> Self {
        self.system.version = version;
        self
    }

    /// The same with the accounts funded and the contract for storage traffic deployed.
    pub(crate) fn with_traffic(mut self, accounts: &[Account]) -> Self {
        for account in accounts {
            let mut bytes = [0; 32];
            bytes[16..].copy_from_slice(&BALANCE_WEI.to_be_bytes());
            self.set(slots::balance(&account.address()), H256(bytes));
        }
        let code = traffic::bytecode();
        let hash = H256(era_code_hash(&code));
        self.bytecodes.insert(hash, code);
        self.set(slots::account_code(&traffic::CONTRACT), hash);
        self.set(slots::known_code(&hash), H256::from_low_u64_be(1));
        self
    }

    /// How many transactions an account has sent.
    pub(crate) fn nonce(&self, address: &Address) -> u32 {
        let nonces = self.storage.get(&slots::nonces(address).hashed_key()).copied().unwrap_or_default();
        let [.., a, b, c, d] = nonces.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Whether contracts can be deployed: the deployer and the registry of known codes must have their real code.
    pub(crate) fn deploys(&self) -> bool {
        let empty = self.code_of(EMPTY_CONTRACT);
        [DEPLOYER, KNOWN_CODES].into_iter().all(|address| {
            self.code_of(address).is_some_and(|code| Some(code) != empty && self.bytecodes.contains_key(&code))
        })
    }

    fn code_of(&self, address: u64) -> Option<H256> {
        code_in(&self.storage, address)
    }

    fn set_code(&mut self, address: u64, hash: H256) {
        self.set(slots::account_code(&Address::from_low_u64_be(address)), hash);
    }

    fn set(&mut self, key: StorageKey, value: H256) {
        self.storage.insert(key.hashed_key(), value);
    }
}

/// A number as its 32 bytes.
pub(crate) fn word(number: U256) -> H256 {
    let mut bytes = [0; 32];
    number.to_big_endian(&mut bytes);
    H256(bytes)
}

fn code_in(storage: &BTreeMap<H256, H256>, address: u64) -> Option<H256> {
    storage.get(&slots::account_code(&Address::from_low_u64_be(address)).hashed_key()).copied()
}

impl DumpedStorage {
    fn present(&self) -> impl Iterator<Item = (H256, H256)> + '_ {
        self.storage.iter().filter_map(|(key, slot)| slot.map(|(value, _)| (*key, value)))
    }

    /// Code that is not in hex is left out, and is found missing when it is run.
    fn bytecodes(&self) -> impl Iterator<Item = (H256, Vec<u8>)> + '_ {
        let decode = |code: &String| hex::decode(code.strip_prefix("0x")?).ok();
        self.factory_deps.iter().filter_map(move |(hash, code)| Some((*hash, decode(code)?)))
    }
}
