// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Opening} from "./Commitments.sol";
import {ProofVerifier} from "./ProofVerifier.sol";
import {StoredBatchInfo} from "./interfaces/IEraChain.sol";
import {IMultisigValidator} from "./interfaces/IMultisigValidator.sol";

/// A member of an Era chain's `EraMultisigValidator` that approves the execution of exactly those batches that are proven: a proof takes
/// the place of a trusted node.
///
/// It has no owner and no state. Whoever makes it a member decides what its approval is worth, and the `ProofVerifier` decides what is
/// proven.
contract SecondFactor {
    /// The version of the data that `executeBatchesSharedBridge` accepts.
    bytes1 private constant ENCODING_VERSION = 0x01;

    ProofVerifier public immutable VERIFIER;
    IMultisigValidator public immutable VALIDATOR;

    event Approved(uint256 indexed from, uint256 indexed to, bytes32 hash);

    error UnknownEncoding();
    error NotOneOpeningEach(uint256 batches, uint256 openings);
    error OtherBatches(uint256 batchNumber, uint256 expected);

    constructor(ProofVerifier verifier, IMultisigValidator validator) {
        VERIFIER = verifier;
        VALIDATOR = validator;
    }

    /// Approves the execution of the batches `from` to `to`. Anyone may call it.
    /// @param batchData the argument with which `executeBatchesSharedBridge` will be called, byte for byte
    /// @param openings the parts of each batch's commitment
    /// @return approved false if a batch is not the proven one: then the verifier is paused, and nothing is approved
    // slither-disable-next-line reentrancy-events
    function approve(uint256 from, uint256 to, bytes calldata batchData, Opening[] calldata openings) external returns (bool approved) {
        if (batchData.length == 0 || batchData[0] != ENCODING_VERSION) revert UnknownEncoding();
        // The chain's contract reads more from the data, and compares the rest with the batches itself.
        StoredBatchInfo[] memory batches = abi.decode(batchData[1:], (StoredBatchInfo[]));
        if (batches.length == 0 || batches.length != openings.length) revert NotOneOpeningEach(batches.length, openings.length);
        if (to != from + batches.length - 1) revert OtherBatches(to, from + batches.length - 1);
        for (uint256 i = 0; i < batches.length; ++i) {
            if (batches[i].batchNumber != from + i) revert OtherBatches(batches[i].batchNumber, from + i);
            // This must not revert: that would undo the pause.
            if (!VERIFIER.compare(batches[i], openings[i])) return false;
        }
        bytes32 hash = VALIDATOR.calculateHash(address(VERIFIER.CHAIN()), from, to, batchData);
        emit Approved(from, to, hash);
        VALIDATOR.approveHash(hash);
        return true;
    }
}
