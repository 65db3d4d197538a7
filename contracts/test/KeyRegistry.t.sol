// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Refusal, Tee} from "../src/Attestations.sol";
import {Delayed} from "../src/Delayed.sol";
import {KeyRegistry, Policy} from "../src/KeyRegistry.sol";
import {IAttestationVerifier} from "../src/interfaces/IAttestationVerifier.sol";
import {ICollateral} from "../src/interfaces/ICollateral.sol";
import {Outputs} from "./support/Outputs.sol";
import {World} from "./support/World.sol";

/// A key's life in the registry.
contract KeyRegistryTest is World {
    uint256 internal constant KEY = 0x1111;
    uint256 internal constant OTHER = 0x2222;

    function counts(uint256 secret) internal view returns (bool) {
        return registry.teeOf(vm.addr(secret)) != Tee.None;
    }

    function refuses(Refusal refusal) internal {
        bytes memory shown = possession(KEY);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.Refused.selector, refusal));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), block.number - 1, shown);
    }

    function test_a_key_counts_after_its_waiting_time_until_it_expires() public {
        verifier.says(quote(KEY), true, Outputs.encode(Outputs.sgx(vm.addr(KEY))));
        register(KEY);
        vm.assertFalse(counts(KEY));
        vm.warp(NOW + 1 hours - 1);
        vm.assertFalse(counts(KEY));
        vm.warp(NOW + 1 hours);
        vm.assertTrue(registry.teeOf(vm.addr(KEY)) == Tee.Sgx);
        vm.warp(NOW + 14 days - 1);
        vm.assertTrue(counts(KEY));
        vm.warp(NOW + 14 days);
        vm.assertFalse(counts(KEY));
    }

    function test_a_domains_key_counts_too() public {
        addTdxKey(KEY);
        vm.assertTrue(registry.teeOf(vm.addr(KEY)) == Tee.Tdx);
    }

    function test_keys_that_nobody_registered_do_not_count() public view {
        vm.assertFalse(counts(KEY));
        vm.assertTrue(registry.teeOf(address(0)) == Tee.None);
    }

    function test_only_registrars_register() public {
        verifier.says(quote(KEY), true, Outputs.encode(Outputs.sgx(vm.addr(KEY))));
        bytes memory shown = possession(KEY);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotRegistrar.selector, STRANGER));
        vm.prank(STRANGER);
        registry.register(quote(KEY), block.number - 1, shown);

        vm.prank(GUARDIAN);
        registry.removeRegistrar(REGISTRAR);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotRegistrar.selector, REGISTRAR));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), block.number - 1, shown);

        loosen(registry, abi.encodeCall(KeyRegistry.addRegistrar, (STRANGER)));
        shown = possession(KEY);
        vm.prank(STRANGER);
        registry.register(quote(KEY), block.number - 1, shown);
    }

    function test_a_quote_that_the_verifier_refuses_registers_nothing() public {
        verifier.says(quote(KEY), false, "TCBR");
        bytes memory shown = possession(KEY);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotVerified.selector, bytes("TCBR")));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), block.number - 1, shown);
    }

    function test_the_edition_that_the_policy_names_is_asked_for() public {
        Policy memory changed = policy();
        changed.tcbEvaluation = 21;
        loosen(registry, abi.encodeCall(KeyRegistry.loosenPolicy, (changed)));
        addSgxKey(KEY);
        vm.assertEq(verifier.lastEvaluation(), 21);
    }

    function test_the_key_itself_must_sign_and_lately() public {
        verifier.says(quote(KEY), true, Outputs.encode(Outputs.sgx(vm.addr(KEY))));
        bytes memory shown = possession(OTHER);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotTheKey.selector, vm.addr(KEY)));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), block.number - 1, shown);

        uint256 signedAt = block.number - 1;
        shown = possession(KEY);
        vm.roll(signedAt + 256);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotFresh.selector, signedAt));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), signedAt, shown);
        // It may not be dated ahead either: the hash of a future block is zero.
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotFresh.selector, block.number));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), block.number, shown);

        vm.roll(signedAt + 255);
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), signedAt, shown);
    }

    function test_a_registration_is_for_one_registry_and_one_block() public {
        bytes32 here = registry.registrationDigest(block.number - 1);
        vm.assertNotEq(here, registry.registrationDigest(block.number - 2));
        KeyRegistry before = registry;
        setUp();
        vm.assertTrue(address(registry) != address(before));
        vm.assertNotEq(here, registry.registrationDigest(block.number - 1));
    }

    function test_a_revoked_key_ends_at_once_and_for_good() public {
        addSgxKey(KEY);
        vm.prank(GUARDIAN);
        registry.revoke(vm.addr(KEY));
        vm.assertFalse(counts(KEY));
        bytes memory shown = possession(KEY);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.AlreadyRegistered.selector, vm.addr(KEY)));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), block.number - 1, shown);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.AlreadyRevoked.selector, vm.addr(KEY)));
        vm.prank(GUARDIAN);
        registry.revoke(vm.addr(KEY));
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotRegistered.selector, vm.addr(OTHER)));
        vm.prank(GUARDIAN);
        registry.revoke(vm.addr(OTHER));
    }

    function test_a_removed_program_ends_its_keys_and_they_stay_ended_when_it_comes_back() public {
        addSgxKey(KEY);
        addTdxKey(OTHER);
        vm.prank(GUARDIAN);
        registry.removeMeasurement(0);
        vm.assertFalse(counts(KEY));
        vm.assertTrue(counts(OTHER));
        loosen(registry, abi.encodeCall(KeyRegistry.allowMeasurement, (Outputs.sgxMeasurement(), 3)));
        vm.assertFalse(counts(KEY));
        uint256 next = 0x3333;
        collateral.issue(block.timestamp - 1 days);
        addSgxKey(next);
        vm.assertTrue(counts(next));
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotAllowed.selector, 0));
        vm.prank(GUARDIAN);
        registry.removeMeasurement(0);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotAllowed.selector, 0));
        vm.prank(GUARDIAN);
        registry.raiseIsvSvn(0, 100);
    }

    function test_a_program_is_allowed_once() public {
        bytes memory call = abi.encodeCall(KeyRegistry.allowMeasurement, (Outputs.sgxMeasurement(), 3));
        vm.prank(OWNER);
        registry.announce(call);
        vm.warp(block.timestamp + DELAY_SECS);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.AlreadyAllowed.selector, Outputs.sgxMeasurement()));
        vm.prank(OWNER);
        registry.allowMeasurement(Outputs.sgxMeasurement(), 3);
    }

    function test_no_program_has_the_identity_zero() public {
        bytes memory call = abi.encodeCall(KeyRegistry.allowMeasurement, (bytes32(0), 3));
        vm.prank(OWNER);
        registry.announce(call);
        vm.warp(block.timestamp + DELAY_SECS);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.InvalidPolicy.selector));
        vm.prank(OWNER);
        registry.allowMeasurement(0, 3);
    }

    function test_neither_verifier_nor_collateral_can_be_the_zero_address() public {
        refusesVerifier(IAttestationVerifier(address(0)), collateral);
        refusesVerifier(verifier, ICollateral(address(0)));
        vm.assertEq(address(registry.verifier()), address(verifier));
        vm.assertEq(address(registry.collateral()), address(collateral));
    }

    function refusesVerifier(IAttestationVerifier verifier_, ICollateral collateral_) internal {
        vm.prank(OWNER);
        registry.announce(abi.encodeCall(KeyRegistry.setVerifier, (verifier_, collateral_)));
        vm.warp(block.timestamp + DELAY_SECS);
        vm.expectRevert(abi.encodeWithSelector(Delayed.ZeroAddress.selector));
        vm.prank(OWNER);
        registry.setVerifier(verifier_, collateral_);
    }

    function test_a_raised_isvsvn_ends_keys_of_older_releases() public {
        addSgxKey(KEY);
        vm.prank(GUARDIAN);
        registry.raiseIsvSvn(0, Outputs.ISV_SVN);
        vm.assertTrue(counts(KEY));
        vm.prank(GUARDIAN);
        registry.raiseIsvSvn(0, Outputs.ISV_SVN + 1);
        vm.assertFalse(counts(KEY));
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotTighter.selector));
        vm.prank(GUARDIAN);
        registry.raiseIsvSvn(0, 2);
    }

    function test_a_tighter_policy_ends_the_keys_of_the_old_one() public {
        addSgxKey(KEY);
        Policy memory tighter = policy();
        tighter.maxCollateralAgeSecs = 7 days;
        vm.prank(GUARDIAN);
        registry.tightenPolicy(tighter);
        vm.assertFalse(counts(KEY));
        addSgxKey(OTHER);
        vm.assertTrue(counts(OTHER));
        vm.prank(GUARDIAN);
        registry.endAllKeys();
        vm.assertFalse(counts(OTHER));
    }

    function test_the_guardian_cannot_loosen_under_the_name_of_tightening() public {
        Policy[] memory looser = new Policy[](5);
        for (uint256 i = 0; i < looser.length; ++i) {
            looser[i] = policy();
        }
        looser[0].tcbStatuses = 3;
        looser[1].tcbEvaluation = 20;
        looser[2].maxCollateralAgeSecs += 1;
        looser[3].lifetimeSecs += 1;
        looser[4].waitSecs = 2 hours;
        vm.prank(GUARDIAN);
        registry.tightenPolicy(looser[4]);
        looser[4].waitSecs = 1 hours;
        for (uint256 i = 0; i < looser.length; ++i) {
            if (i != 4) looser[i].waitSecs = 2 hours;
            vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotTighter.selector));
            vm.prank(GUARDIAN);
            registry.tightenPolicy(looser[i]);
        }
    }

    function test_no_policy_allows_what_is_revoked_or_lives_too_long() public {
        Policy[] memory invalid = new Policy[](8);
        for (uint256 i = 0; i < invalid.length; ++i) {
            invalid[i] = policy();
        }
        invalid[0].tcbStatuses = 1 | 1 << 6;
        invalid[1].tcbStatuses = 1 | 1 << 7;
        invalid[2].tcbStatuses = 0;
        invalid[3].lifetimeSecs = 30 days + 1;
        invalid[4].waitSecs = 1 hours - 1;
        invalid[5].waitSecs = invalid[5].lifetimeSecs;
        invalid[6].maxCollateralAgeSecs = 0;
        invalid[7].tcbStatuses = 1 | 1 << 10;
        for (uint256 i = 0; i < invalid.length; ++i) {
            bytes memory call = abi.encodeCall(KeyRegistry.loosenPolicy, (invalid[i]));
            vm.prank(OWNER);
            registry.announce(call);
            vm.warp(block.timestamp + DELAY_SECS);
            vm.expectRevert(abi.encodeWithSelector(KeyRegistry.InvalidPolicy.selector));
            vm.prank(OWNER);
            registry.loosenPolicy(invalid[i]);
        }
    }

    function test_each_status_needs_to_be_in_the_policy() public {
        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        for (uint256 status = 1; status < 256; status += status < 20 ? 1 : 47) {
            report.tcbStatus = uint8(status);
            verifier.says(quote(KEY), true, Outputs.encode(report));
            refuses(Refusal.TcbStatus);
        }
        Policy memory changed = policy();
        changed.tcbStatuses = 3;
        loosen(registry, abi.encodeCall(KeyRegistry.loosenPolicy, (changed)));
        report.tcbStatus = 1;
        verifier.says(quote(KEY), true, Outputs.encode(report));
        register(KEY);
    }

    function test_advisories_need_to_be_allowed_and_can_be_forbidden() public {
        string[] memory advisories = new string[](1);
        advisories[0] = "INTEL-SA-00615";
        bytes memory list = abi.encode(advisories);
        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        report.advisories = list;
        verifier.says(quote(KEY), true, Outputs.encode(report));
        refuses(Refusal.Advisories);
        loosen(registry, abi.encodeCall(KeyRegistry.allowAdvisories, (keccak256(list))));
        register(KEY);
        vm.warp(block.timestamp + 1 hours);
        vm.assertTrue(counts(KEY));
        vm.prank(GUARDIAN);
        registry.forbidAdvisories(keccak256(list));
        vm.assertFalse(counts(KEY));
    }

    function test_anyone_ends_a_key_that_newer_collateral_refuses() public {
        addSgxKey(KEY);
        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        report.tcbStatus = 4;
        verifier.says(quote(KEY), true, Outputs.encode(report));
        vm.prank(STRANGER);
        registry.invalidate(vm.addr(KEY), quote(KEY));
        vm.assertFalse(counts(KEY));
    }

    function test_nobody_ends_a_key_that_is_still_accepted() public {
        addSgxKey(KEY);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.StillAccepted.selector));
        registry.invalidate(vm.addr(KEY), quote(KEY));
        // Collateral that nobody renewed ends no key, and neither does a verifier without collateral.
        vm.warp(NOW + 60 days);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.StillAccepted.selector));
        registry.invalidate(vm.addr(KEY), quote(KEY));
        verifier.says(quote(KEY), true, "");
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.VerifierFailed.selector));
        registry.invalidate(vm.addr(KEY), quote(KEY));
    }

    function test_a_key_is_not_ended_by_another_quote_or_by_older_collateral() public {
        addSgxKey(KEY);
        verifier.says(quote(OTHER), false, "signature");
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.OtherQuote.selector, keccak256(quote(KEY))));
        registry.invalidate(vm.addr(KEY), quote(OTHER));
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotRegistered.selector, vm.addr(OTHER)));
        registry.invalidate(vm.addr(OTHER), quote(OTHER));

        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        report.tcbStatus = 4;
        verifier.says(quote(KEY), true, Outputs.encode(report));
        collateral.issue(NOW - 2 days);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.Refused.selector, Refusal.Collateral));
        registry.invalidate(vm.addr(KEY), quote(KEY));
    }

    function test_nobody_ends_a_key_by_paying_for_too_little_gas() public {
        addSgxKey(KEY);
        verifier.willBurnGas();
        bytes memory call = abi.encodeCall(KeyRegistry.invalidate, (vm.addr(KEY), quote(KEY)));
        for (uint256 spent = 100_000; spent < 1_200_000; spent += 20_000) {
            (bool success,) = address(registry).call{gas: spent}(call);
            vm.assertFalse(success);
        }
        vm.assertTrue(counts(KEY));
    }
}
