//! Progress bars of the demo.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Bars for sealed, verified and submitted batches.
pub(crate) struct Progress {
    bars: MultiProgress,
    sealed: ProgressBar,
    verified: ProgressBar,
    submitted: ProgressBar,
}

impl Progress {
    pub(crate) fn new(batches: u32) -> Self {
        let style = ProgressStyle::with_template("{prefix:<9} {bar:40} {pos:>3}/{len}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bars = MultiProgress::new();
        let bar = |prefix| bars.add(ProgressBar::new(batches.into()).with_style(style.clone()).with_prefix(prefix));
        let [sealed, verified, submitted] = ["sealed", "verified", "submitted"].map(bar);
        Self { bars, sealed, verified, submitted }
    }

    pub(crate) fn sealed(&self) {
        self.sealed.inc(1);
    }

    pub(crate) fn verified(&self) {
        self.verified.inc(1);
    }

    pub(crate) fn submitted(&self) {
        self.submitted.inc(1);
    }

    /// Removes the bars from the screen.
    pub(crate) fn finish(&self) {
        // Without a terminal there is nothing to remove.
        let _ = self.bars.clear();
    }
}
