// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// Two roles and a delay. A call that loosens a check is announced by the owner first, so that everybody sees it coming. A call that
/// tightens one is made by the owner or the guardian at once.
abstract contract Delayed is Ownable2Step {
    /// The shortest delay that a deployment can choose.
    uint256 public constant MIN_DELAY_SECS = 1 days;
    /// How long an announced call can be made once its delay is over.
    uint256 public constant GRACE_SECS = 14 days;

    /// The time between an announcement and its call.
    uint256 public immutable DELAY_SECS;

    /// The account that may tighten, besides the owner. It can stop what depends on these contracts, but loosen nothing.
    address public guardian;
    /// When an announced call can be made, by keccak256 of its call data; 0 if it is not announced.
    mapping(bytes32 callHash => uint256 time) public readyAt;

    event Announced(bytes32 indexed callHash, bytes call, uint256 readyAt);
    event Cancelled(bytes32 indexed callHash);
    event GuardianChanged(address indexed guardian);

    error DelayTooShort(uint256 secs);
    error ZeroAddress();
    error NotGuardian(address caller);
    error AlreadyAnnounced(bytes32 callHash);
    error NotAnnounced(bytes32 callHash);
    error TooEarly(uint256 readyAt);
    error TooLate(uint256 endedAt);
    error CannotRenounce();

    /// For calls that loosen: the owner makes them with exactly the announced data, after the delay and before the grace period ends, and
    /// only once.
    modifier loosening() {
        _checkOwner();
        bytes32 callHash = keccak256(msg.data);
        uint256 time = readyAt[callHash];
        if (time == 0) revert NotAnnounced(callHash);
        if (block.timestamp < time) revert TooEarly(time);
        if (block.timestamp > time + GRACE_SECS) revert TooLate(time + GRACE_SECS);
        delete readyAt[callHash];
        _;
    }

    /// For calls that tighten: the owner or the guardian makes them at once.
    modifier tightening() {
        if (msg.sender != guardian && msg.sender != owner()) revert NotGuardian(msg.sender);
        _;
    }

    constructor(address owner_, address guardian_, uint256 delaySecs) Ownable(owner_) {
        if (guardian_ == address(0)) revert ZeroAddress();
        if (delaySecs < MIN_DELAY_SECS) revert DelayTooShort(delaySecs);
        DELAY_SECS = delaySecs;
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    /// Announces a call to this contract.
    function announce(bytes calldata call) external onlyOwner {
        bytes32 callHash = keccak256(call);
        uint256 before = readyAt[callHash];
        // A call that nobody made in time may be announced again.
        if (before != 0 && block.timestamp <= before + GRACE_SECS) revert AlreadyAnnounced(callHash);
        uint256 time = block.timestamp + DELAY_SECS;
        readyAt[callHash] = time;
        emit Announced(callHash, call, time);
    }

    function cancel(bytes32 callHash) external tightening {
        if (readyAt[callHash] == 0) revert NotAnnounced(callHash);
        delete readyAt[callHash];
        emit Cancelled(callHash);
    }

    function setGuardian(address guardian_) external loosening {
        if (guardian_ == address(0)) revert ZeroAddress();
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    /// Without an owner, nobody could allow the next release's measurement.
    function renounceOwnership() public pure override {
        revert CannotRenounce();
    }
}
