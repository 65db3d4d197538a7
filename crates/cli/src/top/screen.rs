//! Draws the screen. All text from a server goes through [`shown`], since it is not trusted.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Sparkline, Table},
};
use tee_api::{JobEntry, ProverEntry};

use super::{
    alarms::{Alarm, Severity},
    queue::Queue,
    rates::Rates,
    reading::Reading,
};
use crate::print::shown;

/// The most lines of alarms: the tables below need room too.
const MAX_ALARMS: usize = 5;
/// The most rows of failing jobs when the provers leave no more room.
const FAILING_ROWS: u16 = 4;

/// Everything that is drawn.
pub(super) struct Screen<'a> {
    pub(super) server: &'a str,
    pub(super) interval: Duration,
    pub(super) palette: Palette,
    pub(super) reading: &'a Reading,
    /// The age of the reading.
    pub(super) age: Duration,
    pub(super) rates: &'a Rates,
    pub(super) problem: Option<&'a str>,
    pub(super) now: DateTime<Utc>,
}

/// The emphasis of text. Colour is never the only sign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    bad: Style,
    warning: Style,
    good: Style,
    quiet: Style,
    heading: Style,
}

impl Palette {
    pub(super) fn new(has_colours: bool) -> Self {
        let of = |color: Color| if has_colours { Style::new().fg(color) } else { Style::new() };
        Self {
            bad: of(Color::Red).bold(),
            warning: of(Color::Yellow),
            good: of(Color::Green),
            quiet: Style::new().dim(),
            heading: Style::new().bold(),
        }
    }
}

