//! TDX with the kernel's files (Linux, `Documentation/ABI/testing/configfs-tsm-report` and
//! `sysfs-devices-virtual-misc-tdx_guest`).

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{MAX_QUOTE_BYTES, MAX_WORD_BYTES, PlatformError, REPORT_DATA_BYTES, read, read_word, write};

pub(super) const REPORTS: &str = "/sys/kernel/config/tsm/report";
const RTMR3: &str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384";

/// What RTMR3 is extended with after a quote: 48 bytes of text that readers of the register's history can recognise.
const QUOTED: &[u8; 48] = b"tee-prover-gateway: a signing key has been named";

/// The kernel's files that make quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdxFiles {
    /// The report's folder. An existing one is used, so that root can prepare it for another user; otherwise it is created and removed
    /// again.
    pub report: PathBuf,
    /// Reads as RTMR3's 48 bytes; writing 48 bytes extends it.
    pub rtmr3: PathBuf,
}

impl Default for TdxFiles {
    /// The kernel's usual places, with a report folder for this process.
    fn default() -> Self {
        let report = Path::new(REPORTS).join(format!("tee-prover-{}", std::process::id()));
        Self { report, rtmr3: RTMR3.into() }
    }
}

impl TdxFiles {
    pub(super) fn quote(&self, report_data: &[u8; REPORT_DATA_BYTES]) -> Result<Vec<u8>, PlatformError> {
        let _made = Made::unless_there(&self.report)?;
        let found = read_word(&self.report.join("provider"))?;
        if found != "tdx_guest" {
            return Err(PlatformError::NotTdx { found });
        }
        let before = self.generation()?;
        write(&self.report.join("inblob"), report_data)?;
        let quote = read(&self.report.join("outblob"), MAX_QUOTE_BYTES)?;
        // The kernel takes the 64 bytes when the file is closed, and cannot refuse them then. Only the count shows that the quote is over
        // these bytes, and that nobody else wrote others after them.
        match self.generation()?.wrapping_sub(before) {
            1 => Ok(quote),
            got => Err(PlatformError::Conflict { got }),
        }
    }

    pub(super) fn extend_rtmr3(&self) -> Result<(), PlatformError> {
        let before = read(&self.rtmr3, MAX_WORD_BYTES)?;
        write(&self.rtmr3, QUOTED)?;
        if read(&self.rtmr3, MAX_WORD_BYTES)? == before {
            return Err(PlatformError::NotExtended);
        }
        Ok(())
    }

    fn generation(&self) -> Result<u64, PlatformError> {
        let found = read_word(&self.report.join("generation"))?;
        found.parse().map_err(|_| PlatformError::Generation { found })
    }
}

/// A folder that is removed when this is dropped.
struct Made<'a>(&'a Path);

impl<'a> Made<'a> {
    fn unless_there(path: &'a Path) -> Result<Option<Self>, PlatformError> {
        match fs::create_dir(path) {
            Ok(()) => Ok(Some(Self(path))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(PlatformError::File { path: path.to_owned(), error }),
        }
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        // If this fails, a folder without a secret stays in the kernel's memory.
        let _ = fs::remove_dir(self.0);
    }
}
