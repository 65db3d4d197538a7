// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Opening} from "../src/Commitments.sol";
import {Delayed} from "../src/Delayed.sol";
import {KeyRegistry} from "../src/KeyRegistry.sol";
import {Code, Facts, Proof, ProofVerifier, Quorum, Start} from "../src/ProofVerifier.sol";
import {Statement} from "../src/Statements.sol";
import {SystemLogs} from "../src/SystemLogs.sol";
import {IEraChain, StoredBatchInfo} from "../src/interfaces/IEraChain.sol";
import {ProofWorld} from "./support/ProofWorld.sol";

/// What is proven, what is not, and what stops everything.
contract ProofVerifierTest is ProofWorld {
    uint256 internal constant NEXT = GENESIS + 1;

    function test_batches_are_proven_one_after_another() public {
        proveUpTo(NEXT + 2);
        vm.assertEq(proofs.headBatch(), NEXT + 2);
        vm.assertEq(proofs.headRoot(), rootOf(NEXT + 2));
        vm.assertEq(proofs.headIndex(), indexOf(NEXT + 2));
        vm.assertEq(proofs.proven(NEXT + 1), keccak256(abi.encode(facts(NEXT + 1))));
    }

    function test_many_batches_are_proven_in_one_call_or_none_is() public {
        Proof[] memory many = new Proof[](3);
        for (uint256 i = 0; i < many.length; ++i) {
            many[i] = signed(statement(NEXT + i), SGX_KEY);
        }
        proofs.prove(many);
        vm.assertEq(proofs.headBatch(), NEXT + 2);

        for (uint256 i = 0; i < many.length; ++i) {
            many[i] = signed(statement(NEXT + 3 + i), i == 2 ? 0xbad : SGX_KEY);
        }
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.DoesNotCount.selector, vm.addr(0xbad)));
        proofs.prove(many);
        vm.assertEq(proofs.headBatch(), NEXT + 2);
        vm.assertEq(proofs.proven(NEXT + 3), 0);
    }

    function test_batches_are_not_left_out_or_proven_twice() public {
        proveRefuses(signed(statement(NEXT + 1), SGX_KEY), abi.encodeWithSelector(ProofVerifier.NotTheNextBatch.selector, NEXT + 1, NEXT));
        proveUpTo(NEXT);
        proveRefuses(signed(statement(NEXT), SGX_KEY), abi.encodeWithSelector(ProofVerifier.NotTheNextBatch.selector, NEXT, NEXT + 1));
    }

    function test_a_batch_begins_where_the_one_before_ended() public {
        Statement memory other = statement(NEXT);
        other.previousRoot = keccak256("a fork");
        proveRefuses(
            signed(other, SGX_KEY), abi.encodeWithSelector(ProofVerifier.DoesNotChain.selector, other.previousRoot, other.previousIndex)
        );
        other = statement(NEXT);
        other.previousIndex += 1;
        proveRefuses(
            signed(other, SGX_KEY), abi.encodeWithSelector(ProofVerifier.DoesNotChain.selector, other.previousRoot, other.previousIndex)
        );
    }

    function test_another_chains_batch_is_refused() public {
        Statement memory other = statement(NEXT);
        other.chainId = CHAIN_ID + 1;
        proveRefuses(signed(other, SGX_KEY), abi.encodeWithSelector(ProofVerifier.OtherChain.selector, CHAIN_ID + 1));
    }

    function test_a_batch_by_other_code_is_refused() public {
        Statement memory other = statement(NEXT);
        other.codeHash = keccak256("a bootloader that pays its author");
        proveRefuses(signed(other, SGX_KEY), abi.encodeWithSelector(ProofVerifier.CodeNotAllowed.selector, 29, other.codeHash));
        vm.prank(GUARDIAN);
        proofs.forbidCode(Code(29, codeHash()));
        proveRefuses(signed(statement(NEXT), SGX_KEY), abi.encodeWithSelector(ProofVerifier.CodeNotAllowed.selector, 29, codeHash()));
        loosen(proofs, abi.encodeCall(ProofVerifier.allowCode, (Code(29, codeHash()))));
        proveUpTo(NEXT);
    }

    function test_signers_that_do_not_count_prove_nothing() public {
        vm.prank(GUARDIAN);
        registry.revoke(vm.addr(SGX_KEY));
        bytes memory error = abi.encodeWithSelector(ProofVerifier.DoesNotCount.selector, vm.addr(SGX_KEY));
        proveRefuses(signed(statement(NEXT), SGX_KEY), error);
        prove(signed(statement(NEXT), TDX_KEY));
        vm.prank(GUARDIAN);
        registry.removeMeasurement(1);
        proveRefuses(signed(statement(NEXT + 1), TDX_KEY), abi.encodeWithSelector(ProofVerifier.DoesNotCount.selector, vm.addr(TDX_KEY)));
    }

    function test_the_other_form_of_a_signature_is_refused() public {
        Proof memory proof = signed(statement(NEXT), SGX_KEY);
        bytes memory good = proof.signatures[0];
        (bytes32 r, bytes32 s) = abi.decode(good, (bytes32, bytes32));
        bytes32 high = bytes32(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141 - uint256(s));
        proof.signatures[0] = abi.encodePacked(r, high, good[64] == 0x1b ? bytes1(0x1c) : bytes1(0x1b));
        proveRefuses(proof, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
    }

    function test_a_signature_of_nobody_is_refused() public {
        Proof memory proof = signed(statement(NEXT), SGX_KEY);
        proof.signatures[0] = abi.encodePacked(bytes32(0), bytes32(uint256(1)), uint8(27));
        proveRefuses(proof, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
        proof.signatures[0] = new bytes(64);
        proveRefuses(proof, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        proof.signatures[0] = "";
        proveRefuses(proof, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 0));
        proof.signatures = new bytes[](0);
        proveRefuses(proof, abi.encodeWithSelector(ProofVerifier.TooFewKeys.selector, 0));
    }

    function test_a_proof_for_another_contract_or_settlement_chain_is_refused() public {
        Proof memory elsewhere = signed(statement(NEXT), SGX_KEY);
        ProofVerifier here = proofs;
        proofs = new ProofVerifier(OWNER, GUARDIAN, DELAY_SECS, registry, start(Quorum(1, 1)));
        vm.assertNotEq(here.boundDigest(0), proofs.boundDigest(0));
        Proof[] memory one = new Proof[](1);
        one[0] = elsewhere;
        try proofs.prove(one) {
            vm.assertTrue(false);
        } catch (bytes memory reason) {
            vm.assertEq(bytes32(bytes4(reason)), bytes32(ProofVerifier.DoesNotCount.selector));
        }
        here.prove(one);

        bytes32 before = proofs.boundDigest(0);
        vm.chainId(5);
        vm.assertNotEq(before, proofs.boundDigest(0));
    }

    function test_signatures_that_name_no_contract_need_leave_that_can_be_taken_back() public {
        Statement memory next = statement(NEXT);
        Proof memory unbound = Proof({statement: next, isBound: false, signatures: new bytes[](1)});
        unbound.signatures[0] = signature(SGX_KEY, digest(next));
        proveRefuses(unbound, abi.encodeWithSelector(ProofVerifier.Unbound.selector));

        Start memory from = start(Quorum(1, 1));
        from.dangerAcceptUnbound = true;
        proofs = new ProofVerifier(OWNER, GUARDIAN, DELAY_SECS, registry, from);
        prove(unbound);
        prove(signed(statement(NEXT + 1), SGX_KEY));
        vm.prank(GUARDIAN);
        proofs.refuseUnbound();
        unbound.statement = statement(NEXT + 2);
        unbound.signatures[0] = signature(SGX_KEY, digest(unbound.statement));
        proveRefuses(unbound, abi.encodeWithSelector(ProofVerifier.Unbound.selector));
    }

    function test_a_quorum_is_of_different_keys_and_kinds() public {
        vm.prank(GUARDIAN);
        proofs.raiseQuorum(Quorum(2, 2));
        proveRefuses(signed(statement(NEXT), SGX_KEY), abi.encodeWithSelector(ProofVerifier.TooFewKeys.selector, 1));

        Proof memory twice = signedByBoth(statement(NEXT));
        twice.signatures[1] = twice.signatures[0];
        address first = vm.addr(SGX_KEY) < vm.addr(TDX_KEY) ? vm.addr(SGX_KEY) : vm.addr(TDX_KEY);
        proveRefuses(twice, abi.encodeWithSelector(ProofVerifier.SignersOutOfOrder.selector, first));

        Proof memory swapped = signedByBoth(statement(NEXT));
        (swapped.signatures[0], swapped.signatures[1]) = (swapped.signatures[1], swapped.signatures[0]);
        proveRefuses(swapped, abi.encodeWithSelector(ProofVerifier.SignersOutOfOrder.selector, first));

        uint256 another = 0x5b;
        addSgxKey(another);
        Proof memory sameKind = signed(statement(NEXT), SGX_KEY);
        bytes memory mine = sameKind.signatures[0];
        bytes memory others = signed(statement(NEXT), another).signatures[0];
        sameKind.signatures = new bytes[](2);
        bool isFirst = vm.addr(SGX_KEY) < vm.addr(another);
        (sameKind.signatures[0], sameKind.signatures[1]) = isFirst ? (mine, others) : (others, mine);
        proveRefuses(sameKind, abi.encodeWithSelector(ProofVerifier.TooFewTeeTypes.selector, 1));

        prove(signedByBoth(statement(NEXT)));
    }

    function test_quorums_rise_at_once_and_fall_with_delay() public {
        vm.prank(GUARDIAN);
        proofs.raiseQuorum(Quorum(3, 2));
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotTighter.selector));
        vm.prank(GUARDIAN);
        proofs.raiseQuorum(Quorum(2, 2));
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotTighter.selector));
        vm.prank(GUARDIAN);
        proofs.raiseQuorum(Quorum(3, 1));
        loosen(proofs, abi.encodeCall(ProofVerifier.lowerQuorum, (Quorum(1, 1))));
        proveUpTo(NEXT);
        Quorum[4] memory invalid = [Quorum(0, 0), Quorum(1, 2), Quorum(3, 3), Quorum(2, 0)];
        for (uint256 i = 0; i < invalid.length; ++i) {
            Start memory from = start(invalid[i]);
            vm.expectRevert(abi.encodeWithSelector(ProofVerifier.InvalidQuorum.selector));
            new ProofVerifier(OWNER, GUARDIAN, DELAY_SECS, registry, from);
        }
    }

    function logsRefuse(bytes memory systemLogs, bytes memory error) internal {
        Statement memory other = statement(NEXT);
        other.systemLogs = systemLogs;
        proveRefuses(signed(other, SGX_KEY), error);
    }

    function test_system_logs_are_whole_known_from_their_senders_and_none_is_missing() public {
        bytes memory good = logs(NEXT);
        logsRefuse(abi.encodePacked(good, uint8(0)), abi.encodeWithSelector(SystemLogs.NotWholeLogs.selector, good.length + 1));
        bytes memory stranger = log(address(0x8001), 10, 0);
        logsRefuse(abi.encodePacked(good, stranger), abi.encodeWithSelector(SystemLogs.UnknownKey.selector, 10));
        // A key of which only the last byte is given.
        stranger = log(address(0x8001), 1 << 8 | 9, 0);
        logsRefuse(abi.encodePacked(good, stranger), abi.encodeWithSelector(SystemLogs.UnknownKey.selector, 1 << 8 | 9));
        logsRefuse(abi.encodePacked(good, log(address(0x8001), 3, 0)), abi.encodeWithSelector(SystemLogs.RepeatedKey.selector, 3));
        logsRefuse("", abi.encodeWithSelector(SystemLogs.MissingLogs.selector, 0));
        for (uint256 missing = 0; missing < 9; ++missing) {
            bytes memory rest = new bytes(good.length - 88);
            uint256 seen = 0;
            for (uint256 i = 0; i < rest.length; ++i) {
                rest[i] = good[i < missing * 88 ? i : i + 88];
                if (i % 88 == 55) seen |= 1 << uint8(rest[i]);
            }
            logsRefuse(rest, abi.encodeWithSelector(SystemLogs.MissingLogs.selector, seen));
        }
        for (uint256 i = 0; i < 9; ++i) {
            bytes memory forged = abi.encodePacked(good);
            forged[i * 88 + 23] = 0x77;
            uint256 key = uint8(good[i * 88 + 55]);
            logsRefuse(forged, abi.encodeWithSelector(SystemLogs.WrongSender.selector, key, address(uint160(0x8077))));
        }
    }

    function test_system_logs_of_an_unknown_version_are_refused() public {
        for (uint16 version = 28; version < 33; ++version) {
            if (version == 29 || version == 31) continue;
            loosen(proofs, abi.encodeCall(ProofVerifier.allowCode, (Code(version, codeHash()))));
            Statement memory other = statement(NEXT);
            other.protocolVersion = version;
            proveRefuses(signed(other, SGX_KEY), abi.encodeWithSelector(SystemLogs.UnknownVersion.selector, version));
        }
    }

    function test_an_upgrade_and_version_31_have_keys_of_their_own() public {
        Statement memory upgrade = statement(NEXT);
        upgrade.systemLogs = abi.encodePacked(upgrade.systemLogs, log(address(0x8001), 9, keccak256("upgrade")));
        prove(signed(upgrade, SGX_KEY));
        Statement memory later = statement(NEXT + 1);
        later.protocolVersion = 31;
        proveRefuses(signed(later, SGX_KEY), abi.encodeWithSelector(SystemLogs.MissingLogs.selector, 0x1ff));
        later.systemLogs = abi.encodePacked(later.systemLogs, log(address(0x8001), 9, bytes32(uint256(1))));
        prove(signed(later, SGX_KEY));
    }

    function test_version_31_keeps_the_number_of_l2_transactions_apart() public {
        Statement memory next = statement(NEXT);
        next.protocolVersion = 31;
        next.systemLogs = abi.encodePacked(next.systemLogs, log(address(0x8001), 9, bytes32(uint256(1))));
        // The fourth log is the number of transactions; its value's upper half is L2's.
        next.systemLogs[3 * 88 + 56 + 15] = 0x55;
        prove(signed(next, SGX_KEY));
        Facts memory expected = facts(NEXT);
        expected.systemLogsHash = keccak256(next.systemLogs);
        vm.assertEq(proofs.proven(NEXT), keccak256(abi.encode(expected)));
    }

    function test_times_and_the_batch_before_are_compared() public {
        bytes memory systemLogs = logs(NEXT);
        systemLogs[56] ^= 0x01;
        bytes32 logged = rootOf(GENESIS) ^ bytes32(uint256(1) << 248);
        logsRefuse(systemLogs, abi.encodeWithSelector(ProofVerifier.PreviousBatchHash.selector, logged, rootOf(GENESIS)));
        systemLogs = logs(NEXT);
        // The last block's time, 10 seconds after the batch's.
        systemLogs[88 + 87] = bytes1(uint8(systemLogs[88 + 87]) - 11);
        logsRefuse(systemLogs, abi.encodeWithSelector(SystemLogs.TimestampsOutOfOrder.selector, NOW + NEXT, NOW + NEXT - 1));
    }

    function test_a_committed_batch_agrees_with_what_is_proven() public {
        proveUpTo(NEXT);
        Opening memory by = opening(NEXT);
        StoredBatchInfo memory batch = stored(NEXT, by);
        chain.commit(batch);
        vm.assertTrue(proofs.compare(batch, by));
        vm.assertFalse(proofs.paused());
    }

    function test_only_what_the_chain_holds_now_is_compared() public {
        proveUpTo(NEXT);
        Opening memory by = opening(NEXT);
        StoredBatchInfo memory batch = stored(NEXT, by);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotCommitted.selector, NEXT));
        proofs.compare(batch, by);
        chain.commit(batch);
        chain.revertTo(GENESIS);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotCommitted.selector, NEXT));
        proofs.compare(batch, by);
        chain.commit(batch);
        StoredBatchInfo memory invented = stored(NEXT, by);
        invented.timestamp += 1;
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotCommitted.selector, NEXT));
        proofs.compare(invented, by);
        by.stateDiffHash = keccak256("other diffs");
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.OpeningMismatch.selector, batch.commitment));
        proofs.compare(batch, by);
        batch = stored(NEXT + 1, opening(NEXT + 1));
        chain.commit(batch);
        by = opening(NEXT + 1);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotProven.selector, NEXT + 1));
        proofs.compare(batch, by);
        // What came before the first batch was never proven, and contradicts nobody.
        by = opening(NEXT);
        batch = stored(NEXT, by);
        batch.batchNumber = GENESIS - 1;
        chain.commit(batch);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotProven.selector, GENESIS - 1));
        proofs.compare(batch, by);
        vm.assertFalse(proofs.paused());
    }

    /// Everything that L1 stores of a batch: a change of any part stops the verifier.
    function test_a_difference_in_anything_pauses() public {
        for (uint256 i = 0; i < 11; ++i) {
            setUp();
            proveUpTo(NEXT);
            Opening memory by = opening(NEXT);
            if (i == 7) by.systemLogsHash = keccak256("another DA output");
            if (i == 8) by.bootloader = keccak256("another bootloader");
            if (i == 9) by.defaultAccount = keccak256("another default account");
            if (i == 10) by.evmEmulator = keccak256("another emulator");
            StoredBatchInfo memory batch = stored(NEXT, by);
            if (i == 0) batch.batchHash = keccak256("another root");
            if (i == 1) batch.indexRepeatedStorageChanges += 1;
            if (i == 2) batch.numberOfLayer1Txs += 1;
            if (i == 3) batch.priorityOperationsHash = keccak256("other transactions");
            if (i == 4) batch.dependencyRootsRollingHash = keccak256("other roots");
            if (i == 5) batch.l2LogsTreeRoot = keccak256("a withdrawal that never was");
            if (i == 6) batch.timestamp += 1;
            batch.commitment = this.commitmentOf(batch, by);
            chain.commit(batch);
            vm.assertFalse(proofs.compare(batch, by));
            vm.assertTrue(proofs.paused());
            proveRefuses(signed(statement(NEXT + 1), SGX_KEY), abi.encodeWithSelector(ProofVerifier.IsPaused.selector));
            vm.expectRevert(abi.encodeWithSelector(ProofVerifier.IsPaused.selector));
            proofs.compare(batch, by);
        }
    }

    function test_a_key_that_says_something_else_of_a_proven_batch_pauses() public {
        proveUpTo(NEXT + 1);
        Statement memory other = statement(NEXT + 1);
        other.root = keccak256("another root");
        Proof memory proof = signed(other, TDX_KEY);
        proofs.dispute(proof, facts(NEXT));
        vm.assertTrue(proofs.paused());
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.IsPaused.selector));
        proofs.dispute(proof, facts(NEXT));
    }

    function test_a_dispute_needs_a_key_that_counts_the_same_state_and_a_difference() public {
        proveUpTo(NEXT + 1);
        Statement memory other = statement(NEXT + 1);
        disputeRefuses(signed(other, TDX_KEY), facts(NEXT), abi.encodeWithSelector(ProofVerifier.NoDisagreement.selector));
        other.root = keccak256("another root");
        disputeRefuses(signed(other, 0xbad), facts(NEXT), abi.encodeWithSelector(ProofVerifier.DoesNotCount.selector, vm.addr(0xbad)));
        disputeRefuses(signed(other, TDX_KEY), facts(NEXT + 1), abi.encodeWithSelector(ProofVerifier.OtherFacts.selector, NEXT));
        other.chainId += 1;
        disputeRefuses(signed(other, TDX_KEY), facts(NEXT), abi.encodeWithSelector(ProofVerifier.OtherChain.selector, CHAIN_ID + 1));
        other.chainId -= 1;
        other.previousIndex += 1;
        disputeRefuses(
            signed(other, TDX_KEY),
            facts(NEXT),
            abi.encodeWithSelector(ProofVerifier.DoesNotChain.selector, other.previousRoot, other.previousIndex)
        );
        // A batch of a fork is no disagreement: anyone can have one made.
        other = statement(NEXT + 1);
        other.previousRoot = keccak256("a fork");
        disputeRefuses(
            signed(other, TDX_KEY),
            facts(NEXT),
            abi.encodeWithSelector(ProofVerifier.DoesNotChain.selector, other.previousRoot, other.previousIndex)
        );
        other = statement(NEXT + 2);
        disputeRefuses(signed(other, TDX_KEY), facts(NEXT + 1), abi.encodeWithSelector(ProofVerifier.NotProven.selector, NEXT + 2));
        vm.assertFalse(proofs.paused());
    }

    function disputeRefuses(Proof memory proof, Facts memory before, bytes memory error) internal {
        vm.expectRevert(error);
        proofs.dispute(proof, before);
    }

    function test_pausing_is_at_once_and_going_on_is_delayed() public {
        vm.expectRevert(abi.encodeWithSelector(Delayed.NotGuardian.selector, STRANGER));
        vm.prank(STRANGER);
        proofs.pause();
        vm.prank(GUARDIAN);
        proofs.pause();
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.IsPaused.selector));
        vm.prank(GUARDIAN);
        proofs.pause();
        proveRefuses(signed(statement(NEXT), SGX_KEY), abi.encodeWithSelector(ProofVerifier.IsPaused.selector));
        loosen(proofs, abi.encodeCall(ProofVerifier.unpause, ()));
        proveUpTo(NEXT);
        bytes memory call = abi.encodeCall(ProofVerifier.unpause, ());
        vm.prank(OWNER);
        proofs.announce(call);
        vm.warp(block.timestamp + DELAY_SECS);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.IsNotPaused.selector));
        vm.prank(OWNER);
        proofs.unpause();
    }

    function test_what_was_proven_can_be_taken_back_and_proven_anew() public {
        proveUpTo(NEXT + 3);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.OtherFacts.selector, NEXT));
        vm.prank(GUARDIAN);
        proofs.rewind(uint32(NEXT), facts(NEXT + 1));
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NothingToRewind.selector, NEXT + 3));
        vm.prank(GUARDIAN);
        proofs.rewind(uint32(NEXT + 3), facts(NEXT + 3));
        vm.prank(GUARDIAN);
        proofs.rewind(uint32(NEXT), facts(NEXT));
        vm.assertEq(proofs.headBatch(), NEXT);

        // Proofs that were rewound no longer count.
        Opening memory by = opening(NEXT + 1);
        StoredBatchInfo memory batch = stored(NEXT + 1, by);
        chain.commit(batch);
        vm.expectRevert(abi.encodeWithSelector(ProofVerifier.NotProven.selector, NEXT + 1));
        proofs.compare(batch, by);
        proveUpTo(NEXT + 1);
        vm.assertTrue(proofs.compare(batch, by));
        vm.prank(OWNER);
        proofs.rewind(GENESIS, facts(GENESIS));
        proveUpTo(NEXT);
    }

    function test_a_new_beginning_is_the_owners_and_delayed() public {
        proveUpTo(NEXT);
        bytes memory call = abi.encodeCall(ProofVerifier.dangerResetHead, (uint32(NEXT + 4), rootOf(NEXT + 4), indexOf(NEXT + 4)));
        vm.prank(OWNER);
        (bool success,) = address(proofs).call(call);
        vm.assertFalse(success);
        loosen(proofs, call);
        proveUpTo(NEXT + 5);
    }

    function test_only_owner_and_guardian_tighten() public {
        bytes[] memory calls = new bytes[](5);
        calls[0] = abi.encodeCall(ProofVerifier.pause, ());
        calls[1] = abi.encodeCall(ProofVerifier.rewind, (GENESIS, facts(GENESIS)));
        calls[2] = abi.encodeCall(ProofVerifier.forbidCode, (Code(29, codeHash())));
        calls[3] = abi.encodeCall(ProofVerifier.raiseQuorum, (Quorum(2, 2)));
        calls[4] = abi.encodeCall(ProofVerifier.refuseUnbound, ());
        proveUpTo(NEXT);
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(STRANGER);
            (bool success, bytes memory reason) = address(proofs).call(calls[i]);
            vm.assertFalse(success);
            vm.assertEq(keccak256(reason), keccak256(abi.encodeWithSelector(Delayed.NotGuardian.selector, STRANGER)));
            vm.prank(GUARDIAN);
            (success,) = address(proofs).call(calls[i]);
            vm.assertTrue(success);
        }
    }

    function test_each_loosening_is_announced() public {
        bytes[] memory calls = new bytes[](4);
        calls[0] = abi.encodeCall(ProofVerifier.unpause, ());
        calls[1] = abi.encodeCall(ProofVerifier.dangerResetHead, (GENESIS, GENESIS_ROOT, GENESIS_INDEX));
        calls[2] = abi.encodeCall(ProofVerifier.allowCode, (Code(29, keccak256("code"))));
        calls[3] = abi.encodeCall(ProofVerifier.lowerQuorum, (Quorum(1, 1)));
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(OWNER);
            (bool success, bytes memory reason) = address(proofs).call(calls[i]);
            vm.assertFalse(success);
            vm.assertEq(keccak256(reason), keccak256(abi.encodeWithSelector(Delayed.NotAnnounced.selector, keccak256(calls[i]))));
        }
    }

    function test_a_deployment_without_registry_or_chain_fails() public {
        Start memory from = start(Quorum(1, 1));
        vm.expectRevert(abi.encodeWithSelector(Delayed.ZeroAddress.selector));
        new ProofVerifier(OWNER, GUARDIAN, DELAY_SECS, KeyRegistry(address(0)), from);
        from.chain = IEraChain(address(0));
        vm.expectRevert(abi.encodeWithSelector(Delayed.ZeroAddress.selector));
        new ProofVerifier(OWNER, GUARDIAN, DELAY_SECS, registry, from);
    }
}