impl Screen<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let alarms = self.alarms();
        let lines = |count: usize| Constraint::Length(u16::try_from(count).unwrap_or(u16::MAX));
        let failing = u16::try_from(self.reading.failing.len()).unwrap_or(u16::MAX).min(FAILING_ROWS);
        let [title, alarm_lines, _, queue, _, rate, history, _, provers, _, failing, keys] = Layout::vertical([
            Constraint::Length(1),
            lines(alarms.len()),
            Constraint::Length(1),
            lines(self.reading.queue.len() + 1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
            Constraint::Length(if failing == 0 { 0 } else { failing + 1 }),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.title(), title);
        frame.render_widget(Paragraph::new(alarms), alarm_lines);
        frame.render_widget(self.queue(), queue);
        frame.render_widget(self.rate(), rate);
        self.history(frame, history);
        frame.render_widget(self.provers(provers), provers);
        frame.render_widget(self.failing(), failing);
        frame.render_widget(self.last_line(), keys);
    }

    fn title(&self) -> Line<'static> {
        let version = self.reading.version.as_deref().map(|version| format!("  version {}", shown(version)));
        Line::from(vec![
            Span::styled(shown(self.server), self.palette.heading),
            Span::styled(version.unwrap_or_default(), self.palette.quiet),
        ])
    }

    /// The alarms, or a line that says that there are none.
    fn alarms(&self) -> Vec<Line<'static>> {
        let silent = self.problem.map(|problem| {
            let text = format!("!! No answer for {}: {}", span(self.age.as_secs()), shown(problem));
            Line::styled(text, self.palette.bad)
        });
        let alarms = &self.reading.alarms;
        let lines = silent.into_iter().chain(alarms.iter().map(|alarm| self.alarm(alarm)));
        let mut lines: Vec<_> = lines.collect();
        if lines.is_empty() {
            return vec![Line::styled("No alarm.", self.palette.good)];
        }
        if lines.len() > MAX_ALARMS {
            let more = lines.len() - (MAX_ALARMS - 1);
            lines.truncate(MAX_ALARMS - 1);
            lines.push(Line::styled(format!("!  and {more} more"), self.palette.warning));
        }
        lines
    }

    fn alarm(&self, alarm: &Alarm) -> Line<'static> {
        let (mark, style) = match alarm.severity {
            Severity::Critical => ("!! ", self.palette.bad),
            Severity::Warning => ("!  ", self.palette.warning),
        };
        Line::from(vec![
            Span::styled(format!("{mark}{}", shown(&alarm.what)), style),
            Span::styled(format!(": {}", alarm.todo), self.palette.quiet),
        ])
    }

    fn queue(&self) -> Table<'static> {
        let rows = self.reading.queue.iter().map(|queue| {
            let Queue { tee_type, waiting, being_proven, failing, given_up, lowest_batch } = queue;
            let warn = |count: u64| if count > 0 { self.palette.warning } else { Style::new() };
            Row::new([
                Cell::new(tee_type.as_str().to_uppercase()),
                number(*waiting),
                number(*being_proven),
                number(*failing).style(warn(*failing)),
                number(*given_up).style(warn(*given_up)),
                Cell::new(right(&lowest_batch.map_or_else(|| "none".to_owned(), |batch| batch.to_string()))),
            ])
        });
        let names = ["waiting", "being proven", "failing", "given up", "lowest batch"];
        let header = [Cell::new("Queue")].into_iter().chain(names.map(|name| Cell::new(right(name))));
        let widths = [8, 11, 14, 9, 10, 14].map(Constraint::Length);
        Table::new(rows, widths).header(Row::new(header).style(self.palette.heading))
    }

    fn rate(&self) -> Line<'static> {
        let text = match self.rates.per_minute() {
            None => "known after the next reading".to_owned(),
            Some(rate) => format!(
                "{:.1} handed out, {:.1} proofs accepted, {:.1} refused",
                rate.handed_out, rate.accepted, rate.refused
            ),
        };
        Line::from(vec![Span::styled("Per minute  ", self.palette.heading), Span::raw(text)])
    }

    /// Proofs accepted between readings, the latest at the right.
    fn history(&self, frame: &mut Frame<'_>, area: Rect) {
        let [name, bars] = Layout::horizontal([Constraint::Length(12), Constraint::Fill(1)]).areas(area);
        frame.render_widget(Line::styled("Accepted", self.palette.heading), name);
        let accepted = self.rates.accepted();
        let latest = accepted.get(accepted.len().saturating_sub(bars.width.into())..).unwrap_or_default();
        frame.render_widget(Sparkline::default().data(latest).style(self.palette.good), bars);
    }

    fn provers(&self, area: Rect) -> Table<'static> {
        let room = usize::from(area.height.saturating_sub(1));
        let provers = &self.reading.provers;
        // The last line says that there are more.
        let fit = if provers.len() > room || self.reading.more_provers { room.saturating_sub(1) } else { room };
        let mut rows: Vec<_> = provers.iter().take(fit).map(|prover| self.prover(prover)).collect();
        if provers.is_empty() {
            rows.push(Row::new(["nobody has asked for work"]).style(self.palette.quiet));
        } else if provers.len() > rows.len() || self.reading.more_provers {
            let more = provers.len() - rows.len();
            let or_more = if self.reading.more_provers { " or more" } else { "" };
            rows.push(Row::new([format!("and {more}{or_more} others")]).style(self.palette.quiet));
        }
        let header = [
            Cell::new("Prover"),
            Cell::new("TEE"),
            Cell::new(right("asked")),
            Cell::new(right("leases")),
            Cell::new(right("failed")),
            Cell::new("last failure"),
        ];
        let widths = [
            // If there is not enough room, the name is worth more than all other columns.
            if area.width < 60 { Constraint::Min(15) } else { Constraint::Fill(1) },
            Constraint::Length(5),
            Constraint::Length(8),
            Constraint::Length(7),
            Constraint::Length(6),
            Constraint::Fill(1),
        ];
        Table::new(rows, widths).header(Row::new(header).style(self.palette.heading))
    }

    fn prover(&self, prover: &ProverEntry) -> Row<'static> {
        let paused = prover.paused_until.as_deref().and_then(time).is_some_and(|until| until > self.now);
        let kind = shown(prover.last_error_kind.as_deref().unwrap_or_default());
        let failure = if paused { format!("paused; {kind}") } else { kind };
        let asked = time(&prover.asked_at).map_or_else(
            || "?".to_owned(),
            |at| span(u64::try_from(self.now.signed_duration_since(at).num_seconds()).unwrap_or(0)),
        );
        Row::new([
            Cell::new(shown(&prover.prover)),
            Cell::new(prover.tee_type.as_str().to_uppercase()),
            Cell::new(right(&asked)),
            number(prover.leases),
            number(prover.failures_in_a_row),
            Cell::new(failure),
        ])
        .style(if paused { self.palette.warning } else { Style::new() })
    }

    fn failing(&self) -> Table<'static> {
        let rows = self.reading.failing.iter().take(FAILING_ROWS.into()).map(|job| {
            let JobEntry { batch, tee_type, attempts, error_kind, error, .. } = job;
            let error = [error_kind, error].into_iter().flatten().map(|text| shown(text)).collect::<Vec<_>>();
            Row::new([
                number(u64::from(*batch)),
                Cell::new(tee_type.as_str().to_uppercase()),
                number(u64::from(*attempts)),
                Cell::new(error.join(": ")),
            ])
        });
        let header = [Cell::new(right("Failing")), Cell::new("TEE"), Cell::new(right("attempts")), Cell::new("error")];
        let widths = [Constraint::Length(10), Constraint::Length(5), Constraint::Length(8), Constraint::Fill(1)];
        Table::new(rows, widths).header(Row::new(header).style(self.palette.heading))
    }

    fn last_line(&self) -> Line<'static> {
        let keys = &self.reading.keys;
        let text = format!(
            "q quits · read {} ago, every {} · keys: {} in force, {} suspended, {} revoked",
            span(self.age.as_secs()),
            span(self.interval.as_secs()),
            keys.in_force,
            keys.suspended,
            keys.revoked,
        );
        Line::styled(text, self.palette.quiet)
    }
}

