//! Where the database is.

use thiserror::Error;

/// Where the database is. The URL may hold a password, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// The text is not the URL of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("database_url: must be sqlite://PATH or postgres://…")]
pub struct DatabaseUrlError;

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}…",
            self.0.split_inclusive("//").next().filter(|scheme| scheme.ends_with("//")).unwrap_or_default()
        )
    }
}

impl DatabaseUrl {
    /// The URL in the form that the database library wants. For SQLite, the stored text is not a URL yet.
    pub(crate) fn connection_url(&self) -> Result<String, DatabaseUrlError> {
        match self.0.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(self.0.clone()),
            Some(("sqlite", path)) if !path.is_empty() => Ok(sqlite_url(path)),
            _ => Err(DatabaseUrlError),
        }
    }
}

/// The URL of a file, whatever its name. The file is created if it is missing.
fn sqlite_url(path: &str) -> String {
    let encoded: String = path
        .bytes()
        .map(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    // An absolute path after `//` would be read as a host's.
    let start = if encoded.starts_with('/') { "//" } else { "" };
    format!("sqlite:{start}{encoded}?mode=rwc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_by_a_url_that_is_not_shown() {
        let url = |url: &str| DatabaseUrl::from(url.to_owned());
        for none in ["", "sqlite://", "sqlite:x", "mysql://x", "tee.sqlite", "Postgres://x"] {
            assert_eq!(url(none).connection_url(), Err(DatabaseUrlError), "{none}");
        }
        assert_eq!(url("sqlite://a b?c%.sqlite").connection_url().unwrap(), "sqlite:a%20b%3Fc%25.sqlite?mode=rwc");
        assert_eq!(url("sqlite:///a/b").connection_url().unwrap(), "sqlite:///a/b?mode=rwc");
        let secret = url("postgres://me:secret@host/tee");
        assert_eq!(secret.connection_url().unwrap(), "postgres://me:secret@host/tee");
        assert_eq!(format!("{secret:?}"), "postgres://…");
        assert_eq!(format!("{:?}", url("secret")), "…");
    }
}
