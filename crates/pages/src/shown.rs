//! How times, hashes and states are written for people. What a template shows of these is escaped there.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use tee_api::TeeType;

/// A time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub i64);

/// How long something took or lasts, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub i64);

/// The two ends of a long text in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short<T>(pub T);

/// How many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// The colour of a statement. Words say the same, so nobody has to rely on the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something that is as it should be.
    Good,
    /// Neither good nor bad.
    Plain,
    /// Something that somebody should look at.
    Warning,
    /// What is wrong.
    Bad,
}

impl At {
    /// A time in seconds since 1970.
    pub fn from_secs(secs: u64) -> Self {
        Self(i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// For machines.
    pub fn iso(self) -> String {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        write!(f, "{}", at.format("%Y-%m-%d %H:%M:%S"))
    }
}

impl fmt::Display for Span {
    /// The two largest units.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.max(0);
        let secs = ms / 1000;
        match secs {
            0 => write!(f, "{ms} ms"),
            1..60 => write!(f, "{secs}.{} s", ms % 1000 / 100),
            60..3600 => write!(f, "{} min {} s", secs / 60, secs % 60),
            3600..86_400 => write!(f, "{} h {} min", secs / 3600, secs % 3600 / 60),
            _ => write!(f, "{} d {} h", secs / 86_400, secs % 86_400 / 3600),
        }
    }
}

impl<T: AsRef<str>> fmt::Display for Short<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_ref();
        match (text.get(..8), text.len().checked_sub(6).and_then(|at| text.get(at..))) {
            (Some(head), Some(tail)) if text.len() > 16 => write!(f, "{head}…{tail}"),
            _ => f.write_str(text),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_000 => write!(f, "{bytes} bytes"),
            bytes @ 10_000..10_000_000 => write!(f, "{} kB", bytes / 1000),
            bytes => write!(f, "{} MB", bytes / 1_000_000),
        }
    }
}

impl fmt::Display for Tone {
    /// The style's class.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Plain => "plain",
            Self::Warning => "warning",
            Self::Bad => "bad",
        })
    }
}

/// A type of enclave, as people write it.
pub fn tee(tee_type: TeeType) -> String {
    tee_type.as_str().to_ascii_uppercase()
}

/// `1 key`, `2 keys`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The beginning of a text from strangers, which can be as long as they like.
pub fn cut(text: &str) -> String {
    const MAX_LETTERS: usize = 500;
    match text.char_indices().nth(MAX_LETTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let shown: Vec<_> =
            [-5, 0, 999, 1000, 59_940, 60_000, 3_599_000, 7_260_000, 90_000_000].map(|ms| Span(ms).to_string()).into();
        assert_eq!(
            shown,
            ["0 ms", "0 ms", "999 ms", "1.0 s", "59.9 s", "1 min 0 s", "59 min 59 s", "2 h 1 min", "1 d 1 h"]
        );
    }

    #[test]
    fn long_hexadecimal_text_is_cut_in_the_middle() {
        assert_eq!(Short("0123456789abcdef").to_string(), "0123456789abcdef");
        assert_eq!(Short("0123456789abcdef01").to_string(), "01234567…cdef01");
        // Any characters are accepted.
        assert_eq!(Short("ééééééééééééééé").to_string(), "éééé…ééé");
    }

    #[test]
    fn times_are_whole_seconds_for_people_and_exact_for_machines() {
        let at = At(1_743_668_010_123);
        assert_eq!((at.to_string().as_str(), at.iso().as_str()), ("2025-04-03 08:13:30", "2025-04-03T08:13:30.123Z"));
    }
}
