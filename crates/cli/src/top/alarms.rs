//! What an operator should look at. Each alarm is described in `docs/ALERTS.md`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use tee_api::ProverEntry;

use super::{queue::Queue, samples::Samples, screen::span};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Alarm {
    pub(super) severity: Severity,
    /// Its section of `docs/ALERTS.md`.
    pub(super) alert: &'static str,
    pub(super) what: String,
    pub(super) todo: &'static str,
}

/// How bad it is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Critical,
    Warning,
}

/// A prover that wants work asks within seconds. The time is recorded to within a minute.
const SILENT: TimeDelta = TimeDelta::minutes(5);
/// How long before its end an operator should see to new collateral.
const COLLATERAL_ENDS_SECS: f64 = 3.0 * 24.0 * 3600.0;
const SKEW_SECS: f64 = 2.0;

/// The alarms, the worst first.
pub(super) fn of(samples: &Samples, queue: &[Queue], provers: &[ProverEntry], now: DateTime<Utc>) -> Vec<Alarm> {
    let mut alarms = vec![];
    let mut alarm = |severity, alert, what: String, todo| alarms.push(Alarm { severity, alert, what, todo });
    let count = |name| samples.count(name).unwrap_or(0);
    use Severity::{Critical, Warning};

    if samples.count("tee_server_database_up") == Some(0) {
        let what = "The database does not accept writes".to_owned();
        alarm(Critical, "TeeServerDatabaseDown", what, "the server's log names the error");
    }
    if samples.count("tee_server_disagreements").is_none() {
        let what = "The server cannot read its own state".to_owned();
        alarm(Critical, "TeeServerStateUnreadable", what, "the server's log names the error");
    }
    let disagreements = count("tee_server_disagreements");
    if disagreements > 0 {
        let what = many(disagreements, "open disagreement about a root", "open disagreements about roots");
        alarm(Critical, "TeeServerDisagreement", what, "teectl server disagreements list");
    }
    for Queue { tee_type, waiting, being_proven, .. } in queue {
        let name = tee_type.as_str().to_uppercase();
        let asks = provers.iter().filter(|prover| prover.tee_type == *tee_type).any(|prover| {
            let asked_at = DateTime::parse_from_rfc3339(&prover.asked_at);
            asked_at.is_ok_and(|asked_at| now.signed_duration_since(asked_at) <= SILENT)
        });
        if *waiting > 0 && *being_proven == 0 && !asks {
            let what = format!("{name}: {} and nobody proves", many(*waiting, "batch waits", "batches wait"));
            alarm(Critical, "TeeServerProvingStalled", what, "check that the provers run and reach the server");
        }
        let paused = samples.of("tee_server_provers").find(|sample| {
            sample.label("tee_type") == Some(tee_type.as_str()) && sample.label("state") == Some("paused")
        });
        let paused = paused.map_or(0, |sample| sample.count());
        if paused > 0 {
            let what = format!("{name}: {}, only failing", many(paused, "prover is paused", "provers are paused"));
            alarm(Warning, "TeeServerProverPaused", what, "the table of provers shows its last failure");
        }
    }
    let suspended = samples.of("tee_server_keys").find(|sample| sample.label("standing") == Some("suspended"));
    let suspended = suspended.map_or(0, |sample| sample.count());
    if suspended > 0 {
        let what = many(suspended, "key is suspended", "keys are suspended");
        alarm(Critical, "TeeServerKeysSuspended", what, "check that the server reaches its source of collateral");
    }
    let all = |jobs: fn(&Queue) -> u64| queue.iter().map(jobs).fold(0, u64::saturating_add);
    let failing = all(|queue| queue.failing);
    if failing > 0 {
        alarm(Warning, "TeeServerJobsFailed", many(failing, "job fails", "jobs fail"), "see the failing jobs below");
    }
    let given_up = all(|queue| queue.given_up);
    if given_up > 0 {
        let what = many(given_up, "job was given up", "jobs were given up");
        alarm(Warning, "TeeServerJobsGivenUp", what, "teectl server jobs retry, once the cause is gone");
    }
    // Exactly 0 means that no key has collateral.
    if let Some(left_secs) = samples.value("tee_server_collateral_left_seconds")
        && left_secs != 0.0
        && left_secs < COLLATERAL_ENDS_SECS
    {
        let secs = left_secs.abs() as u64;
        let what = match left_secs > 0.0 {
            true => format!("Collateral expires in {}", span(secs)),
            false => format!("Collateral expired {} ago", span(secs)),
        };
        alarm(Warning, "TeeServerCollateralEnds", what, "check that the server reaches its source of collateral");
    }
    let incomplete = count("tee_server_incomplete_inputs");
    if incomplete > 0 {
        let what = many(incomplete, "input lacks paths", "inputs lack paths");
        alarm(
            Warning,
            "TeeServerInputsIncomplete",
            what,
            "complete them with teectl batch complete, from another \
            node",
        );
    }
    let put_off = count("tee_server_mirror_put_off_batches");
    if put_off > 0 {
        let what = many(put_off, "batch of the node could not be fetched", "batches of the node could not be fetched");
        alarm(Warning, "TeeServerMirrorPutOff", what, "the server's log names them");
    }
    if let Some(skew_secs) = samples.value("tee_server_clock_skew_seconds").map(f64::abs)
        && skew_secs >= SKEW_SECS
    {
        let what = format!("The server's clock is off by {}", span(skew_secs as u64));
        alarm(Warning, "TeeServerClockWrong", what, "check its time service");
    }
    alarms.sort_by_key(|alarm| alarm.severity);
    alarms
}

