//! Time spans as people write them.

use serde::{Deserialize, Deserializer, de};
use std::{fmt, str::FromStr, time::Duration};

/// A time span: a number of seconds, or a number with a unit (`90s`, `5 min`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl FromStr for Interval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ERROR: &str = "must be a number of seconds, or a number with a unit: ms, s, min, h, d";
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let unit_millis = match unit.trim() {
            "ms" => 1,
            "" | "s" | "sec" | "secs" => 1_000,
            "m" | "min" | "mins" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return Err(ERROR),
        };
        let number: u64 = number.parse().map_err(|_| ERROR)?;
        number.checked_mul(unit_millis).map(|millis| Self(Duration::from_millis(millis))).ok_or(ERROR)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis()) {
            (secs, 0) => write!(f, "{secs}s"),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // YAML's plain scalars, numbers included, are read as text.
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units() {
        for (text, millis) in [
            ("7", 7_000),
            ("250ms", 250),
            ("90s", 90_000),
            (" 5 min ", 300_000),
            ("2h", 7_200_000),
            ("1 day", 86_400_000),
        ] {
            let interval = Interval(Duration::from_millis(millis));
            assert_eq!(text.parse(), Ok(interval), "{text}");
            assert_eq!(interval.to_string().parse(), Ok(interval));
        }
        for text in ["", "s", "-1", "1.5s", "5 parsecs", "99999999999999999999", "18446744073709551615d"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
