// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {KeyRegistry, Measurement, Policy} from "../../src/KeyRegistry.sol";
import {Check} from "./Check.sol";
import {Outputs} from "./Outputs.sol";
import {ScriptedCollateral, ScriptedVerifier} from "./ScriptedVerifier.sol";

/// A registry with a scripted attestation verifier.
abstract contract World is Check {
    address internal constant REGISTRAR = address(0x4e6);
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant VERIFIER_GAS = 1_000_000;

    ScriptedVerifier internal verifier;
    ScriptedCollateral internal collateral;
    KeyRegistry internal registry;

    function setUp() public virtual {
        vm.warp(NOW);
        vm.roll(1_000_000);
        verifier = new ScriptedVerifier();
        collateral = new ScriptedCollateral();
        collateral.issue(NOW - 1 days);
        Measurement[] memory initial = new Measurement[](2);
        initial[0] = Measurement(Outputs.sgxMeasurement(), 3, true);
        initial[1] = Measurement(Outputs.tdxMeasurement(), 0, true);
        address[] memory registrars = new address[](1);
        registrars[0] = REGISTRAR;
        registry = new KeyRegistry(OWNER, GUARDIAN, DELAY_SECS, verifier, collateral, VERIFIER_GAS, policy(), initial, registrars);
    }

    function policy() internal pure returns (Policy memory) {
        return Policy({tcbStatuses: 1, tcbEvaluation: 0, maxCollateralAgeSecs: 30 days, lifetimeSecs: 14 days, waitSecs: 1 hours});
    }

    /// Any bytes will do: the scripted verifier knows quotes by their hash.
    function quote(uint256 secret) internal pure returns (bytes memory) {
        return abi.encode("quote", secret);
    }

    function possession(uint256 secret) internal view returns (bytes memory) {
        return signature(secret, registry.registrationDigest(block.number - 1));
    }

    function register(uint256 secret) internal {
        bytes memory shown = possession(secret);
        vm.prank(REGISTRAR);
        registry.register(quote(secret), block.number - 1, shown);
    }

    /// Registers it, and waits until its waiting time is over.
    function addSgxKey(uint256 secret) internal {
        verifier.says(quote(secret), true, Outputs.encode(Outputs.sgx(vm.addr(secret))));
        register(secret);
        vm.warp(block.timestamp + 1 hours);
    }

    function addTdxKey(uint256 secret) internal {
        verifier.says(quote(secret), true, Outputs.encode(Outputs.tdx(vm.addr(secret))));
        register(secret);
        vm.warp(block.timestamp + 1 hours);
    }
}
