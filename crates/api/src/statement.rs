//! The statement: the facts that a bare root hash leaves open, signed besides it.

use serde::{Deserialize, Serialize};
use tee_verifier::{CodeHashes, H256, VerifiedBatch, keccak256};
use thiserror::Error;

use crate::{BoundSignature, MAX_CONTRACTS, PublicKey, Signature, SignatureError, wire::plain_hex};

/// Size of one system log, as L1's `commitBatches` receives it (`L2_TO_L1_LOG_SERIALIZE_SIZE`).
pub const SYSTEM_LOG_BYTES: usize = 88;

/// The most system logs that a statement may carry. A batch emits about ten.
pub const MAX_SYSTEM_LOGS: usize = 512;

/// keccak256("tee-prover-gateway/statement/v1") separates these signatures from those of other protocols.
const DOMAIN: &[u8] = b"tee-prover-gateway/statement/v1";

/// What a batch does: from which state, by which code, to which state, with which messages for L1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The chain.
    pub chain_id: u64,
    /// The batch's number.
    pub batch_number: u32,
    /// The protocol version that it ran under.
    pub protocol_version: u16,
    /// Root of the state before the batch.
    pub previous_root: H256,
    /// The next free leaf index before the batch.
    pub previous_index: u64,
    /// Root of the state after the batch.
    pub root: H256,
    /// The next free leaf index after the batch.
    pub index: u64,
    /// The code that every batch runs. If the emulator's hash is present, it is not zero.
    pub code_hashes: CodeHashes,
    /// The system logs, 88 bytes each, one after another.
    pub system_logs: Vec<u8>,
}

/// A statement with the signature of its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireStatement", into = "WireStatement")]
pub struct SignedStatement {
    /// What is stated.
    pub statement: Statement,
    /// Signature of [`Statement::digest`].
    pub signature: Signature,
    /// Signatures for one contract each, if a relayer asked for them: at most [`MAX_CONTRACTS`].
    pub bound: Vec<BoundSignature>,
}

/// Why a JSON object is not a statement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatementError {
    /// The length is not a multiple of a system log's.
    #[error("statement: {got} bytes of system logs, not a multiple of 88")]
    SystemLogs {
        /// The number of bytes.
        got: usize,
    },
    /// There are more than [`MAX_SYSTEM_LOGS`].
    #[error("statement: {got} system logs, at most {limit} are allowed", limit = MAX_SYSTEM_LOGS)]
    TooManySystemLogs {
        /// The number of logs.
        got: usize,
    },
    /// The EVM emulator's hash is zero. Without an emulator the hash must be left out.
    #[error("statement: the EVM emulator's hash is zero")]
    ZeroEvmEmulator,
    /// There are signatures for more than [`MAX_CONTRACTS`].
    #[error("statement: signatures for {got} contracts, at most {limit} are allowed", limit = MAX_CONTRACTS)]
    TooManyContracts {
        /// The number of signatures.
        got: usize,
    },
}

impl Statement {
    /// The statement of what the verifier found about a batch.
    pub fn of(batch: &VerifiedBatch) -> Self {
        Self {
            chain_id: batch.chain_id().as_u64(),
            batch_number: batch.number().0,
            protocol_version: batch.protocol_version().number(),
            previous_root: batch.previous_root(),
            previous_index: batch.previous_index(),
            root: batch.root(),
            index: batch.index(),
            code_hashes: batch.code_hashes(),
            system_logs: batch.system_logs().to_vec(),
        }
    }

    /// The 32 bytes that are signed: keccak256 of Solidity's `abi.encode(bytes32 domain, uint256 chainId, uint256
    /// batchNumber, uint256 protocolVersion, bytes32 previousRoot, uint256 previousIndex, bytes32 root, uint256 index,
    /// bytes32 codeHash, bytes32 systemLogsHash)`.
    pub fn digest(&self) -> H256 {
        hash_words(&[
            H256(keccak256(DOMAIN)),
            H256::from_low_u64_be(self.chain_id),
            H256::from_low_u64_be(self.batch_number.into()),
            H256::from_low_u64_be(self.protocol_version.into()),
            self.previous_root,
            H256::from_low_u64_be(self.previous_index),
            self.root,
            H256::from_low_u64_be(self.index),
            self.code_hash(),
            self.system_logs_hash(),
        ])
    }

    /// keccak256 of `abi.encode(bootloader, default account, EVM emulator or 0)`.
    pub fn code_hash(&self) -> H256 {
        let CodeHashes { bootloader, default_account, evm_emulator } = self.code_hashes;
        hash_words(&[bootloader, default_account, evm_emulator.unwrap_or_default()])
    }

    /// keccak256 of the system logs.
    pub fn system_logs_hash(&self) -> H256 {
        H256(keccak256(&self.system_logs))
    }

    /// Whether `later` is about the next batch, and starts from the state in which this one ends.
    pub fn chains_to(&self, later: &Statement) -> bool {
        later.chain_id == self.chain_id
            && Some(later.batch_number) == self.batch_number.checked_add(1)
            && later.previous_root == self.root
            && later.previous_index == self.index
    }
}

