// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {IFmspcTcbDao, IPccsRouter} from "../../src/interfaces/IAutomataPccs.sol";

/// Stores the TCB infos of one edition, like Automata's contract: a separate key for each kind of environment, model and format, and a date
/// for each.
contract PccsDao is IFmspcTcbDao {
    uint32 private immutable EDITION;
    /// Issue date, next update and edition, packed as Automata packs them.
    mapping(bytes32 key => uint256) private dates;

    constructor(uint32 edition) {
        EDITION = edition;
    }

    function upsert(uint8 tcbType, bytes6 fmspc, uint32 version, uint64 issuedAt, uint64 nextUpdateAt) external {
        dates[FMSPC_TCB_KEY(tcbType, fmspc, version)] = uint256(issuedAt) << 192 | uint256(nextUpdateAt) << 128 | EDITION;
    }

    function FMSPC_TCB_KEY(uint8 tcbType, bytes6 fmspc, uint32 version) public view returns (bytes32) {
        return keccak256(abi.encodePacked(bytes4(0xbb69b29c), tcbType, fmspc, version, EDITION));
    }

    function getCollateralValidity(bytes32 key) external view returns (uint64, uint64) {
        return (uint64(dates[key] >> 192), uint64(dates[key] >> 128));
    }
}

/// Finds them, like Automata's router: for everybody, or only for some callers.
contract PccsRouter is IPccsRouter {
    mapping(uint32 edition => address) public fmspcTcbDaoVersionedAddr;
    mapping(uint8 tcbId => uint32) private standard;
    mapping(address caller => bool) private isAuthorized;
    bool private isRestricted;

    error Forbidden();
    error TcbEvalExpiredOrNotFound(uint8 tcbId);

    function set(uint32 edition, address dao) external {
        fmspcTcbDaoVersionedAddr[edition] = dao;
    }

    function setStandard(uint8 tcbId, uint32 edition) external {
        standard[tcbId] = edition;
    }

    function restrict() external {
        isRestricted = true;
    }

    function authorize(address caller) external {
        isAuthorized[caller] = true;
    }

    function getStandardTcbEvaluationDataNumber(uint8 tcbId) external view returns (uint32) {
        if (isRestricted && !isAuthorized[msg.sender]) revert Forbidden();
        if (standard[tcbId] == 0) revert TcbEvalExpiredOrNotFound(tcbId);
        return standard[tcbId];
    }
}

/// Answers every call with bytes that are no valid answer.
contract Babbler {
    bytes private answer;

    constructor(bytes memory answer_) {
        answer = answer_;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return answer;
    }
}
