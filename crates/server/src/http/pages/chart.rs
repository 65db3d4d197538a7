//! Bars in SVG. The page also shows their numbers.

/// Bars side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chart {
    /// A description, for people who do not see the chart.
    pub(super) summary: String,
    pub(super) bars: Vec<Bar>,
    /// The highest number.
    pub(super) most: u64,
}

/// A bar, in units of the drawing: 600 wide and 100 high.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) middle: u64,
    pub(super) label: String,
    pub(super) count: u64,
    /// Whether the label is written below. With many bars, only some have one.
    pub(super) is_labelled: bool,
}

const WIDTH: u64 = 600;
const HEIGHT: u64 = 100;

/// More labels than this would touch each other.
const MAX_LABELS: usize = 13;

impl Chart {
    pub(super) fn new(summary: String, counts: Vec<(String, u64)>) -> Self {
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let step = (WIDTH / (counts.len() as u64).max(1)).max(1);
        let width = (step * 4 / 5).max(1);
        let every = counts.len().div_ceil(MAX_LABELS).max(1);
        let bars = counts.into_iter().enumerate().map(|(index, (label, count))| {
            let x = index as u64 * step + (step - width) / 2;
            // A bar that is not zero is always visible.
            let height = match count {
                0 => 0,
                _ => (count.saturating_mul(HEIGHT) / most.max(1)).clamp(2, HEIGHT),
            };
            let is_labelled = index.is_multiple_of(every);
            Bar { x, y: HEIGHT - height, width, height, middle: x + width / 2, label, count, is_labelled }
        });
        Self { summary, bars: bars.collect(), most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_within_the_drawing_and_none_that_counts_vanishes() {
        for counts in [vec![], vec![0], vec![u64::MAX, 1, 0], vec![3; 168], vec![1; 700]] {
            let counts: Vec<_> = counts.into_iter().map(|count| ("x".to_owned(), count)).collect();
            let chart = Chart::new(String::new(), counts);
            for bar in &chart.bars {
                assert!(bar.y + bar.height == HEIGHT && bar.width > 0, "{bar:?}");
                assert_eq!(bar.height > 0, bar.count > 0, "{bar:?}");
            }
            assert!(chart.bars.iter().filter(|bar| bar.is_labelled).count() <= MAX_LABELS);
            if let Some(last) = chart.bars.last().filter(|_| chart.bars.len() <= 600) {
                assert!(last.x + last.width <= WIDTH, "{last:?}");
            }
        }
    }
}
