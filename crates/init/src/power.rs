//! The power button, by which a host asks a machine to stop. Without anybody who listens, the kernel ignores it.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    thread,
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const INPUTS: &str = "/sys/class/input";
const BUTTON: &str = "Power Button";

/// The kernel's `struct input_event` on 64-bit machines: a time of 16 bytes, type, code and value.
const EVENT_BYTES: usize = 24;
/// From `linux/input-event-codes.h`.
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;
const PRESSED: i32 = 1;

/// Sends SIGTERM to this process each time the button is pressed.
pub(crate) fn watch_button() -> Result<()> {
    let mut found = false;
    for input in fs::read_dir(INPUTS).context(INPUTS)? {
        let input = input?;
        let is_button =
            fs::read_to_string(input.path().join("device/name")).is_ok_and(|name| name.trim_end() == BUTTON);
        if is_button && input.file_name().as_encoded_bytes().starts_with(b"event") {
            let path = Path::new("/dev/input").join(input.file_name());
            let events = File::open(&path).with_context(|| path.display().to_string())?;
            thread::spawn(move || watch(events));
            found = true;
        }
    }
    if !found {
        eprintln!("tee-init: no power button: the host can only cut the power, and leases will run out");
    }
    Ok(())
}

fn watch(mut events: File) {
    let mut event = [0; EVENT_BYTES];
    while events.read_exact(&mut event).is_ok() {
        if is_press(&event) {
            eprintln!("tee-init: the power button was pressed");
            // This process is there.
            let _ = kill(Pid::this(), Signal::SIGTERM);
        }
    }
}

fn is_press(event: &[u8; EVENT_BYTES]) -> bool {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event;
    u16::from_ne_bytes([t0, t1]) == EV_KEY
        && u16::from_ne_bytes([c0, c1]) == KEY_POWER
        && i32::from_ne_bytes([v0, v1, v2, v3]) == PRESSED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> [u8; EVENT_BYTES] {
        let mut event = [0xff; EVENT_BYTES];
        event[16..18].copy_from_slice(&kind.to_ne_bytes());
        event[18..20].copy_from_slice(&code.to_ne_bytes());
        event[20..].copy_from_slice(&value.to_ne_bytes());
        event
    }

    #[test]
    fn only_the_power_key_going_down_is_a_press() {
        assert!(is_press(&event(EV_KEY, KEY_POWER, 1)));
        // Released, held, another key, and the end of a report.
        for other in
            [event(EV_KEY, KEY_POWER, 0), event(EV_KEY, KEY_POWER, 2), event(EV_KEY, 115, 1), event(0, KEY_POWER, 1)]
        {
            assert!(!is_press(&other));
        }
    }
}
