// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Opening} from "../src/Commitments.sol";
import {Proof, ProofVerifier} from "../src/ProofVerifier.sol";
import {SecondFactor} from "../src/SecondFactor.sol";
import {Statement} from "../src/Statements.sol";
import {StoredBatchInfo} from "../src/interfaces/IEraChain.sol";
import {MultisigValidator} from "./support/MultisigValidator.sol";
import {ProofWorld} from "./support/ProofWorld.sol";

/// What anybody may do, in any order. There are a chain whose operator sometimes lies, relayers, thieves and a guardian. Honest batches
/// have the roots of `rootOf`.
contract Actors is ProofWorld {
    MultisigValidator public validator;
    SecondFactor public factor;
    /// Whether the batch that is committed under a number is the honest one.
    mapping(uint256 batchNumber => bool) public isForged;
    uint256 public committed = GENESIS;
    uint256 public executed = GENESIS;
    bool public wasPaused;
    uint256 public proves;
    uint256 public executions;

    constructor() {
        super.setUp();
        validator = new MultisigValidator();
        factor = new SecondFactor(proofs, validator);
        validator.changeThreshold(1);
        validator.changeExecutionMultisigMember(address(factor), true);
    }

    /// forge would call it together with the others; the world is made once.
    function setUp() public override {}

    function verifierOfProofs() external view returns (ProofVerifier) {
        return proofs;
    }

    function honestRoot(uint256 batchNumber) external pure returns (bytes32) {
        return rootOf(batchNumber);
    }

    function honestIndex(uint256 batchNumber) external pure returns (uint64) {
        return indexOf(batchNumber);
    }

    function attempt(Proof memory proof) private {
        Proof[] memory one = new Proof[](1);
        one[0] = proof;
        try proofs.prove(one) {
            ++proves;
        } catch {}
        note();
    }

    function note() private {
        wasPaused = wasPaused || proofs.paused();
    }

    function proveTheNext(bool withTdx) external {
        attempt(signed(statement(proofs.headBatch() + 1), withTdx ? TDX_KEY : SGX_KEY));
    }

    function proveSomething(uint256 batchNumber, bytes32 root, uint256 secret) external {
        Statement memory other = statement(GENESIS + 1 + batchNumber % 20);
        other.root = root;
        secret = secret % 1000 + 1;
        if (secret == SGX_KEY || secret == TDX_KEY) return;
        attempt(signed(other, secret));
    }

    /// One commitment in eight is a forgery.
    function commit(uint256 seed) external {
        if (committed > GENESIS + 30) return;
        ++committed;
        Opening memory by = opening(committed);
        StoredBatchInfo memory batch = stored(committed, by);
        isForged[committed] = seed % 8 == 0;
        if (isForged[committed]) {
            batch.l2LogsTreeRoot = keccak256("a withdrawal that never was");
            batch.commitment = this.commitmentOf(batch, by);
        }
        chain.commit(batch);
    }

    function approveAndExecute(uint256 howMany) external {
        uint256 to = executed + 1 + howMany % 3;
        if (to > committed) return;
        StoredBatchInfo[] memory batches = new StoredBatchInfo[](to - executed);
        Opening[] memory by = new Opening[](to - executed);
        for (uint256 i = 0; i < by.length; ++i) {
            by[i] = opening(executed + 1 + i);
            batches[i] = stored(executed + 1 + i, by[i]);
            if (isForged[executed + 1 + i]) {
                batches[i].l2LogsTreeRoot = keccak256("a withdrawal that never was");
                batches[i].commitment = this.commitmentOf(batches[i], by[i]);
            }
        }
        bytes memory data = abi.encodePacked(uint8(1), abi.encode(batches));
        try factor.approve(executed + 1, to, data, by) {} catch {}
        note();
        try validator.executeBatchesSharedBridge(address(chain), executed + 1, to, data) {
            executed = to;
            ++executions;
        } catch {}
    }

    function rewind(uint256 back) external {
        uint256 head = proofs.headBatch();
        if (head == GENESIS) return;
        uint256 to = head - 1 - back % (head - GENESIS);
        vm.prank(GUARDIAN);
        proofs.rewind(uint32(to), facts(to));
    }

    function loosenWithoutAnnouncement(uint8 which, address caller) external {
        bytes memory call = which % 3 == 0
            ? abi.encodeCall(ProofVerifier.unpause, ())
            : which % 3 == 1
                ? abi.encodeCall(ProofVerifier.dangerResetHead, (GENESIS, bytes32("false"), 1))
                : abi.encodeCall(ProofVerifier.refuseUnbound, ());
        if (which % 3 == 2 && (caller == OWNER || caller == GUARDIAN)) return;
        vm.prank(which % 2 == 0 ? OWNER : caller);
        (bool success,) = address(proofs).call(call);
        if (which % 3 != 2) vm.assertFalse(success);
    }
}

contract InvariantsTest is ProofWorld {
    Actors internal actors;

    function setUp() public override {
        actors = new Actors();
    }

    /// forge calls these in any order.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_only_honest_batches_are_proven() public view {
        ProofVerifier verifier_ = actors.verifierOfProofs();
        uint256 head = verifier_.headBatch();
        vm.assertEq(verifier_.headRoot(), actors.honestRoot(head));
        vm.assertEq(verifier_.headIndex(), actors.honestIndex(head));
    }

    function invariant_no_forged_batch_is_executed() public view {
        for (uint256 batchNumber = GENESIS + 1; batchNumber <= actors.executed(); ++batchNumber) {
            vm.assertFalse(actors.isForged(batchNumber));
        }
    }

    function invariant_what_is_paused_stays_paused() public view {
        vm.assertTrue(actors.verifierOfProofs().paused() == actors.wasPaused());
    }

    /// The actors succeed at something: a run in which nothing can be done would test nothing.
    function test_the_actors_prove_and_execute() public {
        for (uint256 i = 1; i < 6; ++i) {
            actors.proveTheNext(i % 2 == 0);
            actors.commit(i);
        }
        actors.approveAndExecute(2);
        actors.approveAndExecute(0);
        vm.assertEq(actors.proves(), 5);
        vm.assertEq(actors.executions(), 2);
        vm.assertEq(actors.executed(), GENESIS + 4);
        actors.commit(8);
        actors.proveTheNext(false);
        actors.approveAndExecute(1);
        vm.assertTrue(actors.wasPaused());
        vm.assertEq(actors.executed(), GENESIS + 4);
    }
}
