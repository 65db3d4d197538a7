// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Commitments, Opening} from "../../src/Commitments.sol";
import {Code, Facts, Proof, ProofVerifier, Quorum, Start} from "../../src/ProofVerifier.sol";
import {Statement, Statements} from "../../src/Statements.sol";
import {StoredBatchInfo} from "../../src/interfaces/IEraChain.sol";
import {Chain} from "./Chain.sol";
import {World} from "./World.sol";

/// A chain, a verifier of its proofs, and provers.
abstract contract ProofWorld is World {
    uint64 internal constant CHAIN_ID = 324;
    uint32 internal constant GENESIS = 1000;
    bytes32 internal constant GENESIS_ROOT = keccak256("root 1000");
    uint64 internal constant GENESIS_INDEX = 5_000_000;
    bytes32 internal constant BOOTLOADER = keccak256("bootloader");
    bytes32 internal constant DEFAULT_ACCOUNT = keccak256("default account");
    bytes32 internal constant EVM_EMULATOR = keccak256("EVM emulator");

    /// Keys in the registry: of an enclave, and of a domain.
    uint256 internal constant SGX_KEY = 0x5a;
    uint256 internal constant TDX_KEY = 0x7d;

    Chain internal chain;
    ProofVerifier internal proofs;

    function setUp() public virtual override {
        super.setUp();
        chain = new Chain();
        proofs = new ProofVerifier(OWNER, GUARDIAN, DELAY_SECS, registry, start(Quorum(1, 1)));
        addSgxKey(SGX_KEY);
        addTdxKey(TDX_KEY);
    }

    function codeHash() internal pure returns (bytes32) {
        return Statements.codeHash(BOOTLOADER, DEFAULT_ACCOUNT, EVM_EMULATOR);
    }

    function start(Quorum memory quorum) internal view returns (Start memory) {
        Code[] memory codes = new Code[](2);
        codes[0] = Code(29, codeHash());
        codes[1] = Code(31, codeHash());
        return Start({
            chain: chain,
            chainId: CHAIN_ID,
            batchNumber: GENESIS,
            index: GENESIS_INDEX,
            root: GENESIS_ROOT,
            quorum: quorum,
            codes: codes,
            dangerAcceptUnbound: false
        });
    }

    function rootOf(uint256 batchNumber) internal pure returns (bytes32) {
        return batchNumber == GENESIS ? GENESIS_ROOT : keccak256(abi.encode("root", batchNumber));
    }

    function indexOf(uint256 batchNumber) internal pure returns (uint64) {
        return uint64(GENESIS_INDEX + (batchNumber - GENESIS) * 100);
    }

    function log(address sender, uint256 key, bytes32 value) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0), uint8(1), uint16(key), sender, key, value);
    }

    /// The system logs of a batch of version 29 without an upgrade.
    function logs(uint256 batchNumber) internal pure returns (bytes memory) {
        bytes memory first = abi.encodePacked(
            log(address(0x800b), 4, rootOf(batchNumber - 1)),
            log(address(0x800b), 1, bytes32((NOW + batchNumber) << 128 | (NOW + batchNumber + 10))),
            log(address(0x8001), 2, keccak256(abi.encode("priority", batchNumber))),
            log(address(0x8001), 3, bytes32(batchNumber % 7))
        );
        return abi.encodePacked(
            first,
            log(address(0x8001), 7, keccak256(abi.encode("dependencies", batchNumber))),
            log(address(0x8001), 8, keccak256("statuses")),
            log(address(0x8008), 0, keccak256(abi.encode("messages", batchNumber))),
            log(address(0x8008), 5, keccak256(abi.encode("da", batchNumber))),
            log(address(0x8008), 6, bytes32(uint256(0xda)))
        );
    }

    function statement(uint256 batchNumber) internal pure returns (Statement memory) {
        return Statement({
            chainId: CHAIN_ID,
            batchNumber: uint32(batchNumber),
            protocolVersion: 29,
            previousRoot: rootOf(batchNumber - 1),
            previousIndex: indexOf(batchNumber - 1),
            root: rootOf(batchNumber),
            index: indexOf(batchNumber),
            codeHash: codeHash(),
            systemLogs: logs(batchNumber)
        });
    }

    function digest(Statement memory of_) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("tee-prover-gateway/statement/v1"),
                of_.chainId,
                of_.batchNumber,
                of_.protocolVersion,
                of_.previousRoot,
                of_.previousIndex,
                of_.root,
                of_.index,
                of_.codeHash,
                keccak256(of_.systemLogs)
            )
        );
    }

    /// Signed for this contract by one key.
    function signed(Statement memory of_, uint256 secret) internal view returns (Proof memory proof) {
        proof = Proof({statement: of_, isBound: true, signatures: new bytes[](1)});
        proof.signatures[0] = signature(secret, proofs.boundDigest(digest(of_)));
    }

    /// Signed by both keys, in the order of their addresses.
    function signedByBoth(Statement memory of_) internal view returns (Proof memory proof) {
        proof = Proof({statement: of_, isBound: true, signatures: new bytes[](2)});
        (uint256 first, uint256 second) = vm.addr(SGX_KEY) < vm.addr(TDX_KEY) ? (SGX_KEY, TDX_KEY) : (TDX_KEY, SGX_KEY);
        bytes32 bound = proofs.boundDigest(digest(of_));
        (proof.signatures[0], proof.signatures[1]) = (signature(first, bound), signature(second, bound));
    }

    function prove(Proof memory proof) internal {
        Proof[] memory one = new Proof[](1);
        one[0] = proof;
        proofs.prove(one);
    }

    function proveRefuses(Proof memory proof, bytes memory error) internal {
        Proof[] memory one = new Proof[](1);
        one[0] = proof;
        vm.expectRevert(error);
        proofs.prove(one);
    }

    function proveUpTo(uint256 batchNumber) internal {
        for (uint256 next = proofs.headBatch() + 1; next <= batchNumber; ++next) {
            prove(signed(statement(next), SGX_KEY));
        }
    }

    function facts(uint256 batchNumber) internal pure returns (Facts memory of_) {
        (of_.root, of_.index) = (rootOf(batchNumber), indexOf(batchNumber));
        if (batchNumber == GENESIS) return of_;
        of_.numberOfLayer1Txs = batchNumber % 7;
        of_.priorityOperationsHash = keccak256(abi.encode("priority", batchNumber));
        of_.dependencyRootsRollingHash = keccak256(abi.encode("dependencies", batchNumber));
        of_.l2LogsTreeRoot = keccak256(abi.encode("messages", batchNumber));
        of_.timestamp = NOW + batchNumber;
        of_.codeHash = codeHash();
        of_.systemLogsHash = keccak256(logs(batchNumber));
    }

    function opening(uint256 batchNumber) internal pure returns (Opening memory of_) {
        of_.bootloader = BOOTLOADER;
        of_.defaultAccount = DEFAULT_ACCOUNT;
        of_.evmEmulator = EVM_EMULATOR;
        of_.systemLogsHash = keccak256(logs(batchNumber));
        of_.stateDiffHash = keccak256("state diffs");
        of_.blobs[0] = keccak256("blob");
        of_.blobs[1] = keccak256("opening of the blob");
    }

    /// The batch as L1 stores it, with the commitment that the opening gives.
    function stored(uint256 batchNumber, Opening memory by) internal view returns (StoredBatchInfo memory batch) {
        Facts memory of_ = facts(batchNumber);
        batch = StoredBatchInfo({
            batchNumber: uint64(batchNumber),
            batchHash: of_.root,
            indexRepeatedStorageChanges: of_.index,
            numberOfLayer1Txs: of_.numberOfLayer1Txs,
            priorityOperationsHash: of_.priorityOperationsHash,
            dependencyRootsRollingHash: of_.dependencyRootsRollingHash,
            l2LogsTreeRoot: of_.l2LogsTreeRoot,
            timestamp: of_.timestamp,
            commitment: 0
        });
        batch.commitment = this.commitmentOf(batch, by);
    }

    function commitmentOf(StoredBatchInfo calldata batch, Opening calldata by) external pure returns (bytes32) {
        return Commitments.commitmentOf(batch, by);
    }
}
