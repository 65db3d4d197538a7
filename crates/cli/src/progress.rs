//! How far long work is, on the terminal of whoever waits for it.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the time and what moves are drawn anew.
const TICK: Duration = Duration::from_millis(250);

/// A line at the end of the terminal, until this is dropped. Without a terminal, or where the output is for programs, nothing is drawn.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// For work of so many parts. `json`: the output is for programs.
    pub(crate) fn of(parts: u64, unit: &str, json: bool) -> Self {
        Self::styled(
            ProgressBar::new(parts),
            &format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{elapsed}} {{wide_msg}}"),
            json,
        )
    }

    /// For work whose parts nobody can count.
    pub(crate) fn unknown(message: &'static str, json: bool) -> Self {
        let progress = Self::styled(ProgressBar::new_spinner(), "{spinner} {wide_msg} {elapsed}", json);
        progress.say(message);
        progress
    }

    /// A bar that looks otherwise.
    pub(crate) fn styled(bar: ProgressBar, template: &str, json: bool) -> Self {
        // It is drawn on standard error. Output in a pipe may come to the same terminal, by a pager.
        if json || !io::stderr().is_terminal() || !io::stdout().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bar.with_style(style);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// What is being done.
    pub(crate) fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// A part is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// Prints something above the bar.
    pub(crate) fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
