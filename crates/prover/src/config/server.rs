//! Which servers there are, and what each is shown to let us in.

use super::ConfigError;
use serde::Deserialize;
use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};
use tee_api::BearerToken;

/// More than any token has.
const MAX_TOKEN_FILE_BYTES: u64 = 8 * 1024;

/// A server to prove batches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Its URL, without credentials: URLs are shown in logs.
    pub url: String,
    /// What it wants to be shown, if it asks.
    pub token: Option<BearerToken>,
}

/// An entry of `api_urls`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum ServerSetting {
    Url(String),
    WithToken(ServerWithToken),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerWithToken {
    url: String,
    token_file: PathBuf,
}

impl ServerConfig {
    /// A server that asks for no token.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), token: None }
    }
}

impl ServerSetting {
    pub(super) fn resolve(&self) -> Result<ServerConfig, ConfigError> {
        let (url, token) = match self {
            Self::Url(url) => (url, None),
            Self::WithToken(server) => (&server.url, Some(read_token(&server.token_file)?)),
        };
        let authority = url.split("//").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(ConfigError::Credentials);
        }
        Ok(ServerConfig { url: url.clone(), token })
    }
}

fn read_token(path: &Path) -> Result<BearerToken, ConfigError> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_FILE_BYTES).read_to_string(&mut text))
        .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    text.parse().map_err(|error| ConfigError::Token { path: path.to_owned(), error })
}

/// As in YAML.
impl fmt::Display for ServerSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{url:?}"),
            Self::WithToken(ServerWithToken { url, token_file }) => {
                write!(f, "{{url: {url:?}, token_file: {token_file:?}}}")
            }
        }
    }
}
