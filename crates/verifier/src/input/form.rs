//! The two forms of an input: inside `V1`, as nodes up to version 29 write it, and flat, as later nodes do.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
    ser::SerializeMap,
};

use super::{BatchInput, ProtocolVersionId};

/// The key of the older form.
const OLDER: &str = "V1";

/// An input in the form of its version.
pub(super) struct Form<T>(pub(super) T);

impl Serialize for Form<&BatchInput> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(input) = self;
        if input.system_env.version >= ProtocolVersionId::VERSION_31 {
            return input.serialize(to);
        }
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(OLDER, input)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Form<BatchInput> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FormVisitor).map(Self)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = BatchInput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch input")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BatchInput, A::Error> {
        let first: String = map.next_key()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        if first != OLDER {
            return BatchInput::deserialize(MapAccessDeserializer::new(WithFirst { first: Some(first), rest: map }));
        }
        let input = map.next_value()?;
        match map.next_key::<String>()? {
            None => Ok(input),
            Some(_) => Err(A::Error::invalid_length(2, &self)),
        }
    }
}

/// A map whose first key was read.
struct WithFirst<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithFirst<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => seed.deserialize(first.into_deserializer()).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}
