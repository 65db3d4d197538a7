// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {IEraChain, StoredBatchInfo} from "../../src/interfaces/IEraChain.sol";

/// Stores batches as an Era chain's contract does: by hash. A reverted one is kept but not counted.
contract Chain is IEraChain {
    mapping(uint256 batchNumber => bytes32) public storedBatchHash;
    uint256 public getTotalBatchesCommitted;
    uint256 public executed;

    error NotTheStoredBatch(uint256 batchNumber);

    function commit(StoredBatchInfo calldata batch) external {
        storedBatchHash[batch.batchNumber] = keccak256(abi.encode(batch));
        getTotalBatchesCommitted = batch.batchNumber;
    }

    function revertTo(uint256 batchNumber) external {
        getTotalBatchesCommitted = batchNumber;
    }

    /// The form in which `executeBatchesSharedBridge` reads its data: a version, then the batches and what their execution needs.
    function execute(bytes calldata batchData) external {
        require(batchData[0] == 0x01, "version");
        StoredBatchInfo[] memory batches = abi.decode(batchData[1:], (StoredBatchInfo[]));
        for (uint256 i = 0; i < batches.length; ++i) {
            bytes32 hash = keccak256(abi.encode(batches[i]));
            if (storedBatchHash[batches[i].batchNumber] != hash) revert NotTheStoredBatch(batches[i].batchNumber);
            executed = batches[i].batchNumber;
        }
    }
}
