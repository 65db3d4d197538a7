// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Statement, Statements} from "../src/Statements.sol";
import {Check} from "./support/Check.sol";

contract StatementsTest is Check {
    function digest(Statement calldata statement) external pure returns (bytes32) {
        return Statements.digest(statement);
    }

    /// The example that the Rust code pins.
    function example() internal pure returns (Statement memory) {
        bytes memory logs = new bytes(176);
        for (uint256 i = 0; i < logs.length; ++i) {
            logs[i] = bytes32(i)[31];
        }
        return Statement({
            chainId: 300,
            batchNumber: 14034,
            protocolVersion: 29,
            previousRoot: repeat(0x11),
            previousIndex: 1_000_001,
            root: repeat(0x22),
            index: 1_000_042,
            codeHash: Statements.codeHash(repeat(0x33), repeat(0x44), repeat(0x55)),
            systemLogs: logs
        });
    }

    function repeat(uint256 value) internal pure returns (bytes32) {
        return bytes32(value * (type(uint256).max / 255));
    }

    function test_the_digest_is_the_one_that_provers_sign() public view {
        vm.assertEq(this.digest(example()), 0x8c34239fbffdb22e7ab3b3ced4b45fe605252f045c26403aabeca0923fe0d988);
    }

    function test_a_bound_digest_differs_by_chain_contract_and_statement() public view {
        bytes32 plain = this.digest(example());
        bytes32 here = Statements.bound(plain, 1, address(7));
        vm.assertNotEq(here, plain);
        vm.assertNotEq(here, Statements.bound(plain, 2, address(7)));
        vm.assertNotEq(here, Statements.bound(plain, 1, address(8)));
        vm.assertNotEq(here, Statements.bound(keccak256("another"), 1, address(7)));
    }
}
