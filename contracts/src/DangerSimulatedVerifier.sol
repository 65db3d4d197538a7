// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {SimulatedCertificates} from "./SimulatedCertificates.sol";
import {IAttestationVerifier} from "./interfaces/IAttestationVerifier.sol";

/// Verifies quotes of simulated platforms, for devnets and tests. Never use it where money is at stake: software keeps the simulation's
/// keys, and whoever has them can sign quotes of any enclave.
///
/// A quote is verified in these steps:
///
/// 1. It is of SGX in version 3, or of TDX in version 4 or 5 with the body of TDX 1.0 or 1.5, and it has the length that it states.
/// 2. The attestation key signed header and body.
/// 3. The quoting enclave is the simulated one, and its report data are the hash of the attestation key.
/// 4. The platform's key signed the quoting enclave's report.
/// 5. The root's key vouches for the platform's key (`SimulatedCertificates`).
///
/// It does not look at collateral: all simulated platforms are of one model, up to date, and never revoked. It does not look at dates
/// either.
///
/// For a quote whose signatures are invalid it returns false and a reason. It reverts for bytes that are not such a quote at all, and with
/// too little gas: neither says anything about a key.
contract DangerSimulatedVerifier is IAttestationVerifier {
    /// Version, ECDSA over P-256, and kind of environment, at the start of a header: little-endian.
    bytes8 private constant SGX_V3 = hex"0300020000000000";
    bytes8 private constant TDX_V4 = hex"0400020081000000";
    bytes8 private constant TDX_V5 = hex"0500020081000000";
    uint256 private constant HEADER_BYTES = 48;
    uint256 private constant SGX_BYTES = 384;
    uint256 private constant TD10_BYTES = 584;
    uint256 private constant TD15_BYTES = 648;
    /// The start of a body in version 5: type and size, little-endian.
    bytes6 private constant TD10_BODY = hex"020048020000";
    bytes6 private constant TD15_BODY = hex"030088020000";
    /// Kinds of certification data: a chain in PEM; the quoting enclave's report with its own certification data.
    uint256 private constant PCK_CHAIN = 5;
    uint256 private constant QE_REPORT = 6;

    /// The status and the model of every simulated platform.
    uint8 private constant UP_TO_DATE = 0;
    bytes6 private constant FMSPC = "simula";

    /// keccak256 of the simulated quoting enclave's report, up to its report data.
    bytes32 private immutable QUOTING_ENCLAVE;
    /// The public key of the simulation's root.
    bytes32 public immutable ROOT_X;
    bytes32 public immutable ROOT_Y;

    error TakesNoFee();

    constructor(bytes32 rootX, bytes32 rootY) {
        ROOT_X = rootX;
        ROOT_Y = rootY;
        bytes memory front = abi.encodePacked(
            hex"01010101010101010101010101010101", // CPUSVN
            new bytes(32),
            hex"05000000000000000300000000000000", // attributes
            new bytes(64),
            sha256("tee-prover-gateway/simulated-signer")
        );
        // ISVPRODID and ISVSVN are 1.
        QUOTING_ENCLAVE = keccak256(abi.encodePacked(front, new bytes(96), hex"01000100", new bytes(60)));
    }

    /// The edition of the collateral does not matter: there is none.
    // The interface accepts payments, but this contract needs none.
    // slither-disable-next-line locked-ether
    function verifyAndAttestOnChain(bytes calldata rawQuote, uint32) external payable returns (bool success, bytes memory output) {
        if (msg.value != 0) revert TakesNoFee();
        (uint16 version, uint16 bodyType, uint256 bodyStart, uint256 bodyEnd) = layout(rawQuote);
        string memory flaw = flawOf(rawQuote, bodyEnd, version != 3);
        if (bytes(flaw).length != 0) return (false, bytes(flaw));
        return (true, bytes.concat(abi.encodePacked(version, bodyType, UP_TO_DATE, FMSPC), rawQuote[bodyStart:bodyEnd]));
    }

    function layout(bytes calldata rawQuote) private pure returns (uint16 version, uint16 bodyType, uint256 bodyStart, uint256 bodyEnd) {
        bytes8 kind = bytes8(rawQuote);
        if (kind == SGX_V3) return (3, 1, HEADER_BYTES, HEADER_BYTES + SGX_BYTES);
        if (kind == TDX_V4) return (4, 2, HEADER_BYTES, HEADER_BYTES + TD10_BYTES);
        if (kind != TDX_V5) revert SimulatedCertificates.Malformed();
        bytes6 body = bytes6(rawQuote[HEADER_BYTES:]);
        bodyStart = HEADER_BYTES + 6;
        if (body == TD10_BODY) return (5, 2, bodyStart, bodyStart + TD10_BYTES);
        if (body == TD15_BODY) return (5, 3, bodyStart, bodyStart + TD15_BYTES);
        revert SimulatedCertificates.Malformed();
    }

    /// What is wrong with the signatures; empty if they are valid.
    /// @param isWrapped whether the quoting enclave's report is itself certification data, as it is from version 4 on
    function flawOf(bytes calldata rawQuote, uint256 bodyEnd, bool isWrapped) private view returns (string memory) {
        bytes calldata certified = rawQuote[bodyEnd + 4:];
        if (littleEndian(rawQuote[bodyEnd:bodyEnd + 4]) != certified.length) revert SimulatedCertificates.Malformed();
        bytes calldata key = certified[64:128];
        if (!isSigned(rawQuote[:bodyEnd], certified[:64], bytes32(key[:32]), bytes32(key[32:]))) return "signature of the quote";
        certified = certified[128:];
        if (isWrapped) certified = certification(certified, QE_REPORT);
        return flawOfKey(certified, key);
    }

    /// Why nobody vouches for the attestation key; empty if somebody does.
    /// @param certified the quoting enclave's report and its signature, the other data that were hashed with the key, and the chain of
    /// certificates
    function flawOfKey(bytes calldata certified, bytes calldata key) private view returns (string memory) {
        bytes calldata report = certified[:384];
        if (keccak256(report[:320]) != QUOTING_ENCLAVE) return "quoting enclave";
        uint256 dataEnd = 450 + littleEndian(certified[448:450]);
        bytes32 bound = sha256(bytes.concat(key, certified[450:dataEnd]));
        if (bytes32(report[320:352]) != bound || bytes32(report[352:]) != 0) return "attestation key";
        (bool valid, bytes32 x, bytes32 y) =
            SimulatedCertificates.platformKey(certification(certified[dataEnd:], PCK_CHAIN), ROOT_X, ROOT_Y);
        if (!valid) return "certificates";
        if (!isSigned(report, certified[384:448], x, y)) return "signature of the quoting enclave";
        return "";
    }

    function isSigned(bytes calldata what, bytes calldata signature, bytes32 x, bytes32 y) private view returns (bool) {
        return SimulatedCertificates.isSigned(sha256(what), bytes32(signature[:32]), bytes32(signature[32:]), x, y);
    }

    /// The content of certification data that begin with their type and size, and are the last part of a quote.
    function certification(bytes calldata data, uint256 wanted) private pure returns (bytes calldata contents) {
        contents = data[6:];
        if (littleEndian(data[:2]) != wanted || littleEndian(data[2:6]) != contents.length) revert SimulatedCertificates.Malformed();
    }

    function littleEndian(bytes calldata number) private pure returns (uint256 value) {
        for (uint256 i = number.length; i > 0; --i) {
            value = value << 8 | uint8(number[i - 1]);
        }
    }
}
