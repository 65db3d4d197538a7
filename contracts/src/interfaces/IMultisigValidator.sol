// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// The part of era-contracts' `EraMultisigValidator` that a member uses. The contract stands in front of the chain's `ValidatorTimelock`,
/// and lets `executeBatchesSharedBridge` through when enough members have approved the EIP-712 hash of `ExecuteBatches(address
/// chainAddress,uint256 processBatchFrom,uint256 processBatchTo,bytes batchData)`.
interface IMultisigValidator {
    /// Approves for the caller, who must be a member and cannot undo the approval.
    function approveHash(bytes32 hash) external;

    function calculateHash(address chainAddress, uint256 processBatchFrom, uint256 processBatchTo, bytes calldata batchData)
        external
        view
        returns (bytes32);
}
