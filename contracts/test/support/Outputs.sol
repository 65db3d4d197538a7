// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Attestations} from "../../src/Attestations.sol";

/// Makes the outputs of an attestation verifier.
library Outputs {
    bytes32 internal constant MR_ENCLAVE = keccak256("enclave");
    bytes32 internal constant MR_SIGNER = keccak256("signer");
    uint16 internal constant ISV_PROD_ID = 0x0102;
    uint16 internal constant ISV_SVN = 5;
    bytes6 internal constant FMSPC = 0x00606a000000;

    struct Sgx {
        uint8 tcbStatus;
        uint8 attributes;
        bytes32 mrEnclave;
        bytes32 mrSigner;
        uint16 isvSvn;
        bytes reportData;
        bytes advisories;
    }

    struct Tdx {
        uint8 tcbStatus;
        bytes8 attributes;
        bytes identity;
        bytes reportData;
        /// 16 + 48 bytes for TDX 1.5, none for 1.0.
        bytes appended;
    }

    function reportData(address signer) internal pure returns (bytes memory) {
        return abi.encodePacked(signer, bytes12(0), uint256(1));
    }

    /// An enclave in production, on a platform that is up to date.
    function sgx(address signer) internal pure returns (Sgx memory) {
        return Sgx({
            tcbStatus: 0,
            attributes: 0x05,
            mrEnclave: MR_ENCLAVE,
            mrSigner: MR_SIGNER,
            isvSvn: ISV_SVN,
            reportData: reportData(signer),
            advisories: ""
        });
    }

    function tdx(address signer) internal pure returns (Tdx memory) {
        return Tdx({tcbStatus: 0, attributes: 0x0000001000000000, identity: identity(), reportData: reportData(signer), appended: ""});
    }

    /// XFAM to RTMR3: 392 bytes.
    function identity() internal pure returns (bytes memory bytes_) {
        bytes_ = new bytes(392);
        for (uint256 i = 0; i < bytes_.length; ++i) {
            bytes_[i] = bytes32(i)[31];
        }
    }

    function encode(Sgx memory report) internal pure returns (bytes memory) {
        bytes memory front = abi.encodePacked(
            new bytes(48), report.attributes, new bytes(15), report.mrEnclave, new bytes(32), report.mrSigner, new bytes(96)
        );
        // ISVPRODID and ISVSVN are little-endian.
        bytes memory back = abi.encodePacked(swap(ISV_PROD_ID), swap(report.isvSvn), new bytes(60), report.reportData);
        return abi.encodePacked(uint16(3), uint16(1), report.tcbStatus, FMSPC, front, back, report.advisories);
    }

    function encode(Tdx memory report) internal pure returns (bytes memory) {
        uint16 bodyType = report.appended.length == 0 ? 2 : 3;
        bytes memory body = abi.encodePacked(new bytes(120), report.attributes, report.identity, report.reportData, report.appended);
        return abi.encodePacked(uint16(4), bodyType, report.tcbStatus, FMSPC, body);
    }

    function sgxMeasurement() internal pure returns (bytes32) {
        return Attestations.sgxMeasurement(MR_ENCLAVE, MR_SIGNER, ISV_PROD_ID);
    }

    function tdxMeasurement() internal pure returns (bytes32) {
        return Attestations.tdxMeasurement(identity());
    }

    function swap(uint16 value) private pure returns (uint16) {
        return value >> 8 | value << 8;
    }
}
