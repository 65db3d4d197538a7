// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Tee} from "../src/Attestations.sol";
import {AutomataCollateral} from "../src/AutomataCollateral.sol";
import {IPccsRouter} from "../src/interfaces/IAutomataPccs.sol";
import {Check} from "./support/Check.sol";
import {Babbler, PccsDao, PccsRouter} from "./support/Pccs.sol";

/// The age of Intel's collateral, as Automata's contracts store it.
contract AutomataCollateralTest is Check {
    bytes6 internal constant FMSPC = 0x00606a000000;
    uint64 internal constant ISSUED = 1_790_000_000;

    PccsRouter internal router;
    PccsDao internal nineteen;
    PccsDao internal twenty;
    AutomataCollateral internal collateral;

    function setUp() public {
        (router, nineteen, twenty) = (new PccsRouter(), new PccsDao(19), new PccsDao(20));
        router.set(19, address(nineteen));
        router.set(20, address(twenty));
        router.setStandard(0, 19);
        router.setStandard(1, 20);
        nineteen.upsert(0, FMSPC, 3, ISSUED, ISSUED + 30 days);
        nineteen.upsert(1, FMSPC, 3, ISSUED + 1, ISSUED + 30 days);
        twenty.upsert(0, FMSPC, 3, ISSUED + 2, ISSUED + 30 days);
        twenty.upsert(1, FMSPC, 3, ISSUED + 3, ISSUED + 30 days);
        // Their verifiers do not read this format.
        twenty.upsert(1, FMSPC, 2, ISSUED + 4, ISSUED + 30 days);
        collateral = new AutomataCollateral(router);
    }

    function test_each_environment_and_edition_has_its_date() public view {
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 19), ISSUED);
        vm.assertEq(collateral.issuedAt(Tee.Tdx, FMSPC, 19), ISSUED + 1);
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 20), ISSUED + 2);
        vm.assertEq(collateral.issuedAt(Tee.Tdx, FMSPC, 20), ISSUED + 3);
    }

    function test_without_a_number_the_standard_edition_counts() public {
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 0), ISSUED);
        vm.assertEq(collateral.issuedAt(Tee.Tdx, FMSPC, 0), ISSUED + 3);
        router.setStandard(0, 20);
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 0), ISSUED + 2);
    }

    function test_what_is_renewed_is_seen_at_once() public {
        nineteen.upsert(0, FMSPC, 3, ISSUED + 10 days, ISSUED + 40 days);
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 19), ISSUED + 10 days);
    }

    function test_what_is_missing_has_no_date() public {
        vm.assertEq(collateral.issuedAt(Tee.Sgx, 0x00906a000000, 19), 0);
        vm.assertEq(collateral.issuedAt(Tee.None, FMSPC, 19), 0);
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 21), 0);
        router.setStandard(0, 0);
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 0), 0);
    }

    function test_why_there_is_no_date_can_be_asked() public {
        vm.expectRevert(abi.encodeWithSelector(AutomataCollateral.NoEnvironment.selector));
        collateral.find(Tee.None, FMSPC, 19);
        vm.expectRevert(abi.encodeWithSelector(AutomataCollateral.NoEdition.selector, 21));
        collateral.find(Tee.Sgx, FMSPC, 21);
        router.setStandard(0, 0);
        vm.expectRevert(abi.encodeWithSelector(PccsRouter.TcbEvalExpiredOrNotFound.selector, 0));
        collateral.find(Tee.Sgx, FMSPC, 0);
    }

    function test_a_restricted_router_has_to_know_it_for_the_standard_edition_alone() public {
        router.restrict();
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 0), 0);
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 19), ISSUED);
        router.authorize(address(collateral));
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 0), ISSUED);
    }

    function test_answers_that_cannot_be_read_are_no_date() public {
        // No bytes, too few, and a date of more than 64 bits.
        bytes[3] memory answers = [bytes(""), hex"01", abi.encode(uint256(1) << 64, uint256(1))];
        for (uint256 i = 0; i < answers.length; ++i) {
            address babbler = address(new Babbler(answers[i]));
            router.set(19, babbler);
            vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 19), 0);
            AutomataCollateral other = new AutomataCollateral(IPccsRouter(babbler));
            vm.assertEq(other.issuedAt(Tee.Sgx, FMSPC, 0), 0);
        }
        router.set(19, STRANGER);
        vm.assertEq(collateral.issuedAt(Tee.Sgx, FMSPC, 19), 0);
    }

    function test_too_little_gas_is_no_date_or_no_answer() public view {
        bytes memory call = abi.encodeCall(AutomataCollateral.issuedAt, (Tee.Sgx, FMSPC, 0));
        for (uint256 spent = 1_000; spent < 60_000; spent += 500) {
            (bool success, bytes memory answer) = address(collateral).staticcall{gas: spent}(call);
            if (!success) continue;
            uint256 date = abi.decode(answer, (uint256));
            vm.assertTrue(date == 0 || date == ISSUED);
        }
    }

    function test_a_router_that_is_none_cannot_be_chosen() public {
        vm.expectRevert(abi.encodeWithSelector(AutomataCollateral.NoContract.selector, STRANGER));
        new AutomataCollateral(IPccsRouter(STRANGER));
    }
}
