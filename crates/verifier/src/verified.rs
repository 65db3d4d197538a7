//! The result that the verifier vouches for.

use std::fmt;

use crate::{H256, L1BatchNumber, L2ChainId, ProtocolVersionId};

/// Hashes of the code that every batch runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeHashes {
    /// The bootloader.
    pub bootloader: H256,
    /// The default account.
    pub default_account: H256,
    /// The EVM emulator, where the chain has one.
    pub evm_emulator: Option<H256>,
}

impl fmt::Display for CodeHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bootloader, default_account, evm_emulator } = self;
        write!(f, "bootloader {bootloader:?}, default account {default_account:?}, ")?;
        match evm_emulator {
            Some(hash) => write!(f, "EVM emulator {hash:?}"),
            None => f.write_str("no EVM emulator"),
        }
    }
}

/// A batch that was re-executed and found correct. Only [`verify`](crate::verify()) makes one, so holding one is proof
/// that every check passed; signing a batch takes this and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBatch {
    pub(crate) chain_id: L2ChainId,
    pub(crate) number: L1BatchNumber,
    pub(crate) protocol_version: ProtocolVersionId,
    pub(crate) previous_root: H256,
    pub(crate) previous_index: u64,
    pub(crate) root: H256,
    pub(crate) index: u64,
    pub(crate) code_hashes: CodeHashes,
    pub(crate) system_logs: Vec<u8>,
    pub(crate) transactions: usize,
    pub(crate) l1_transactions: usize,
    pub(crate) rolled_back_slots: usize,
}

impl VerifiedBatch {
    /// The chain that the transactions were signed for.
    pub fn chain_id(&self) -> L2ChainId {
        self.chain_id
    }

    /// The batch's number.
    pub fn number(&self) -> L1BatchNumber {
        self.number
    }

    /// The protocol version that it ran under.
    pub fn protocol_version(&self) -> ProtocolVersionId {
        self.protocol_version
    }

    /// Root of the state before the batch.
    pub fn previous_root(&self) -> H256 {
        self.previous_root
    }

    /// The next free leaf index before the batch.
    pub fn previous_index(&self) -> u64 {
        self.previous_index
    }

    /// Root of the state after the batch.
    pub fn root(&self) -> H256 {
        self.root
    }

    /// The next free leaf index after the batch.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The code that every batch runs.
    pub fn code_hashes(&self) -> CodeHashes {
        self.code_hashes
    }

    /// The batch's system logs, 88 bytes each, as L1's `commitBatches` receives them.
    pub fn system_logs(&self) -> &[u8] {
        &self.system_logs
    }

    /// Number of transactions, L1 and upgrade transactions included.
    pub fn transactions(&self) -> usize {
        self.transactions
    }

    /// Number of L1 (priority) and upgrade transactions. They carry no signature: L1 checks them, through the system
    /// logs.
    pub fn l1_transactions(&self) -> usize {
        self.l1_transactions
    }

    /// Number of slots that were only written in parts of the run that were rolled back. They have no Merkle path and
    /// were neither read nor changed.
    pub fn rolled_back_slots(&self) -> usize {
        self.rolled_back_slots
    }
}
