//! How fast batches are proven: over the last hour, day and week.

use super::{
    chart::Chart,
    shown::{Span, counted},
};
use crate::database::FinishedJob;

const HOUR_MS: i64 = 3600 * 1000;

/// The longest period that is evaluated.
pub(super) const WEEK_MS: i64 = 7 * 24 * HOUR_MS;

/// The most jobs that are evaluated.
pub(super) const MAX_JOBS: u32 = 10_000;

/// How fast batches are proven.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) windows: [Window; 3],
    /// Where the time went, over the last day.
    pub(super) stages: [Stage; 2],
    /// Jobs by how long they took, over the last day.
    pub(super) times: Chart,
    /// Jobs of the last day, by hour.
    pub(super) hours: Chart,
}

/// A period that ends now.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) name: &'static str,
    pub(super) proven: usize,
    /// Whether there were more jobs than were evaluated.
    pub(super) is_partial: bool,
    pub(super) per_hour: String,
    /// The median, and the times within which 90 % and 99 % of the jobs finished.
    pub(super) took: Option<[Span; 3]>,
}

/// A part of the way from sealed to proven.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    /// The same three times as for a window.
    pub(super) took: Option<[Span; 3]>,
}

/// Where the bars of the times end, in seconds, and the labels below them.
const TIMES: [(i64, &str); 12] = [
    (1, "< 1 s"),
    (2, "2 s"),
    (5, "5 s"),
    (10, "10 s"),
    (30, "30 s"),
    (60, "1 min"),
    (120, "2 min"),
    (300, "5 min"),
    (900, "15 min"),
    (3600, "1 h"),
    (21_600, "6 h"),
    (i64::MAX, "more"),
];

impl Pace {
    /// `jobs` are sorted latest first, and complete up to [`MAX_JOBS`].
    pub(super) fn of(jobs: &[FinishedJob], now_ms: i64) -> Self {
        let within = |ms: i64| jobs.iter().filter(move |job| now_ms.saturating_sub(job.finished_at_ms) < ms);
        let oldest_ms = jobs.iter().map(|job| job.finished_at_ms).min().unwrap_or(now_ms);
        let is_cut = jobs.len() >= MAX_JOBS as usize;
        let window = |name, ms: i64| {
            let took: Vec<_> = within(ms).map(FinishedJob::took_ms).collect();
            let is_partial = is_cut && now_ms.saturating_sub(oldest_ms) < ms;
            // The jobs that were not read are older than those that were.
            let seen_ms = if is_partial { now_ms.saturating_sub(oldest_ms).max(1) } else { ms };
            let per_hour = took.len() as f64 * HOUR_MS as f64 / seen_ms as f64;
            Window { name, proven: took.len(), is_partial, per_hour: format!("{per_hour:.1}"), took: parts(took) }
        };
        let day: Vec<_> = within(24 * HOUR_MS).collect();
        let mut times = TIMES.map(|(_, label)| (label.to_owned(), 0_u64)).to_vec();
        let mut hours: Vec<_> = (0..24)
            .map(|hour| (if hour == 23 { "now".to_owned() } else { format!("−{} h", 23 - hour) }, 0_u64))
            .collect();
        for job in &day {
            let secs = job.took_ms() / 1000;
            let bar = TIMES.iter().position(|(end, _)| secs < *end).unwrap_or(TIMES.len() - 1);
            let ago = usize::try_from(now_ms.saturating_sub(job.finished_at_ms) / HOUR_MS).unwrap_or(0).min(23);
            if let Some((_, count)) = times.get_mut(bar) {
                *count += 1;
            }
            if let Some((_, count)) = hours.get_mut(23 - ago) {
                *count += 1;
            }
        }
        let taken = || day.iter().filter_map(|job| Some((job, job.taken_at_ms?)));
        let waited = taken().map(|(job, taken_at_ms)| taken_at_ms.saturating_sub(job.came_at_ms).max(0));
        let proved = taken().map(|(job, taken_at_ms)| job.finished_at_ms.saturating_sub(taken_at_ms).max(0));
        let jobs = counted(day.len(), "job", "jobs");
        Self {
            windows: [window("hour", HOUR_MS), window("day", 24 * HOUR_MS), window("week", WEEK_MS)],
            stages: [
                Stage { name: "Until its prover took it", took: parts(waited.collect()) },
                Stage { name: "With its prover", took: parts(proved.collect()) },
            ],
            times: Chart::new(format!("{jobs} of the last day by the time from sealed to proven"), times),
            hours: Chart::new(format!("{jobs} of the last day by the hour"), hours),
        }
    }
}

/// The times within which 50 %, 90 % and 99 % of them finished: the nearest rank.
fn parts(mut took: Vec<i64>) -> Option<[Span; 3]> {
    took.sort_unstable();
    let part = |of_thousand: usize| took.get((took.len() * of_thousand).div_ceil(1000).checked_sub(1)?).copied();
    Some([part(500)?, part(900)?, part(990)?].map(Span))
}

impl FinishedJob {
    fn took_ms(&self) -> i64 {
        self.finished_at_ms.saturating_sub(self.came_at_ms).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(ago_ms: i64, took_ms: i64) -> FinishedJob {
        let finished_at_ms = WEEK_MS - ago_ms;
        let came_at_ms = finished_at_ms - took_ms;
        FinishedJob { came_at_ms, taken_at_ms: Some(came_at_ms + took_ms / 4), finished_at_ms }
    }

    #[test]
    fn jobs_are_counted_by_when_they_ended_and_how_long_they_took() {
        let jobs = [job(0, 500), job(10, 1500), job(2 * HOUR_MS, 4000), job(25 * HOUR_MS, 100_000)];
        let pace = Pace::of(&jobs, WEEK_MS);
        assert_eq!(pace.windows.each_ref().map(|window| window.proven), [2, 3, 4]);
        assert_eq!(pace.windows.each_ref().map(|window| window.per_hour.as_str()), ["2.0", "0.1", "0.0"]);
        let took = pace.windows[2].took.unwrap();
        assert_eq!(took, [Span(1500), Span(100_000), Span(100_000)]);
        let [waited, proved] = pace.stages.each_ref().map(|stage| stage.took.unwrap()[0]);
        assert_eq!((waited, proved), (Span(375), Span(1125)));
        let counts = |chart: &Chart| chart.bars.iter().map(|bar| bar.count).collect::<Vec<_>>();
        assert_eq!(counts(&pace.times)[..4], [1, 1, 1, 0]);
        assert_eq!(counts(&pace.hours)[20..], [0, 1, 0, 2]);
        assert!(pace.windows.iter().all(|window| !window.is_partial));
        assert!(Pace::of(&[], WEEK_MS).windows.iter().all(|window| window.took.is_none()));
    }

    #[test]
    fn a_rate_of_more_jobs_than_are_looked_at_is_of_the_time_that_they_span() {
        let jobs: Vec<_> = (0..i64::from(MAX_JOBS)).map(|index| job(index * 720, 1000)).collect();
        let [hour, day, week] = Pace::of(&jobs, WEEK_MS).windows;
        assert_eq!((hour.proven, hour.is_partial, hour.per_hour.as_str()), (5000, false, "5000.0"));
        for cut in [day, week] {
            assert_eq!((cut.proven, cut.is_partial, cut.per_hour.as_str()), (10_000, true, "5000.5"));
        }
    }
}