fn number(number: u64) -> Cell<'static> {
    Cell::new(right(&number.to_string()))
}

fn right(text: &str) -> Line<'static> {
    Line::from(text.to_owned()).right_aligned()
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// A time span in its largest unit.
pub(super) fn span(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ratatui::{Terminal, backend::TestBackend};
    use tee_api::{JobStatus, TeeType};

    use super::{
        super::{rates::Counters, samples::Samples},
        *,
    };

    const NOW: &str = "2026-01-01T00:10:00Z";

    const METRICS: &str = "\
tee_server_build_info{version=\"0.2.0\"} 1
tee_server_database_up 1
tee_server_disagreements 1
tee_server_jobs{tee_type=\"sgx\",status=\"ready_to_be_proven\"} 1234
tee_server_jobs{tee_type=\"sgx\",status=\"picked_by_prover\"} 16
tee_server_jobs{tee_type=\"sgx\",status=\"failed\"} 2
tee_server_jobs_lowest_batch{tee_type=\"sgx\",status=\"picked_by_prover\"} 14034
tee_server_keys{standing=\"in_force\"} 12
tee_server_batches_handed_out_total{tee_type=\"sgx\"} 100
tee_server_proofs_accepted_total{tee_type=\"sgx\"} 90
";

    fn prover(name: &str, asked_at: &str) -> ProverEntry {
        ProverEntry {
            prover: name.to_owned(),
            tee_type: TeeType::Sgx,
            asked_at: asked_at.to_owned(),
            leases: 3,
            failures_in_a_row: 0,
            paused_until: None,
            last_error_kind: None,
            user_agent: None,
        }
    }

    fn failing(error: &str) -> JobEntry {
        JobEntry {
            batch: 14_035,
            tee_type: TeeType::Sgx,
            status: JobStatus::Failed.into(),
            attempts: 3,
            lease_expires_at: None,
            prover_taken_at: None,
            error_kind: Some("root".to_owned()),
            error: Some(error.to_owned()),
            created_at: NOW.to_owned(),
            updated_at: NOW.to_owned(),
        }
    }

    fn reading(metrics: &str, provers: Vec<ProverEntry>, failing: Vec<JobEntry>) -> Reading {
        Reading::of(&Samples::parse(metrics), provers, false, failing)
    }

    fn usual() -> Reading {
        let paused = ProverEntry {
            failures_in_a_row: 9,
            last_error_kind: Some("code_not_pinned".to_owned()),
            paused_until: Some("2026-01-01T00:11:00Z".to_owned()),
            ..prover("token:eu-2", "2026-01-01T00:06:00Z")
        };
        reading(METRICS, vec![prover("token:eu-1", "2026-01-01T00:09:57Z"), paused], vec![failing("another root")])
    }

    /// The lines of a screen, without the blanks at their ends.
    fn drawn(reading: &Reading, problem: Option<&str>, [width, height]: [u16; 2]) -> Vec<String> {
        let start = Instant::now();
        let mut rates = Rates::default();
        for (secs, accepted) in [(0, 90), (20, 91), (40, 95)] {
            let counters = Counters { handed_out: 100 + accepted, accepted, refused: 0 };
            rates.add(start + Duration::from_secs(secs), counters);
        }
        let screen = Screen {
            server: "http://127.0.0.1:3320",
            interval: Duration::from_secs(2),
            palette: Palette::new(true),
            reading,
            age: Duration::from_secs(1),
            rates: &rates,
            problem,
            now: NOW.parse().unwrap(),
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let cells = terminal.backend().buffer().content();
        let lines = cells.chunks(width.into()).map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn a_terminal_of_80_columns_and_24_lines_has_all_of_it() {
        let lines = drawn(&usual(), None, [80, 24]);
        let expected = "\
http://127.0.0.1:3320  version 0.2.0
!! 1 open disagreement about a root: teectl server disagreements list
!  2 jobs fail: see the failing jobs below

Queue        waiting   being proven   failing   given up   lowest batch
SGX             1234             16         2          0          14034
TDX                0              0         0          0           none

Per minute  7.5 handed out, 7.5 proofs accepted, 0.0 refused
Accepted    ▂█

Prover                    TEE      asked  leases failed last failure
token:eu-1                SGX        3 s       3      0
token:eu-2                SGX      4 min       3      9 paused; code_not_pinned







   Failing TEE   attempts error
     14035 SGX          3 root: another root
q quits · read 1 s ago, every 2 s · keys: 12 in force, 0 suspended, 0 revoked";
        assert_eq!(lines, expected.lines().collect::<Vec<_>>(), "{lines:#?}");
    }

    #[test]
    fn a_small_terminal_has_less_and_nothing_panics() {
        let many = (0..300).map(|at| prover(&format!("token:{at}"), NOW)).collect();
        let full = reading(METRICS, many, vec![failing("x"); 50]);
        let empty = Reading::default();
        for reading in [&usual(), &full, &empty] {
            for width in [1, 2, 7, 20, 40, 79, 300] {
                for height in [1, 2, 3, 5, 10, 24, 100] {
                    drawn(reading, Some("gone"), [width, height]);
                }
            }
        }
        let lines = drawn(&full, None, [40, 24]);
        assert_eq!(lines[0], "http://127.0.0.1:3320  version 0.2.0");
        assert!(lines.contains(&"and 296 others".to_owned()), "{lines:#?}");
    }

    #[test]
    fn a_servers_text_moves_no_cursor() {
        let hostile = "\u{1b}[2J\u{1b}]0;title\u{7}\r\n\u{9b}31m\u{202e}evil\u{200b}";
        let metrics = format!("{METRICS}tee_server_build_info{{version=\"{}\"}} 1\n", "x\u{1b}[31m");
        let metrics = metrics.replace("version=\"0.2.0\"", "version=\"\u{1b}[31m0.2.0\"");
        let prover = ProverEntry { last_error_kind: Some(hostile.to_owned()), ..prover(hostile, hostile) };
        let hostile_reading = reading(&metrics, vec![prover], vec![failing(hostile)]);
        let lines = drawn(&hostile_reading, Some(hostile), [80, 24]);
        let text = lines.join("");
        let harmful = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}');
        assert!(!text.contains(harmful) && text.contains("evil"), "{lines:#?}");
    }

    #[test]
    fn a_server_that_is_silent_leaves_the_last_reading_on_the_screen() {
        let lines = drawn(&usual(), Some("cannot connect: refused"), [80, 24]);
        assert_eq!(lines[1], "!! No answer for 1 s: cannot connect: refused");
        assert!(lines[2].starts_with("!! 1 open disagreement"), "{lines:#?}");
        let calm = reading("tee_server_disagreements 0", vec![], vec![]);
        let lines = drawn(&calm, None, [80, 24]);
        assert_eq!((&*lines[1], &*lines[11]), ("No alarm.", "nobody has asked for work"), "{lines:#?}");
    }

    #[test]
    fn of_many_alarms_the_worst_are_shown() {
        let metrics = "tee_server_database_up 0\ntee_server_incomplete_inputs 1\ntee_server_mirror_put_off_batches 1\n\
                       tee_server_clock_skew_seconds 9\ntee_server_collateral_left_seconds 60\ntee_server_keys{standing=\"suspended\"} 1";
        let lines = drawn(&reading(metrics, vec![], vec![]), None, [80, 24]);
        assert!(lines[1].starts_with("!! ") && lines[3].starts_with("!! "), "{lines:#?}");
        assert_eq!(lines[5], "!  and 3 more");
    }

    #[test]
    fn spans_are_in_their_largest_unit() {
        let spans = [0, 119, 120, 7199, 7200, 172_800].map(span);
        assert_eq!(spans, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
