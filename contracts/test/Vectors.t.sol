// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Tee} from "../src/Attestations.sol";
import {KeyRegistry} from "../src/KeyRegistry.sol";
import {Code, Proof, ProofVerifier, Quorum, Start} from "../src/ProofVerifier.sol";
import {Statement, Statements} from "../src/Statements.sol";
import {SystemLogs} from "../src/SystemLogs.sol";
import {IEraChain} from "../src/interfaces/IEraChain.sol";
import {Check} from "./support/Check.sol";

/// Statements that the provers' own code made: this code and the contracts must agree.
contract VectorsTest is Check {
    /// The form in which `crates/api/src/onchain.rs` writes it.
    struct Case {
        Statement statement;
        bytes32 digest;
        bytes signature;
        address signer;
        bool accepted;
    }

    uint256 internal constant FILES = 12;
    /// The one key that counts.
    address internal counting;

    /// The part of a registry that `ProofVerifier` uses.
    function teeOf(address signer) external view returns (Tee) {
        return signer == counting ? Tee.Sgx : Tee.None;
    }

    function digest(Statement calldata statement) external pure returns (bytes32) {
        return Statements.digest(statement);
    }

    function decode(bytes calldata logs, uint256 version) external pure {
        SystemLogs.decode(logs, version);
    }

    function read(string memory json, uint256 number, string memory field) internal pure returns (string memory) {
        return vm.parseJsonString(json, string.concat(".cases[", vm.toString(number), "].", field));
    }

    function test_committed_cases_agree() public view {
        string memory json = vm.readFile("test/vectors/statements.json");
        for (uint256 i = 0; i < 8; ++i) {
            string memory at = string.concat(".cases[", vm.toString(i), "].");
            Statement memory statement = Statement({
                chainId: uint64(vm.parseUint(read(json, i, "chainId"))),
                batchNumber: uint32(vm.parseJsonUint(json, string.concat(at, "batchNumber"))),
                protocolVersion: uint16(vm.parseJsonUint(json, string.concat(at, "protocolVersion"))),
                previousRoot: vm.parseJsonBytes32(json, string.concat(at, "previousRoot")),
                previousIndex: uint64(vm.parseUint(read(json, i, "previousIndex"))),
                root: vm.parseJsonBytes32(json, string.concat(at, "root")),
                index: uint64(vm.parseUint(read(json, i, "index"))),
                codeHash: Statements.codeHash(
                    vm.parseJsonBytes32(json, string.concat(at, "bootloader")),
                    vm.parseJsonBytes32(json, string.concat(at, "defaultAccount")),
                    vm.parseJsonBytes32(json, string.concat(at, "evmEmulator"))
                ),
                systemLogs: vm.parseJsonBytes(json, string.concat(at, "systemLogs"))
            });
            vm.assertEq(statement.codeHash, vm.parseJsonBytes32(json, string.concat(at, "codeHash")));
            vm.assertEq(keccak256(statement.systemLogs), vm.parseJsonBytes32(json, string.concat(at, "systemLogsHash")));
            bytes32 plain = this.digest(statement);
            vm.assertEq(plain, vm.parseJsonBytes32(json, string.concat(at, "digest")));
            bytes32 bound = Statements.bound(
                plain,
                vm.parseJsonUint(json, string.concat(at, "settlementChainId")),
                vm.parseJsonAddress(json, string.concat(at, "contract"))
            );
            vm.assertEq(bound, vm.parseJsonBytes32(json, string.concat(at, "boundDigest")));
            address signer = vm.parseJsonAddress(json, string.concat(at, "signer"));
            vm.assertEq(ECDSA.recover(plain, vm.parseJsonBytes(json, string.concat(at, "signature"))), signer);
            vm.assertEq(ECDSA.recover(bound, vm.parseJsonBytes(json, string.concat(at, "boundSignature"))), signer);
            this.decode(statement.systemLogs, statement.protocolVersion);
        }
    }

    /// Thousands of random statements, with valid and invalid signatures: exactly what the provers' code accepts is proven here.
    function test_random_cases_agree() public {
        string memory folder = vm.envOr("TEE_ONCHAIN_CASES", string(""));
        if (bytes(folder).length == 0) {
            // Continuous integration makes them first.
            vm.assertFalse(vm.envOr("CI", false));
            vm.skip(true);
        }
        uint256 agreed = 0;
        for (uint256 i = 0; i < FILES; ++i) {
            // In a separate call, whose memory ends with it.
            agreed += this.agree(vm.readFileBinary(string.concat(folder, "/", vm.toString(i), ".abi")));
        }
        vm.assertEq(agreed, 4800);
    }

    function agree(bytes calldata file) external returns (uint256) {
        Case[] memory cases = abi.decode(file, (Case[]));
        for (uint256 i = 0; i < cases.length; ++i) {
            vm.assertEq(this.digest(cases[i].statement), cases[i].digest);
            counting = cases[i].signer;
            Proof[] memory one = new Proof[](1);
            one[0] = Proof({statement: cases[i].statement, isBound: false, signatures: new bytes[](1)});
            one[0].signatures[0] = cases[i].signature;
            bool proven;
            try verifierBefore(cases[i].statement).prove(one) {
                proven = true;
            } catch {}
            vm.assertTrue(proven == cases[i].accepted);
        }
        return cases.length;
    }

    /// A verifier that expects exactly this batch.
    function verifierBefore(Statement memory next) internal returns (ProofVerifier) {
        Code[] memory codes = new Code[](1);
        codes[0] = Code(next.protocolVersion, next.codeHash);
        return new ProofVerifier(
            OWNER,
            GUARDIAN,
            DELAY_SECS,
            KeyRegistry(address(this)),
            Start({
                chain: IEraChain(address(1)),
                chainId: next.chainId,
                batchNumber: next.batchNumber - 1,
                index: next.previousIndex,
                root: next.previousRoot,
                quorum: Quorum(1, 1),
                codes: codes,
                dangerAcceptUnbound: true
            })
        );
    }
}
