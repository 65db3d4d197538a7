//! The contracts' interfaces, as `contracts/` declares them.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::sol;
use tee_api::Signature;
use tee_verifier::H256;

sol! {
    #[derive(Debug)]
    struct Statement {
        uint64 chainId;
        uint32 batchNumber;
        uint16 protocolVersion;
        bytes32 previousRoot;
        uint64 previousIndex;
        bytes32 root;
        uint64 index;
        bytes32 codeHash;
        bytes systemLogs;
    }

    #[derive(Debug)]
    struct Proof {
        Statement statement;
        bool isBound;
        bytes[] signatures;
    }

    #[derive(Debug)]
    struct Quorum {
        uint8 keys;
        uint8 teeTypes;
    }

    #[derive(Debug)]
    struct Opening {
        bool zkPorterIsAvailable;
        bytes32 bootloader;
        bytes32 defaultAccount;
        bytes32 evmEmulator;
        bytes32 systemLogsHash;
        bytes32 stateDiffHash;
        bytes32 bootloaderHeapInitialContentsHash;
        bytes32 eventsQueueStateHash;
        bytes32[32] blobs;
    }

    #[derive(Debug)]
    interface ProofVerifier {
        error IsPaused();
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
        error NotCommitted(uint256 batchNumber);
        error OpeningMismatch(bytes32 commitment);
        error UnknownVersion(uint256 protocolVersion);
        error MissingLogs(uint256 seen);

        function REGISTRY() external view returns (address);
        function CHAIN() external view returns (address);
        function CHAIN_ID() external view returns (uint64);
        function headBatch() external view returns (uint32);
        function headIndex() external view returns (uint64);
        function headRoot() external view returns (bytes32);
        function paused() external view returns (bool);
        function quorum() external view returns (Quorum memory);
        function prove(Proof[] calldata proofs) external;
    }

    #[derive(Debug)]
    interface KeyRegistry {
        error NotRegistrar(address caller);
        error NotVerified(bytes reason);
        error VerifierFailed();
        error TooLittleGas(uint256 wanted);
        error Refused(uint8 refusal);
        error AlreadyRegistered(address signer);
        error NotFresh(uint256 blockNumber);
        error NotTheKey(address signer);

        function teeOf(address signer) external view returns (uint8);
        function isRegistrar(address account) external view returns (bool);
        function keys(address signer) external view returns (
            uint32 measurement, uint32 generation, uint40 countsFrom, uint40 expiresAt, uint40 collateralIssuedAt,
            uint16 isvSvn, uint8 tee, bool revoked, bytes32 quoteHash
        );
        function register(bytes calldata rawQuote, uint256 blockNumber, bytes calldata possession) external;
    }

    #[derive(Debug)]
    interface SecondFactor {
        error UnknownEncoding();
        error NotOneOpeningEach(uint256 batches, uint256 openings);
        error OtherBatches(uint256 batchNumber, uint256 expected);

        function VERIFIER() external view returns (address);
        function VALIDATOR() external view returns (address);
        function approve(uint256 from, uint256 to, bytes calldata batchData, Opening[] calldata openings)
            external returns (bool approved);
    }

    interface MultisigValidator {
        function individualApprovals(address member, bytes32 hash) external view returns (bool);
        function calculateHash(address chainAddress, uint256 processBatchFrom, uint256 processBatchTo, bytes calldata batchData)
            external view returns (bytes32);
    }
}

impl Proof {
    /// A statement with its signatures for one contract, sorted by the signers' addresses: the contract accepts no other order.
    pub(crate) fn new(statement: &tee_api::Statement, signatures: Vec<(Address, Signature)>) -> Self {
        Self {
            statement: Statement {
                chainId: statement.chain_id,
                batchNumber: statement.batch_number,
                protocolVersion: statement.protocol_version,
                previousRoot: word(statement.previous_root),
                previousIndex: statement.previous_index,
                root: word(statement.root),
                index: statement.index,
                codeHash: word(statement.code_hash()),
                systemLogs: statement.system_logs.clone().into(),
            },
            isBound: true,
            signatures: signatures.into_iter().map(|(_, signature)| Bytes::from(signature.to_bytes())).collect(),
        }
    }
}

/// Converts a hash to the contracts' type.
pub(crate) fn word(hash: H256) -> B256 {
    B256::new(hash.0)
}

/// Converts an address to the contracts' type.
pub(crate) fn account(address: tee_verifier::Address) -> Address {
    Address::new(address.0)
}

/// Converts an address to the type of the provers' protocol.
pub(crate) fn address(account: Address) -> tee_verifier::Address {
    account.into_array().into()
}
