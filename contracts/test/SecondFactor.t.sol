// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Opening} from "../src/Commitments.sol";
import {ProofVerifier} from "../src/ProofVerifier.sol";
import {SecondFactor} from "../src/SecondFactor.sol";
import {StoredBatchInfo} from "../src/interfaces/IEraChain.sol";
import {MultisigValidator} from "./support/MultisigValidator.sol";
import {ProofWorld} from "./support/ProofWorld.sol";

/// From proofs to execution, in front of a stand-in for era-contracts' validator.
contract SecondFactorTest is ProofWorld {
    uint256 internal constant NEXT = GENESIS + 1;

    struct PriorityOpsBatchInfo {
        bytes32[] leftPath;
        bytes32[] rightPath;
        bytes32[] itemHashes;
    }

    struct InteropRoot {
        uint256 chainId;
        uint256 blockOrBatchNumber;
        bytes32[] sides;
    }

    struct L2Log {
        uint8 l2ShardId;
        bool isService;
        uint16 txNumberInBatch;
        address sender;
        bytes32 key;
        bytes32 value;
    }

    MultisigValidator internal validator;
    SecondFactor internal factor;

    function setUp() public override {
        super.setUp();
        validator = new MultisigValidator();
        factor = new SecondFactor(proofs, validator);
        validator.changeThreshold(1);
        validator.changeExecutionMultisigMember(address(factor), true);
    }

    function openings(uint256 from, uint256 to) internal pure returns (Opening[] memory of_) {
        of_ = new Opening[](to + 1 - from);
        for (uint256 i = 0; i < of_.length; ++i) {
            of_[i] = opening(from + i);
        }
    }

    function batches(uint256 from, uint256 to) internal view returns (StoredBatchInfo[] memory of_) {
        of_ = new StoredBatchInfo[](to + 1 - from);
        for (uint256 i = 0; i < of_.length; ++i) {
            of_[i] = stored(from + i, opening(from + i));
        }
    }

    function commit(uint256 from, uint256 to) internal {
        StoredBatchInfo[] memory all = batches(from, to);
        for (uint256 i = 0; i < all.length; ++i) {
            chain.commit(all[i]);
        }
    }

    /// The data that a chain of version 29 with interop accepts.
    function data29(StoredBatchInfo[] memory of_) internal pure returns (bytes memory) {
        PriorityOpsBatchInfo[] memory priority = new PriorityOpsBatchInfo[](of_.length);
        return abi.encodePacked(uint8(1), abi.encode(of_, priority, new InteropRoot[][](of_.length)));
    }

    /// The data that a chain of version 31 accepts: four more lists and an address.
    function data31(StoredBatchInfo[] memory of_) internal pure returns (bytes memory) {
        PriorityOpsBatchInfo[] memory priority = new PriorityOpsBatchInfo[](of_.length);
        return abi.encodePacked(
            uint8(1),
            abi.encode(of_, priority, new InteropRoot[][](of_.length), new L2Log[][](0), new bytes[][](0), new bytes32[](0), address(0xfee))
        );
    }

    function test_proven_batches_are_approved_and_executed() public {
        proveUpTo(NEXT + 2);
        commit(NEXT, NEXT + 2);
        bytes memory data = data29(batches(NEXT, NEXT + 2));
        vm.expectRevert(abi.encodeWithSelector(MultisigValidator.NotEnoughSignatures.selector));
        validator.executeBatchesSharedBridge(address(chain), NEXT, NEXT + 2, data);
        vm.prank(STRANGER);
        vm.assertTrue(factor.approve(NEXT, NEXT + 2, data, openings(NEXT, NEXT + 2)));
        validator.executeBatchesSharedBridge(address(chain), NEXT, NEXT + 2, data);
        vm.assertEq(chain.executed(), NEXT + 2);
    }

    function test_data_of_version_31_are_read_too() public {
        proveUpTo(NEXT + 1);
        commit(NEXT, NEXT + 1);
        bytes memory data = data31(batches(NEXT, NEXT + 1));
        vm.assertTrue(factor.approve(NEXT, NEXT + 1, data, openings(NEXT, NEXT + 1)));
        validator.executeBatchesSharedBridge(address(chain), NEXT, NEXT + 1, data);
    }

    /// The stand-in's typed data, computed again from EIP-712 and the published type.
    function test_what_is_approved_is_the_typed_data() public {
        proveUpTo(NEXT);
        commit(NEXT, NEXT);
        bytes memory data = data29(batches(NEXT, NEXT));
        factor.approve(NEXT, NEXT, data, openings(NEXT, NEXT));
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("EraMultisigValidator"),
                keccak256("1"),
                block.chainid,
                address(validator)
            )
        );
        bytes32 message = keccak256(
            abi.encode(
                keccak256("ExecuteBatches(address chainAddress,uint256 processBatchFrom,uint256 processBatchTo,bytes batchData)"),
                address(chain),
                NEXT,
                NEXT,
                keccak256(data)
            )
        );
        bytes32 hash = keccak256(abi.encodePacked("\x19\x01", domain, message));
        vm.assertTrue(validator.individualApprovals(address(factor), hash));
        vm.assertEq(validator.getApprovals(hash), 1);
    }

    function test_a_batch_that_is_not_proven_is_not_approved() public {
        proveUpTo(NEXT);
        commit(NEXT, NEXT + 1);
        bytes memory data = data29(batches(NEXT, NEXT + 1));
        Opening[] memory by = openings(NEXT, NEXT + 1);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotProven.selector, NEXT + 1));
        factor.approve(NEXT, NEXT + 1, data, by);
    }

    function test_a_forged_batch_is_not_approved_and_stops_everything() public {
        proveUpTo(NEXT + 1);
        commit(NEXT, NEXT);
        StoredBatchInfo[] memory forged = batches(NEXT, NEXT + 1);
        forged[1].l2LogsTreeRoot = keccak256("a withdrawal that never was");
        forged[1].commitment = this.commitmentOf(forged[1], opening(NEXT + 1));
        chain.commit(forged[1]);
        bytes memory data = data29(forged);
        vm.assertFalse(factor.approve(NEXT, NEXT + 1, data, openings(NEXT, NEXT + 1)));
        vm.assertTrue(proofs.paused());
        vm.assertEq(validator.getApprovals(validator.calculateHash(address(chain), NEXT, NEXT + 1, data)), 0);
        vm.expectRevert(abi.encodeWithSelector(MultisigValidator.NotEnoughSignatures.selector));
        validator.executeBatchesSharedBridge(address(chain), NEXT, NEXT + 1, data);
        // The honest batch before it has to wait, too.
        data = data29(batches(NEXT, NEXT));
        Opening[] memory by = openings(NEXT, NEXT);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.IsPaused.selector));
        factor.approve(NEXT, NEXT, data, by);
    }

    function test_a_batch_proven_by_a_revoked_key_and_taken_back_is_not_approved() public {
        proveUpTo(NEXT);
        commit(NEXT, NEXT);
        vm.prank(GUARDIAN);
        registry.revoke(vm.addr(SGX_KEY));
        vm.prank(GUARDIAN);
        proofs.rewind(GENESIS, facts(GENESIS));
        bytes memory data = data29(batches(NEXT, NEXT));
        Opening[] memory by = openings(NEXT, NEXT);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotProven.selector, NEXT));
        factor.approve(NEXT, NEXT, data, by);
        proveRefuses(signed(statement(NEXT), SGX_KEY), abi.encodeWithSelector(ProofVerifier.DoesNotCount.selector, vm.addr(SGX_KEY)));
    }

    function approveRefuses(uint256 from, uint256 to, bytes memory data, Opening[] memory by, bytes memory error) internal {
        vm.expectRevert(error);
        factor.approve(from, to, data, by);
    }

    function test_the_numbers_are_those_in_the_data() public {
        proveUpTo(NEXT + 2);
        commit(NEXT, NEXT + 2);
        StoredBatchInfo[] memory all = batches(NEXT, NEXT + 2);
        Opening[] memory by = openings(NEXT, NEXT + 2);
        approveRefuses(NEXT, NEXT + 3, data29(all), by, abi.encodeWithSelector(SecondFactor.OtherBatches.selector, NEXT + 3, NEXT + 2));
        approveRefuses(NEXT - 1, NEXT + 1, data29(all), by, abi.encodeWithSelector(SecondFactor.OtherBatches.selector, NEXT, NEXT - 1));
        all[1] = all[2];
        by[1] = by[2];
        approveRefuses(NEXT, NEXT + 2, data29(all), by, abi.encodeWithSelector(SecondFactor.OtherBatches.selector, NEXT + 2, NEXT + 1));
        all = batches(NEXT, NEXT + 1);
        approveRefuses(NEXT, NEXT + 1, data29(all), by, abi.encodeWithSelector(SecondFactor.NotOneOpeningEach.selector, 2, 3));
        all = new StoredBatchInfo[](0);
        by = new Opening[](0);
        approveRefuses(NEXT, NEXT - 1, data29(all), by, abi.encodeWithSelector(SecondFactor.NotOneOpeningEach.selector, 0, 0));
        approveRefuses(NEXT, NEXT, "", by, abi.encodeWithSelector(SecondFactor.UnknownEncoding.selector));
        bytes memory other = data29(batches(NEXT, NEXT));
        other[0] = 0x04;
        approveRefuses(NEXT, NEXT, other, by, abi.encodeWithSelector(SecondFactor.UnknownEncoding.selector));
    }

    function test_it_approves_as_a_member_only() public {
        proveUpTo(NEXT);
        commit(NEXT, NEXT);
        validator.changeExecutionMultisigMember(address(factor), false);
        bytes memory data = data29(batches(NEXT, NEXT));
        approveRefuses(NEXT, NEXT, data, openings(NEXT, NEXT), abi.encodeWithSelector(MultisigValidator.NotSigner.selector));
        validator.changeExecutionMultisigMember(address(factor), true);
        factor.approve(NEXT, NEXT, data, openings(NEXT, NEXT));
        approveRefuses(NEXT, NEXT, data, openings(NEXT, NEXT), abi.encodeWithSelector(MultisigValidator.AlreadySigned.selector));
    }

    /// The approval is bound to what is committed: other batches under the same numbers need another approval.
    function test_an_approval_does_not_outlive_a_revert_of_the_batch() public {
        proveUpTo(NEXT);
        commit(NEXT, NEXT);
        bytes memory data = data29(batches(NEXT, NEXT));
        factor.approve(NEXT, NEXT, data, openings(NEXT, NEXT));
        StoredBatchInfo memory other = batches(NEXT, NEXT)[0];
        other.batchHash = keccak256("another root");
        chain.revertTo(GENESIS);
        chain.commit(other);
        vm.expectRevert(abi.encodeWithSignature("NotTheStoredBatch(uint256)", NEXT));
        validator.executeBatchesSharedBridge(address(chain), NEXT, NEXT, data);
    }
}
