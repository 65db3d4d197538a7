// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// A complete description of a batch: from which state, by which code, to which state, with which messages for L1. The fields are those
/// that the provers sign; `codeHash` stands for the three code hashes.
struct Statement {
    uint64 chainId;
    uint32 batchNumber;
    uint16 protocolVersion;
    bytes32 previousRoot;
    uint64 previousIndex;
    bytes32 root;
    uint64 index;
    bytes32 codeHash;
    bytes systemLogs;
}

/// The digests of a statement that are signed.
library Statements {
    /// Separates these signatures from those of other protocols.
    bytes32 internal constant DOMAIN = keccak256("tee-prover-gateway/statement/v1");
    /// Separates signatures for one contract on one settlement chain from all others.
    bytes32 internal constant BOUND_DOMAIN = keccak256("tee-prover-gateway/statement/bound/v1");

    /// The 32 bytes that every prover signs.
    function digest(Statement calldata statement) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN,
                statement.chainId,
                statement.batchNumber,
                statement.protocolVersion,
                statement.previousRoot,
                statement.previousIndex,
                statement.root,
                statement.index,
                statement.codeHash,
                keccak256(statement.systemLogs)
            )
        );
    }

    /// The 32 bytes that a prover signs for one contract only: the same statement, and the contract where it may be shown.
    function bound(bytes32 statementDigest, uint256 settlementChainId, address verifyingContract) internal pure returns (bytes32) {
        return keccak256(abi.encode(BOUND_DOMAIN, settlementChainId, verifyingContract, statementDigest));
    }

    /// The three code hashes in one. Without an EVM emulator, its hash is zero.
    function codeHash(bytes32 bootloader, bytes32 defaultAccount, bytes32 evmEmulator) internal pure returns (bytes32) {
        return keccak256(abi.encode(bootloader, defaultAccount, evmEmulator));
    }
}
