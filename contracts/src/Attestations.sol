// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// The kind of trusted environment. A key that does not count has `None`.
enum Tee {
    None,
    Sgx,
    Tdx
}

/// Why an attestation is not accepted.
enum Refusal {
    None,
    /// The output does not have the layout of a verified quote. A verifier that calls a revoked platform a success, with a text as its
    /// output, ends here.
    Output,
    /// A kind of quote that this contract does not know.
    BodyType,
    /// The host can read the secrets of a debug enclave or domain.
    Debug,
    /// The enclave has the key that identifies the platform to Intel.
    ProvisionKey,
    /// The enclave decides which other enclaves start.
    EinittokenKey,
    /// The domain can be moved, steered by exceptions, or has unknown attributes.
    TdAttributes,
    /// Another domain can see into this one.
    ServiceTd,
    /// The report data name no key, or not exactly in the form in which our provers name theirs.
    ReportData,
    TcbStatus,
    Advisories,
    Measurement,
    IsvSvn,
    /// The age of the collateral is unknown, or it is too old, from the future, or older than collateral that was seen before.
    Collateral
}

/// The claims of an attestation.
struct Claims {
    Tee tee;
    uint8 tcbStatus;
    bytes6 fmspc;
    /// The identity of what runs there: `Attestations.sgxMeasurement` or `Attestations.tdxMeasurement`.
    bytes32 measurement;
    /// Only for SGX; a TDX domain's version is in its measurement.
    uint16 isvSvn;
    address signer;
    /// keccak256 of the list of advisories as the verifier encodes it; zero for none.
    bytes32 advisories;
}

/// Reads the output of an attestation verifier, and judges what no policy can allow.
///
/// The layout is that of Automata's DCAP contract, version 1.1: quote version (2 bytes), body type (2), TCB status (1), FMSPC (6), then the
/// body of the quote in Intel's layout (384 bytes for SGX, 584 for TDX 1.0, 648 for TDX 1.5), then the advisories.
library Attestations {
    uint256 private constant HEAD_BYTES = 11;
    uint256 private constant SGX_BYTES = 384;
    uint256 private constant TD10_BYTES = 584;
    uint256 private constant TD15_BYTES = 648;

    /// Bits of the first byte of an enclave's attributes.
    uint8 private constant SGX_DEBUG = 1 << 1;
    uint8 private constant SGX_PROVISION_KEY = 1 << 4;
    uint8 private constant SGX_EINITTOKEN_KEY = 1 << 5;

    /// TD attributes, byte by byte in their order: the first byte is debugging and profiling.
    bytes8 private constant TD_UNDER_DEBUG = 0xff00000000000000;
    /// Reserved bits, SERVTD_EXT and MIGRATABLE.
    bytes8 private constant TD_FORBIDDEN = 0x8eff8227ffffff3f;
    /// SEPT_VE_DISABLE: without it the host can steer the domain by exceptions.
    bytes8 private constant TD_REQUIRED = 0x0000001000000000;

    /// The identity of an enclave: its code, its signer, and which product it is.
    function sgxMeasurement(bytes32 mrEnclave, bytes32 mrSigner, uint16 isvProdId) internal pure returns (bytes32) {
        return keccak256(abi.encode(Tee.Sgx, mrEnclave, mrSigner, isvProdId));
    }

    /// The identity of a domain.
    /// @param identity XFAM, MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG and RTMR0 to RTMR3, in the order of a report
    function tdxMeasurement(bytes memory identity) internal pure returns (bytes32) {
        return keccak256(abi.encode(Tee.Tdx, keccak256(identity)));
    }

    /// Reads the output, and refuses environments that cannot keep secrets. Nothing in `output` makes it revert.
    function read(bytes memory output) internal pure returns (Refusal refusal, Claims memory claims) {
        if (output.length < HEAD_BYTES) return (Refusal.Output, claims);
        uint256 bodyType = uint16(bytes2(word(output, 2)));
        claims.tcbStatus = uint8(bytes1(word(output, 4)));
        claims.fmspc = bytes6(word(output, 5));

        uint256 bodyBytes;
        if (bodyType == 1) bodyBytes = SGX_BYTES;
        else if (bodyType == 2) bodyBytes = TD10_BYTES;
        else if (bodyType == 3) bodyBytes = TD15_BYTES;
        else return (Refusal.BodyType, claims);
        uint256 end = HEAD_BYTES + bodyBytes;
        if (output.length < end) return (Refusal.Output, claims);
        if (output.length > end) claims.advisories = hash(output, end, output.length - end);

        refusal = bodyType == 1 ? readSgx(output, claims) : readTdx(output, bodyBytes, claims);
        // 64 bytes: an address, zeros, and 1 as the layout's version. Report data with anything else were not made by our provers.
        uint256 reportData = HEAD_BYTES + (bodyType == 1 ? 320 : 520);
        (bytes32 first, bytes32 second) = (word(output, reportData), word(output, reportData + 32));
        claims.signer = address(bytes20(first));
        bool isOurs = claims.signer != address(0) && uint256(first) << 160 == 0 && uint256(second) == 1;
        if (refusal == Refusal.None && !isOurs) refusal = Refusal.ReportData;
    }

    function readSgx(bytes memory output, Claims memory claims) private pure returns (Refusal) {
        claims.tee = Tee.Sgx;
        uint8 attributes = uint8(bytes1(word(output, HEAD_BYTES + 48)));
        if (attributes & SGX_DEBUG != 0) return Refusal.Debug;
        if (attributes & SGX_PROVISION_KEY != 0) return Refusal.ProvisionKey;
        if (attributes & SGX_EINITTOKEN_KEY != 0) return Refusal.EinittokenKey;
        claims.measurement = sgxMeasurement(
            word(output, HEAD_BYTES + 64), word(output, HEAD_BYTES + 128), littleEndian(bytes2(word(output, HEAD_BYTES + 256)))
        );
        claims.isvSvn = littleEndian(bytes2(word(output, HEAD_BYTES + 258)));
        return Refusal.None;
    }

    function readTdx(bytes memory output, uint256 bodyBytes, Claims memory claims) private pure returns (Refusal) {
        claims.tee = Tee.Tdx;
        bytes8 attributes = bytes8(word(output, HEAD_BYTES + 120));
        if (attributes & TD_UNDER_DEBUG != 0) return Refusal.Debug;
        if (attributes & TD_FORBIDDEN != 0 || attributes & TD_REQUIRED != TD_REQUIRED) return Refusal.TdAttributes;
        if (bodyBytes == TD15_BYTES) {
            // MRSERVICETD, 48 bytes.
            if (word(output, HEAD_BYTES + 600) != 0 || bytes16(word(output, HEAD_BYTES + 632)) != 0) return Refusal.ServiceTd;
        }
        claims.measurement = keccak256(abi.encode(Tee.Tdx, hash(output, HEAD_BYTES + 128, 392)));
        return Refusal.None;
    }

    /// 32 bytes from `offset`. The bytes that are used lie within `data`: the caller has checked its length.
    function word(bytes memory data, uint256 offset) private pure returns (bytes32 value) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            value := mload(add(add(data, 32), offset))
        }
    }

    function hash(bytes memory data, uint256 offset, uint256 length) private pure returns (bytes32 value) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            value := keccak256(add(add(data, 32), offset), length)
        }
    }

    function littleEndian(bytes2 value) private pure returns (uint16) {
        return uint16(value) >> 8 | uint16(value) << 8;
    }
}
