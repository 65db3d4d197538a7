// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {StoredBatchInfo} from "./interfaces/IEraChain.sol";

/// The parts of a batch's commitment that `StoredBatchInfo` does not repeat. All of them are in the transaction that committed the batch.
struct Opening {
    bool zkPorterIsAvailable;
    bytes32 bootloader;
    bytes32 defaultAccount;
    bytes32 evmEmulator;
    bytes32 systemLogsHash;
    bytes32 stateDiffHash;
    bytes32 bootloaderHeapInitialContentsHash;
    bytes32 eventsQueueStateHash;
    /// For each of the 16 blobs, its linear hash and the hash of its opening; zero without a blob.
    bytes32[32] blobs;
}

/// The commitment that an Era chain's contract computes for a batch: era-contracts' `_createBatchCommitment`.
library Commitments {
    function commitmentOf(StoredBatchInfo calldata batch, Opening calldata opening) internal pure returns (bytes32) {
        // Index and root of zkPorter's tree, which is not in use.
        bytes32 passThrough = keccak256(abi.encodePacked(batch.indexRepeatedStorageChanges, batch.batchHash, uint64(0), bytes32(0)));
        bytes32 metadata =
            keccak256(abi.encodePacked(opening.zkPorterIsAvailable, opening.bootloader, opening.defaultAccount, opening.evmEmulator));
        bytes32 auxiliary = keccak256(
            abi.encodePacked(
                opening.systemLogsHash,
                opening.stateDiffHash,
                opening.bootloaderHeapInitialContentsHash,
                opening.eventsQueueStateHash,
                opening.blobs
            )
        );
        return keccak256(abi.encode(passThrough, metadata, auxiliary));
    }
}
