//! Numbers and keys that identify the things of a chain.

use std::{fmt, num::ParseIntError, str::FromStr};

use primitive_types::{H160, H256, U256};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};
use thiserror::Error;

use crate::hash::slot_key;

/// The address of an account or contract.
pub type Address = H160;

/// The number of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct L1BatchNumber(pub u32);

impl From<u32> for L1BatchNumber {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for L1BatchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for L1BatchNumber {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// The id of a chain, which its users sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct L2ChainId(u64);

impl L2ChainId {
    /// With a larger id, the `v` of a signature (EIP-155) would not be a safe integer in JavaScript.
    const MAX: u64 = ((1 << 53) - 1 - 36) / 2;

    /// A chain's id; `None` if the number is too large for one.
    pub fn new(id: u64) -> Option<Self> {
        (id <= Self::MAX).then_some(Self(id))
    }

    /// As a number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u32> for L2ChainId {
    fn from(id: u32) -> Self {
        Self(id.into())
    }
}

/// Why text is not a chain id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a chain id of at most {}", L2ChainId::MAX)]
pub struct ParseChainIdError;

/// Parses a decimal number, or a hexadecimal one that begins with 0x.
impl FromStr for L2ChainId {
    type Err = ParseChainIdError;

    fn from_str(text: &str) -> Result<Self, ParseChainIdError> {
        let id = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        id.ok().and_then(Self::new).ok_or(ParseChainIdError)
    }
}

impl fmt::Display for L2ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a number, or in JSON also a number in a string.
impl<'de> Deserialize<'de> for L2ChainId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ChainIdVisitor;

        impl Visitor<'_> for ChainIdVisitor {
            type Value = L2ChainId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a chain id of at most {}", L2ChainId::MAX)
            }

            fn visit_u64<E: Error>(self, id: u64) -> Result<L2ChainId, E> {
                L2ChainId::new(id).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(id), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<L2ChainId, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        if from.is_human_readable() {
            from.deserialize_any(ChainIdVisitor)
        } else {
            from.deserialize_u64(ChainIdVisitor)
        }
    }
}

/// A version of the protocol. On the wire it is `"Version29"`; any number can be read, so that a rejection can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersionId(u16);

impl ProtocolVersionId {
    /// The first version that settles on a gateway.
    pub const VERSION_26: Self = Self(26);
    /// The first with an EVM emulator.
    pub const VERSION_27: Self = Self(27);
    /// The first with the precompiles for elliptic curves.
    pub const VERSION_28: Self = Self(28);
    /// The first with interop roots.
    pub const VERSION_29: Self = Self(29);
    /// The first with a settlement layer's chain id, and commitment schemes in place of validators.
    pub const VERSION_31: Self = Self(31);

    /// The version with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ProtocolVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ProtocolVersionId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("Version{}", self.0))
    }
}

impl<'de> Deserialize<'de> for ProtocolVersionId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct VersionVisitor;

        impl Visitor<'_> for VersionVisitor {
            type Value = ProtocolVersionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a protocol version such as \"Version29\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ProtocolVersionId, E> {
                let number = text.strip_prefix("Version").and_then(|number| number.parse().ok());
                number.map(ProtocolVersionId).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        from.deserialize_str(VersionVisitor)
    }
}

/// A storage slot of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StorageKey {
    account: AccountTreeId,
    key: H256,
}

/// An address, as it is written inside a [`StorageKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct AccountTreeId {
    address: Address,
}

impl StorageKey {
    /// The slot `key` of the contract at `address`.
    pub fn new(address: Address, key: H256) -> Self {
        Self { account: AccountTreeId { address }, key }
    }

    /// The contract.
    pub fn address(&self) -> &Address {
        &self.account.address
    }

    /// The slot.
    pub fn key(&self) -> &H256 {
        &self.key
    }

    /// The slot's place in the tree: Blake2s-256 of the address, padded to a word, and the slot.
    pub fn hashed_key(&self) -> H256 {
        H256(slot_key(&self.account.address.0, &self.key.0))
    }

    /// The slot's place in the tree as a number: its bytes read as little-endian.
    pub fn hashed_key_u256(&self) -> U256 {
        U256::from_little_endian(self.hashed_key().as_bytes())
    }
}
