//! Why a batch is rejected: one variant per check, grouped as in `docs/SOUNDNESS.md`.

use thiserror::Error;

use crate::{CodeHashes, H256, PinMismatch, ProtocolVersionId, StorageKey, U256, input::TxExecutionMode};

/// Why a batch is rejected. Each is the batch's own fault: the same input is rejected wherever it is verified.
#[derive(Debug, Clone, PartialEq, Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named in the messages")]
pub enum Rejection {
    // Shape of the witness.
    #[error("the witness has no Merkle path")]
    NoPaths,
    #[error("the witness has {got} Merkle paths, at most {limit} are checked")]
    TooManyPaths { got: usize, limit: usize },
    #[error("path {entry} has {got} hashes, at most 256 are possible")]
    PathTooLong { entry: usize, got: usize },
    #[error("the read of leaf {key:#x} is marked as a first write")]
    ReadMarkedFirstWrite { key: U256 },
    #[error("leaf {key:#x} is written as an existing leaf but has index 0")]
    UpdateWithoutIndex { key: U256 },
    #[error("the absent leaf {key:#x} has a value")]
    AbsentLeafWithValue { key: U256 },
    #[error("leaf {key:#x} occurs twice")]
    DuplicateLeaf { key: U256 },
    #[error("the new leaf {key:#x} claims index {got}, but gets {expected}")]
    InsertionIndex { key: U256, got: u64, expected: u64 },
    #[error("leaf {key:#x} already has index {got}, but the next free one is {next}")]
    IndexNotFree { key: U256, got: u64, next: u64 },
    #[error("the leaf indices overflow")]
    IndexOverflow,
    #[error("leaf {key:#x} has a path, but the run never touches it")]
    UntouchedLeaf { key: U256 },
    #[error("{key:?} changes, but its path is not marked as a write")]
    WriteWithoutPath { key: StorageKey },
    #[error("the read of leaf {key:#x} claims to write a value")]
    ReadWithWrittenValue { key: U256 },
    #[error("the witness says that {got:?} is written to leaf {key:#x}, but the run writes {expected:?}")]
    WrittenValue { key: U256, got: H256, expected: H256 },
    #[error("leaf {key:#x} is marked as a write, but keeps its value")]
    PathWithoutWrite { key: U256 },

    // State before the batch.
    #[error("the run reads {key:?}, which has no path")]
    ReadWithoutPath { key: StorageKey },
    #[error("the run writes {key:?}, which is not in the witness")]
    SlotMissing { key: StorageKey },
    #[error("the witness says that {key:?} holds {got:?}, but its path proves {expected:?}")]
    WitnessValue { key: StorageKey, got: H256, expected: H256 },
    #[error("the witness says that a write to {key:?} is initial: {got}; its path proves the opposite")]
    WitnessInitialWrite { key: StorageKey, got: bool },
    #[error("two paths disagree on a hash {height} levels above the leaves")]
    SiblingsDisagree { height: usize },
    #[error("the paths lead to the root {got:?}, but the previous batch ended with {expected:?}")]
    PreviousRoot { got: H256, expected: H256 },
    #[error("the run depends on what {key:?} costs to publish, but it has no path")]
    UnprovenCost { key: StorageKey },

    // Code.
    #[error("the bytecode claimed as {claimed:?} is malformed")]
    BytecodeMalformed { claimed: H256 },
    #[error("the bytecode claimed as {claimed:?} hashes to {computed:?}")]
    BytecodeHash { claimed: H256, computed: H256 },
    #[error("the run needs bytecode {hash:?}, which is not in the witness")]
    BytecodeMissing { hash: H256 },
    #[error("the two copies of {field} differ")]
    CopiesDiffer { field: &'static str },

    // Parameters.
    #[error("execution mode {got:?} instead of VerifyExecute")]
    ExecutionMode { got: TxExecutionMode },
    #[error("validation gas limit {got} instead of {expected}")]
    ValidationGasLimit { got: u32, expected: u32 },
    #[error("the base fee is forced to be {got}")]
    EnforcedBaseFee { got: u64 },
    #[error("zkPorter is marked as available")]
    ZkPorterAvailable,
    #[error("protocol version {got} is not supported")]
    UnsupportedVersion { got: ProtocolVersionId },
    #[error("the previous batch's root is missing")]
    NoPreviousRoot,
    #[error("bootloader gas limit {got} instead of {expected}")]
    BootloaderGasLimit { got: u32, expected: u32 },
    #[error("protocol version {version} does not have these pubdata parameters")]
    PubdataParams { version: ProtocolVersionId },
    #[error("protocol version {version} has no interop fee")]
    InteropFee { version: ProtocolVersionId },
    #[error("protocol version {version} needs a settlement layer")]
    NoSettlementLayer { version: ProtocolVersionId },

    // What the caller pinned.
    #[error("chain id {got} instead of {expected}")]
    ChainId { got: u64, expected: u64 },
    #[error("no code is pinned for protocol version {got}")]
    ProtocolVersionNotPinned { got: u16 },
    #[error("the code is not pinned for protocol version {protocol_version}: {got}")]
    CodeNotPinned { protocol_version: u16, got: CodeHashes },

    // Blocks and transactions.
    #[error("the batch has {got} blocks, it needs at least one and the empty one at its end")]
    TooFewBlocks { got: usize },
    #[error("{got} transactions, at most {limit} fit into a batch")]
    TooManyTransactions { got: usize, limit: usize },
    #[error("the transactions take {got} words of the bootloader's memory, which has room for {limit}")]
    TransactionsTooLarge { got: usize, limit: usize },
    #[error("{got} interop roots, at most {limit} fit in this protocol version")]
    TooManyInteropRoots { got: usize, limit: usize },
    #[error("an interop root of block {number} has {got} sides instead of one")]
    InteropRootSides { number: u32, got: usize },
    #[error("the first block's {field} differs from the batch environment's")]
    FirstBlock { field: &'static str },
    #[error("block {got} follows block {previous}")]
    BlockNumber { previous: u32, got: u32 },
    #[error("block {number} has timestamp {got}, the block before has {previous}")]
    BlockTimestamp { number: u32, previous: u64, got: u64 },
    #[error("block {number} names {got:?} as the hash of the block before, which is {expected:?}")]
    BlockHash { number: u32, got: H256, expected: H256 },
    #[error("block {number} has no transactions and is not the last")]
    EmptyBlock { number: u32 },
    #[error("the last block has {got} transactions, but must be empty")]
    LastBlockNotEmpty { got: usize },
    #[error("the last block has {got} interop roots, but must have none")]
    LastBlockInteropRoots { got: usize },
    #[error("transaction {index} is malformed: {reason}")]
    MalformedTransaction { index: usize, reason: String },

    // Execution.
    #[error("transaction {index} halted: {reason}")]
    TransactionHalted { index: usize, reason: String },
    #[error("the batch failed at its end: {reason}")]
    BatchTipFailed { reason: String },
    #[error("the virtual machine stopped: {limit}")]
    MachineLimit { limit: tee_eravm::Limit },
}

impl Rejection {
    /// A short stable name of the check that failed, for reports and scripts: the variant's name in snake case.
    pub fn check(&self) -> &'static str {
        self.into()
    }
}

impl From<PinMismatch> for Rejection {
    fn from(mismatch: PinMismatch) -> Self {
        match mismatch {
            PinMismatch::ChainId { got, expected } => Self::ChainId { got, expected },
            PinMismatch::ProtocolVersion { got } => Self::ProtocolVersionNotPinned { got },
            PinMismatch::Code { protocol_version, got } => Self::CodeNotPinned { protocol_version, got },
        }
    }
}
