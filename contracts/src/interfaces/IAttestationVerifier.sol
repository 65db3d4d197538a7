// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// Verifies a quote's signatures up to Intel's root, as Automata's DCAP contract of version 1.1 does.
interface IAttestationVerifier {
    /// @param rawQuote the quote as the processor gave it
    /// @param tcbEvaluationDataNumber which edition of Intel's collateral to judge by; 0 for the verifier's standard one
    /// @return success whether the signatures hold and the platform is not revoked. It says nothing of what runs there.
    /// @return output what was verified, in the layout that `Attestations` reads; a reason in words where it was not
    function verifyAndAttestOnChain(bytes calldata rawQuote, uint32 tcbEvaluationDataNumber)
        external
        payable
        returns (bool success, bytes memory output);
}