fn many(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(metrics: &str, provers: &[ProverEntry]) -> Vec<&'static str> {
        let samples = Samples::parse(&format!("tee_server_disagreements 0\n{metrics}"));
        let alarms = of(&samples, &Queue::all(&samples), provers, "2026-01-01T00:10:00Z".parse().unwrap());
        alarms.into_iter().map(|alarm| alarm.alert).collect()
    }

    fn prover(asked_at: &str) -> ProverEntry {
        ProverEntry {
            prover: "token:p".to_owned(),
            tee_type: tee_api::TeeType::Sgx,
            asked_at: asked_at.to_owned(),
            leases: 0,
            failures_in_a_row: 0,
            paused_until: None,
            last_error_kind: None,
            user_agent: None,
        }
    }

    #[test]
    fn each_fault_that_metrics_show_is_an_alarm() {
        for (metrics, expected) in [
            (
                "tee_server_database_up 1\ntee_server_collateral_left_seconds 1e6\ntee_server_clock_skew_seconds 1.9\n",
                None,
            ),
            ("tee_server_collateral_left_seconds 0.0\n", None),
            ("tee_server_database_up 0\n", Some("TeeServerDatabaseDown")),
            ("tee_server_keys{standing=\"suspended\"} 1\n", Some("TeeServerKeysSuspended")),
            ("tee_server_provers{tee_type=\"tdx\",state=\"paused\"} 1\n", Some("TeeServerProverPaused")),
            ("tee_server_jobs{tee_type=\"tdx\",status=\"failed\"} 2\n", Some("TeeServerJobsFailed")),
            ("tee_server_jobs{tee_type=\"tdx\",status=\"permanently_ignored\"} 2\n", Some("TeeServerJobsGivenUp")),
            ("tee_server_collateral_left_seconds -5\n", Some("TeeServerCollateralEnds")),
            ("tee_server_incomplete_inputs 1\n", Some("TeeServerInputsIncomplete")),
            ("tee_server_mirror_put_off_batches 1\n", Some("TeeServerMirrorPutOff")),
            ("tee_server_clock_skew_seconds -2\n", Some("TeeServerClockWrong")),
        ] {
            assert_eq!(alerts(metrics, &[]), Vec::from_iter(expected), "{metrics}");
        }
        let unread = of(&Samples::parse(""), &[], &[], Utc::now());
        assert_eq!(unread[0].alert, "TeeServerStateUnreadable");
        let samples = Samples::parse("tee_server_disagreements 2\ntee_server_incomplete_inputs 1");
        let alarms = of(&samples, &[], &[], Utc::now());
        assert_eq!((alarms[0].alert, &*alarms[0].what), ("TeeServerDisagreement", "2 open disagreements about roots"));
    }

    #[test]
    fn batches_that_wait_are_an_alarm_where_nobody_asked_for_minutes() {
        let waiting = "tee_server_jobs{tee_type=\"sgx\",status=\"ready_to_be_proven\"} 5\n";
        let picked = "tee_server_jobs{tee_type=\"sgx\",status=\"picked_by_prover\"} 1\n";
        let stalled = ["TeeServerProvingStalled"];
        assert_eq!(alerts(waiting, &[]), stalled);
        assert_eq!(alerts(waiting, &[prover("2026-01-01T00:04:59Z")]), stalled);
        assert_eq!(alerts(waiting, &[prover("no time")]), stalled);
        assert_eq!(alerts(waiting, &[prover("2026-01-01T00:05:00Z")]), [""; 0]);
        assert_eq!(alerts(&format!("{waiting}{picked}"), &[]), [""; 0]);
    }

    #[test]
    fn each_alarm_has_a_section_in_the_document() {
        let document = include_str!("../../../../docs/ALERTS.md");
        let source = include_str!("alarms.rs");
        let named = source.split("\"TeeServer").skip(1).filter_map(|rest| rest.split('"').next());
        for name in named.filter(|name| !name.is_empty() && name.chars().all(char::is_alphabetic)) {
            assert!(document.contains(&format!("### TeeServer{name}\n")), "TeeServer{name}");
        }
    }
}
