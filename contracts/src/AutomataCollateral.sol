// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Tee} from "./Attestations.sol";
import {IFmspcTcbDao, IPccsRouter} from "./interfaces/IAutomataPccs.sol";
import {ICollateral} from "./interfaces/ICollateral.sol";

/// The age of the collateral that Automata's quote verifiers use. It is read from the same contracts as theirs.
///
/// If a contract reverts or something is missing, the age is unknown: 0. A `KeyRegistry` then neither registers nor ends a key.
contract AutomataCollateral is ICollateral {
    /// The format of the TCB infos that their verifiers read.
    uint32 private constant TCB_INFO_VERSION = 3;

    /// This must be the `pccsRouter` of each quote verifier that may judge.
    IPccsRouter public immutable ROUTER;

    error NoContract(address router);
    error NoEnvironment();
    error NoEdition(uint32 edition);

    constructor(IPccsRouter router) {
        if (address(router).code.length == 0) revert NoContract(address(router));
        ROUTER = router;
    }

    /// @param edition the TCB evaluation data number; 0 for the router's standard one
    function issuedAt(Tee tee, bytes6 fmspc, uint32 edition) external view returns (uint64) {
        // Through a call, so that answers that cannot be decoded end here, too.
        try this.find(tee, fmspc, edition) returns (uint64 date) {
            return date;
        } catch {
            return 0;
        }
    }

    /// The same, but it reverts where `issuedAt` returns 0 because something failed: for people who want to know why.
    function find(Tee tee, bytes6 fmspc, uint32 edition) external view returns (uint64 date) {
        if (tee == Tee.None) revert NoEnvironment();
        uint8 tcbId = tee == Tee.Sgx ? 0 : 1;
        uint32 judgedBy = edition == 0 ? ROUTER.getStandardTcbEvaluationDataNumber(tcbId) : edition;
        address dao = ROUTER.fmspcTcbDaoVersionedAddr(judgedBy);
        if (dao == address(0)) revert NoEdition(judgedBy);
        // The quote verifier checks whether it has expired.
        // slither-disable-next-line unused-return
        (date,) = IFmspcTcbDao(dao).getCollateralValidity(IFmspcTcbDao(dao).FMSPC_TCB_KEY(tcbId, fmspc, TCB_INFO_VERSION));
    }
}
