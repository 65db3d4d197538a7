//! The servers, and the credentials for each of them.

use super::ConfigError;
use serde::Deserialize;
use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};
use tee_api::{BearerToken, ClientCertificate, TlsFiles};

/// An upper limit for the size of a token file.
const MAX_TOKEN_FILE_BYTES: u64 = 8 * 1024;

/// A server to prove batches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Its URL, without credentials: URLs are shown in logs.
    pub url: String,
    /// The token to send, if the server requires one.
    pub token: Option<BearerToken>,
    /// The certificates to trust and the one to show.
    pub tls: TlsFiles,
}

/// An entry of `api_urls`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum ServerSetting {
    Url(String),
    WithFiles(ServerWithFiles),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerWithFiles {
    url: String,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    client_certificate_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
}

impl ServerConfig {
    /// A server that requires no token.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), token: None, tls: TlsFiles::default() }
    }
}

impl ServerSetting {
    fn with_files(&self) -> ServerWithFiles {
        match self {
            Self::Url(url) => ServerWithFiles { url: url.clone(), ..ServerWithFiles::default() },
            Self::WithFiles(server) => server.clone(),
        }
    }

    /// Replaces its own files with those that the environment names: for authorities, a certificate and its key.
    pub(super) fn overlay(&mut self, [ca_file, certificate_file, key_file]: [Option<PathBuf>; 3]) {
        let mut server = self.with_files();
        server.ca_file = ca_file.or(server.ca_file);
        server.client_certificate_file = certificate_file.or(server.client_certificate_file);
        server.client_key_file = key_file.or(server.client_key_file);
        *self = Self::WithFiles(server);
    }

    pub(super) fn resolve(&self) -> Result<ServerConfig, ConfigError> {
        let ServerWithFiles { url, token_file, ca_file, client_certificate_file, client_key_file } = self.with_files();
        let token = token_file.as_deref().map(read_token).transpose()?;
        let client = match (client_certificate_file, client_key_file) {
            (Some(certificate_file), Some(key_file)) => Some(ClientCertificate { certificate_file, key_file }),
            (None, None) => None,
            _ => return Err(ConfigError::HalfAClientCertificate),
        };
        let authority = url.split("//").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(ConfigError::Credentials);
        }
        Ok(ServerConfig { url, token, tls: TlsFiles { ca_file, client } })
    }
}

fn read_token(path: &Path) -> Result<BearerToken, ConfigError> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_FILE_BYTES).read_to_string(&mut text))
        .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    text.parse().map_err(|error| ConfigError::Token { path: path.to_owned(), error })
}

/// Writes YAML.
impl fmt::Display for ServerSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{url:?}"),
            Self::WithFiles(server) => {
                write!(f, "{{url: {:?}", server.url)?;
                for (key, file) in [
                    ("token_file", &server.token_file),
                    ("ca_file", &server.ca_file),
                    ("client_certificate_file", &server.client_certificate_file),
                    ("client_key_file", &server.client_key_file),
                ] {
                    if let Some(file) = file {
                        write!(f, ", {key}: {file:?}")?;
                    }
                }
                f.write_str("}")
            }
        }
    }
}
