// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Tee} from "../../src/Attestations.sol";
import {IAttestationVerifier} from "../../src/interfaces/IAttestationVerifier.sol";
import {ICollateral} from "../../src/interfaces/ICollateral.sol";

/// Gives each quote the verdict that a test chose.
contract ScriptedVerifier is IAttestationVerifier {
    struct Answer {
        bool success;
        bytes output;
    }

    mapping(bytes32 quoteHash => Answer) private answers;
    /// Called on each verification: a hostile verifier.
    address private callee;
    bytes private call;
    bool private burnsGas;
    bool public calledBack;
    bool public callBackSucceeded;
    uint32 public lastEvaluation;
    /// What the call was refused with.
    bytes public callBackReason;

    error NoCollateral();

    function says(bytes memory rawQuote, bool success, bytes memory output) external {
        answers[keccak256(rawQuote)] = Answer(success, output);
    }

    function willCall(address callee_, bytes memory call_) external {
        (callee, call) = (callee_, call_);
    }

    function willBurnGas() external {
        burnsGas = true;
    }

    function verifyAndAttestOnChain(bytes calldata rawQuote, uint32 evaluation) external payable returns (bool, bytes memory) {
        lastEvaluation = evaluation;
        if (callee != address(0)) {
            calledBack = true;
            (callBackSucceeded, callBackReason) = callee.call(call);
        }
        if (burnsGas) {
            // Looks like a failed signature check whose gas runs out: a clean "no".
            uint256 start = gasleft();
            while (start - gasleft() < 900_000) {
                if (gasleft() < 50_000) return (false, "signature");
            }
        }
        Answer storage answer = answers[keccak256(rawQuote)];
        if (answer.output.length == 0) revert NoCollateral();
        return (answer.success, answer.output);
    }
}

/// Returns one date for all platforms.
contract ScriptedCollateral is ICollateral {
    uint64 private date;

    function issue(uint256 date_) external {
        date = uint64(date_);
    }

    function issuedAt(Tee, bytes6, uint32) external view returns (uint64) {
        return date;
    }
}