impl SignedStatement {
    /// Checks that `key` signed the statement, and for each contract too.
    pub fn verify(&self, key: &PublicKey) -> Result<(), SignatureError> {
        self.signature.verify(self.statement.digest(), key)?;
        let mut bound = self.bound.iter();
        bound.try_for_each(|bound| bound.signature.verify(self.statement.bound_digest(&bound.contract), key))
    }
}

/// Words of 32 bytes are their own ABI encoding.
pub(crate) fn hash_words(words: &[H256]) -> H256 {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.0).collect();
    H256(keccak256(&bytes))
}

/// The statement's JSON form.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SignedStatement))]
pub(crate) struct WireStatement {
    chain_id: u64,
    batch_number: u32,
    protocol_version: u16,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "plain_hex")]
    previous_root: H256,
    previous_index: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "plain_hex")]
    root: H256,
    index: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "plain_hex")]
    bootloader_hash: H256,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "plain_hex")]
    default_account_hash: H256,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(with = "plain_hex::option", default, skip_serializing_if = "Option::is_none")]
    evm_emulator_hash: Option<H256>,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "plain_hex::bytes")]
    system_logs: Vec<u8>,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    signature: Signature,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bound: Vec<BoundSignature>,
}

impl TryFrom<WireStatement> for SignedStatement {
    type Error = StatementError;

    fn try_from(wire: WireStatement) -> Result<Self, StatementError> {
        let got = wire.system_logs.len();
        if !got.is_multiple_of(SYSTEM_LOG_BYTES) {
            return Err(StatementError::SystemLogs { got });
        }
        if got / SYSTEM_LOG_BYTES > MAX_SYSTEM_LOGS {
            return Err(StatementError::TooManySystemLogs { got: got / SYSTEM_LOG_BYTES });
        }
        if wire.evm_emulator_hash == Some(H256::zero()) {
            return Err(StatementError::ZeroEvmEmulator);
        }
        if wire.bound.len() > MAX_CONTRACTS {
            return Err(StatementError::TooManyContracts { got: wire.bound.len() });
        }
        Ok(Self {
            statement: Statement {
                chain_id: wire.chain_id,
                batch_number: wire.batch_number,
                protocol_version: wire.protocol_version,
                previous_root: wire.previous_root,
                previous_index: wire.previous_index,
                root: wire.root,
                index: wire.index,
                code_hashes: CodeHashes {
                    bootloader: wire.bootloader_hash,
                    default_account: wire.default_account_hash,
                    evm_emulator: wire.evm_emulator_hash,
                },
                system_logs: wire.system_logs,
            },
            signature: wire.signature,
            bound: wire.bound,
        })
    }
}

