//! The token that authenticates a client.

use std::{fmt, str::FromStr};

use reqwest::header::HeaderValue;
use thiserror::Error;
use zeroize::Zeroizing;

use super::ClientSetupError;

/// A token for `Authorization: Bearer …` (RFC 6750): 1 to 4,096 visible ASCII characters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(Zeroizing<String>);

/// The text is not a bearer token. The error does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("bearer token: must be 1 to 4096 visible ASCII characters")]
pub struct BearerTokenError;

impl BearerToken {
    pub(super) fn header(&self) -> Result<HeaderValue, ClientSetupError> {
        let text = Zeroizing::new(format!("Bearer {}", *self.0));
        let mut value = HeaderValue::from_str(&text).map_err(|_| ClientSetupError::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl FromStr for BearerToken {
    type Err = BearerTokenError;

    /// Ignores surrounding white space, such as a file's final newline.
    fn from_str(text: &str) -> Result<Self, BearerTokenError> {
        let text = text.trim();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=4096).contains(&text.len()) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(BearerTokenError)
        }
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}
