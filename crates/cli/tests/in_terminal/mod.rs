//! A program in a terminal of a test's own.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::termios::{Termios, tcgetattr},
    unistd::write,
};

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in a terminal of 80 columns and 24 lines.
pub(crate) struct InTerminal {
    child: Child,
    ours: OwnedFd,
    theirs: OwnedFd,
    before: Termios,
    written: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl InTerminal {
    pub(crate) fn start(mut command: Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let written = Arc::new(Mutex::new(String::new()));
        let mut reader = File::from(master.try_clone().unwrap());
        let reader = thread::spawn({
            let written = Arc::clone(&written);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = reader.read(&mut buffer) {
                    lock(&written).push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
            }
        });
        Self { child, ours: master, theirs: slave, before, written, reader }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn text(&self) -> String {
        lock(&self.written).clone()
    }

    /// Waits until the terminal was sent this.
    pub(crate) fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.text().contains(text) {
            assert!(start.elapsed() < PATIENCE, "no {text:?}: {:?}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn types(&self, keys: &str) {
        write(self.ours.as_fd(), keys.as_bytes()).unwrap();
    }

    /// Whether the terminal is as it was before the program.
    pub(crate) fn is_as_before(&self) -> bool {
        tcgetattr(&self.theirs).unwrap() == self.before
    }

    /// Waits for the end, which must leave the terminal as it was. Gives the exit code, and all that the terminal was sent.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        assert!(self.is_as_before());
        // The reader ends once nobody can write any more.
        drop((self.theirs, self.child));
        self.reader.join().unwrap();
        let text = lock(&self.written).clone();
        (code, text)
    }
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}
