// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {Delayed} from "../src/Delayed.sol";
import {KeyRegistry, Measurement} from "../src/KeyRegistry.sol";
import {IAttestationVerifier} from "../src/interfaces/IAttestationVerifier.sol";
import {World} from "./support/World.sol";

/// Who may do what, and when.
contract DelayedTest is World {
    address internal constant NEXT = address(0x4e78);

    function guardianCall() internal pure returns (bytes memory) {
        return abi.encodeCall(Delayed.setGuardian, (NEXT));
    }

    function announce(bytes memory call) internal {
        vm.prank(OWNER);
        registry.announce(call);
    }

    function test_loosening_waits_and_then_happens_once() public {
        announce(guardianCall());
        vm.warp(NOW + DELAY_SECS - 1);
        vm.expectRevert(abi.encodeWithSelector(Delayed.TooEarly.selector, NOW + DELAY_SECS));
        vm.prank(OWNER);
        registry.setGuardian(NEXT);
        vm.warp(NOW + DELAY_SECS);
        vm.prank(OWNER);
        registry.setGuardian(NEXT);
        vm.assertEq(registry.guardian(), NEXT);
        vm.expectRevert(abi.encodeWithSelector(Delayed.NotAnnounced.selector, keccak256(guardianCall())));
        vm.prank(OWNER);
        registry.setGuardian(NEXT);
    }

    function test_what_was_announced_is_what_happens() public {
        announce(guardianCall());
        vm.warp(NOW + DELAY_SECS);
        bytes memory other = abi.encodeCall(Delayed.setGuardian, (STRANGER));
        vm.expectRevert(abi.encodeWithSelector(Delayed.NotAnnounced.selector, keccak256(other)));
        vm.prank(OWNER);
        registry.setGuardian(STRANGER);
    }

    function test_an_old_announcement_is_void_and_can_be_made_again() public {
        announce(guardianCall());
        vm.expectRevert(abi.encodeWithSelector(Delayed.AlreadyAnnounced.selector, keccak256(guardianCall())));
        announceAgain();
        uint256 end = NOW + DELAY_SECS + 14 days;
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(Delayed.TooLate.selector, end));
        vm.prank(OWNER);
        registry.setGuardian(NEXT);
        announceAgain();
        vm.assertEq(registry.readyAt(keccak256(guardianCall())), end + 1 + DELAY_SECS);
    }

    function test_a_guardian_is_somebody() public {
        bytes memory call = abi.encodeCall(Delayed.setGuardian, (address(0)));
        announce(call);
        vm.warp(NOW + DELAY_SECS);
        vm.expectRevert(abi.encodeWithSelector(Delayed.ZeroAddress.selector));
        vm.prank(OWNER);
        registry.setGuardian(address(0));
    }

    function announceAgain() internal {
        bytes memory call = guardianCall();
        vm.prank(OWNER);
        registry.announce(call);
    }

    function test_owner_or_guardian_cancel_what_was_announced() public {
        announce(guardianCall());
        bytes32 callHash = keccak256(guardianCall());
        vm.expectRevert(abi.encodeWithSelector(Delayed.NotGuardian.selector, STRANGER));
        vm.prank(STRANGER);
        registry.cancel(callHash);
        vm.prank(GUARDIAN);
        registry.cancel(callHash);
        vm.expectRevert(abi.encodeWithSelector(Delayed.NotAnnounced.selector, callHash));
        vm.prank(OWNER);
        registry.cancel(callHash);
        vm.warp(NOW + DELAY_SECS);
        vm.expectRevert(abi.encodeWithSelector(Delayed.NotAnnounced.selector, callHash));
        vm.prank(OWNER);
        registry.setGuardian(NEXT);
    }

    /// Everything that loosens: nobody else may do it, announced or not, and the owner may not do it at once.
    function test_each_loosening_is_the_owners_and_delayed() public {
        bytes[] memory calls = new bytes[](6);
        calls[0] = guardianCall();
        calls[1] = abi.encodeCall(KeyRegistry.loosenPolicy, (policy()));
        calls[2] = abi.encodeCall(KeyRegistry.allowMeasurement, (keccak256("id"), 1));
        calls[3] = abi.encodeCall(KeyRegistry.allowAdvisories, (keccak256("list")));
        calls[4] = abi.encodeCall(KeyRegistry.addRegistrar, (NEXT));
        calls[5] = abi.encodeCall(KeyRegistry.setVerifier, (verifier, collateral));
        for (uint256 i = 0; i < calls.length; ++i) {
            isRefused(OWNER, calls[i], abi.encodeWithSelector(Delayed.NotAnnounced.selector, keccak256(calls[i])));
            isRefused(GUARDIAN, calls[i], abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, GUARDIAN));
            loosen(registry, calls[i]);
        }
        bytes memory announcement = abi.encodeCall(Delayed.announce, (calls[0]));
        isRefused(GUARDIAN, announcement, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, GUARDIAN));
    }

    function test_each_tightening_is_the_owners_and_the_guardians() public {
        bytes[] memory calls = new bytes[](7);
        calls[0] = abi.encodeCall(KeyRegistry.revoke, (vm.addr(1)));
        calls[1] = abi.encodeCall(KeyRegistry.endAllKeys, ());
        calls[2] = abi.encodeCall(KeyRegistry.tightenPolicy, (policy()));
        calls[3] = abi.encodeCall(KeyRegistry.raiseIsvSvn, (0, 9));
        calls[4] = abi.encodeCall(KeyRegistry.forbidAdvisories, (keccak256("list")));
        calls[5] = abi.encodeCall(KeyRegistry.removeRegistrar, (REGISTRAR));
        calls[6] = abi.encodeCall(KeyRegistry.removeMeasurement, (0));
        addSgxKey(1);
        for (uint256 i = 0; i < calls.length; ++i) {
            isRefused(STRANGER, calls[i], abi.encodeWithSelector(Delayed.NotGuardian.selector, STRANGER));
            vm.prank(i % 2 == 0 ? OWNER : GUARDIAN);
            (bool success,) = address(registry).call(calls[i]);
            vm.assertTrue(success);
        }
    }

    function isRefused(address caller, bytes memory call, bytes memory expected) internal {
        vm.prank(caller);
        (bool success, bytes memory reason) = address(registry).call(call);
        vm.assertFalse(success);
        vm.assertEq(keccak256(reason), keccak256(expected));
    }

    function test_ownership_moves_in_two_steps_and_is_never_given_up() public {
        vm.prank(OWNER);
        registry.transferOwnership(NEXT);
        vm.assertEq(registry.owner(), OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        registry.acceptOwnership();
        vm.prank(NEXT);
        registry.acceptOwnership();
        vm.assertEq(registry.owner(), NEXT);
        vm.expectRevert(abi.encodeWithSelector(Delayed.CannotRenounce.selector));
        vm.prank(NEXT);
        registry.renounceOwnership();
    }

    function test_a_deployment_without_guardian_delay_or_verifier_fails() public {
        Measurement[] memory none = new Measurement[](0);
        address[] memory nobody = new address[](0);
        vm.expectRevert(abi.encodeWithSelector(Delayed.ZeroAddress.selector));
        new KeyRegistry(OWNER, address(0), DELAY_SECS, verifier, collateral, 1, policy(), none, nobody);
        vm.expectRevert(abi.encodeWithSelector(Delayed.DelayTooShort.selector, 1 days - 1));
        new KeyRegistry(OWNER, GUARDIAN, 1 days - 1, verifier, collateral, 1, policy(), none, nobody);
        vm.expectRevert(abi.encodeWithSelector(Delayed.ZeroAddress.selector));
        new KeyRegistry(OWNER, GUARDIAN, DELAY_SECS, IAttestationVerifier(address(0)), collateral, 1, policy(), none, nobody);
    }
}
