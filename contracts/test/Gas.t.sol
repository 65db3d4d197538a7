// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Opening} from "../src/Commitments.sol";
import {Proof, Quorum} from "../src/ProofVerifier.sol";
import {SecondFactor} from "../src/SecondFactor.sol";
import {StoredBatchInfo} from "../src/interfaces/IEraChain.sol";
import {MultisigValidator} from "./support/MultisigValidator.sol";
import {Outputs} from "./support/Outputs.sol";
import {ProofWorld} from "./support/ProofWorld.sol";

/// What each call costs as a separate transaction, data included. The figures are in snapshots/, and CI fails if they differ.
contract GasTest is ProofWorld {
    uint256 internal constant NEXT = GENESIS + 1;
    /// The most gas that a proof may cost.
    uint256 internal constant LIMIT = 75_000;

    function lastGas() internal view returns (uint256) {
        return vm.lastCallGas().gasTotalUsed;
    }

    function proofsFrom(uint256 first, uint256 count) internal view returns (Proof[] memory many) {
        many = new Proof[](count);
        for (uint256 i = 0; i < count; ++i) {
            many[i] = signed(statement(first + i), SGX_KEY);
        }
    }

    function test_a_proof_costs_no_more_than_its_limit() public {
        prove(signed(statement(NEXT), SGX_KEY));
        Proof[] memory ten = proofsFrom(NEXT + 1, 10);
        proofs.prove(ten);
        vm.snapshotGasLastCall("prove, ten batches, one key");
        vm.assertLe(lastGas() / 10, LIMIT);
    }

    function test_the_other_calls_are_measured() public {
        prove(signed(statement(NEXT), SGX_KEY));
        vm.snapshotGasLastCall("prove, one batch, one key");
        vm.prank(GUARDIAN);
        proofs.raiseQuorum(Quorum(2, 2));
        prove(signedByBoth(statement(NEXT + 1)));
        vm.snapshotGasLastCall("prove, one batch, two keys");

        Opening[] memory by = new Opening[](1);
        by[0] = opening(NEXT);
        StoredBatchInfo[] memory batch = new StoredBatchInfo[](1);
        batch[0] = stored(NEXT, by[0]);
        chain.commit(batch[0]);
        proofs.compare(batch[0], by[0]);
        vm.snapshotGasLastCall("compare");
        MultisigValidator validator = new MultisigValidator();
        SecondFactor factor = new SecondFactor(proofs, validator);
        validator.changeExecutionMultisigMember(address(factor), true);
        factor.approve(NEXT, NEXT, abi.encodePacked(uint8(1), abi.encode(batch)), by);
        vm.snapshotGasLastCall("approve, one batch");

        uint256 secret = 0x5b;
        verifier.says(quote(secret), true, Outputs.encode(Outputs.sgx(vm.addr(secret))));
        bytes memory shown = possession(secret);
        vm.prank(REGISTRAR);
        registry.register(quote(secret), block.number - 1, shown);
        vm.snapshotGasLastCall("register, without the attestation verifier's own");
    }
}
