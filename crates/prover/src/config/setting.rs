//! A value together with where it comes from.

use super::{ConfigError, variables::Variables};
use serde::{Deserialize, Deserializer};
use std::{fmt, str::FromStr};

/// What was said of one key, before defaults.
#[derive(Debug, Default)]
pub(super) enum Setting<T> {
    #[default]
    Unset,
    File(T),
    Environment(&'static str, T),
}

/// One line of the configuration as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    key: &'static str,
    /// In YAML; `None` for what is not set and has no default.
    value: Option<String>,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File,
    Environment(&'static str),
    CommandLine(&'static str),
}

impl<T> Setting<T> {
    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Unset => Origin::Default,
            Self::File(_) => Origin::File,
            Self::Environment(name, _) => Origin::Environment(name),
        }
    }

    pub(super) fn is_set(&self) -> bool {
        !matches!(self, Self::Unset)
    }

    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Unset => None,
            Self::File(value) | Self::Environment(_, value) => Some(value),
        }
    }

    /// The value, or `default`; written down as a line.
    pub(super) fn or(self, key: &'static str, default: T, lines: &mut Vec<Line>) -> T
    where
        T: fmt::Display,
    {
        let origin = self.origin();
        let value = self.value().unwrap_or(default);
        lines.push(Line { key, value: Some(value.to_string()), origin });
        value
    }

    /// The value, which may be missing; written down as a line.
    pub(super) fn optional(self, key: &'static str, lines: &mut Vec<Line>) -> Option<T>
    where
        T: fmt::Display,
    {
        let origin = self.origin();
        let value = self.value();
        lines.push(Line { key, value: value.as_ref().map(T::to_string), origin });
        value
    }

    /// Takes the first of the variables that is set, over what the file says.
    pub(super) fn overlay(&mut self, environment: &Variables<'_>, names: &[&'static str]) -> Result<(), ConfigError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let values: Vec<_> = names.iter().map(|name| (*name, environment.get(name))).collect();
        let Some((name, text)) = values.into_iter().find_map(|(name, value)| Some((name, value?))) else {
            return Ok(());
        };
        let value =
            text.parse().map_err(|error: T::Err| ConfigError::Environment { name, error: error.to_string() })?;
        *self = Self::Environment(name, value);
        Ok(())
    }
}

impl Line {
    pub(super) fn new(key: &'static str, value: Option<String>, origin: Origin) -> Self {
        Self { key, value, origin }
    }

    pub(super) fn is_of(&self, key: &str) -> bool {
        self.key == key
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `key:` with nothing behind it says nothing.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Unset, Self::File))
    }
}

/// A line of YAML, its origin as a comment.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {value}  # {}", self.key, self.origin),
            None => write!(f, "# {} is not set", self.key),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("file"),
            Self::Environment(name) | Self::CommandLine(name) => f.write_str(name),
        }
    }
}
