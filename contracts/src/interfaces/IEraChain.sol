// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// A batch as an Era chain's contract stores it, only by its hash: era-contracts' `IExecutor.StoredBatchInfo` of protocol versions 29 to
/// 31.
struct StoredBatchInfo {
    uint64 batchNumber;
    /// The root after the batch.
    bytes32 batchHash;
    /// The next free leaf index after it.
    uint64 indexRepeatedStorageChanges;
    uint256 numberOfLayer1Txs;
    bytes32 priorityOperationsHash;
    bytes32 dependencyRootsRollingHash;
    bytes32 l2LogsTreeRoot;
    uint256 timestamp;
    /// The subject of a validity proof: `Commitments` opens it.
    bytes32 commitment;
}

/// The part of an Era chain's contract on its settlement layer that is used here: era-contracts' `IGetters`.
interface IEraChain {
    /// @return keccak256 of the ABI encoding of the batch's `StoredBatchInfo`; it is kept even if the batch was reverted
    function storedBatchHash(uint256 batchNumber) external view returns (bytes32);

    /// @return the number of the last batch that is committed and not reverted
    function getTotalBatchesCommitted() external view returns (uint256);
}
