// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

/// Reads the chain of certificates in the quotes of simulated platforms: the platform's, its authority's and the root's, in PEM.
///
/// It accepts exactly the form that the simulation writes, and reverts for any other: PEM in full lines of 64 characters (RFC 7468), X.509
/// of version 3 in DER (RFC 5280), keys and signatures of P-256 with SHA-256. It looks neither at dates nor at extensions. The names, which
/// are always the same, replace the extensions: an authority is a certificate with the authority's name.
library SimulatedCertificates {
    struct Certificate {
        /// keccak256 of the name, in DER.
        bytes32 issuer;
        bytes32 subject;
        bytes32 x;
        bytes32 y;
        /// SHA-256 of what is signed.
        bytes32 digest;
        bytes32 r;
        bytes32 s;
    }

    bytes private constant BEGIN = "-----BEGIN CERTIFICATE-----\n";
    bytes private constant END = "-----END CERTIFICATE-----\n";

    bytes1 private constant INTEGER = 0x02;
    bytes1 private constant BIT_STRING = 0x03;
    bytes1 private constant SEQUENCE = 0x30;
    bytes private constant VERSION_3 = hex"a003020102";
    bytes private constant ECDSA_WITH_SHA256 = hex"300a06082a8648ce3d040302";
    /// The bytes before the coordinates: a key of P-256, uncompressed.
    bytes private constant P256_KEY = hex"3059301306072a8648ce3d020106082a8648ce3d03010703420004";
    bytes private constant NO_UNUSED_BITS = hex"00";

    /// The bytes do not have the accepted form.
    error Malformed();

    /// The platform's key, if the root's key vouches for it through the authority.
    function platformKey(bytes calldata chain, bytes32 rootX, bytes32 rootY) internal view returns (bool valid, bytes32 x, bytes32 y) {
        // slither-disable-next-line uninitialized-local
        Certificate[3] memory certificates;
        bytes calldata rest = chain;
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory der;
            (der, rest) = first(rest);
            certificates[i] = parse(der);
        }
        if (rest.length != 0) revert Malformed();

        bytes32[3] memory names =
            [name("Simulated SGX PCK Certificate"), name("Simulated SGX PCK Processor CA"), name("Simulated SGX Root CA")];
        if (certificates[2].x != rootX || certificates[2].y != rootY) return (false, 0, 0);
        for (uint256 i = 0; i < 3; ++i) {
            Certificate memory certificate = certificates[i];
            // The root is its own issuer.
            Certificate memory issuer = certificates[i == 2 ? 2 : i + 1];
            if (certificate.subject != names[i] || certificate.issuer != issuer.subject) return (false, 0, 0);
            if (!isSigned(certificate.digest, certificate.r, certificate.s, issuer.x, issuer.y)) return (false, 0, 0);
        }
        return (true, certificates[0].x, certificates[0].y);
    }

    /// Whether a key of P-256 signed it. Each signature has two forms, and both are valid, as everywhere in quotes and certificates.
    function isSigned(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) internal view returns (bool) {
        // The library accepts only the lower one.
        bool isUpper = uint256(s) > P256.N / 2 && uint256(s) < P256.N;
        return P256.verify(digest, r, isUpper ? bytes32(P256.N - uint256(s)) : s, x, y);
    }

    /// The first certificate of a chain, in DER, and the bytes after it.
    function first(bytes calldata pem) private pure returns (bytes memory der, bytes calldata rest) {
        if (keccak256(pem[:BEGIN.length]) != keccak256(BEGIN)) revert Malformed();
        uint256 end = BEGIN.length;
        while (pem[end] != "-") ++end;
        uint256 next = end + END.length;
        if (keccak256(pem[end:next]) != keccak256(END)) revert Malformed();
        return (decode(pem[BEGIN.length:end]), pem[next:]);
    }

    /// Decodes Base64 in lines of 64 characters, of which the last may be shorter.
    function decode(bytes calldata lines) private pure returns (bytes memory data) {
        // Without the end of the last line.
        uint256 textEnd = lines.length - 1;
        // The end of a line encodes no data, and four characters encode three bytes.
        // slither-disable-next-line divide-before-multiply
        uint256 size = (textEnd - textEnd / 65) / 4 * 3;
        for (uint256 i = 0; i < 2; ++i) {
            if (lines[textEnd - 1] != "=") break;
            --textEnd;
            --size;
        }
        data = new bytes(size);
        uint256 written = 0;
        uint256 at = 0;
        while (at < lines.length) {
            uint256 end = at + 64 < lines.length ? at + 64 : lines.length - 1;
            if (lines[end] != "\n" || end == at || (end - at) % 4 != 0) revert Malformed();
            for (; at < end; at += 4) {
                uint256 group = 0;
                for (uint256 i = at; i < at + 4; ++i) {
                    group = group << 6 | (i < textEnd ? sextet(uint8(lines[i])) : 0);
                }
                for (uint256 shift = 24; shift != 0; shift -= 8) {
                    bytes1 octet = bytes1(uint8(group >> (shift - 8)));
                    if (written < size) data[written] = octet;
                    // Bits after the data.
                    else if (octet != 0) revert Malformed();
                    ++written;
                }
            }
            ++at;
        }
    }

    function sextet(uint8 character) private pure returns (uint256) {
        if (character >= 0x41 && character <= 0x5a) return character - 0x41; // A to Z
        if (character >= 0x61 && character <= 0x7a) return character - 0x61 + 26; // a to z
        if (character >= 0x30 && character <= 0x39) return character - 0x30 + 52; // 0 to 9
        if (character == 0x2b) return 62; // +
        if (character == 0x2f) return 63; // /
        revert Malformed();
    }

    function parse(bytes memory der) private pure returns (Certificate memory certificate) {
        (uint256 signed, uint256 end) = element(der, 0, SEQUENCE);
        if (end != der.length) revert Malformed();
        (uint256 at, uint256 signedEnd) = element(der, signed, SEQUENCE);
        certificate.digest = sha256(Bytes.slice(der, signed, signedEnd));
        at = expect(der, at, VERSION_3);
        (, at) = element(der, at, INTEGER); // serial number
        at = expect(der, at, ECDSA_WITH_SHA256);
        (certificate.issuer, at) = hashed(der, at);
        (, at) = element(der, at, SEQUENCE); // validity
        (certificate.subject, at) = hashed(der, at);
        at = expect(der, at, P256_KEY);
        certificate.x = bytes32(Bytes.slice(der, at, at + 32));
        certificate.y = bytes32(Bytes.slice(der, at + 32, at + 64));
        // Everything that was read is signed.
        if (at + 64 > signedEnd) revert Malformed();

        at = expect(der, signedEnd, ECDSA_WITH_SHA256);
        (at, end) = element(der, at, BIT_STRING);
        if (end != der.length) revert Malformed();
        (at, end) = element(der, expect(der, at, NO_UNUSED_BITS), SEQUENCE);
        if (end != der.length) revert Malformed();
        (certificate.r, at) = integer(der, at);
        (certificate.s, at) = integer(der, at);
        if (at != der.length) revert Malformed();
    }

    /// Where an element's content begins and ends. The code that reads what follows refuses an end beyond the data.
    function element(bytes memory der, uint256 at, bytes1 tag) private pure returns (uint256 start, uint256 end) {
        if (der[at] != tag) revert Malformed();
        uint256 length = uint8(der[at + 1]);
        start = at + 2;
        // A length of 128 or more has its own bytes: one, and two from 256 on.
        if (length >= 0x80) {
            uint256 count = length - 0x80;
            length = uint256(bytes32(Bytes.slice(der, start, start + count))) >> (256 - 8 * count);
            if (count != (length < 0x100 ? 1 : 2) || length < 0x80) revert Malformed();
            start += count;
        }
        return (start, start + length);
    }

    /// Where the expected bytes end.
    function expect(bytes memory der, uint256 at, bytes memory expected) private pure returns (uint256 end) {
        end = at + expected.length;
        if (keccak256(Bytes.slice(der, at, end)) != keccak256(expected)) revert Malformed();
    }

    function hashed(bytes memory der, uint256 at) private pure returns (bytes32 hash, uint256 end) {
        (, end) = element(der, at, SEQUENCE);
        hash = keccak256(Bytes.slice(der, at, end));
    }

    /// A number above zero that fits into 32 bytes.
    function integer(bytes memory der, uint256 at) private pure returns (bytes32 value, uint256 end) {
        uint256 start;
        (start, end) = element(der, at, INTEGER);
        // There is a leading zero if and only if the number would be negative without it.
        uint256 digits = der[start] == 0 ? start + 1 : start;
        bool isSignSet = der[digits] >= 0x80;
        if (isSignSet != (digits != start)) revert Malformed();
        // More than 32 bytes make the subtraction overflow.
        value = bytes32(uint256(bytes32(Bytes.slice(der, digits, end))) >> (8 * (32 - (end - digits))));
    }

    /// keccak256 of a name in DER that consists only of a common name.
    function name(string memory common) private pure returns (bytes32) {
        uint8 length = uint8(bytes(common).length);
        return keccak256(
            abi.encodePacked(SEQUENCE, length + 11, hex"31", length + 9, SEQUENCE, length + 7, hex"0603550403", hex"0c", length, common)
        );
    }
}
