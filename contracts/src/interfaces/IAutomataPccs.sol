// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// The part of Automata's `PCCSRouter` (automata-dcap-attestation, version 1.1) that `AutomataCollateral` calls. The router finds Intel's
/// collateral for their quote verifiers.
interface IPccsRouter {
    /// The edition that their verifiers judge by if none is named. A router that is restricted to some callers reverts for all others.
    /// @param tcbId 0 for SGX, 1 for TDX
    function getStandardTcbEvaluationDataNumber(uint8 tcbId) external view returns (uint32 edition);

    /// The contract that stores the TCB infos of one edition; 0 if there is none.
    function fmspcTcbDaoVersionedAddr(uint32 edition) external view returns (address);
}

/// The part of their `AutomataFmspcTcbDaoVersioned` (automata-on-chain-pccs) that is called. It stores TCB infos. Anybody may call it.
interface IFmspcTcbDao {
    /// The key under which the TCB info of these platforms is stored.
    /// @param tcbType 0 for SGX, 1 for TDX
    /// @param version the version of the TCB info's format
    // solhint-disable-next-line func-name-mixedcase
    function FMSPC_TCB_KEY(uint8 tcbType, bytes6 fmspc, uint32 version) external view returns (bytes32 key);

    /// The start and end of its validity, in seconds since 1970; zeros if there is none.
    function getCollateralValidity(bytes32 key) external view returns (uint64 issuedAt, uint64 nextUpdateAt);
}
