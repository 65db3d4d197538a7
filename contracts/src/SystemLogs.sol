// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// What a batch tells L1 besides its root.
struct Messages {
    bytes32 l2LogsTreeRoot;
    uint256 batchTimestamp;
    uint256 lastBlockTimestamp;
    bytes32 priorityOperationsHash;
    uint256 numberOfLayer1Txs;
    bytes32 previousBatchHash;
    bytes32 daOutputHash;
    bytes32 dependencyRootsRollingHash;
    /// Zero where the batch has no upgrade transaction.
    bytes32 upgradeTxHash;
}

/// Decodes system logs as an Era chain's contract does when a batch is committed: era-contracts' `_processL2Logs`.
///
/// A log has 88 bytes: shard (1), service flag (1), transaction (2), sender (20), key (32), value (32). Each key occurs once, from its
/// sender. Only the last, the upgrade transaction's hash, may be missing. Version 31 has one key more than 29, and packs the number of L2
/// transactions beside that of L1's.
library SystemLogs {
    uint256 internal constant LOG_BYTES = 88;

    address private constant BOOTLOADER = address(0x8001);
    address private constant L1_MESSENGER = address(0x8008);
    address private constant SYSTEM_CONTEXT = address(0x800b);

    uint256 private constant L2_LOGS_TREE_ROOT = 0;
    uint256 private constant TIMESTAMPS = 1;
    uint256 private constant PRIORITY_OPERATIONS_HASH = 2;
    uint256 private constant NUMBER_OF_LAYER_1_TXS = 3;
    uint256 private constant PREVIOUS_BATCH_HASH = 4;
    uint256 private constant DA_OUTPUT_HASH = 5;
    uint256 private constant DA_VALIDATOR = 6;
    uint256 private constant DEPENDENCY_ROOTS = 7;

    error UnknownVersion(uint256 protocolVersion);
    error NotWholeLogs(uint256 length);
    error UnknownKey(uint256 key);
    error RepeatedKey(uint256 key);
    error WrongSender(uint256 key, address sender);
    error MissingLogs(uint256 seen);
    error TimestampsOutOfOrder(uint256 batchTimestamp, uint256 lastBlockTimestamp);

    function decode(bytes calldata logs, uint256 protocolVersion) internal pure returns (Messages memory messages) {
        uint256 upgradeKey = upgradeKeyOf(protocolVersion);
        if (logs.length % LOG_BYTES != 0) revert NotWholeLogs(logs.length);
        uint256 seen = 0;
        for (uint256 at = 0; at < logs.length; at += LOG_BYTES) {
            address sender = address(bytes20(word(logs, at + 4)));
            uint256 key = uint256(word(logs, at + 24));
            bytes32 value = word(logs, at + 56);
            if (key > upgradeKey) revert UnknownKey(key);
            if (seen & 1 << key != 0) revert RepeatedKey(key);
            seen |= 1 << key;
            if (sender != senderOf(key)) revert WrongSender(key, sender);

            if (key == upgradeKey) {
                messages.upgradeTxHash = value;
            } else if (key == L2_LOGS_TREE_ROOT) {
                messages.l2LogsTreeRoot = value;
            } else if (key == TIMESTAMPS) {
                messages.batchTimestamp = uint256(value) >> 128;
                messages.lastBlockTimestamp = uint128(uint256(value));
            } else if (key == PRIORITY_OPERATIONS_HASH) {
                messages.priorityOperationsHash = value;
            } else if (key == NUMBER_OF_LAYER_1_TXS) {
                // The upper half in version 31 is the number of L2 transactions, which L1 does not store.
                messages.numberOfLayer1Txs = protocolVersion == 31 ? uint128(uint256(value)) : uint256(value);
            } else if (key == PREVIOUS_BATCH_HASH) {
                messages.previousBatchHash = value;
            } else if (key == DA_OUTPUT_HASH) {
                messages.daOutputHash = value;
            } else if (key == DEPENDENCY_ROOTS) {
                messages.dependencyRootsRollingHash = value;
            }
        }
        if (seen | 1 << upgradeKey != (2 << upgradeKey) - 1) revert MissingLogs(seen);
        if (messages.batchTimestamp > messages.lastBlockTimestamp) {
            revert TimestampsOutOfOrder(messages.batchTimestamp, messages.lastBlockTimestamp);
        }
    }

    /// 32 bytes from `offset`: the caller has checked that their log is complete.
    function word(bytes calldata logs, uint256 offset) private pure returns (bytes32 value) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            value := calldataload(add(logs.offset, offset))
        }
    }

    function upgradeKeyOf(uint256 protocolVersion) private pure returns (uint256) {
        if (protocolVersion == 29) return 9;
        if (protocolVersion == 31) return 10;
        revert UnknownVersion(protocolVersion);
    }

    function senderOf(uint256 key) private pure returns (address) {
        if (key == L2_LOGS_TREE_ROOT || key == DA_OUTPUT_HASH || key == DA_VALIDATOR) return L1_MESSENGER;
        if (key == TIMESTAMPS || key == PREVIOUS_BATCH_HASH) return SYSTEM_CONTEXT;
        return BOOTLOADER;
    }
}
