//! A machine's clock that is wrong for one program: libfaketime sits between it and the C library. Time spans stay
//! right.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where Debian installs it.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

pub(crate) struct FakeClock {
    file: PathBuf,
}

impl FakeClock {
    /// A clock that is right for now. `None`, with a message, if the library is not installed.
    pub(crate) fn new(file: &Path) -> Option<Self> {
        if !Path::new(LIBRARY).exists() {
            test_skips::skip("libfaketime, so no clock jumps");
            return None;
        }
        let clock = Self { file: file.to_owned() };
        clock.set_ahead(0);
        Some(clock)
    }

    /// Sets the clock this many seconds ahead of the machine's, or behind it if the number is negative.
    pub(crate) fn set_ahead(&self, secs: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{secs:+}\n")).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    pub(crate) fn environment(&self) -> [(String, String); 5] {
        [
            ("LD_PRELOAD", LIBRARY),
            ("FAKETIME_TIMESTAMP_FILE", &self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}
