//! File systems and modules of the kernel.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
    mount::{MsFlags, mount},
};

/// Modules that Debian's kernel has not built in. Their names give their order.
const MODULES: &str = "/usr/lib/modules";

/// What the kernel must not do any more, even if it is asked to.
const SEALS: [(&str, &str); 3] = [
    ("/proc/sys/kernel/modules_disabled", "1"),
    ("/proc/sys/kernel/kexec_load_disabled", "1"),
    // Keys of the console that show registers and memory.
    ("/proc/sys/kernel/sysrq", "0"),
];

pub(crate) fn prepare() -> Result<()> {
    mount_new("devtmpfs", "/dev", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, "mode=0755")?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount_new("proc", "/proc", plain, "")?;
    mount_new("sysfs", "/sys", plain, "")?;
    // For the settings.
    mount_new("tmpfs", "/run", plain, "mode=0755,size=1m")?;
    load_modules().context("modules")?;
    mount_new("configfs", "/sys/kernel/config", plain, "")
}

/// Comes before the prover starts. From here on none of the image's files can change.
pub(crate) fn seal() -> Result<()> {
    for (path, value) in SEALS {
        fs::write(path, value).context(path)?;
    }
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("making / read-only")
}

fn mount_new(kind: &str, target: &str, flags: MsFlags, options: &str) -> Result<()> {
    mount(Some(kind), target, Some(kind), flags, Some(options)).with_context(|| format!("mounting {target}"))
}

fn load_modules() -> Result<()> {
    let entries = fs::read_dir(Path::new(MODULES))?;
    let mut modules = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    modules.sort();
    for path in modules {
        match finit_module(File::open(&path)?, c"", ModuleInitFlags::empty()) {
            // The machine has no such device. Where it is TDX that is missing, the prover will say so.
            Err(Errno::ENODEV) => eprintln!("tee-init: nothing here for {}", path.display()),
            loaded => loaded.with_context(|| path.display().to_string())?,
        }
    }
    Ok(())
}
