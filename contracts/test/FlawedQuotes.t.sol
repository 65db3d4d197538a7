// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";

import {DangerSimulatedVerifier} from "../src/DangerSimulatedVerifier.sol";
import {SimulatedQuotes} from "./support/SimulatedQuotes.sol";

/// Quotes with one flaw each, signed as if they had none.
contract FlawedQuotesTest is SimulatedQuotes {
    DangerSimulatedVerifier internal verifier;

    function setUp() public {
        (uint256 x, uint256 y) = vm.publicKeyP256(ROOT);
        verifier = new DangerSimulatedVerifier(bytes32(x), bytes32(y));
    }

    function accepted(bytes memory made) internal {
        (bool success,) = verifier.verifyAndAttestOnChain(made, 0);
        vm.assertTrue(success);
    }

    function refused(Quote memory made, string memory reason) internal {
        (bool success, bytes memory output) = verifier.verifyAndAttestOnChain(encode(made), 0);
        vm.assertFalse(success);
        vm.assertEq(keccak256(output), keccak256(bytes(reason)));
    }

    function malformed(bytes memory made) internal {
        (bool success,) = address(verifier).call(abi.encodeCall(verifier.verifyAndAttestOnChain, (made, 0)));
        vm.assertFalse(success);
    }

    /// A chain whose first certificate is in these bytes.
    function chained(bytes memory first) internal {
        Quote memory made = quote();
        made.chain = bytes.concat(first, pem(authority()), pem(root()));
        malformed(encode(made));
    }

    function chain(Certificate memory first, Certificate memory second, Certificate memory third) internal {
        Quote memory made = quote();
        made.chain = bytes.concat(pem(first), pem(second), pem(third));
        refused(made, "certificates");
    }

    function test_a_quote_without_a_flaw_is_accepted() public {
        accepted(encode(quote()));
        Quote memory made = quote();
        made.statement = bytes.concat(hex"0400020081000000", new bytes(40 + 584));
        accepted(wrapped(made, hex"0600"));
        made.statement = bytes.concat(hex"0500020081000000", new bytes(40), hex"020048020000", new bytes(584));
        accepted(wrapped(made, hex"0600"));
        made.statement = bytes.concat(hex"0500020081000000", new bytes(40), hex"030088020000", new bytes(648));
        accepted(wrapped(made, hex"0600"));
        malformed(wrapped(made, hex"0500"));
        malformed(encode(made));
    }

    function wrapped(Quote memory made, bytes2 kind) internal pure returns (bytes memory) {
        bytes memory front = bytes.concat(signed(made.attestationSecret, made.statement), key(made.attestationSecret));
        return sized(made.statement, bytes.concat(front, certification(kind, certified(made))));
    }

    function test_other_versions_keys_and_bodies_are_malformed() public {
        bytes8[5] memory kinds =
            [bytes8(hex"0200020000000000"), hex"0300030000000000", hex"0300020081000000", hex"0400020000000000", hex"0500020000000000"];
        for (uint256 i = 0; i < kinds.length; ++i) {
            Quote memory made = quote();
            made.statement = bytes.concat(kinds[i], new bytes(40 + 384));
            malformed(encode(made));
            made.statement = bytes.concat(kinds[i], new bytes(40), hex"020048020000", new bytes(584));
            malformed(wrapped(made, hex"0600"));
        }
        Quote memory other = quote();
        other.statement = bytes.concat(hex"0500020081000000", new bytes(40), hex"020088020000", new bytes(648));
        malformed(wrapped(other, hex"0600"));
        other.statement = bytes.concat(hex"0500020081000000", new bytes(40), hex"030048020000", new bytes(584));
        malformed(wrapped(other, hex"0600"));
    }

    function test_sizes_are_those_of_what_follows() public {
        Quote memory made = quote();
        bytes memory contents = authentication(made);
        malformed(bytes.concat(made.statement, little(contents.length + 1, 4), contents));
        malformed(bytes.concat(made.statement, little(contents.length - 1, 4), contents));
        made.chainType = hex"0600";
        malformed(encode(made));
        // The chain's own size. Its first byte comes 4 bytes before the chain.
        made = quote();
        bytes memory encoded = encode(made);
        encoded[encoded.length - made.chain.length - 4] ^= 0x01;
        malformed(encoded);
    }

    function test_only_the_simulated_quoting_enclave_is_accepted() public {
        for (uint256 at = 0; at < 320; at += 16) {
            Quote memory made = quote();
            made.enclave[at] ^= 0x02;
            refused(made, "quoting enclave");
        }
    }

    function test_the_quoting_enclave_vouches_for_the_key() public {
        Quote memory made = quote();
        made.reportDataEnd = bytes32(uint256(1));
        refused(made, "attestation key");

        made = quote();
        bytes memory others = certified(made);
        made.attestationSecret = ANOTHER;
        bytes memory contents = bytes.concat(signed(ANOTHER, made.statement), key(ANOTHER), others);
        (bool success, bytes memory output) = verifier.verifyAndAttestOnChain(sized(made.statement, contents), 0);
        vm.assertFalse(success);
        vm.assertEq(keccak256(output), keccak256("attestation key"));
    }

    function test_signatures_of_other_keys_are_refused() public {
        Quote memory made = quote();
        made.platformSecret = ANOTHER;
        refused(made, "signature of the quoting enclave");
        made = quote();
        bytes memory contents = bytes.concat(signed(ANOTHER, made.statement), key(ATTESTATION), certified(made));
        (bool success, bytes memory output) = verifier.verifyAndAttestOnChain(sized(made.statement, contents), 0);
        vm.assertFalse(success);
        vm.assertEq(keccak256(output), keccak256("signature of the quote"));
    }

    function test_each_certificate_is_signed_by_the_next_one() public {
        Certificate memory first = platform();
        first.issuerSecret = ANOTHER;
        chain(first, authority(), root());
        Certificate memory second = authority();
        second.issuerSecret = ANOTHER;
        chain(platform(), second, root());
        Certificate memory third = root();
        third.issuerSecret = ANOTHER;
        chain(platform(), authority(), third);
        // A different root.
        third.secret = ANOTHER;
        second.issuerSecret = ANOTHER;
        chain(platform(), second, third);
    }

    function test_names_say_what_a_certificate_is() public {
        Certificate memory first = platform();
        first.subject = AUTHORITY_NAME;
        chain(first, authority(), root());
        first = platform();
        first.issuer = ROOT_NAME;
        chain(first, authority(), root());
        // A platform that makes itself an authority.
        Certificate memory second = platform();
        second.issuer = ROOT_NAME;
        second.secret = AUTHORITY;
        second.issuerSecret = ROOT;
        first = platform();
        first.issuer = PLATFORM_NAME;
        chain(first, second, root());
        second = authority();
        second.issuer = AUTHORITY_NAME;
        chain(platform(), second, root());
        Certificate memory third = root();
        third.subject = "Simulated SGX Root CB";
        third.issuer = "Simulated SGX Root CB";
        second = authority();
        second.issuer = "Simulated SGX Root CB";
        chain(platform(), second, third);
    }

    function test_signatures_have_two_forms() public {
        uint256 order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
        Quote memory made = quote();
        bytes memory contents = authentication(made);
        uint256 s;
        assembly ("memory-safe") {
            s := mload(add(contents, 64))
            mstore(add(contents, 64), sub(order, s))
        }
        accepted(sized(made.statement, contents));
        // Not a third one. It is a signature that does not hold, not a malformed one.
        assembly ("memory-safe") {
            mstore(add(contents, 64), add(order, 5))
        }
        (bool isGenuine,) = verifier.verifyAndAttestOnChain(sized(made.statement, contents), 0);
        vm.assertTrue(!isGenuine);
    }

    function test_pem_has_one_form() public {
        bytes memory contents = der(platform());
        bytes memory text = bytes(Base64.encode(contents));
        accepted(encode(quote()));
        chained(framed(lines(text, 60)));
        chained(framed(lines(text, 68)));
        chained(framed(bytes.concat(lines(text, 64), "\n")));
        chained(framed(text));
        chained(framed(""));
        chained(bytes.concat(" ", pem(contents)));
        bytes memory other = pem(contents);
        other[10] = "b";
        chained(other);
        // Where the first line ends.
        other = pem(contents);
        other[28 + 64] = "A";
        chained(other);
        other = pem(contents);
        other[other.length - 5] = "_";
        chained(other);
        Quote memory made = quote();
        made.chain = bytes.concat(made.chain, pem(root()));
        malformed(encode(made));
    }

    /// Text that fills its last line has no padding, and could go on without a change to what it says.
    function test_nothing_comes_after_full_lines() public {
        Certificate memory first = platform();
        bytes memory serial = hex"01";
        while (der(first).length % 48 != 0) {
            serial = bytes.concat(serial, hex"01");
            first.serial = element(0x02, serial);
        }
        Quote memory made = quote();
        made.chain = bytes.concat(pem(first), pem(authority()), pem(root()));
        accepted(encode(made));
        bytes memory full = lines(bytes(Base64.encode(der(first))), 64);
        chained(framed(bytes.concat(full, "\n")));
        chained(framed(bytes.concat(full, "AA\n")));
    }

    function test_a_certificate_is_of_version_3_and_its_serial_number_is_a_number() public {
        Certificate memory first = platform();
        first.version = hex"a003020101";
        chained(pem(first));
        first = platform();
        first.serial = hex"030103";
        chained(pem(first));
    }

    /// What is outside of a signature, or is the signature, could be written in other ways.
    function test_der_has_one_form() public {
        bytes memory contents = der(platform());
        contents[3] ^= 0x01;
        chained(pem(contents));

        bytes memory tbs = element(0x30, tbsContents(platform()));
        (bytes32 r, bytes32 s) = vm.signP256(AUTHORITY, sha256(tbs));
        bytes memory numbers = bytes.concat(integer(r), integer(s));
        bytes memory both = element(0x30, numbers);
        Quote memory made = quote();
        made.chain = bytes.concat(pem(certified(tbs, bits(both))), pem(authority()), pem(root()));
        accepted(encode(made));

        bytes memory bitString = bits(both);
        bitString[1] = bytes1(uint8(bitString[1]) + 1);
        chained(pem(certified(tbs, bitString)));
        chained(pem(certified(tbs, bytes.concat(hex"0381", bytes1(uint8(both.length + 1)), hex"00", both))));
        both[1] = bytes1(uint8(both[1]) + 1);
        chained(pem(certified(tbs, bits(both))));
        chained(pem(certified(tbs, bits(element(0x30, bytes.concat(numbers, hex"0500"))))));
        // A negative number, or a zero that makes no difference.
        bytes memory other = element(0x02, r[0] >= 0x80 ? bytes.concat(r) : bytes.concat(hex"00", r));
        chained(pem(certified(tbs, bits(element(0x30, bytes.concat(other, integer(s)))))));
        other = element(0x02, bytes.concat(hex"01", r));
        chained(pem(certified(tbs, bits(element(0x30, bytes.concat(other, integer(s)))))));
        // A length in more bytes than it needs.
        contents = bytes.concat(tbs, ALGORITHM, bits(element(0x30, numbers)));
        chained(pem(bytes.concat(hex"3083", bytes3(uint24(contents.length)), contents)));
    }

    /// Otherwise the beginning of the signature would be the key.
    function test_a_key_is_within_what_is_signed() public {
        bytes memory contents = tbsContents(platform());
        bytes memory cut = new bytes(contents.length - 64);
        for (uint256 i = 0; i < cut.length; ++i) {
            cut[i] = contents[i];
        }
        bytes memory tbs = element(0x30, cut);
        (bytes32 r, bytes32 s) = vm.signP256(AUTHORITY, sha256(tbs));
        chained(pem(certified(tbs, bits(element(0x30, bytes.concat(integer(r), integer(s)))))));
    }

    /// Base64 has spare bits if the last group has fewer than three bytes.
    function test_spare_bits_of_base64_are_zero() public {
        bytes memory contents = der(platform());
        // The last line is shortened until there is padding. Cut text is refused in any case, so each spare bit of valid text is tried.
        bytes memory text = bytes(Base64.encode(contents));
        uint256 last = text.length - 1;
        vm.assertTrue(text[last] == "=");
        while (text[last] == "=") --last;
        text[last] = bytes1(uint8(text[last]) + 1);
        chained(framed(lines(text, 64)));
    }
}
