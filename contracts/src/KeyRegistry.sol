// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Attestations, Claims, Refusal, Tee} from "./Attestations.sol";
import {Delayed} from "./Delayed.sol";
import {IAttestationVerifier} from "./interfaces/IAttestationVerifier.sol";
import {ICollateral} from "./interfaces/ICollateral.sol";

/// Which platforms and keys are accepted.
struct Policy {
    /// Bit i: the TCB status i is accepted, in Automata's numbering. 0 is "up to date".
    uint16 tcbStatuses;
    /// The edition of Intel's collateral to judge by; 0 for the verifier's standard one.
    uint32 tcbEvaluation;
    /// How long ago Intel may have issued it.
    uint32 maxCollateralAgeSecs;
    /// How long a key counts.
    uint32 lifetimeSecs;
    /// How long a new key has to wait, so that it can be noticed and revoked.
    uint32 waitSecs;
}

/// A program whose keys are accepted. Its place in the list is never reused: if a program is allowed again, it gets a new place, so that
/// its old keys stay ended.
struct Measurement {
    bytes32 id;
    uint16 minIsvSvn;
    bool allowed;
}

/// A registered key.
struct Key {
    uint32 measurement;
    uint32 generation;
    uint40 countsFrom;
    uint40 expiresAt;
    uint40 collateralIssuedAt;
    uint16 isvSvn;
    Tee tee;
    bool revoked;
    bytes32 quoteHash;
}

