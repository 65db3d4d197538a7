//! Files that are read again when they change, while the server runs: tokens, certificates, the policy.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// The most bytes that are read of a file: enough for thousands of tokens.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A file, or several that belong together, and the value that they hold.
pub(crate) trait Source {
    /// The content of the files.
    type Content: PartialEq;
    /// The value that the content stands for.
    type Value;
    type Error: std::error::Error + 'static;
    /// The name of the files in logs and metrics.
    const NAME: &'static str;

    fn read(&self) -> Result<Self::Content, Self::Error>;

    fn parse(&self, content: &Self::Content) -> Result<Self::Value, Self::Error>;
}

/// The last good value of a source.
pub(crate) struct Watched<S: Source> {
    source: S,
    current: RwLock<Current<S>>,
}

struct Current<S: Source> {
    /// The content of the files at the last check, valid or not; `None` if they could not be read.
    seen: Option<S::Content>,
    value: Arc<S::Value>,
}

/// The outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reload {
    TakenOver,
    Refused,
}

impl<S: Source> Watched<S> {
    /// Reads the files. They must be valid at this point.
    pub(crate) fn open(source: S) -> Result<Self, S::Error> {
        let content = source.read()?;
        let value = Arc::new(source.parse(&content)?);
        Ok(Self { source, current: RwLock::new(Current { seen: Some(content), value }) })
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn value(&self) -> Arc<S::Value> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).value.clone()
    }

    /// Reads the files again if they have changed. Invalid files, for example in the middle of a change, are reported once and change
    /// nothing: the last valid value stays in force. Only one call checks at a time.
    pub(crate) fn reload(&self) -> Option<Reload> {
        let read = self.source.read();
        if read.as_ref().ok() == self.current.read().unwrap_or_else(PoisonError::into_inner).seen.as_ref() {
            return None;
        }
        let (seen, parsed) = match read {
            Ok(content) => {
                let parsed = self.source.parse(&content);
                (Some(content), parsed)
            }
            Err(error) => (None, Err(error)),
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.seen = seen;
        match parsed {
            Ok(value) => {
                current.value = Arc::new(value);
                tracing::info!("{} reloaded", S::NAME);
                Some(Reload::TakenOver)
            }
            Err(error) => {
                let error = tee_api::chain(&error);
                tracing::error!(error, "{} not reloaded; the previous version stays in force", S::NAME);
                Some(Reload::Refused)
            }
        }
    }
}

/// Shows no content, which may be secret.
impl<S: Source> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&S::NAME).finish()
    }
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, num::ParseIntError, path::PathBuf};

    /// A file with a number.
    struct Number(PathBuf);

    #[derive(Debug, thiserror::Error)]
    enum NumberError {
        #[error("cannot read it")]
        Read(#[from] io::Error),
        #[error("no number")]
        Parse(#[from] ParseIntError),
    }

    impl Source for Number {
        type Content = Vec<u8>;
        type Value = u32;
        type Error = NumberError;
        const NAME: &'static str = "number";

        fn read(&self) -> Result<Vec<u8>, NumberError> {
            Ok(read(&self.0)?)
        }

        fn parse(&self, content: &Vec<u8>) -> Result<u32, NumberError> {
            Ok(String::from_utf8_lossy(content).parse()?)
        }
    }

    #[test]
    fn a_change_is_taken_over_once_and_a_broken_one_is_refused_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| fs::write(file.path(), text).unwrap();
        assert!(matches!(Watched::open(Number(file.path().to_owned())), Err(NumberError::Parse(_))));
        write("1");
        let number = Watched::open(Number(file.path().to_owned())).unwrap();
        let look = || (number.reload(), *number.value());
        assert_eq!(look(), (None, 1));
        write("2");
        assert_eq!([look(), look()], [(Some(Reload::TakenOver), 2), (None, 2)]);
        write("two");
        assert_eq!([look(), look()], [(Some(Reload::Refused), 2), (None, 2)]);
        fs::remove_file(file.path()).unwrap();
        assert_eq!([look(), look()], [(Some(Reload::Refused), 2), (None, 2)]);
        write("2");
        assert_eq!([look(), look()], [(Some(Reload::TakenOver), 2), (None, 2)]);
        write(&" ".repeat(MAX_FILE_BYTES as usize + 1));
        assert_eq!(look(), (Some(Reload::Refused), 2));
    }
}
