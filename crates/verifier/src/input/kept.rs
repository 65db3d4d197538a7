//! Lists that nothing here uses.

use std::{collections::TryReserveError, fmt, marker::PhantomData, mem};

use cbor4ii::{core::utils::SliceReader, serde::Deserializer as CborDeserializer};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
    ser::{Error as _, SerializeSeq},
};

type EncodeError = cbor4ii::serde::EncodeError<TryReserveError>;

/// A list that is kept for other readers of the input. Its items are kept in CBOR: as values of their own, short ones
/// would take many times the bytes that they came in. A list that is read has at most `MAX` items.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<T, const MAX: usize = { usize::MAX }> {
    count: usize,
    cbor: Vec<u8>,
    item: PhantomData<T>,
}

impl<T, const MAX: usize> Default for Kept<T, MAX> {
    fn default() -> Self {
        Self { count: 0, cbor: Vec::new(), item: PhantomData }
    }
}

impl<T: Serialize, const MAX: usize> Kept<T, MAX> {
    /// Makes a list of these items.
    ///
    /// # Errors
    ///
    /// An item that cannot be written in CBOR.
    pub fn new(items: impl IntoIterator<Item = T>) -> Result<Self, EncodeError> {
        let mut kept = Self::default();
        items.into_iter().try_for_each(|item| kept.push(&item))?;
        Ok(kept)
    }

    fn push(&mut self, item: &T) -> Result<(), EncodeError> {
        self.cbor = cbor4ii::serde::to_vec(mem::take(&mut self.cbor), item)?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

impl<'de, T: Deserialize<'de> + Serialize, const MAX: usize> Deserialize<'de> for Kept<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(KeptVisitor(PhantomData))
    }
}

struct KeptVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Serialize, const MAX: usize> Visitor<'de> for KeptVisitor<T, MAX> {
    type Value = Kept<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kept<T, MAX>, A::Error> {
        let mut kept = Kept::default();
        while let Some(item) = items.next_element::<T>()? {
            if kept.count == MAX {
                return Err(A::Error::invalid_length(MAX.saturating_add(1), &self));
            }
            kept.push(&item).map_err(A::Error::custom)?;
        }
        kept.cbor.shrink_to_fit();
        Ok(kept)
    }
}

impl<T: Serialize + for<'de> Deserialize<'de>, const MAX: usize> Serialize for Kept<T, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut items = CborDeserializer::new(SliceReader::new(&self.cbor));
        let mut list = to.serialize_seq(Some(self.count))?;
        for _ in 0..self.count {
            list.serialize_element(&T::deserialize(&mut items).map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}
