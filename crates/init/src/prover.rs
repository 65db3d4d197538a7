//! The prover's process, as a user without rights.

use std::{
    env, fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context, Result};
use nix::{
    sys::{prctl, signal::SigSet},
    unistd::Pid,
};

use crate::{command_line::Attestation, settings::Settings};

/// What this program is started with to become the prover.
pub(crate) const ARGUMENT: &str = "become-the-prover";
/// The exit code if it could not.
pub(crate) const CANNOT_START: u8 = 126;

const THIS_PROGRAM: &str = "/init";
const PROVER: &str = "/usr/bin/tee-prover-gateway";
/// The chain and the code that the prover signs for, a part of the image.
const CHAIN_FILE: &str = "/etc/tee-prover-gateway/chain.yaml";
const ATTESTATION: &str = "TEE_PROVER_ATTESTATION";
/// The user and the group.
const USER: u32 = 65532;

const FILES: &str = "/run/tee-prover-gateway";
const REPORTS: &str = "/sys/kernel/config/tsm/report";
const RTMR3: &str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384";

/// Starts this program once more, to become the prover.
pub(crate) fn start(attestation: Attestation, settings: Settings) -> Result<Pid> {
    let mut command = Command::new(THIS_PROGRAM);
    // Nothing of this process's environment: the kernel puts words of its command line there.
    command.arg(ARGUMENT).env_clear().env("TEE_PROVER_CHAIN_FILE", CHAIN_FILE).envs(settings.variables);
    match attestation {
        Attestation::Tdx => command.env(ATTESTATION, "tdx"),
        Attestation::Simulation => command.env(ATTESTATION, "simulation").arg("--danger-simulated-proofs"),
    };
    fs::create_dir(FILES)?;
    for (variable, name, bytes) in settings.files {
        let path = Path::new(FILES).join(name);
        command.env(variable, &path);
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
        chown(&path, Some(USER), Some(USER))?;
    }
    let child = command.spawn().context("starting the prover")?;
    Ok(Pid::from_raw(child.id().try_into()?))
}

/// Becomes the prover, in the process that [`start`] made. Returns only if that fails.
pub(crate) fn replace_this_process() -> anyhow::Error {
    match prepare() {
        Ok(()) => {
            let error = Command::new(PROVER).args(env::args_os().skip(2)).uid(USER).gid(USER).exec();
            anyhow::Error::new(error).context(PROVER)
        }
        Err(error) => error,
    }
}

fn prepare() -> Result<()> {
    if env::var_os(ATTESTATION).is_some_and(|attestation| attestation == "tdx") {
        hand_over_quotes().context("no TDX")?;
    }
    prctl::set_no_new_privs()?;
    // The first process blocks them, and this one inherited that.
    SigSet::all().thread_unblock()?;
    Ok(())
}

/// Makes the folder in which the prover looks for its quote, and lets the prover write what root alone may write otherwise.
fn hand_over_quotes() -> Result<()> {
    let report = report();
    fs::create_dir(&report).with_context(|| report.display().to_string())?;
    for path in [report.join("inblob"), RTMR3.into()] {
        chown(&path, Some(USER), None).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn report() -> PathBuf {
    // The prover's process is this one.
    Path::new(REPORTS).join(format!("tee-prover-{}", process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tee_attestation::TdxFiles;

    #[test]
    fn what_is_handed_over_is_what_the_prover_uses() {
        assert_eq!(TdxFiles { report: report(), rtmr3: RTMR3.into() }, TdxFiles::default());
    }
}
