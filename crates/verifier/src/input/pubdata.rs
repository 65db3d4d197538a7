//! How a batch's data is published.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::Address;

/// How a batch's data is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubdataParams {
    /// Who checks it.
    pub validator: PubdataValidator,
    /// Where it goes.
    pub pubdata_type: PubdataType,
}

/// Who checks that a batch's data is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PubdataValidator {
    /// Up to version 30: a contract.
    Address(Address),
    /// Since version 31: a scheme.
    CommitmentScheme(CommitmentScheme),
}

/// How L1 checks that a batch's data is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the protocol names them")]
pub enum CommitmentScheme {
    EmptyNoDA = 1,
    PubdataKeccak256 = 2,
    BlobsAndPubdataKeccak256 = 3,
}

/// Where a batch's data is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the protocol names them")]
pub enum PubdataType {
    #[default]
    Rollup,
    NoDA,
    Avail,
    Celestia,
    Eigen,
    ObjectStore,
}

/// The wire form. A node of version 31 writes `pubdata_validator`, and with an address also the field of older nodes.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l2_da_validator_address: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pubdata_validator: Option<PubdataValidator>,
    pubdata_type: PubdataType,
}

impl Serialize for PubdataParams {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { validator, pubdata_type } = *self;
        let (l2_da_validator_address, pubdata_validator) = match validator {
            // As zksync-era's own prover expects it.
            PubdataValidator::Address(address) => (Some(address), None),
            scheme @ PubdataValidator::CommitmentScheme(_) => (None, Some(scheme)),
        };
        Wire { l2_da_validator_address, pubdata_validator, pubdata_type }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for PubdataParams {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Wire { l2_da_validator_address, pubdata_validator, pubdata_type } = Wire::deserialize(from)?;
        let validator = match (pubdata_validator, l2_da_validator_address) {
            (Some(validator), None) => validator,
            (None, Some(address)) => PubdataValidator::Address(address),
            (Some(PubdataValidator::Address(one)), Some(other)) if one == other => PubdataValidator::Address(one),
            (Some(_), Some(_)) => return Err(D::Error::custom("two data availability validators that differ")),
            (None, None) => return Err(D::Error::missing_field("pubdata_validator")),
        };
        Ok(Self { validator, pubdata_type })
    }
}
