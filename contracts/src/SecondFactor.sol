// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Opening} from "./Commitments.sol";
import {ProofVerifier} from "./ProofVerifier.sol";
import {StoredBatchInfo} from "./interfaces/IEraChain.sol";
import {IMultisigValidator} from "./interfaces/IMultisigValidator.sol";

/// A member of an Era chain's `EraMultisigValidator` that approves the execution of exactly those batches that are proven: a proof where a trusted node stood.
///
/// It has no owner and no state. Who makes it a member decides what its approval is worth, and the `ProofVerifier` decides what is proven.
contract SecondFactor {
    /// The version of the data that `executeBatchesSharedBridge` takes.
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
    /// @param batchData what `executeBatchesSharedBridge` will be called with, byte for byte
    /// @param openings what each batch's commitment was made of
    /// @return approved false if a batch is not what was proven: then the verifier is paused, and nothing is approved
    // slither-disable-next-line reentrancy-events
    function approve(uint256 from, uint256 to, bytes calldata batchData, Opening[] calldata openings) external returns (bool approved) {
        if (batchData.length == 0 || batchData[0] != ENCODING_VERSION) revert UnknownEncoding();
        // The chain's contract reads more from the data. What else there is, it holds against the batches itself.
        StoredBatchInfo[] memory batches = abi.decode(batchData[1:], (StoredBatchInfo[]));
        if (batches.length == 0 || batches.length != openings.length) revert NotOneOpeningEach(batches.length, openings.length);
        if (to != from + batches.length - 1) revert OtherBatches(to, from + batches.length - 1);
        for (uint256 i = 0; i < batches.length; ++i) {
            if (batches[i].batchNumber != from + i) revert OtherBatches(batches[i].batchNumber, from + i);
            // No revert here: it would undo the pause.
            if (!VERIFIER.compare(batches[i], openings[i])) return false;
        }
        bytes32 hash = VALIDATOR.calculateHash(address(VERIFIER.CHAIN()), from, to, batchData);
        emit Approved(from, to, hash);
        VALIDATOR.approveHash(hash);
        return true;
    }
}
