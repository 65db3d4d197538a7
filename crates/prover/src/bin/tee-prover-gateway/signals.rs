//! Signals from the operator.

use crate::{exit::Exit, systemd};
use std::io;
use tee_prover::Monitor;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The first SIGINT or SIGTERM requests a stop; the second one ends the process at once.
pub(crate) fn stop() -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        for asked_before in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked_before {
                std::process::exit(Exit::Interrupted as i32);
            }
            tracing::info!("stopping once the current work is done");
            systemd::notify("STOPPING=1");
            asked.cancel();
        }
    });
    Ok(stop)
}

/// SIGUSR1 writes a line of state to the log.
pub(crate) fn status(monitor: Monitor) -> io::Result<()> {
    let mut asked = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            tracing::info!("status: {}", monitor.status());
        }
    });
    Ok(())
}