/// The proving keys that count. A quote vouches for each of them, from a program that is allowed, under a policy that still holds.
///
/// The conditions for a key are checked again each time that somebody asks for it (`teeOf`). Removing a program from the list, raising its
/// least ISVSVN or tightening the policy ends all keys that depended on it, in the same transaction.
contract KeyRegistry is Delayed, ReentrancyGuardTransient {
    uint256 public constant MAX_LIFETIME_SECS = 30 days;
    uint256 public constant MIN_WAIT_SECS = 1 hours;
    /// How many blocks ago a key may have proved that its holder exists: the EVM remembers 256.
    uint256 public constant FRESH_BLOCKS = 255;
    /// TCB statuses that no policy accepts: revoked, unrecognised, and numbers without a meaning.
    uint16 public constant NEVER_ACCEPTED = 0xfcc0;
    bytes32 public constant REGISTRATION_DOMAIN = keccak256("tee-prover-gateway/registration/v1");

    /// The gas of the attestation verifier. The sender of a call cannot make the verifier fail by giving it less.
    uint256 public immutable VERIFIER_GAS;

    IAttestationVerifier public verifier;
    ICollateral public collateral;
    Policy public policy;
    /// Keys of an earlier generation do not count.
    uint32 public generation;

    Measurement[] public measurements;
    mapping(bytes32 id => uint256 placePlusOne) private placeOf;
    mapping(bytes32 advisories => bool) public advisoriesAllowed;
    mapping(address account => bool) public isRegistrar;
    mapping(address signer => Key) public keys;
    mapping(Tee tee => mapping(bytes6 fmspc => uint64)) public newestCollateral;

    event KeyRegistered(
        address indexed signer, Tee tee, uint256 indexed measurement, uint256 countsFrom, uint256 expiresAt, bytes32 quoteHash
    );
    event KeyRevoked(address indexed signer, address indexed by);
    event KeyInvalidated(address indexed signer, Refusal refusal);
    event MeasurementAllowed(uint256 indexed measurement, bytes32 indexed id, uint16 minIsvSvn);
    event MeasurementRemoved(uint256 indexed measurement);
    event IsvSvnRaised(uint256 indexed measurement, uint16 minIsvSvn);
    event PolicyChanged(Policy policy, uint32 generation);
    event AdvisoriesChanged(bytes32 indexed advisories, bool allowed);
    event RegistrarChanged(address indexed account, bool allowed);
    event VerifierChanged(IAttestationVerifier verifier, ICollateral collateral);

    error NotRegistrar(address caller);
    error NotVerified(bytes reason);
    error VerifierFailed();
    error TooLittleGas(uint256 wanted);
    error Refused(Refusal refusal);
    error StillAccepted();
    error AlreadyRegistered(address signer);
    error NotRegistered(address signer);
    error AlreadyRevoked(address signer);
    error OtherQuote(bytes32 registered);
    error NotFresh(uint256 blockNumber);
    error NotTheKey(address signer);
    error InvalidPolicy();
    error NotTighter();
    error NotAllowed(uint256 measurement);
    error AlreadyAllowed(bytes32 id);

    modifier onlyRegistrar() {
        if (!isRegistrar[msg.sender]) revert NotRegistrar(msg.sender);
        _;
    }

    /// @param initial programs that are allowed from the start; `allowed` is ignored
    constructor(
        address owner_,
        address guardian_,
        uint256 delaySecs,
        IAttestationVerifier verifier_,
        ICollateral collateral_,
        uint256 verifierGas,
        Policy memory policy_,
        Measurement[] memory initial,
        address[] memory registrars
    ) Delayed(owner_, guardian_, delaySecs) {
        VERIFIER_GAS = verifierGas;
        useVerifier(verifier_, collateral_);
        usePolicy(policy_);
        for (uint256 i = 0; i < initial.length; ++i) {
            addMeasurement(initial[i].id, initial[i].minIsvSvn);
        }
        for (uint256 i = 0; i < registrars.length; ++i) {
            isRegistrar[registrars[i]] = true;
            emit RegistrarChanged(registrars[i], true);
        }
    }

    /// The kind of environment that holds the key, if the key counts now; `None` if it does not.
    function teeOf(address signer) external view returns (Tee) {
        Key storage key = keys[signer];
        if (key.revoked || block.timestamp < key.countsFrom || block.timestamp >= key.expiresAt) return Tee.None;
        if (key.generation != generation) return Tee.None;
        Measurement storage measurement = measurements[key.measurement];
        if (!measurement.allowed || key.isvSvn < measurement.minIsvSvn) return Tee.None;
        return key.tee;
    }

    /// The message that a key signs to be registered here, now: a quote has no date, but this has.
    function registrationDigest(uint256 blockNumber) public view returns (bytes32) {
        if (blockNumber >= block.number || block.number - blockNumber > FRESH_BLOCKS) revert NotFresh(blockNumber);
        return keccak256(abi.encode(REGISTRATION_DOMAIN, block.chainid, address(this), blockNumber, blockhash(blockNumber)));
    }

    /// Registers the key that a quote vouches for. A key is registered once: neither it nor its quote can be registered again after its
    /// end.
    /// @param possession the key's signature of `registrationDigest(blockNumber)`
    // The verifier may call back: the guard and the roles keep it out, and it cannot have changed what is read here.
    // slither-disable-next-line reentrancy-benign
    function register(bytes calldata rawQuote, uint256 blockNumber, bytes calldata possession) external onlyRegistrar nonReentrant {
        (bool success, bytes memory output) = verify(rawQuote);
        if (!success) revert NotVerified(output);
        (Refusal refusal, Claims memory claims) = Attestations.read(output);
        if (refusal == Refusal.None) refusal = judge(claims);
        if (refusal != Refusal.None) revert Refused(refusal);
        uint64 issuedAt = collateral.issuedAt(claims.tee, claims.fmspc, policy.tcbEvaluation);
        if (!isFresh(claims, issuedAt)) revert Refused(Refusal.Collateral);

        Key storage key = keys[claims.signer];
        if (key.expiresAt != 0) revert AlreadyRegistered(claims.signer);
        if (ECDSA.recover(registrationDigest(blockNumber), possession) != claims.signer) revert NotTheKey(claims.signer);

        newestCollateral[claims.tee][claims.fmspc] = issuedAt;
        key.measurement = uint32(placeOf[claims.measurement] - 1);
        key.generation = generation;
        key.countsFrom = uint40(block.timestamp + policy.waitSecs);
        key.expiresAt = uint40(block.timestamp + policy.lifetimeSecs);
        key.collateralIssuedAt = uint40(issuedAt);
        key.isvSvn = claims.isvSvn;
        key.tee = claims.tee;
        key.quoteHash = keccak256(rawQuote);
        emit KeyRegistered(claims.signer, claims.tee, key.measurement, key.countsFrom, key.expiresAt, key.quoteHash);
    }

    function revoke(address signer) external tightening {
        revokeKey(signer);
        emit KeyRevoked(signer, msg.sender);
    }

    /// Ends a key whose quote would not be accepted today. Anyone may call it, with the quote that the key was registered with, when the
    /// verifier has newer collateral. If the verifier reverts, as it does without collateral, this says nothing about the key.
    // slither-disable-next-line reentrancy-no-eth
    function invalidate(address signer, bytes calldata rawQuote) external nonReentrant {
        Key storage key = keys[signer];
        if (key.expiresAt == 0) revert NotRegistered(signer);
        if (key.quoteHash != keccak256(rawQuote)) revert OtherQuote(key.quoteHash);
        (bool success, bytes memory output) = verify(rawQuote);
        Refusal refusal = Refusal.Output;
        if (success) {
            Claims memory claims;
            (refusal, claims) = Attestations.read(output);
            if (refusal == Refusal.None) refusal = judge(claims);
            if (refusal == Refusal.None) revert StillAccepted();
            // Older collateral than the key's proves nothing.
            if (claims.tee != Tee.None && collateral.issuedAt(claims.tee, claims.fmspc, policy.tcbEvaluation) < key.collateralIssuedAt) {
                revert Refused(Refusal.Collateral);
            }
        }
        revokeKey(signer);
        emit KeyInvalidated(signer, refusal);
    }

    /// Ends every key.
    function endAllKeys() external tightening {
        ++generation;
        emit PolicyChanged(policy, generation);
    }

    /// Sets a stricter policy at once. The keys that were registered under the old one end.
    function tightenPolicy(Policy calldata policy_) external tightening {
        Policy memory old = policy;
        bool isTighter = policy_.tcbStatuses & ~old.tcbStatuses == 0 && policy_.maxCollateralAgeSecs <= old.maxCollateralAgeSecs
            && policy_.lifetimeSecs <= old.lifetimeSecs && policy_.waitSecs >= old.waitSecs
            // A numbered edition cannot be compared with the standard one.
            && (policy_.tcbEvaluation == old.tcbEvaluation || (old.tcbEvaluation != 0 && policy_.tcbEvaluation > old.tcbEvaluation));
        if (!isTighter) revert NotTighter();
        ++generation;
        usePolicy(policy_);
    }

    /// Sets any policy. Registered keys stay as they are.
    function loosenPolicy(Policy calldata policy_) external loosening {
        usePolicy(policy_);
    }

    /// @param id `Attestations.sgxMeasurement` or `Attestations.tdxMeasurement`
    /// @param minIsvSvn 0 for TDX
    function allowMeasurement(bytes32 id, uint16 minIsvSvn) external loosening {
        addMeasurement(id, minIsvSvn);
    }

    /// Ends all keys of a program.
    function removeMeasurement(uint256 place) external tightening {
        Measurement storage measurement = measurements[place];
        if (!measurement.allowed) revert NotAllowed(place);
        measurement.allowed = false;
        delete placeOf[measurement.id];
        emit MeasurementRemoved(place);
    }

    /// Ends all keys of a program's older releases.
    function raiseIsvSvn(uint256 place, uint16 minIsvSvn) external tightening {
        Measurement storage measurement = measurements[place];
        if (!measurement.allowed) revert NotAllowed(place);
        if (minIsvSvn <= measurement.minIsvSvn) revert NotTighter();
        measurement.minIsvSvn = minIsvSvn;
        emit IsvSvnRaised(place, minIsvSvn);
    }

    /// @param advisories keccak256 of the list as the verifier encodes it. A platform without advisories needs none.
    function allowAdvisories(bytes32 advisories) external loosening {
        advisoriesAllowed[advisories] = true;
        emit AdvisoriesChanged(advisories, true);
    }

    /// The keys that were registered under it end together with all others.
    function forbidAdvisories(bytes32 advisories) external tightening {
        advisoriesAllowed[advisories] = false;
        ++generation;
        emit AdvisoriesChanged(advisories, false);
        emit PolicyChanged(policy, generation);
    }

    function addRegistrar(address account) external loosening {
        isRegistrar[account] = true;
        emit RegistrarChanged(account, true);
    }

    function removeRegistrar(address account) external tightening {
        isRegistrar[account] = false;
        emit RegistrarChanged(account, false);
    }

    function setVerifier(IAttestationVerifier verifier_, ICollateral collateral_) external loosening {
        useVerifier(verifier_, collateral_);
    }

    function measurementCount() external view returns (uint256) {
        return measurements.length;
    }

    function verify(bytes calldata rawQuote) private returns (bool success, bytes memory output) {
        uint256 wanted = VERIFIER_GAS;
        // A call gets at most 63/64 of the remaining gas.
        if (gasleft() < wanted + wanted / 32) revert TooLittleGas(wanted);
        // The verifier pays for its answer from this gas.
        // slither-disable-next-line return-bomb
        try verifier.verifyAndAttestOnChain{gas: wanted}(rawQuote, policy.tcbEvaluation) returns (bool success_, bytes memory output_) {
            return (success_, output_);
        } catch {
            revert VerifierFailed();
        }
    }

    /// The conditions that depend on the policy.
    function judge(Claims memory claims) private view returns (Refusal) {
        // A status of 16 or more shifts to nothing.
        if ((uint256(1) << claims.tcbStatus) & policy.tcbStatuses == 0) return Refusal.TcbStatus;
        if (claims.advisories != 0 && !advisoriesAllowed[claims.advisories]) return Refusal.Advisories;
        uint256 placePlusOne = placeOf[claims.measurement];
        if (placePlusOne == 0) return Refusal.Measurement;
        Measurement storage measurement = measurements[placePlusOne - 1];
        if (claims.isvSvn < measurement.minIsvSvn) return Refusal.IsvSvn;
        return Refusal.None;
    }

    /// Whether the collateral is neither too old, nor from the future, nor older than what was seen before: a replayed edition would hide
    /// Intel's later findings.
    function isFresh(Claims memory claims, uint64 issuedAt) private view returns (bool) {
        return issuedAt != 0 && issuedAt <= block.timestamp && block.timestamp - issuedAt <= policy.maxCollateralAgeSecs
            && issuedAt >= newestCollateral[claims.tee][claims.fmspc];
    }

    function revokeKey(address signer) private {
        Key storage key = keys[signer];
        if (key.expiresAt == 0) revert NotRegistered(signer);
        if (key.revoked) revert AlreadyRevoked(signer);
        key.revoked = true;
    }

    function addMeasurement(bytes32 id, uint16 minIsvSvn) private {
        if (id == 0) revert InvalidPolicy();
        if (placeOf[id] != 0) revert AlreadyAllowed(id);
        measurements.push(Measurement({id: id, minIsvSvn: minIsvSvn, allowed: true}));
        placeOf[id] = measurements.length;
        emit MeasurementAllowed(measurements.length - 1, id, minIsvSvn);
    }

    function usePolicy(Policy memory policy_) private {
        bool isValid = policy_.tcbStatuses != 0 && policy_.tcbStatuses & NEVER_ACCEPTED == 0 && policy_.maxCollateralAgeSecs != 0
            && policy_.lifetimeSecs <= MAX_LIFETIME_SECS && policy_.waitSecs >= MIN_WAIT_SECS && policy_.lifetimeSecs > policy_.waitSecs;
        if (!isValid) revert InvalidPolicy();
        policy = policy_;
        emit PolicyChanged(policy_, generation);
    }

    function useVerifier(IAttestationVerifier verifier_, ICollateral collateral_) private {
        if (address(verifier_) == address(0) || address(collateral_) == address(0)) revert ZeroAddress();
        verifier = verifier_;
        collateral = collateral_;
        emit VerifierChanged(verifier_, collateral_);
    }
}
