// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IMultisigValidator} from "../../src/interfaces/IMultisigValidator.sol";
import {Chain} from "./Chain.sol";

/// Behaves like era-contracts' `EraMultisigValidator`: domain and typed data, members, threshold, and approvals that count while the
/// approver is a member. It hands execution directly to the chain, where the real one hands it to the timelock.
contract MultisigValidator is IMultisigValidator, EIP712("EraMultisigValidator", "1") {
    bytes32 private constant EXECUTE_BATCHES =
        keccak256("ExecuteBatches(address chainAddress,uint256 processBatchFrom,uint256 processBatchTo,bytes batchData)");

    address private immutable OWNER = msg.sender;
    uint256 public threshold;
    mapping(address member => bool) public executionMultisigMember;
    mapping(address member => mapping(bytes32 hash => bool)) public individualApprovals;
    mapping(bytes32 hash => address[]) private approvers;

    event HashApproved(address indexed member, bytes32 indexed hash);

    error NotOwner();
    error NotSigner();
    error AlreadySigned();
    error NotEnoughSignatures();

    function changeThreshold(uint256 threshold_) external {
        if (msg.sender != OWNER) revert NotOwner();
        threshold = threshold_;
    }

    function changeExecutionMultisigMember(address member, bool isMember) external {
        if (msg.sender != OWNER) revert NotOwner();
        executionMultisigMember[member] = isMember;
    }

    function approveHash(bytes32 hash) external {
        if (!executionMultisigMember[msg.sender]) revert NotSigner();
        if (individualApprovals[msg.sender][hash]) revert AlreadySigned();
        individualApprovals[msg.sender][hash] = true;
        approvers[hash].push(msg.sender);
        emit HashApproved(msg.sender, hash);
    }

    function executeBatchesSharedBridge(address chain, uint256 from, uint256 to, bytes calldata batchData) external {
        if (getApprovals(calculateHash(chain, from, to, batchData)) < threshold) revert NotEnoughSignatures();
        Chain(chain).execute(batchData);
    }

    function getApprovals(bytes32 hash) public view returns (uint256 count) {
        for (uint256 i = 0; i < approvers[hash].length; ++i) {
            if (executionMultisigMember[approvers[hash][i]]) ++count;
        }
    }

    function calculateHash(address chain, uint256 from, uint256 to, bytes calldata batchData) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(EXECUTE_BATCHES, chain, from, to, keccak256(batchData))));
    }
}
