//! A value together with its origin.

use super::{VariableError, Variables};
use serde::{Deserialize, Deserializer};
use std::{fmt, str::FromStr};

/// The setting of one key, before defaults.
#[derive(Debug, Default)]
pub enum Setting<T> {
    /// Not set.
    #[default]
    Unset,
    /// Set by the file.
    File(T),
    /// Set by the named variable.
    Environment(String, T),
}

/// One line of the configuration when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    key: &'static str,
    /// The value in YAML; `None` if it is not set and has no default.
    value: Option<String>,
    origin: Origin,
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The value was not set.
    Default,
    /// The file.
    File,
    /// An environment variable.
    Environment(String),
    /// A command line option.
    CommandLine(&'static str),
}

impl<T> Setting<T> {
    /// The origin of the value.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Unset => Origin::Default,
            Self::File(_) => Origin::File,
            Self::Environment(name, _) => Origin::Environment(name.clone()),
        }
    }

    /// Whether the key was set.
    pub fn is_set(&self) -> bool {
        !matches!(self, Self::Unset)
    }

    /// The same setting with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Self::Unset => Setting::Unset,
            Self::File(value) => Setting::File(change(value)),
            Self::Environment(name, value) => Setting::Environment(name, change(value)),
        }
    }

    /// The value that was set.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Unset => None,
            Self::File(value) | Self::Environment(_, value) => Some(value),
        }
    }

    /// The value, or `default`. It is recorded as a line.
    pub fn or(self, key: &'static str, default: T, lines: &mut Vec<Line>) -> T
    where
        T: fmt::Display,
    {
        let origin = self.origin();
        let value = self.value().unwrap_or(default);
        lines.push(Line { key, value: Some(value.to_string()), origin });
        value
    }

    /// The value, which may be absent. It is recorded as a line.
    pub fn optional(self, key: &'static str, lines: &mut Vec<Line>) -> Option<T>
    where
        T: fmt::Display,
    {
        let origin = self.origin();
        let value = self.value();
        lines.push(Line { key, value: value.as_ref().map(T::to_string), origin });
        value
    }

    /// Replaces the file's value with that of the first variable that is set.
    pub fn overlay(&mut self, environment: &Variables<'_>, names: &[&str]) -> Result<(), VariableError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        // Asks for all of them, so that all become known.
        let values: Vec<_> = names.iter().map(|name| (*name, environment.get(name))).collect();
        let Some((name, text)) = values.into_iter().find_map(|(name, value)| Some((name, value?))) else {
            return Ok(());
        };
        let invalid = |error: T::Err| VariableError::Invalid { name: name.to_owned(), error: error.to_string() };
        *self = Self::Environment(name.to_owned(), text.parse().map_err(invalid)?);
        Ok(())
    }
}

impl Line {
    /// `value` is in YAML; `None` for what is not set and has no default.
    pub fn new(key: &'static str, value: Option<String>, origin: Origin) -> Self {
        Self { key, value, origin }
    }

    /// Whether it is this key's.
    pub fn is_of(&self, key: &str) -> bool {
        self.key == key
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `key:` with nothing after it does not set the key.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Unset, Self::File))
    }
}

/// Writes a line of YAML, with its origin as a comment.
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
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine(option) => f.write_str(option),
        }
    }
}
