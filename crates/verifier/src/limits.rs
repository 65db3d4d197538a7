//! Limits: how much a batch can hold, checked before memory and time are spent on it.
//!
//! The input's size alone does not bound its cost: a list of short entries takes many times its own bytes once it is read.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use crate::{
    Rejection,
    input::{ExecuteTransactionCommon, L2BlockExecutionData, Transaction},
    machine::{INTEROP_ROOT_WORDS, Layout},
};

/// Transactions that the bootloader has room for (`MAX_TXS_IN_BATCH` of the VM).
pub(crate) const MAX_TRANSACTIONS: usize = 10_000;
/// Each block except the last has a transaction.
pub(crate) const MAX_BLOCKS: usize = MAX_TRANSACTIONS + 1;
/// Seven times what the largest known batch touches.
pub(crate) const MAX_PATHS: usize = 1 << 20;
/// A run of a batch uses a few hundred.
pub(crate) const MAX_BYTECODES: usize = 1 << 16;
/// Bytecodes that a transaction can make known.
pub(crate) const MAX_FACTORY_DEPENDENCIES: usize = 64;
/// More than any version has room for.
pub(crate) const MAX_INTEROP_ROOTS: usize = 256;
/// One more than is allowed, so that a rejection can name it.
pub(crate) const MAX_INTEROP_ROOT_SIDES: usize = 2;
/// Blobs that a batch can fill.
pub(crate) const MAX_BLOBS: usize = 16;
/// More words than the bootloader's memory has (63.8 MB, `USED_BOOTLOADER_MEMORY_BYTES` of the VM).
pub(crate) const MAX_HEAP_WORDS: usize = 1 << 21;

/// Checks that the bootloader's input fits its place in memory. The VM would write the rest over what comes after.
pub(crate) fn check_bootloader_memory(blocks: &[L2BlockExecutionData], layout: &Layout) -> Result<(), Rejection> {
    let words = blocks.iter().flat_map(|block| &block.txs).map(words).fold(0, usize::saturating_add);
    let room = layout.transactions.words as usize;
    if words > room {
        return Err(Rejection::TransactionsTooLarge { got: words, limit: room });
    }
    let interop_roots = blocks.iter().map(|block| block.interop_roots.len()).fold(0, usize::saturating_add);
    // In a version without interop roots, listed ones would never be checked.
    let room = layout.interop.map_or(0, |interop| (interop.roots.words / INTEROP_ROOT_WORDS) as usize);
    if interop_roots > room {
        return Err(Rejection::TooManyInteropRoots { got: interop_roots, limit: room });
    }
    for block in blocks {
        if let Some(root) = block.interop_roots.iter().find(|root| root.sides.len() != 1) {
            return Err(Rejection::InteropRootSides { number: block.number, got: root.sides.len() });
        }
    }
    Ok(())
}

/// Words that a transaction fills.
fn words(transaction: &Transaction) -> usize {
    let (signature, paymaster_input) = match &transaction.common_data {
        ExecuteTransactionCommon::L2(common) => (common.signature.len(), common.paymaster_params.paymaster_input.len()),
        ExecuteTransactionCommon::L1(_) | ExecuteTransactionCommon::ProtocolUpgrade(_) => (0, 0),
    };
    let execute = &transaction.execute;
    // The fields of fixed length, the lengths and offsets of the others, and the offset of the whole.
    const FIXED_WORDS: usize = 1 + 19 + 5;
    let bytes = [execute.calldata.len(), signature, paymaster_input];
    let words = bytes.into_iter().map(|length| length.div_ceil(32));
    words.chain([FIXED_WORDS, execute.factory_deps.len()]).fold(0, usize::saturating_add)
}

/// Reads a list of at most `MAX` items.
pub(crate) fn list<'de, const MAX: usize, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    from.deserialize_seq(Limited::<MAX, Vec<T>>(PhantomData))
}

/// Reads a list of at most `MAX` items; null is an empty one.
pub(crate) fn list_or_null<'de, const MAX: usize, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct OrNull<const MAX: usize, T>(PhantomData<T>);

    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for OrNull<MAX, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} items, or null")
        }

        fn visit_none<E: Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
            list::<MAX, T, D>(from)
        }
    }

    from.deserialize_option(OrNull::<MAX, T>(PhantomData))
}

/// Maps that are lists of pairs on the wire.
pub(crate) mod pairs {
    use std::{collections::HashMap, fmt, hash::Hash, marker::PhantomData};

    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{SeqAccess, Visitor},
    };

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &HashMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, K, V, D>(from: D) -> Result<HashMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Eq + Hash,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        struct Pairs<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de> + Eq + Hash, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
            type Value = HashMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of pairs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<HashMap<K, V>, A::Error> {
                let mut map = HashMap::new();
                while let Some((key, value)) = pairs.next_element()? {
                    map.insert(key, value);
                }
                Ok(map)
            }
        }

        from.deserialize_seq(Pairs(PhantomData))
    }
}

/// Reads a map of at most `MAX` entries.
pub(crate) fn map<'de, const MAX: usize, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    from.deserialize_map(Limited::<MAX, BTreeMap<K, V>>(PhantomData))
}

struct Limited<const MAX: usize, T>(PhantomData<T>);

impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for Limited<MAX, Vec<T>> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::invalid_length(MAX.saturating_add(1), &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}

impl<'de, const MAX: usize, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de>
    for Limited<MAX, BTreeMap<K, V>>
{
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of at most {MAX} entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<BTreeMap<K, V>, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            if map.len() == MAX {
                return Err(A::Error::invalid_length(MAX.saturating_add(1), &self));
            }
            map.insert(key, value);
        }
        Ok(map)
    }
}
