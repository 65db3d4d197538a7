//! The sources of collateral: a file, a folder, or a service like Intel's.

mod cache;
mod http;
mod service;

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use dcap_qvl::{config::PckCa, intel};
use tee_api::NetworkError;
use thiserror::Error;

pub use self::{cache::CollateralCache, service::Service};
use crate::{
    collateral::{Collateral, CollateralError, MAX_COLLATERAL_BYTES},
    quote::Tee,
};

/// The most files of a folder that are read.
const MAX_FILES: usize = 1000;
/// A source of collateral.
#[derive(Debug, Clone)]
pub enum CollateralSource {
    /// A file, which is used for every quote.
    File(PathBuf),
    /// A folder of files. Among those for the quote's kind of platform, the latest that is valid at the given time is used; if none is
    /// valid, the latest of all, so that the verdict says what is wrong with it.
    Folder(PathBuf),
    /// Services like Intel's, asked in turn until one has the collateral.
    Services(Vec<Service>),
}

/// The kind of platform that collateral is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlatformKind {
    tee: Tee,
    fmspc: [u8; 6],
    by_platform_ca: bool,
}

/// Why there is no collateral.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The quote does not say which kind of platform it comes from.
    #[error("the quote does not say which platform it comes from: {0}")]
    Quote(String),
    /// A file or a folder cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The folder has nothing for this kind of platform.
    #[error("{folder} has no collateral for {kind}")]
    NotInFolder {
        /// The folder.
        folder: PathBuf,
        /// The kind that was needed.
        kind: PlatformKind,
    },
    /// The content is not collateral.
    #[error(transparent)]
    Collateral(#[from] CollateralError),
    /// The service cannot be reached, or the connection breaks.
    #[error("{path}: {error}")]
    Network {
        /// The requested path.
        path: String,
        /// The cause.
        error: NetworkError,
    },
    /// The service asked to be left alone for a while, now or earlier.
    #[error("{path}: the service is busy; it is asked again in {} s", .wait.as_secs())]
    Busy {
        /// The requested path.
        path: String,
        /// The remaining wait.
        wait: Duration,
    },
    /// None of several services has the collateral.
    #[error("none of {} services has the collateral: {}", .0.len(), .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoService(Vec<SourceError>),
    /// The text is not a URL, or TLS cannot be set up.
    #[error("{url}: {error}")]
    Url {
        /// The given text.
        url: String,
        /// What is wrong.
        error: String,
    },
    /// The service answers with something else than what was asked for.
    #[error("{path}: {problem}")]
    Answer {
        /// The requested path.
        path: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl PlatformKind {
    /// The kind of the platform that made a quote, according to the certificate in it.
    pub fn of(quote: &[u8]) -> Result<Self, SourceError> {
        let unknown = |error: &dyn fmt::Display| SourceError::Quote(format!("{error:#}"));
        let quote = dcap_qvl::quote::Quote::parse(quote).map_err(|error| unknown(&error))?;
        let by_platform_ca = match intel::quote_ca(&quote).map_err(|error| unknown(&error))? {
            PckCa::Platform => true,
            PckCa::Processor => false,
        };
        Ok(Self {
            tee: if quote.header.is_sgx() { Tee::Sgx } else { Tee::Tdx },
            fmspc: intel::quote_fmspc(&quote).map_err(|error| unknown(&error))?,
            by_platform_ca,
        })
    }
}

impl PlatformKind {
    /// A unique name on one line.
    pub fn name(&self) -> String {
        let authority = if self.by_platform_ca { "platform" } else { "processor" };
        format!("{}-{}-{authority}", self.tee, hex::encode(self.fmspc))
    }
}

impl fmt::Display for PlatformKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with FMSPC {}", self.tee, hex::encode_upper(self.fmspc))
    }
}

impl CollateralSource {
    /// A folder, a file, or the URLs of services separated by spaces or commas. `https://HOST/?update=early#ca=FILE` sends these
    /// parameters,
    /// and trusts the certificates in the file. `program` is named to services as the caller.
    pub fn open(place: &str, program: &'static str) -> Result<Self, SourceError> {
        let place = place.trim();
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return Self::at(Path::new(place));
        }
        let urls = place.split([' ', ',', '\n', '\t']).filter(|url| !url.is_empty());
        urls.map(|url| Service::open(url, program)).collect::<Result<_, _>>().map(Self::Services)
    }

    /// A file, which is read now to check it, or a folder.
    pub fn at(path: &Path) -> Result<Self, SourceError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        read(path)?;
        Ok(Self::File(path.to_owned()))
    }

    /// The collateral for a quote that is to be judged at a time given in Unix seconds.
    pub async fn collateral(&self, quote: &[u8], at_secs: u64) -> Result<Collateral, SourceError> {
        match self {
            Self::File(path) => read(path),
            Self::Folder(folder) => in_folder(folder, PlatformKind::of(quote)?, at_secs),
            Self::Services(services) => from_services(services, PlatformKind::of(quote)?).await,
        }
    }
}

async fn from_services(services: &[Service], kind: PlatformKind) -> Result<Collateral, SourceError> {
    let mut errors = Vec::new();
    for service in services {
        match service.fetch(kind).await {
            Ok(collateral) => return Ok(collateral),
            Err(error) => errors.push(error),
        }
    }
    Err(match errors.pop() {
        Some(only) if errors.is_empty() => only,
        last => SourceError::NoService(errors.into_iter().chain(last).collect()),
    })
}

fn read(path: &Path) -> Result<Collateral, SourceError> {
    let mut json = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_COLLATERAL_BYTES as u64 + 1).read_to_end(&mut json))
        .map_err(|error| SourceError::File { path: path.to_owned(), error })?;
    Ok(Collateral::from_json(&json)?)
}

fn in_folder(folder: &Path, kind: PlatformKind, at_secs: u64) -> Result<Collateral, SourceError> {
    let error = |error| SourceError::File { path: folder.to_owned(), error };
    let mut best: Option<((bool, u64, u64), Collateral)> = None;
    for entry in fs::read_dir(folder).map_err(error)?.take(MAX_FILES) {
        let path = entry.map_err(error)?.path();
        // A foreign or incomplete file does not hide the others.
        let Ok(collateral) = read(&path) else { continue };
        let Ok(head) = collateral.tcb_info_head() else { continue };
        let about = head.id.eq_ignore_ascii_case(kind.tee.as_str())
            && head.fmspc.eq_ignore_ascii_case(&hex::encode(kind.fmspc));
        let (Ok(issued), Ok(from)) = (collateral.issued_at_secs(), collateral.valid_from_secs()) else { continue };
        let Ok(until) = collateral.next_update_secs() else { continue };
        let rank = ((from..=until).contains(&at_secs), issued, from);
        if about && best.as_ref().is_none_or(|(before, _)| rank > *before) {
            best = Some((rank, collateral));
        }
    }
    let missing = || SourceError::NotInFolder { folder: folder.to_owned(), kind };
    best.map(|(_, collateral)| collateral).ok_or_else(missing)
}
