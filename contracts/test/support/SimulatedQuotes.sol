// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";

import {Check} from "./Check.sol";

/// Makes quotes as the simulation does, with other keys, piece by piece, so that each piece can be wrong.
abstract contract SimulatedQuotes is Check {
    struct Certificate {
        string issuer;
        string subject;
        uint256 secret;
        uint256 issuerSecret;
        bytes version;
        bytes serial;
    }

    struct Quote {
        bytes statement;
        uint256 attestationSecret;
        /// The quoting enclave's report up to its report data.
        bytes enclave;
        bytes hashed;
        bytes32 reportDataEnd;
        uint256 platformSecret;
        bytes2 chainType;
        bytes chain;
    }

    uint256 internal constant ROOT = 0x101;
    uint256 internal constant AUTHORITY = 0x102;
    uint256 internal constant PLATFORM = 0x103;
    uint256 internal constant ATTESTATION = 0x104;
    uint256 internal constant ANOTHER = 0x105;

    string internal constant ROOT_NAME = "Simulated SGX Root CA";
    string internal constant AUTHORITY_NAME = "Simulated SGX PCK Processor CA";
    string internal constant PLATFORM_NAME = "Simulated SGX PCK Certificate";
    bytes internal constant VERSION = hex"a003020102";
    bytes internal constant SERIAL = hex"020103";
    bytes internal constant ALGORITHM = hex"300a06082a8648ce3d040302";

    function key(uint256 secret) internal pure returns (bytes memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(secret);
        return abi.encodePacked(x, y);
    }

    function signed(uint256 secret, bytes memory what) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = vm.signP256(secret, sha256(what));
        return abi.encodePacked(r, s);
    }

    /// The report of an enclave without a flaw.
    function quote() internal pure returns (Quote memory) {
        return Quote({
            statement: bytes.concat(hex"0300020000000000", new bytes(40 + 384)),
            attestationSecret: ATTESTATION,
            enclave: enclave(),
            hashed: "hashed with the key",
            reportDataEnd: 0,
            platformSecret: PLATFORM,
            chainType: hex"0500",
            chain: bytes.concat(pem(platform()), pem(authority()), pem(root()))
        });
    }

    function enclave() internal pure returns (bytes memory) {
        bytes memory front = bytes.concat(hex"01010101010101010101010101010101", new bytes(32), hex"05000000000000000300000000000000");
        return
            bytes.concat(front, new bytes(64), sha256("tee-prover-gateway/simulated-signer"), new bytes(96), hex"01000100", new bytes(60));
    }

    function encode(Quote memory made) internal pure returns (bytes memory) {
        return sized(made.statement, authentication(made));
    }

    /// The signature of header and body, and everything after it.
    function authentication(Quote memory made) internal pure returns (bytes memory) {
        return bytes.concat(signed(made.attestationSecret, made.statement), key(made.attestationSecret), certified(made));
    }

    function certified(Quote memory made) internal pure returns (bytes memory) {
        bytes memory report = bytes.concat(made.enclave, sha256(bytes.concat(key(made.attestationSecret), made.hashed)), made.reportDataEnd);
        bytes memory front = bytes.concat(report, signed(made.platformSecret, report), little(made.hashed.length, 2), made.hashed);
        return bytes.concat(front, certification(made.chainType, made.chain));
    }

    function certification(bytes2 kind, bytes memory contents) internal pure returns (bytes memory) {
        return bytes.concat(kind, little(contents.length, 4), contents);
    }

    function sized(bytes memory front, bytes memory contents) internal pure returns (bytes memory) {
        return bytes.concat(front, little(contents.length, 4), contents);
    }

    function little(uint256 value, uint256 size) internal pure returns (bytes memory bytes_) {
        bytes_ = new bytes(size);
        for (uint256 i = 0; i < size; ++i) {
            bytes_[i] = bytes1(uint8(value >> (8 * i)));
        }
    }

    function platform() internal pure returns (Certificate memory) {
        return Certificate(AUTHORITY_NAME, PLATFORM_NAME, PLATFORM, AUTHORITY, VERSION, SERIAL);
    }

    function authority() internal pure returns (Certificate memory) {
        return Certificate(ROOT_NAME, AUTHORITY_NAME, AUTHORITY, ROOT, VERSION, SERIAL);
    }

    function root() internal pure returns (Certificate memory) {
        return Certificate(ROOT_NAME, ROOT_NAME, ROOT, ROOT, VERSION, SERIAL);
    }

    function pem(Certificate memory certificate) internal pure returns (bytes memory) {
        return pem(der(certificate));
    }

    function der(Certificate memory certificate) internal pure returns (bytes memory) {
        bytes memory tbs = element(0x30, tbsContents(certificate));
        (bytes32 r, bytes32 s) = vm.signP256(certificate.issuerSecret, sha256(tbs));
        return certified(tbs, bits(element(0x30, bytes.concat(integer(r), integer(s)))));
    }

    /// What is signed, with its signature.
    function certified(bytes memory tbs, bytes memory bitString) internal pure returns (bytes memory) {
        return element(0x30, bytes.concat(tbs, ALGORITHM, bitString));
    }

    function bits(bytes memory contents) internal pure returns (bytes memory) {
        return element(0x03, bytes.concat(hex"00", contents));
    }

    function tbsContents(Certificate memory certificate) internal pure returns (bytes memory) {
        bytes memory front = bytes.concat(certificate.version, certificate.serial, ALGORITHM, name(certificate.issuer));
        bytes memory validity = element(0x30, bytes.concat(date("260101000000Z"), date("270101000000Z")));
        bytes memory algorithm = hex"3059301306072a8648ce3d020106082a8648ce3d03010703420004";
        return bytes.concat(front, validity, name(certificate.subject), algorithm, key(certificate.secret));
    }

    function date(string memory text) internal pure returns (bytes memory) {
        return element(0x17, bytes(text));
    }

    function name(string memory common) internal pure returns (bytes memory) {
        return element(0x30, element(0x31, element(0x30, bytes.concat(hex"0603550403", element(0x0c, bytes(common))))));
    }

    function integer(bytes32 value) internal pure returns (bytes memory) {
        uint256 start = 0;
        while (value[start] == 0) ++start;
        bytes memory digits = value[start] >= 0x80 ? bytes(hex"00") : bytes("");
        for (; start < 32; ++start) {
            digits = bytes.concat(digits, value[start]);
        }
        return element(0x02, digits);
    }

    function element(bytes1 tag, bytes memory contents) internal pure returns (bytes memory) {
        uint256 length = contents.length;
        if (length < 0x80) return bytes.concat(tag, bytes1(uint8(length)), contents);
        if (length < 0x100) return bytes.concat(tag, hex"81", bytes1(uint8(length)), contents);
        return bytes.concat(tag, hex"82", bytes2(uint16(length)), contents);
    }

    function pem(bytes memory contents) internal pure returns (bytes memory) {
        return framed(lines(bytes(Base64.encode(contents)), 64));
    }

    function framed(bytes memory text) internal pure returns (bytes memory) {
        return bytes.concat("-----BEGIN CERTIFICATE-----\n", text, "-----END CERTIFICATE-----\n");
    }

    function lines(bytes memory text, uint256 width) internal pure returns (bytes memory broken) {
        for (uint256 i = 0; i < text.length; ++i) {
            broken = bytes.concat(broken, text[i]);
            if ((i + 1) % width == 0 || i + 1 == text.length) broken = bytes.concat(broken, "\n");
        }
    }
}
