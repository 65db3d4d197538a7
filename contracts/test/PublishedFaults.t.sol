// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Refusal, Tee} from "../src/Attestations.sol";
import {KeyRegistry, Policy} from "../src/KeyRegistry.sol";
import {Outputs} from "./support/Outputs.sol";
import {World} from "./support/World.sol";

/// Faults of other key registries, as far as they were published. docs/ONCHAIN.md names the sources.
contract PublishedFaultsTest is World {
    uint256 internal constant KEY = 0x1111;

    function refuses(bytes memory output, Refusal refusal) internal {
        verifier.says(quote(KEY), true, output);
        bytes memory shown = possession(KEY);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.Refused.selector, refusal));
        vm.prank(REGISTRAR);
        registry.register(quote(KEY), block.number - 1, shown);
    }

    function refusesSgx(Outputs.Sgx memory report, Refusal refusal) internal {
        refuses(Outputs.encode(report), refusal);
    }

    function refusesTdx(Outputs.Tdx memory report, Refusal refusal) internal {
        refuses(Outputs.encode(report), refusal);
    }

    function test_mrsigner_alone_is_not_enough() public {
        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        report.mrEnclave = keccak256("another program of the same signer");
        refusesSgx(report, Refusal.Measurement);
        report = Outputs.sgx(vm.addr(KEY));
        report.mrSigner = keccak256("another signer of the same program");
        refusesSgx(report, Refusal.Measurement);
    }

    function test_an_old_release_of_the_program_is_refused() public {
        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        report.isvSvn = 2;
        refusesSgx(report, Refusal.IsvSvn);
        // 3 as big-endian bytes would be 768.
        report.isvSvn = 3;
        verifier.says(quote(KEY), true, Outputs.encode(report));
        register(KEY);
    }

    /// June 2026: whoever had the leaked key that signs the enclave started it for debugging, and read its signing key.
    function test_a_leaked_enclave_signing_key_buys_nothing() public {
        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        report.attributes |= 0x02;
        refusesSgx(report, Refusal.Debug);
        report.attributes = 0x05;
        report.mrEnclave = keccak256("the attacker's program, signed with the leaked key");
        refusesSgx(report, Refusal.Measurement);
    }

    function test_provisioning_and_launch_keys_are_refused() public {
        Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
        report.attributes = 0x15;
        refusesSgx(report, Refusal.ProvisionKey);
        report.attributes = 0x25;
        refusesSgx(report, Refusal.EinittokenKey);
    }

    function test_td_attributes_are_judged_bit_by_bit() public {
        bytes8 good = Outputs.tdx(address(1)).attributes;
        for (uint256 bit = 0; bit < 64; ++bit) {
            Outputs.Tdx memory report = Outputs.tdx(vm.addr(KEY));
            report.attributes = good ^ (bytes8(uint64(1)) << bit);
            bytes memory output = Outputs.encode(report);
            // The other bits are debugging, unknown, migration, a service domain, or one that must be set.
            bool isItsOwn = (report.attributes ^ good) & 0x00007dc8000000c0 != 0;
            if (isItsOwn) continue;
            refuses(output, bit >= 56 ? Refusal.Debug : Refusal.TdAttributes);
        }
    }

    function test_a_domain_is_all_of_its_measurements() public {
        for (uint256 i = 0; i < 392; i += 7) {
            Outputs.Tdx memory report = Outputs.tdx(vm.addr(KEY));
            report.identity[i] ^= 0x01;
            refusesTdx(report, Refusal.Measurement);
        }
    }

    function test_a_service_domain_that_sees_into_it_is_refused() public {
        for (uint256 i = 16; i < 64; ++i) {
            Outputs.Tdx memory report = Outputs.tdx(vm.addr(KEY));
            report.appended = new bytes(64);
            report.appended[i] = 0x01;
            refusesTdx(report, Refusal.ServiceTd);
        }
        Outputs.Tdx memory without = Outputs.tdx(vm.addr(KEY));
        without.appended = new bytes(64);
        verifier.says(quote(KEY), true, Outputs.encode(without));
        register(KEY);
    }

    function test_report_data_must_be_exactly_ours() public {
        bytes memory good = Outputs.reportData(vm.addr(KEY));
        for (uint256 i = 20; i < 64; ++i) {
            Outputs.Sgx memory report = Outputs.sgx(vm.addr(KEY));
            report.reportData = abi.encodePacked(good);
            report.reportData[i] ^= 0x80;
            refusesSgx(report, Refusal.ReportData);
        }
    }

    function test_a_quote_of_an_unknown_kind_does_not_register_the_zero_address() public {
        bytes memory output = Outputs.encode(Outputs.sgx(vm.addr(KEY)));
        for (uint256 bodyType = 0; bodyType < 256; ++bodyType) {
            if (bodyType == 1 || bodyType == 2 || bodyType == 3) continue;
            output[3] = bytes32(bodyType)[31];
            refuses(output, Refusal.BodyType);
        }
        refusesSgx(Outputs.sgx(address(0)), Refusal.ReportData);
        refusesTdx(Outputs.tdx(address(0)), Refusal.ReportData);
        vm.assertTrue(registry.teeOf(address(0)) == Tee.None);
    }

    /// Automata's verifier of version 4 quotes answers success with the word "TCBR" for a revoked SGX platform.
    function test_a_success_without_a_report_is_a_refusal() public {
        refuses("TCBR", Refusal.Output);
        addSgxKey(KEY);
        verifier.says(quote(KEY), true, "TCBR");
        registry.invalidate(vm.addr(KEY), quote(KEY));
        vm.assertTrue(registry.teeOf(vm.addr(KEY)) == Tee.None);
    }

    function test_a_report_cut_short_is_a_refusal() public {
        bytes memory whole = Outputs.encode(Outputs.tdx(vm.addr(KEY)));
        for (uint256 length = 1; length < whole.length; length += 13) {
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                cut[i] = whole[i];
            }
            refuses(cut, Refusal.Output);
        }
    }

    /// The removal of a measurement must end keys that were registered before.
    function test_removing_a_measurement_ends_its_keys() public {
        addSgxKey(KEY);
        vm.prank(GUARDIAN);
        registry.removeMeasurement(0);
        vm.assertTrue(registry.teeOf(vm.addr(KEY)) == Tee.None);
    }

    function test_a_quote_cannot_be_used_again_after_its_keys_end() public {
        addSgxKey(KEY);
        vm.warp(NOW + 15 days);
        vm.assertTrue(registry.teeOf(vm.addr(KEY)) == Tee.None);
        // Not even in another encoding: certificates in a quote can be written in more than one way.
        bytes memory again = abi.encodePacked(quote(KEY), uint8(0));
        verifier.says(again, true, Outputs.encode(Outputs.sgx(vm.addr(KEY))));
        bytes memory shown = possession(KEY);
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.AlreadyRegistered.selector, vm.addr(KEY)));
        vm.prank(REGISTRAR);
        registry.register(again, block.number - 1, shown);
    }

    /// Collateral that is too old, dated ahead, or older than what was seen before hides Intel's later findings.
    function test_collateral_has_a_date_that_is_checked() public {
        bytes memory output = Outputs.encode(Outputs.sgx(vm.addr(KEY)));
        collateral.issue(NOW - 30 days - 1);
        refuses(output, Refusal.Collateral);
        collateral.issue(NOW + 1);
        refuses(output, Refusal.Collateral);
        collateral.issue(NOW - 2 days);
        addSgxKey(0x2222);
        collateral.issue(NOW - 2 days - 1);
        refuses(output, Refusal.Collateral);
        collateral.issue(NOW - 2 days);
        addSgxKey(KEY);
    }

    function test_collateral_without_a_date_is_refused_however_old_it_may_be() public {
        Policy memory changed = policy();
        changed.maxCollateralAgeSecs = type(uint32).max;
        loosen(registry, abi.encodeCall(KeyRegistry.loosenPolicy, (changed)));
        collateral.issue(0);
        refuses(Outputs.encode(Outputs.sgx(vm.addr(KEY))), Refusal.Collateral);
    }

    function test_a_verifier_that_calls_back_finds_the_door_shut() public {
        addSgxKey(0x2222);
        verifier.says(quote(KEY), true, Outputs.encode(Outputs.sgx(vm.addr(KEY))));
        verifier.says(quote(0x2222), false, "revoked");
        verifier.willCall(address(registry), abi.encodeCall(KeyRegistry.invalidate, (vm.addr(0x2222), quote(0x2222))));
        register(KEY);
        vm.assertTrue(verifier.calledBack());
        vm.assertFalse(verifier.callBackSucceeded());
        // Its gas would end first, too: but the door is shut, however much it has.
        vm.assertEq(bytes4(verifier.callBackReason()), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        vm.assertTrue(registry.teeOf(vm.addr(0x2222)) == Tee.Sgx);
    }

    function test_a_verifier_that_registers_in_a_registration_is_refused() public {
        loosen(registry, abi.encodeCall(KeyRegistry.addRegistrar, (address(verifier))));
        collateral.issue(block.timestamp - 1 days);
        verifier.says(quote(KEY), true, Outputs.encode(Outputs.sgx(vm.addr(KEY))));
        bytes memory shown = possession(KEY);
        verifier.willCall(address(registry), abi.encodeCall(KeyRegistry.register, (quote(KEY), block.number - 1, shown)));
        register(KEY);
        vm.assertTrue(verifier.calledBack());
        vm.assertFalse(verifier.callBackSucceeded());
        // Its gas would end first, too: but the door is shut, however much it has.
        vm.assertEq(bytes4(verifier.callBackReason()), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
    }
}
