// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Tee} from "../Attestations.sol";

/// The age of the collateral that the attestation verifier judges by. The verifier's output does not state it.
interface ICollateral {
    /// @return when Intel issued the TCB info of these platforms, in seconds since 1970; 0 if there is none
    function issuedAt(Tee tee, bytes6 fmspc, uint32 tcbEvaluationDataNumber) external view returns (uint64);
}
