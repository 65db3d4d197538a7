//! What a peer says of its program.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The longest that is kept.
const MAX_BYTES: usize = 256;

/// What a peer says of its program in `User-Agent` (RFC 9110, section 10.1.5): 1 to 256 printable ASCII characters. Nothing attests it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserAgent(String);

/// The text is not a user agent that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("user agent: not 1 to {MAX_BYTES} printable ASCII characters")]
pub struct UserAgentError;

impl UserAgent {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserAgent {
    type Err = UserAgentError;

    fn from_str(text: &str) -> Result<Self, UserAgentError> {
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let is_blank = text.trim().is_empty();
        if is_printable && !is_blank && text.len() <= MAX_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserAgentError)
        }
    }
}

impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build;

    #[test]
    fn what_is_kept_is_short_and_can_be_printed() {
        let longest = "x".repeat(MAX_BYTES);
        for kept in ["a", "tee-prover-gateway/0.2.0 (commit 5b1f1d4c; rustc 1.95.0 (x y))", "<b>\"'&", &longest] {
            assert_eq!(kept.parse::<UserAgent>().unwrap().as_str(), kept);
        }
        for dropped in ["", " ", "a\tb", "a\nb", "a\u{1b}[2J", "\u{7f}", "größer", &format!("{longest}x")] {
            assert_eq!(dropped.parse::<UserAgent>(), Err(UserAgentError), "{dropped:?}");
        }
    }

    #[test]
    fn what_our_programs_say_is_kept() {
        build::user_agent("tee-prover-gateway").parse::<UserAgent>().unwrap();
    }
}
