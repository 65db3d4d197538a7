// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Tee} from "./Attestations.sol";
import {Commitments, Opening} from "./Commitments.sol";
import {Delayed} from "./Delayed.sol";
import {KeyRegistry} from "./KeyRegistry.sol";
import {Statement, Statements} from "./Statements.sol";
import {Messages, SystemLogs} from "./SystemLogs.sol";
import {IEraChain, StoredBatchInfo} from "./interfaces/IEraChain.sol";

/// A statement and its signatures.
struct Proof {
    Statement statement;
    /// Whether the signatures are only for this contract.
    bool isBound;
    /// r ‖ s ‖ v of each, in ascending order of the signers' addresses, so that no key signs twice.
    bytes[] signatures;
}

/// What is stored of a proven batch, as a hash. It includes everything that the settlement layer knows of a batch.
struct Facts {
    bytes32 root;
    uint64 index;
    uint256 numberOfLayer1Txs;
    bytes32 priorityOperationsHash;
    bytes32 dependencyRootsRollingHash;
    bytes32 l2LogsTreeRoot;
    uint256 timestamp;
    bytes32 codeHash;
    bytes32 systemLogsHash;
}

/// How many keys must sign.
struct Quorum {
    uint8 keys;
    /// How many kinds of environments they must come from.
    uint8 teeTypes;
}

/// A program that batches may run: keccak256 of the three code hashes, under a protocol version.
struct Code {
    uint16 protocolVersion;
    bytes32 codeHash;
}

/// The start of a deployment.
struct Start {
    /// The chain's contract on this settlement layer.
    IEraChain chain;
    uint64 chainId;
    /// The batch that counts as proven from the start: the next one must continue from its root and index.
    uint32 batchNumber;
    uint64 index;
    bytes32 root;
    Quorum quorum;
    Code[] codes;
    /// Whether to accept signatures that do not name a contract, as provers make them today. Such a proof can be shown to every other
    /// contract that accepts them.
    bool dangerAcceptUnbound;
}