impl From<SignedStatement> for WireStatement {
    fn from(SignedStatement { statement, signature, bound }: SignedStatement) -> Self {
        Self {
            chain_id: statement.chain_id,
            batch_number: statement.batch_number,
            protocol_version: statement.protocol_version,
            previous_root: statement.previous_root,
            previous_index: statement.previous_index,
            root: statement.root,
            index: statement.index,
            bootloader_hash: statement.code_hashes.bootloader,
            default_account_hash: statement.code_hashes.default_account,
            evm_emulator_hash: statement.code_hashes.evm_emulator,
            system_logs: statement.system_logs,
            signature,
            bound,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ethabi::Token;

    use super::*;
    use crate::Contract;

    pub(crate) fn example() -> Statement {
        Statement {
            chain_id: 300,
            batch_number: 14034,
            protocol_version: 29,
            previous_root: H256::repeat_byte(0x11),
            previous_index: 1_000_001,
            root: H256::repeat_byte(0x22),
            index: 1_000_042,
            code_hashes: CodeHashes {
                bootloader: H256::repeat_byte(0x33),
                default_account: H256::repeat_byte(0x44),
                evm_emulator: Some(H256::repeat_byte(0x55)),
            },
            system_logs: (0..176).collect(),
        }
    }

    fn by_ethabi(statement: &Statement) -> H256 {
        let word = |hash: H256| Token::FixedBytes(hash.as_bytes().to_vec());
        let number = |number: u64| Token::Uint(number.into());
        let codes = statement.code_hashes;
        let code_hash = keccak256(&ethabi::encode(&[
            word(codes.bootloader),
            word(codes.default_account),
            word(codes.evm_emulator.unwrap_or_default()),
        ]));
        H256(keccak256(&ethabi::encode(&[
            word(H256(keccak256(b"tee-prover-gateway/statement/v1"))),
            number(statement.chain_id),
            number(statement.batch_number.into()),
            number(statement.protocol_version.into()),
            word(statement.previous_root),
            number(statement.previous_index),
            word(statement.root),
            number(statement.index),
            word(H256(code_hash)),
            word(H256(keccak256(&statement.system_logs))),
        ])))
    }

    #[test]
    fn the_digest_is_soliditys_abi_encoding() {
        let with = example();
        let mut without = example();
        without.code_hashes.evm_emulator = None;
        assert_eq!(with.digest(), by_ethabi(&with));
        assert_eq!(without.digest(), by_ethabi(&without));
        assert_ne!(with.digest(), without.digest());
    }

    #[test]
    fn the_digest_of_the_example_never_changes() {
        let expected = "8c34239fbffdb22e7ab3b3ced4b45fe605252f045c26403aabeca0923fe0d988";
        assert_eq!(hex::encode(example().digest()), expected);
    }

    #[test]
    fn every_field_changes_the_digest() {
        let changes: [fn(&mut Statement); 10] = [
            |s| s.chain_id += 1,
            |s| s.batch_number += 1,
            |s| s.protocol_version += 1,
            |s| s.previous_root.0[31] ^= 1,
            |s| s.previous_index += 1,
            |s| s.root.0[0] ^= 1,
            |s| s.index += 1,
            |s| s.code_hashes.bootloader.0[0] ^= 1,
            |s| s.code_hashes.default_account.0[0] ^= 1,
            |s| s.system_logs[175] ^= 1,
        ];
        for change in changes {
            let mut changed = example();
            change(&mut changed);
            assert_ne!(changed.digest(), example().digest(), "{changed:?}");
        }
    }

    #[test]
    fn statements_chain_by_number_root_and_index() {
        let earlier = example();
        let next =
            Statement { batch_number: 14035, previous_root: earlier.root, previous_index: earlier.index, ..example() };
        assert!(earlier.chains_to(&next));
        assert!(!next.chains_to(&earlier));
        assert!(!earlier.chains_to(&Statement { previous_index: 1, ..next.clone() }));
        assert!(!earlier.chains_to(&Statement { previous_root: H256::zero(), ..next.clone() }));
        assert!(!earlier.chains_to(&Statement { chain_id: 301, ..next.clone() }));
        assert!(!earlier.chains_to(&Statement { batch_number: 14036, ..next }));
    }

    #[test]
    fn the_json_form_is_flat_with_plain_hex_and_reads_back() {
        let key = crate::SigningKey::from_hex(&"07".repeat(32)).unwrap();
        let signature = key.public_key().to_string(); // A key is no signature.
        let signature_of_ones = Signature::from_bytes(&[1; 64]).unwrap();
        let signed = SignedStatement { statement: example(), signature: signature_of_ones, bound: vec![] };
        let mut json = serde_json::to_value(&signed).unwrap();
        assert_eq!(json["batch_number"], 14034);
        assert_eq!(json["root"], "22".repeat(32));
        assert_eq!(json["system_logs"].as_str().unwrap().len(), 352);
        assert_eq!(serde_json::from_value::<SignedStatement>(json.clone()).unwrap(), signed);

        json["signature"] = signature.into();
        assert!(serde_json::from_value::<SignedStatement>(json).is_err());
    }

    #[test]
    fn broken_or_too_many_system_logs_and_a_zero_emulator_are_refused() {
        let signed = |change: fn(&mut Statement)| {
            let mut statement = example();
            change(&mut statement);
            let wire: WireStatement =
                SignedStatement { statement, signature: Signature::from_bytes(&[1; 64]).unwrap(), bound: vec![] }
                    .into();
            SignedStatement::try_from(wire)
        };
        assert_eq!(signed(|s| s.system_logs.truncate(87)).err(), Some(StatementError::SystemLogs { got: 87 }));
        assert_eq!(
            signed(|s| s.system_logs = vec![0; 513 * 88]).err(),
            Some(StatementError::TooManySystemLogs { got: 513 })
        );
        assert_eq!(
            signed(|s| s.code_hashes.evm_emulator = Some(H256::zero())).err(),
            Some(StatementError::ZeroEvmEmulator)
        );
        assert!(signed(|s| s.system_logs.clear()).is_ok());
    }

    #[test]
    fn what_is_signed_for_a_contract_is_checked_with_the_rest_and_bounded() {
        let key = crate::SigningKey::from_hex(&"07".repeat(32)).unwrap();
        let contract = Contract { settlement_chain_id: 1, address: [0xc0; 20].into() };
        let signed = key.sign_statement(example(), &[contract]).statement;
        assert_eq!(signed.verify(&key.public_key()), Ok(()));
        let json = serde_json::to_value(&signed).unwrap();
        assert_eq!(json["bound"][0]["settlement_chain_id"], 1);
        assert_eq!(json["bound"][0]["contract"], "c0".repeat(20));
        assert_eq!(serde_json::from_value::<SignedStatement>(json).unwrap(), signed);

        let mut for_another = signed.clone();
        for_another.bound[0].contract.settlement_chain_id = 2;
        assert_eq!(for_another.verify(&key.public_key()), Err(SignatureError::Mismatch));
        // A statement's own signature does not pass for a bound one either.
        let mut unbound = signed.clone();
        unbound.bound[0].signature = signed.signature;
        assert_eq!(unbound.verify(&key.public_key()), Err(SignatureError::Mismatch));

        let mut many = signed.clone();
        many.bound = vec![signed.bound[0].clone(); MAX_CONTRACTS + 1];
        let many = SignedStatement::try_from(WireStatement::from(many));
        assert_eq!(many.err(), Some(StatementError::TooManyContracts { got: MAX_CONTRACTS + 1 }));
    }
}
