// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Delayed} from "../../src/Delayed.sol";
import {Vm} from "./Vm.sol";

/// What every test uses.
abstract contract Check {
    /// The address of forge's cheat codes: the last 20 bytes of keccak256("hevm cheat code").
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant OWNER = address(0xa11ce);
    address internal constant GUARDIAN = address(0x9a2d);
    address internal constant STRANGER = address(0x57a9);
    uint256 internal constant DELAY_SECS = 2 days;

    function signature(uint256 secret, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, digest);
        return abi.encodePacked(r, s, v);
    }

    /// Makes the owner's call, after announcing it and waiting for the delay.
    function loosen(Delayed target, bytes memory call) internal {
        vm.prank(OWNER);
        target.announce(call);
        vm.warp(block.timestamp + DELAY_SECS);
        vm.prank(OWNER);
        (bool success, bytes memory reason) = address(target).call(call);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
