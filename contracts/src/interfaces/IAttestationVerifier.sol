// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// Verifies a quote's signatures up to Intel's root, like Automata's DCAP contract of version 1.1.
interface IAttestationVerifier {
    /// @param rawQuote the quote as the processor gave it
    /// @param tcbEvaluationDataNumber the edition of Intel's collateral to judge by; 0 for the verifier's standard one
    /// @return success whether the signatures are valid and the platform is not revoked. It says nothing about what runs there.
    /// @return output what was verified, in the layout that `Attestations` reads; otherwise a reason as text
    function verifyAndAttestOnChain(bytes calldata rawQuote, uint32 tcbEvaluationDataNumber)
        external
        payable
        returns (bool success, bytes memory output);
}
