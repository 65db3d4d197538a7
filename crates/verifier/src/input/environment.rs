//! The environment that a batch runs in.

use primitive_types::{H256, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::SeqAccess, ser::Error};

use super::{Address, L1BatchNumber, L2BlockEnv, L2ChainId, ProtocolVersionId};

/// Parameters of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct L1BatchEnv {
    /// Root of the state after the batch before.
    pub previous_batch_hash: Option<H256>,
    /// The batch's number.
    pub number: L1BatchNumber,
    /// When it began, in seconds since 1970.
    pub timestamp: u64,
    /// The operator's prices of gas and published bytes.
    pub fee_input: BatchFeeInput,
    /// The price of a message to another chain, in wei. Since version 31.
    #[serde(default, skip_serializing_if = "U256::is_zero")]
    pub interop_fee: U256,
    /// The recipient of the fees.
    pub fee_account: Address,
    /// A base fee in place of the one that follows from the fees. Batches of a chain do not have it.
    pub enforced_base_fee: Option<u64>,
    /// The first block.
    pub first_l2_block: L2BlockEnv,
    /// Where the chain settles. Since version 31.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement_layer: Option<SettlementLayer>,
}

/// Where a chain settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementLayer {
    /// Its kind. Not used.
    #[serde(rename = "type")]
    pub kind: SettlementLayerKind,
    /// Its chain id.
    pub chain_id: u64,
}

/// The kinds of settlement layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the protocol names them")]
pub enum SettlementLayerKind {
    L1,
    Gateway,
}

/// An operator's prices of gas and published bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchFeeInput {
    /// A published byte costs what it costs on L1.
    L1Pegged(L1PeggedBatchFeeModelInput),
    /// The price of a published byte is given separately.
    PubdataIndependent(PubdataIndependentBatchFeeModelInput),
}

/// Fees where published bytes cost what they cost on L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct L1PeggedBatchFeeModelInput {
    /// Fair price of gas, in wei.
    pub fair_l2_gas_price: u64,
    /// Price of L1's gas, in wei.
    pub l1_gas_price: u64,
}

/// Fees where the price of published bytes is given separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PubdataIndependentBatchFeeModelInput {
    /// Fair price of gas, in wei.
    pub fair_l2_gas_price: u64,
    /// Fair price of a published byte, in wei.
    pub fair_pubdata_price: u64,
    /// Price of L1's gas, in wei.
    pub l1_gas_price: u64,
}

/// Parameters of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemEnv {
    /// Whether there is storage that no root covers. It must be false.
    pub zk_porter_available: bool,
    /// The protocol version.
    pub version: ProtocolVersionId,
    /// The code that every batch runs.
    pub base_system_smart_contracts: BaseSystemContracts,
    /// Gas of the whole batch.
    pub bootloader_gas_limit: u32,
    /// How transactions are run.
    pub execution_mode: TxExecutionMode,
    /// Gas that an account's validation may use before a batch is built.
    pub default_validation_computational_gas_limit: u32,
    /// The chain's id.
    pub chain_id: L2ChainId,
}

/// How transactions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "only the first is a batch's")]
pub enum TxExecutionMode {
    VerifyExecute,
    EstimateFee,
    EthCall,
}

/// The code that every batch runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseSystemContracts {
    /// The bootloader.
    pub bootloader: SystemContractCode,
    /// The default account.
    pub default_aa: SystemContractCode,
    /// The EVM emulator, where the chain has one.
    pub evm_emulator: Option<SystemContractCode>,
}

/// Code and the hash that it is known by.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemContractCode {
    /// The code, in whole words.
    #[serde(serialize_with = "words_of", deserialize_with = "from_words")]
    pub code: Vec<u8>,
    /// Its hash. A claim.
    pub hash: H256,
}

impl std::fmt::Debug for SystemContractCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ({} bytes)", self.hash, self.code.len())
    }
}

/// Writes code as it is on the wire: a list of numbers, one per word.
fn words_of<S: Serializer>(code: &[u8], to: S) -> Result<S::Ok, S::Error> {
    let (words, rest) = code.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(S::Error::custom("code that is not whole words"));
    }
    to.collect_seq(words.iter().map(|word| U256::from_big_endian(word)))
}

fn from_words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    struct WordsVisitor;

    impl<'de> serde::de::Visitor<'de> for WordsVisitor {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of words")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Vec<u8>, A::Error> {
            let mut code = Vec::new();
            while let Some(word) = words.next_element::<U256>()? {
                let mut bytes = [0; 32];
                word.to_big_endian(&mut bytes);
                code.extend(bytes);
            }
            Ok(code)
        }
    }

    from.deserialize_seq(WordsVisitor)
}
