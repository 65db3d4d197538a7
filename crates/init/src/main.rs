//! `tee-init`: the first process of the TDX image (`deploy/image`). It prepares the machine, starts the prover, and ends the machine when
//! the prover ends.
//!
//! Nothing that it reads from the host may change what the prover signs: the kernel's command line is measured, and of the settings that are
//! not measured it takes only those that [`settings`] lists. `docs/IMAGE.md` says what is where.

mod command_line;
mod machine;
mod network;
mod power;
mod prover;
mod settings;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use command_line::Attestation;
use nix::{
    sys::{
        reboot::{RebootMode, reboot},
        signal::{SigSet, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use settings::Settings;

/// How the machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    PowerOff,
    /// The host starts the image anew. Nothing starts the prover a second time in the same domain: its first quote extended RTMR3, so a
    /// second one would have measurements that no policy has.
    Restart,
}

fn main() -> ExitCode {
    let is_prover = std::env::args_os().nth(1).is_some_and(|argument| argument == prover::ARGUMENT);
    match (std::process::id(), is_prover) {
        (1, _) => end(run().unwrap_or_else(|error| {
            eprintln!("tee-init: {error:#}");
            End::PowerOff
        })),
        (_, true) => eprintln!("tee-init: {:#}", prover::replace_this_process()),
        (_, false) => eprintln!("tee-init: this is the first process of an image, and does nothing elsewhere"),
    }
    ExitCode::from(prover::CANNOT_START)
}

fn run() -> Result<End> {
    // Before there are threads, which inherit it: a blocked signal waits until it is asked for.
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block()?;
    machine::prepare()?;
    power::watch_button()?;
    let command_line = fs::read_to_string("/proc/cmdline").context("the kernel's command line")?;
    let attestation = Attestation::of(&command_line)?;
    let settings = Settings::read(Path::new(settings::FOLDER))?;
    network::set_up(&settings.network)?;
    machine::seal()?;
    let prover = prover::start(attestation, settings)?;
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(end) = reap(prover)? {
                    return Ok(end);
                }
            }
            // The second one ends the prover at once.
            _ => kill(prover, Signal::SIGTERM)?,
        }
    }
}

/// Takes note of all processes that ended. The prover's end is the machine's.
fn reap(prover: Pid) -> Result<Option<End>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(WaitStatus::Exited(pid, code)) if pid == prover => return Ok(Some(after_exit_code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == prover => {
                eprintln!("tee-init: {signal} ended the prover");
                // It had not become the prover yet when it was told to stop.
                return Ok(Some(if signal == Signal::SIGTERM { End::PowerOff } else { End::Restart }));
            }
            Ok(_) => {}
            Err(error) => bail!("no child is left: {error}"),
        }
    }
}

/// The prover's exit codes are in `docs/PROVER.md`.
fn after_exit_code(code: i32) -> End {
    eprintln!("tee-init: the prover's exit code is {code}");
    match code {
        // It was told to stop, once or twice.
        0 | 130 => End::PowerOff,
        // Configuration or quote: a new start does not help.
        2 | 3 => End::PowerOff,
        code if code == i32::from(prover::CANNOT_START) => End::PowerOff,
        _ => End::Restart,
    }
}

fn end(end: End) {
    let mode = match end {
        End::PowerOff => RebootMode::RB_POWER_OFF,
        End::Restart => RebootMode::RB_AUTOBOOT,
    };
    eprintln!("tee-init: {end:?}");
    let Err(error) = reboot(mode);
    // What remains is to end, and then the kernel panics.
    eprintln!("tee-init: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_starts_again_only_where_that_may_help() {
        let off = [0, 2, 3, 130, i32::from(prover::CANNOT_START)];
        assert!(off.iter().all(|code| after_exit_code(*code) == End::PowerOff));
        assert!([1, 4, 5, 101].iter().all(|code| after_exit_code(*code) == End::Restart));
    }
}
