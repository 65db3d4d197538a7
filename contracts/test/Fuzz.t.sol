// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Attestations, Claims, Refusal} from "../src/Attestations.sol";
import {Proof} from "../src/ProofVerifier.sol";
import {Statement} from "../src/Statements.sol";
import {Outputs} from "./support/Outputs.sol";
import {ProofWorld} from "./support/ProofWorld.sol";

/// Arbitrary bytes.
contract FuzzTest is ProofWorld {
    uint256 internal constant NEXT = GENESIS + 1;

    function readOutput(bytes memory output) external pure returns (Refusal, Claims memory) {
        return Attestations.read(output);
    }

    function isRefused(Proof memory proof) internal returns (bool) {
        Proof[] memory one = new Proof[](1);
        one[0] = proof;
        try proofs.prove(one) {
            return false;
        } catch {
            return true;
        }
    }

    /// `invalidate` relies on this: a revert would keep a key that should be refused.
    function test_fuzz_no_output_makes_the_reader_fail(bytes calldata output) public view {
        this.readOutput(output);
    }

    function test_fuzz_no_body_makes_the_reader_fail(uint8 kind, uint8 status, bytes32 seed, uint8 missing) public view {
        uint256 length = kind % 3 == 0 ? 384 : kind % 3 == 1 ? 584 : 648;
        bytes memory body = new bytes(length - missing % 3);
        for (uint256 i = 0; i < body.length; ++i) {
            body[i] = keccak256(abi.encode(seed, i / 32))[i % 32];
        }
        (Refusal refusal, Claims memory claims) =
            this.readOutput(abi.encodePacked(uint16(4), uint16(kind % 3 + 1), status, Outputs.FMSPC, body));
        vm.assertTrue(refusal != Refusal.None || claims.signer != address(0));
        if (missing % 3 != 0) vm.assertTrue(refusal == Refusal.Output);
    }

    /// No byte that is read of an enclave's report can change without being refused or noticed.
    function test_fuzz_a_changed_report_is_not_the_same_enclave(uint256 place, uint8 change) public view {
        vm.assume(change != 0);
        bytes memory output = Outputs.encode(Outputs.sgx(vm.addr(1)));
        place = place % output.length;
        output[place] ^= bytes1(change);
        (Refusal refusal, Claims memory claims) = this.readOutput(output);
        (, Claims memory before) = this.readOutput(Outputs.encode(Outputs.sgx(vm.addr(1))));
        bool isSame = refusal == Refusal.None && keccak256(abi.encode(claims)) == keccak256(abi.encode(before));
        // The quote's version, and in the report: CPUSVN, MISCSELECT and reserved bytes; attributes beyond the three bits; CONFIGID and
        // others.
        bool isIgnored = place < 2 || (place >= 11 && place < 11 + 64) || (place >= 11 + 96 && place < 11 + 128)
            || (place >= 11 + 160 && place < 11 + 256) || (place >= 11 + 260 && place < 11 + 320);
        vm.assertTrue(!isSame || isIgnored);
    }

    function test_fuzz_a_changed_statement_is_not_proven(uint8 field, bytes32 value, uint16 place) public {
        Proof memory proof = signed(statement(NEXT), SGX_KEY);
        Statement memory changed = proof.statement;
        bytes32 before = digest(changed);
        field = field % 9;
        if (field == 0) changed.chainId = uint64(uint256(value));
        if (field == 1) changed.batchNumber = uint32(uint256(value));
        if (field == 2) changed.protocolVersion = uint16(uint256(value));
        if (field == 3) changed.previousRoot = value;
        if (field == 4) changed.previousIndex = uint64(uint256(value));
        if (field == 5) changed.root = value;
        if (field == 6) changed.index = uint64(uint256(value));
        if (field == 7) changed.codeHash = value;
        if (field == 8) changed.systemLogs[place % changed.systemLogs.length] ^= value[0];
        vm.assume(digest(changed) != before);
        vm.assertTrue(isRefused(proof));
    }

    function test_fuzz_nobody_else_proves_a_batch(bytes calldata forged, uint256 secret) public {
        Proof memory proof = signed(statement(NEXT), SGX_KEY);
        vm.assume(keccak256(forged) != keccak256(proof.signatures[0]));
        proof.signatures[0] = forged;
        vm.assertTrue(isRefused(proof));
        secret = secret % (2 ** 255) + 1;
        vm.assume(secret != SGX_KEY && secret != TDX_KEY);
        vm.assertTrue(isRefused(signed(statement(NEXT), secret)));
    }

    /// The logs in any order, with any values: the values are stored as they are.
    function test_fuzz_logs_in_any_order_are_read(uint256 seed) public {
        Statement memory next = statement(NEXT);
        bytes memory mixed = next.systemLogs;
        for (uint256 i = 8; i > 0; --i) {
            swapLogs(mixed, i, uint256(keccak256(abi.encode(seed, i))) % (i + 1));
        }
        vm.assertFalse(isRefused(signed(next, SGX_KEY)));
        vm.assertTrue(proofs.proven(NEXT) != 0);
    }

    function swapLogs(bytes memory all, uint256 left, uint256 right) internal pure {
        if (left == right) return;
        for (uint256 i = 0; i < 88; ++i) {
            (all[left * 88 + i], all[right * 88 + i]) = (all[right * 88 + i], all[left * 88 + i]);
        }
    }
}
