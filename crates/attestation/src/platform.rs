//! Asks the processor for a quote.

mod gramine;
mod tdx;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

pub use self::tdx::TdxFiles;
use crate::{
    quote::{Quote, QuoteError, Tee},
    report_data::{REPORT_DATA_BYTES, ReportData, ReportDataError},
};

/// The most bytes that are read of a quote. Real ones have 5 to 8 KB; the kernel stops at 32 KB.
const MAX_QUOTE_BYTES: u64 = 64 * 1024;
/// The most bytes that are read of a file with a word or a number.
const MAX_WORD_BYTES: u64 = 64;

/// The trusted environment of this process, given by the files that make quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform(Files);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Files {
    /// Gramine's folder of pseudo-files.
    Gramine(PathBuf),
    Tdx(TdxFiles),
}

/// Why there is no quote.
#[derive(Debug, Error)]
pub enum PlatformError {
    /// Neither Gramine's files nor those of the kernel's TSM reports exist.
    #[error("no trusted environment: neither {gramine} nor {tsm} exists", gramine = gramine::FOLDER, tsm = tdx::REPORTS)]
    NotFound,
    /// A file cannot be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// A file is larger than allowed.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Gramine runs without remote attestation, or with a kind other than DCAP.
    #[error("Gramine's attestation type is {found:?}: set sgx.remote_attestation = \"dcap\" in its manifest")]
    NotDcap {
        /// The attestation type.
        found: String,
    },
    /// The kernel's reports come from another kind of processor.
    #[error("the reports come from {found:?}, not from tdx_guest")]
    NotTdx {
        /// The provider's name.
        found: String,
    },
    /// The kernel's generation counter is not a number.
    #[error("the report's generation is {found:?}, not a number")]
    Generation {
        /// The counter's text.
        found: String,
    },
    /// Another process wrote into the report, or the kernel did not take our 64 bytes: the quote may be about anything.
    #[error("the report was written {got} times instead of once: another process uses it")]
    Conflict {
        /// How many writes the kernel counted from before our write to the quote.
        got: u64,
    },
    /// The bytes that were read are not a quote.
    #[error(transparent)]
    Quote(#[from] QuoteError),
    /// The quote comes from another kind of environment.
    #[error("the quote comes from {got:?}, not from {expected:?}")]
    OtherTee {
        /// The kind in the quote.
        got: Tee,
        /// The kind that was asked.
        expected: Tee,
    },
    /// The quote's report data differs from the requested one, and names no key at all.
    #[error("the quote is not the one that was requested")]
    OtherReportData(#[source] ReportDataError),
    /// The quote names another key than the requested one.
    #[error("the quote names another key than the requested one")]
    OtherKey,
    /// RTMR3 did not change: the same quote could be made again.
    #[error("RTMR3 did not change when it was extended")]
    NotExtended,
}

impl Platform {
    /// SGX under Gramine, with its files in `/dev/attestation`.
    pub fn gramine() -> Self {
        Self::gramine_at(gramine::FOLDER)
    }

    /// The same, with the files in another folder.
    pub fn gramine_at(folder: impl Into<PathBuf>) -> Self {
        Self(Files::Gramine(folder.into()))
    }

    /// TDX, with the kernel's TSM reports (Linux 6.7) and measurement registers (Linux 6.16). Both belong to root.
    pub fn tdx() -> Self {
        Self::tdx_at(TdxFiles::default())
    }

    /// The same, with the files in other places.
    pub fn tdx_at(files: TdxFiles) -> Self {
        Self(Files::Tdx(files))
    }

    /// The environment of this process, according to which files exist.
    pub fn detect() -> Result<Self, PlatformError> {
        if Path::new(gramine::FOLDER).exists() {
            Ok(Self::gramine())
        } else if Path::new(tdx::REPORTS).exists() {
            Ok(Self::tdx())
        } else {
            Err(PlatformError::NotFound)
        }
    }

    /// The kind of quotes that it makes.
    pub fn tee(&self) -> Tee {
        match self.0 {
            Files::Gramine(_) => Tee::Sgx,
            Files::Tdx(_) => Tee::Tdx,
        }
    }

    /// The service that [`quote`](Self::quote) waits for, for people.
    pub fn waits_for(&self) -> String {
        match &self.0 {
            Files::Gramine(folder) => format!("{} (the AESM service of the host)", folder.join("quote").display()),
            Files::Tdx(files) => format!("{} (the host's quoting service)", files.report.join("outblob").display()),
        }
    }

    /// Makes a quote over the report data, and checks that it is about exactly this data. It waits for the quoting
    /// service, which normally takes seconds, and forever if the service does not answer. On TDX it then extends RTMR3,
    /// so that nobody in this domain can get such a quote again; a second call returns a quote with other measurements.
    pub fn quote(&self, report_data: &ReportData) -> Result<Vec<u8>, PlatformError> {
        let bytes = report_data.to_bytes();
        let quote = match &self.0 {
            Files::Gramine(folder) => gramine::quote(folder, &bytes)?,
            Files::Tdx(files) => files.quote(&bytes)?,
        };
        let said = Quote::parse(&quote)?;
        if said.tee() != self.tee() {
            return Err(PlatformError::OtherTee { got: said.tee(), expected: self.tee() });
        }
        if said.report_data().map_err(PlatformError::OtherReportData)? != *report_data {
            return Err(PlatformError::OtherKey);
        }
        if let Files::Tdx(files) = &self.0 {
            files.extend_rtmr3()?;
        }
        Ok(quote)
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, PlatformError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| PlatformError::File { path: path.to_owned(), error })?;
    if bytes.len() as u64 > limit {
        return Err(PlatformError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

fn read_word(path: &Path) -> Result<String, PlatformError> {
    Ok(String::from_utf8_lossy(&read(path, MAX_WORD_BYTES)?).trim().to_owned())
}

/// Writes into an existing file in one piece: the kernel and Gramine accept such values only as a whole.
fn write(path: &Path, bytes: &[u8]) -> Result<(), PlatformError> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| match file.write(bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        })
        .map_err(|error| PlatformError::File { path: path.to_owned(), error })
}