/// Which batches of one chain are proven. Each continues from the state in which the one before ended, and is signed by enough keys that
/// count, for the chain's code.
///
/// A proven batch is compared with what was committed to the chain's contract (`compare`). If the two differ, or a key that counts signed
/// something else about a proven batch (`dispute`), the contract pauses: then somebody is wrong, and a person has to find out who.
contract ProofVerifier is Delayed {
    using Statements for Statement;

    KeyRegistry public immutable REGISTRY;
    /// The chain's contract on this settlement layer.
    IEraChain public immutable CHAIN;
    uint64 public immutable CHAIN_ID;

    /// The last proven batch; the fields up to `headRoot` share its storage slot.
    uint32 public headBatch;
    uint64 public headIndex;
    bool public paused;
    /// Whether signatures are accepted that are not only for this contract.
    bool public acceptsUnbound;
    uint8 private quorumKeys;
    uint8 private quorumTeeTypes;
    bytes32 public headRoot;

    /// keccak256 of the ABI encoding of a batch's `Facts`. Entries beyond `headBatch` were rewound.
    mapping(uint256 batchNumber => bytes32 factsHash) public proven;
    mapping(uint256 protocolVersion => mapping(bytes32 codeHash => bool)) public codeAllowed;

    event BatchProven(uint256 indexed batchNumber, bytes32 root, uint64 index, bytes32 digest);
    /// Two sources that should agree do not.
    event Disagreement(uint256 indexed batchNumber, bytes32 provenFacts, bytes32 otherFacts, address signer);
    event Paused(address indexed by);
    event Unpaused();
    event Rewound(uint256 indexed batchNumber, bytes32 root);
    event HeadReset(uint256 indexed batchNumber, bytes32 root, uint64 index);
    event CodeChanged(uint256 indexed protocolVersion, bytes32 indexed codeHash, bool allowed);
    event QuorumChanged(Quorum quorum);
    event UnboundRefused();

    error IsPaused();
    error IsNotPaused();
    error OtherChain(uint256 chainId);
    error CodeNotAllowed(uint256 protocolVersion, bytes32 codeHash);
    error NotTheNextBatch(uint256 batchNumber, uint256 expected);
    error DoesNotChain(bytes32 previousRoot, uint256 previousIndex);
    error PreviousBatchHash(bytes32 logged, bytes32 previousRoot);
    error Unbound();
    error SignersOutOfOrder(address signer);
    error DoesNotCount(address signer);
    error TooFewKeys(uint256 keys);
    error TooFewTeeTypes(uint256 teeTypes);
    error NotProven(uint256 batchNumber);
    error OtherFacts(uint256 batchNumber);
    error NoDisagreement();
    error NotCommitted(uint256 batchNumber);
    error OpeningMismatch(bytes32 commitment);
    error InvalidQuorum();
    error NotTighter();
    error NothingToRewind(uint256 batchNumber);

    modifier whenNotPaused() {
        if (paused) revert IsPaused();
        _;
    }

    constructor(address owner_, address guardian_, uint256 delaySecs, KeyRegistry registry, Start memory start)
        Delayed(owner_, guardian_, delaySecs)
    {
        if (address(registry) == address(0) || address(start.chain) == address(0)) revert ZeroAddress();
        REGISTRY = registry;
        CHAIN = start.chain;
        CHAIN_ID = start.chainId;
        acceptsUnbound = start.dangerAcceptUnbound;
        setHead(start.batchNumber, start.root, start.index);
        setQuorum(start.quorum);
        for (uint256 i = 0; i < start.codes.length; ++i) {
            setCode(start.codes[i], true);
        }
    }

    /// Proves the batches that follow the head, in order. Anyone may call it: only the signatures matter.
    function prove(Proof[] calldata proofs) external whenNotPaused {
        (uint32 batchNumber, uint64 index, bytes32 root) = (headBatch, headIndex, headRoot);
        for (uint256 i = 0; i < proofs.length; ++i) {
            Statement calldata statement = proofs[i].statement;
            if (statement.batchNumber != batchNumber + 1) revert NotTheNextBatch(statement.batchNumber, batchNumber + 1);
            if (statement.previousRoot != root || statement.previousIndex != index) {
                revert DoesNotChain(statement.previousRoot, statement.previousIndex);
            }
            bytes32 digest = statement.digest();
            checkSignatures(proofs[i], digest);
            (batchNumber, index, root) = (statement.batchNumber, statement.index, statement.root);
            proven[batchNumber] = hashFacts(factsOf(statement));
            emit BatchProven(batchNumber, root, index, digest);
        }
        (headBatch, headIndex, headRoot) = (batchNumber, index, root);
    }

    /// Compares a proven batch with what was committed to the chain's contract, in all its fields. Anyone may call it.
    /// @param opening the parts of the batch's commitment
    /// @return agrees whether they are the same. If not, this contract is now paused, and the caller must not revert.
    function compare(StoredBatchInfo calldata batch, Opening calldata opening) external whenNotPaused returns (bool agrees) {
        uint256 batchNumber = batch.batchNumber;
        bytes32 factsHash = provenFacts(batchNumber);
        bool isCommitted =
            batchNumber <= CHAIN.getTotalBatchesCommitted() && CHAIN.storedBatchHash(batchNumber) == keccak256(abi.encode(batch));
        if (!isCommitted) revert NotCommitted(batchNumber);
        if (Commitments.commitmentOf(batch, opening) != batch.commitment) revert OpeningMismatch(batch.commitment);

        bytes32 committed = hashFacts(
            Facts({
                root: batch.batchHash,
                index: batch.indexRepeatedStorageChanges,
                numberOfLayer1Txs: batch.numberOfLayer1Txs,
                priorityOperationsHash: batch.priorityOperationsHash,
                dependencyRootsRollingHash: batch.dependencyRootsRollingHash,
                l2LogsTreeRoot: batch.l2LogsTreeRoot,
                timestamp: batch.timestamp,
                codeHash: Statements.codeHash(opening.bootloader, opening.defaultAccount, opening.evmEmulator),
                systemLogsHash: opening.systemLogsHash
            })
        );
        agrees = committed == factsHash;
        if (!agrees) disagree(batchNumber, factsHash, committed, address(0));
    }

    /// Shows that a key that counts signed something else about a proven batch, from the same state. Anyone may call it; one signature is
    /// enough.
    /// @param before what is proven about the batch before
    function dispute(Proof calldata proof, Facts calldata before) external whenNotPaused {
        Statement calldata statement = proof.statement;
        bytes32 factsHash = provenFacts(statement.batchNumber);
        if (hashFacts(before) != provenFacts(uint256(statement.batchNumber) - 1)) revert OtherFacts(statement.batchNumber - 1);
        if (statement.previousRoot != before.root || statement.previousIndex != before.index) {
            revert DoesNotChain(statement.previousRoot, statement.previousIndex);
        }
        bytes32 other = hashFacts(factsOf(statement));
        if (other == factsHash) revert NoDisagreement();
        address signer = ECDSA.recover(signedDigest(proof, statement.digest()), proof.signatures[0]);
        if (REGISTRY.teeOf(signer) == Tee.None) revert DoesNotCount(signer);
        disagree(statement.batchNumber, factsHash, other, signer);
    }

    function pause() external tightening whenNotPaused {
        paused = true;
        emit Paused(msg.sender);
    }

    function unpause() external loosening {
        if (!paused) revert IsNotPaused();
        paused = false;
        emit Unpaused();
    }

    /// Undoes the proofs after a batch, if a key turned out to lie or the chain reverted batches. The batches can be proven again.
    function rewind(uint32 batchNumber, Facts calldata facts) external tightening {
        if (batchNumber >= headBatch) revert NothingToRewind(batchNumber);
        if (hashFacts(facts) != proven[batchNumber]) revert OtherFacts(batchNumber);
        (headBatch, headIndex, headRoot) = (batchNumber, facts.index, facts.root);
        emit Rewound(batchNumber, facts.root);
    }

    /// Starts again, from a state that nobody proved.
    function dangerResetHead(uint32 batchNumber, bytes32 root, uint64 index) external loosening {
        setHead(batchNumber, root, index);
    }

    function allowCode(Code calldata code) external loosening {
        setCode(code, true);
    }

    function forbidCode(Code calldata code) external tightening {
        setCode(code, false);
    }

    function raiseQuorum(Quorum calldata quorum_) external tightening {
        if (quorum_.keys < quorumKeys || quorum_.teeTypes < quorumTeeTypes) revert NotTighter();
        setQuorum(quorum_);
    }

    function lowerQuorum(Quorum calldata quorum_) external loosening {
        setQuorum(quorum_);
    }

    /// From now on, signatures must be for this contract. This cannot be undone.
    function refuseUnbound() external tightening {
        acceptsUnbound = false;
        emit UnboundRefused();
    }

    function quorum() external view returns (Quorum memory) {
        return Quorum(quorumKeys, quorumTeeTypes);
    }

    /// The digest that a prover signs only for this contract.
    function boundDigest(bytes32 statementDigest) public view returns (bytes32) {
        return Statements.bound(statementDigest, block.chainid, address(this));
    }

    function checkSignatures(Proof calldata proof, bytes32 digest) private view {
        bytes32 signed = signedDigest(proof, digest);
        uint256 keys = proof.signatures.length;
        if (keys < quorumKeys) revert TooFewKeys(keys);
        address before = address(0);
        uint256 tees = 0;
        for (uint256 i = 0; i < keys; ++i) {
            // The library refuses a high s, a length other than 65 and the zero signer.
            address signer = ECDSA.recover(signed, proof.signatures[i]);
            if (signer <= before) revert SignersOutOfOrder(signer);
            before = signer;
            Tee tee = REGISTRY.teeOf(signer);
            if (tee == Tee.None) revert DoesNotCount(signer);
            tees |= 1 << uint256(tee);
        }
        uint256 teeTypes = tees == (1 << uint256(Tee.Sgx) | 1 << uint256(Tee.Tdx)) ? 2 : 1;
        if (teeTypes < quorumTeeTypes) revert TooFewTeeTypes(teeTypes);
    }

    function signedDigest(Proof calldata proof, bytes32 digest) private view returns (bytes32) {
        if (proof.isBound) return boundDigest(digest);
        if (!acceptsUnbound) revert Unbound();
        return digest;
    }

    /// The facts in a statement, which must be about this chain.
    function factsOf(Statement calldata statement) private view returns (Facts memory) {
        if (statement.chainId != CHAIN_ID) revert OtherChain(statement.chainId);
        // A trusted environment can run any bootloader. A chain has only its own.
        if (!codeAllowed[statement.protocolVersion][statement.codeHash]) {
            revert CodeNotAllowed(statement.protocolVersion, statement.codeHash);
        }
        Messages memory messages = SystemLogs.decode(statement.systemLogs, statement.protocolVersion);
        if (messages.previousBatchHash != statement.previousRoot) {
            revert PreviousBatchHash(messages.previousBatchHash, statement.previousRoot);
        }
        return Facts({
            root: statement.root,
            index: statement.index,
            numberOfLayer1Txs: messages.numberOfLayer1Txs,
            priorityOperationsHash: messages.priorityOperationsHash,
            dependencyRootsRollingHash: messages.dependencyRootsRollingHash,
            l2LogsTreeRoot: messages.l2LogsTreeRoot,
            timestamp: messages.batchTimestamp,
            codeHash: statement.codeHash,
            systemLogsHash: keccak256(statement.systemLogs)
        });
    }

    function provenFacts(uint256 batchNumber) private view returns (bytes32 factsHash) {
        factsHash = proven[batchNumber];
        if (batchNumber > headBatch || factsHash == 0) revert NotProven(batchNumber);
    }

    function disagree(uint256 batchNumber, bytes32 factsHash, bytes32 other, address signer) private {
        paused = true;
        emit Disagreement(batchNumber, factsHash, other, signer);
        emit Paused(msg.sender);
    }

    function setHead(uint32 batchNumber, bytes32 root, uint64 index) private {
        (headBatch, headIndex, headRoot) = (batchNumber, index, root);
        // Nobody proved this batch, so the other fields are zero.
        // slither-disable-next-line uninitialized-local
        Facts memory facts;
        (facts.root, facts.index) = (root, index);
        proven[batchNumber] = hashFacts(facts);
        emit HeadReset(batchNumber, root, index);
    }

    function setQuorum(Quorum memory quorum_) private {
        if (quorum_.teeTypes == 0 || quorum_.teeTypes > 2 || quorum_.teeTypes > quorum_.keys) revert InvalidQuorum();
        (quorumKeys, quorumTeeTypes) = (quorum_.keys, quorum_.teeTypes);
        emit QuorumChanged(quorum_);
    }

    function setCode(Code memory code, bool allowed) private {
        codeAllowed[code.protocolVersion][code.codeHash] = allowed;
        emit CodeChanged(code.protocolVersion, code.codeHash, allowed);
    }

    function hashFacts(Facts memory facts) private pure returns (bytes32) {
        return keccak256(abi.encode(facts));
    }
}
