//! The progress of long work, on a terminal.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the elapsed time and the spinner are redrawn.
const TICK: Duration = Duration::from_millis(250);

/// A progress line, which disappears when this is dropped. Nothing is drawn without a terminal, or if the output is for programs.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for this number of parts. `json`: the output is for programs.
    pub(crate) fn of(parts: u64, unit: &str, json: bool) -> Self {
        Self::styled(
            ProgressBar::new(parts),
            &format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{elapsed}} {{wide_msg}}"),
            json,
        )
    }

    /// A spinner, for work of unknown length.
    pub(crate) fn unknown(message: &'static str, json: bool) -> Self {
        let progress = Self::styled(ProgressBar::new_spinner(), "{spinner} {wide_msg} {elapsed}", json);
        progress.say(message);
        progress
    }

    /// A bar with a template of its own.
    pub(crate) fn styled(bar: ProgressBar, template: &str, json: bool) -> Self {
        // The bar is drawn on standard error. A pager may show piped standard output on the same terminal.
        if json || !io::stderr().is_terminal() || !io::stdout().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bar.with_style(style);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows what is being done.
    pub(crate) fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Counts a finished part.
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
