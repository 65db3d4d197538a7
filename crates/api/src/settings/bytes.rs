//! Amounts of memory as people write them.

use serde::{Deserialize, Deserializer, de};
use std::{fmt, str::FromStr};

/// An amount of memory: a number of bytes, or a number with a unit (`512 MiB`, `4GB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ERROR: &str = "must be a number of bytes, or a number with a unit: kB, MB, GB, KiB, MiB, GiB";
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let unit: u64 = match unit.trim() {
            "" | "B" => 1,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(ERROR),
        };
        let number: u64 = number.parse().map_err(|_| ERROR)?;
        number.checked_mul(unit).map(Self).ok_or(ERROR)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        for (text, bytes) in [
            ("7", 7),
            ("512 MiB", 512 << 20),
            ("4GB", 4_000_000_000),
            (" 1GiB ", 1 << 30),
            ("2kB", 2000),
            ("3KiB", 3072),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
            assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
        }
        for text in ["", "GiB", "-1", "1.5GB", "5 gb", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
