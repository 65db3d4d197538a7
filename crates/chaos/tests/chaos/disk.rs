//! A small disk that can be filled up.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Room for all that a run writes.
const SIZE_MIB: u64 = 512;

/// A disk in memory. It disappears with this value, or with the mount namespace, which ends with its last process.
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// `None`, with a message, if we are not allowed to mount.
    pub(crate) fn mount(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE_MIB}m"), "tmpfs"]).arg(folder);
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self { folder: folder.to_owned() });
        }
        test_skips::skip("the right to mount a small disk, so none is ever full");
        None
    }

    /// Fills the disk completely.
    pub(crate) fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).unwrap();
        let piece = vec![0; 1 << 20];
        // Until it reports that there is no room, and then to the last bytes.
        while std::io::Write::write_all(&mut ballast, &piece).is_ok() {}
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Processes that still have files open there keep them.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}
