// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Attestations, Claims, Refusal, Tee} from "../src/Attestations.sol";
import {DangerSimulatedVerifier} from "../src/DangerSimulatedVerifier.sol";
import {KeyRegistry, Measurement, Policy} from "../src/KeyRegistry.sol";
import {Check} from "./support/Check.sol";
import {ScriptedCollateral} from "./support/ScriptedVerifier.sol";

/// Quotes that the simulation itself made (`crates/attestation/tests/onchain.rs`), verified on an EVM.
contract DangerSimulatedVerifierTest is Check {
    /// The quotes name the address of this key.
    uint256 internal constant KEY = 1;
    address internal constant REGISTRAR = address(0x4e6);
    uint256 internal constant NOW = 1_800_000_000;

    DangerSimulatedVerifier internal verifier;
    string internal json;
    bytes32 internal rootX;
    bytes32 internal rootY;

    function setUp() public {
        vm.warp(NOW);
        vm.roll(1_000_000);
        json = vm.readFile("test/vectors/quotes.json");
        (rootX, rootY) = (vm.parseJsonBytes32(json, ".rootX"), vm.parseJsonBytes32(json, ".rootY"));
        verifier = new DangerSimulatedVerifier(rootX, rootY);
    }

    function read(string memory name) internal view returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(".quotes.", name));
    }

    function accepted() internal pure returns (string[4] memory) {
        return ["sgx", "tdxV4", "tdxV5Td10", "tdxV5Td15"];
    }

    /// Whether it accepts the quote. A revert counts as a refusal.
    function accepts(bytes memory quote) internal returns (bool) {
        try verifier.verifyAndAttestOnChain(quote, 0) returns (bool success, bytes memory) {
            return success;
        } catch {
            return false;
        }
    }

    function test_quotes_of_the_simulation_are_accepted_and_read() public {
        for (uint256 i = 0; i < 4; ++i) {
            (bool success, bytes memory output) = verifier.verifyAndAttestOnChain(read(accepted()[i]), 0);
            vm.assertTrue(success);
            (Refusal refusal, Claims memory claims) = Attestations.read(output);
            vm.assertTrue(refusal == Refusal.None);
            vm.assertTrue(claims.tee == (i == 0 ? Tee.Sgx : Tee.Tdx));
            vm.assertEq(claims.signer, vm.addr(KEY));
            vm.assertEq(bytes32(claims.fmspc), bytes32("simula"));
            vm.assertEq(claims.tcbStatus, 0);
            vm.assertEq(claims.advisories, 0);
            vm.assertEq(claims.measurement, i == 0 ? sgxMeasurement() : tdxMeasurement());
        }
    }

    function test_a_body_that_nobody_reads_is_refused() public {
        vm.assertFalse(accepts(read("tdxV5Td15Ex")));
    }

    function test_another_simulations_quotes_are_refused() public {
        (uint256 x, uint256 y) = vm.publicKeyP256(7);
        verifier = new DangerSimulatedVerifier(bytes32(x), bytes32(y));
        (bool success, bytes memory reason) = verifier.verifyAndAttestOnChain(read("sgx"), 0);
        vm.assertFalse(success);
        vm.assertEq(keccak256(reason), keccak256("certificates"));
        // Half a key is not the key.
        verifier = new DangerSimulatedVerifier(rootX, bytes32(y));
        vm.assertFalse(accepts(read("sgx")));
        verifier = new DangerSimulatedVerifier(bytes32(x), rootY);
        vm.assertFalse(accepts(read("sgx")));
    }

    /// Every bit matters: of what is signed, of the signatures, and of the certificates' text.
    function testFuzz_a_quote_with_a_changed_bit_is_refused(uint256 which, uint256 at, uint8 bit) public {
        bytes memory quote = read(accepted()[which % 4]);
        at %= quote.length;
        quote[at] ^= bytes1(uint8(1) << (bit % 8));
        vm.assertFalse(accepts(quote));
    }

    /// Each byte of header, body, signature, key, and the quoting enclave's report with its signature.
    function test_no_byte_before_the_certificates_can_be_changed() public {
        bytes memory quote = read("sgx");
        for (uint256 at = 0; at < 48 + 384 + 4 + 128 + 384 + 64 + 34 + 6; ++at) {
            quote[at] ^= 0x10;
            vm.assertFalse(accepts(quote));
            quote[at] ^= 0x10;
        }
        vm.assertTrue(accepts(quote));
    }

    function test_a_quote_that_is_cut_short_or_longer_is_refused() public {
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory quote = read(accepted()[i]);
            vm.assertFalse(accepts(bytes.concat(quote, hex"00")));
            for (uint256 length = i; length < quote.length; length += 29) {
                vm.assertFalse(accepts(cut(quote, length)));
            }
            vm.assertFalse(accepts(cut(quote, quote.length - 1)));
        }
    }

    /// Quotes that are cut or have bytes appended are refused, even if the sizes fit.
    function test_a_chain_of_certificates_has_three_and_no_more() public {
        bytes memory quote = read("sgx");
        uint256 chain = 48 + 384 + 4 + 128 + 384 + 64 + 34 + 6;
        bytes memory end = cut(quote, quote.length);
        vm.assertTrue(accepts(resized(end, chain)));
        vm.assertFalse(accepts(resized(bytes.concat(quote, "\n"), chain)));
        vm.assertFalse(accepts(resized(bytes.concat(quote, hex"00"), chain)));
        vm.assertFalse(accepts(resized(cut(quote, quote.length - 1), chain)));
        vm.assertFalse(accepts(resized(cut(quote, chain), chain)));
    }

    function test_too_little_gas_says_nothing_about_a_quote() public {
        bytes memory quote = read("sgx");
        for (uint256 spent = 50_000; spent < 3_000_000; spent += 50_000) {
            try verifier.verifyAndAttestOnChain{gas: spent}(quote, 0) returns (bool success, bytes memory) {
                vm.assertTrue(success);
            } catch {}
        }
    }

    function test_it_takes_no_fee() public {
        vm.deal(address(this), 1);
        bytes memory quote = read("sgx");
        vm.expectRevert(abi.encodeWithSelector(DangerSimulatedVerifier.TakesNoFee.selector));
        verifier.verifyAndAttestOnChain{value: 1}(quote, 0);
    }

    function test_a_simulated_provers_key_is_registered_and_counts() public {
        for (uint256 i = 0; i < 4; ++i) {
            KeyRegistry registry = deploy();
            bytes memory quote = read(accepted()[i]);
            bytes memory possession = signature(KEY, registry.registrationDigest(block.number - 1));
            vm.prank(REGISTRAR);
            registry.register(quote, block.number - 1, possession);
            vm.warp(NOW + 1 hours);
            vm.assertTrue(registry.teeOf(vm.addr(KEY)) == (i == 0 ? Tee.Sgx : Tee.Tdx));
            vm.warp(NOW);
        }
    }

    function test_a_changed_quote_registers_no_key() public {
        KeyRegistry registry = deploy();
        bytes memory quote = read("sgx");
        // The first byte of the report data, which makes it another key's address.
        quote[48 + 320] ^= 0x01;
        bytes memory possession = signature(KEY, registry.registrationDigest(block.number - 1));
        vm.expectRevert(abi.encodeWithSelector(KeyRegistry.NotVerified.selector, bytes("signature of the quote")));
        vm.prank(REGISTRAR);
        registry.register(quote, block.number - 1, possession);
    }

    function deploy() internal returns (KeyRegistry) {
        ScriptedCollateral collateral = new ScriptedCollateral();
        collateral.issue(NOW - 1 days);
        Measurement[] memory initial = new Measurement[](2);
        initial[0] = Measurement(sgxMeasurement(), 1, true);
        initial[1] = Measurement(tdxMeasurement(), 0, true);
        address[] memory registrars = new address[](1);
        registrars[0] = REGISTRAR;
        Policy memory policy =
            Policy({tcbStatuses: 1, tcbEvaluation: 0, maxCollateralAgeSecs: 30 days, lifetimeSecs: 14 days, waitSecs: 1 hours});
        return new KeyRegistry(OWNER, GUARDIAN, DELAY_SECS, verifier, collateral, 8_000_000, policy, initial, registrars);
    }

    /// The values of `simulated::Enclave`.
    function sgxMeasurement() internal pure returns (bytes32) {
        return Attestations.sgxMeasurement(sha256("tee-prover-gateway/simulated-enclave"), sha256("tee-prover-gateway/simulated-signer"), 1);
    }

    /// The values of `simulated::Domain`: XFAM, MRTD, three fields of the owner, RTMR0 to RTMR3.
    function tdxMeasurement() internal pure returns (bytes32) {
        bytes memory identity = abi.encodePacked(bytes8(0xe702060000000000), repeated(0x7d), new bytes(144));
        identity = abi.encodePacked(identity, repeated(0xa0), repeated(0xa1), repeated(0xa2), repeated(0xa3));
        return Attestations.tdxMeasurement(identity);
    }

    function repeated(bytes1 value) internal pure returns (bytes memory bytes_) {
        bytes_ = new bytes(48);
        for (uint256 i = 0; i < 48; ++i) {
            bytes_[i] = value;
        }
    }

    function cut(bytes memory quote, uint256 length) internal pure returns (bytes memory short) {
        short = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            short[i] = quote[i];
        }
    }

    /// The SGX quote, with sizes that fit its length.
    function resized(bytes memory quote, uint256 chain) internal pure returns (bytes memory) {
        write(quote, 48 + 384, quote.length - (48 + 384 + 4));
        write(quote, chain - 4, quote.length - chain);
        return quote;
    }

    function write(bytes memory quote, uint256 at, uint256 size) internal pure {
        for (uint256 i = 0; i < 4; ++i) {
            quote[at + i] = bytes1(uint8(size >> (8 * i)));
        }
    }
}
