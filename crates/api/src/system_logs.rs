//! A statement's system logs: what a batch tells L1 beyond its root.
//!
//! A log has 88 bytes, as L1's `commitBatches` receives it: shard, service flag, transaction (2 bytes), sender (20), key (32), value (32).
//! Keys are zksync-era's `SystemLogKey`, which protocol versions shift.

use tee_verifier::{Address, H256, U256};

use crate::{SYSTEM_LOG_BYTES, Statement};

const BOOTLOADER: u64 = 0x8001;
const L1_MESSENGER: u64 = 0x8008;
const SYSTEM_CONTEXT: u64 = 0x800b;
/// The first version with interop roots.
const INTEROP: u16 = 29;
/// The first version with a settlement layer's chain id among the logs.
const MEDIUM_INTEROP: u16 = 31;

/// A decoded system log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemLog {
    /// The shard: zero.
    pub shard: u8,
    /// Whether the system made it, rather than a transaction.
    pub is_service: bool,
    /// The transaction's index in the batch.
    pub transaction: u16,
    /// The contract that logged.
    pub sender: Address,
    /// The meaning of the value.
    pub key: H256,
    /// The logged value.
    pub value: H256,
}

impl Statement {
    /// The system logs, decoded.
    pub fn logs(&self) -> Vec<SystemLog> {
        self.system_logs.as_chunks::<SYSTEM_LOG_BYTES>().0.iter().map(SystemLog::decode).collect()
    }
}

impl SystemLog {
    fn decode(bytes: &[u8; SYSTEM_LOG_BYTES]) -> Self {
        let [shard, is_service, high, low, rest @ ..] = bytes;
        let (sender, words) = rest.split_at(20);
        let (key, value) = words.split_at(32);
        Self {
            shard: *shard,
            is_service: *is_service != 0,
            transaction: u16::from_be_bytes([*high, *low]),
            sender: Address::from_slice(sender),
            key: H256::from_slice(key),
            value: H256::from_slice(value),
        }
    }

    /// The meaning of a log with this key in a protocol version, if the protocol defines one.
    pub fn name(&self, version: u16) -> Option<&'static str> {
        let (sender, key) = (U256::from_big_endian(self.sender.as_bytes()), U256::from_big_endian(self.key.as_bytes()));
        if sender > U256::from(u16::MAX) || key > U256::from(u16::MAX) {
            return None;
        }
        Some(match (sender.as_u64(), key.as_u64()) {
            (L1_MESSENGER, 0) => "root of L2 to L1 logs",
            (SYSTEM_CONTEXT, 1) => "timestamps of the batch and its last block",
            (BOOTLOADER, 2) => "chained hash of L1 transactions",
            (BOOTLOADER, 3) if version >= MEDIUM_INTEROP => "numbers of L1 and L2 transactions",
            (BOOTLOADER, 3) => "number of L1 transactions",
            (SYSTEM_CONTEXT, 4) => "previous batch's hash",
            (L1_MESSENGER, 5) => "output of the data availability validator",
            (L1_MESSENGER, 6) if version >= MEDIUM_INTEROP => "data availability commitment scheme",
            (L1_MESSENGER, 6) => "data availability validator",
            (BOOTLOADER, 7) if version >= INTEROP => "rolling hash of interop roots",
            (BOOTLOADER, 7) => "hash of the upgrade transaction",
            (BOOTLOADER, 8) if version >= INTEROP => "rolling hash of transactions' statuses",
            (BOOTLOADER, 9) if version >= MEDIUM_INTEROP => "settlement layer's chain id",
            (BOOTLOADER, 9) if version >= INTEROP => "hash of the upgrade transaction",
            (BOOTLOADER, 10) if version >= MEDIUM_INTEROP => "hash of the upgrade transaction",
            _ => return None,
        })
    }

    /// The value in readable form, unless it is a hash.
    pub fn reading(&self, version: u16) -> Option<String> {
        let (high, low) = self.value.0.split_at(16);
        let [high, low] = [high, low].map(U256::from_big_endian);
        match self.name(version)? {
            "timestamps of the batch and its last block" => Some(format!("{high} and {low}")),
            "numbers of L1 and L2 transactions" => Some(format!("{low} and {high}")),
            "number of L1 transactions" | "settlement layer's chain id" | "data availability commitment scheme" => {
                Some(U256::from_big_endian(self.value.as_bytes()).to_string())
            }
            "data availability validator" => Some(format!("{:?}", Address::from(self.value))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::tests::example;

    fn log(sender: u64, key: u64, value: H256) -> SystemLog {
        let mut bytes = [0; SYSTEM_LOG_BYTES];
        (bytes[1], bytes[3]) = (1, 7);
        bytes[4..24].copy_from_slice(Address::from_low_u64_be(sender).as_bytes());
        bytes[24..56].copy_from_slice(H256::from_low_u64_be(key).as_bytes());
        bytes[56..].copy_from_slice(value.as_bytes());
        SystemLog::decode(&bytes)
    }

    #[test]
    fn a_log_is_taken_apart_by_place() {
        let log = log(SYSTEM_CONTEXT, 4, H256::repeat_byte(9));
        assert_eq!((log.shard, log.is_service, log.transaction), (0, true, 7));
        assert_eq!(log.sender, Address::from_low_u64_be(SYSTEM_CONTEXT));
        assert_eq!((log.key, log.value), (H256::from_low_u64_be(4), H256::repeat_byte(9)));
        let logs = example().logs();
        assert_eq!(logs.len(), 2);
        assert_eq!((logs[1].shard, logs[1].value.0[31]), (88, 175));
    }

    #[test]
    fn keys_mean_what_their_version_gives_them() {
        let names = |key| [28, 29, 31].map(|version| log(BOOTLOADER, key, H256::zero()).name(version));
        let (upgrade, roots) = (Some("hash of the upgrade transaction"), Some("rolling hash of interop roots"));
        assert_eq!(names(7), [upgrade, roots, roots]);
        assert_eq!(names(9), [None, upgrade, Some("settlement layer's chain id")]);
        assert_eq!(names(10), [None, None, upgrade]);
        // Another contract may log under the same key.
        assert_eq!(log(SYSTEM_CONTEXT, 2, H256::zero()).name(29), None);
        assert_eq!(log(u64::MAX, 2, H256::zero()).name(29), None);
    }

    #[test]
    fn numbers_and_times_are_readable() {
        let mut packed = H256::from_low_u64_be(1_700_000_005);
        packed.0[8..16].copy_from_slice(&1_700_000_000_u64.to_be_bytes());
        assert_eq!(log(SYSTEM_CONTEXT, 1, packed).reading(29).as_deref(), Some("1700000000 and 1700000005"));
        assert_eq!(log(BOOTLOADER, 3, H256::from_low_u64_be(6)).reading(29).as_deref(), Some("6"));
        assert_eq!(log(BOOTLOADER, 2, H256::from_low_u64_be(6)).reading(29), None);
    }
}
