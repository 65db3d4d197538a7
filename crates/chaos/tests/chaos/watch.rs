//! What is watched throughout a run: metrics, memory, handles, and whether a program ends by itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    fault::Sign,
    program::{Program, Usage},
    site::Site,
};

/// How often.
const INTERVAL: Duration = Duration::from_millis(400);

/// More than any program here may use.
const MAX_RSS_KIB: u64 = 800 << 10;
const MAX_HANDLES: u64 = 300;

/// What was seen. All watchers share it.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Sights>);

#[derive(Default)]
pub(crate) struct Sights {
    /// The least and the most of each metric, over all programs.
    metrics: BTreeMap<String, (f64, f64)>,
    /// By program.
    pub(crate) most: BTreeMap<String, Usage>,
    pub(crate) scrapes: u64,
}

impl Seen {
    /// Watches until it is cancelled.
    pub(crate) async fn look(&self, site: &Site) {
        futures::future::join_all(site.programs().map(|program| self.look_at(site, program))).await;
    }

    async fn look_at(&self, site: &Site, program: &Program) {
        loop {
            if let Some(usage) = program.usage() {
                self.sights().note_usage(&program.name, usage);
            }
            let (address, started) = (program.address(), Instant::now());
            let scraped = site.operator.scrape(&address).await;
            self.sights().note_scrape(scraped.as_deref(), started.elapsed());
            // The request of a load balancer; the metrics show the answers.
            let request = site.operator.http.get(format!("http://{address}/health/ready"));
            let _ = request.timeout(Duration::from_secs(8)).send().await;
            let ended = site.ledger.entries().ended_by_themselves.clone();
            assert!(ended.is_empty(), "{ended:?} ended by themselves");
            sleep(INTERVAL).await;
        }
    }

    /// Whether a metric has reached what shows a fault.
    pub(crate) fn shows(&self, sign: Sign) -> bool {
        let (Sign::AtLeast(name, _) | Sign::AtMost(name, _)) = sign;
        let sights = self.sights();
        let mut values = sights.metrics.range(name.to_owned()..).take_while(|(key, _)| key.starts_with(name));
        values.any(|(_, (least, most))| match sign {
            Sign::AtLeast(_, value) => most.max(-least) >= value,
            Sign::AtMost(_, value) => *least <= value,
        })
    }

    pub(crate) fn sights(&self) -> MutexGuard<'_, Sights> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sights {
    /// `up` and `scrape_duration_seconds` are made by Prometheus itself.
    fn note_scrape(&mut self, text: Option<&str>, took: Duration) {
        self.note("up", if text.is_some() { 1.0 } else { 0.0 });
        self.note("scrape_duration_seconds", took.as_secs_f64());
        self.scrapes += 1;
        for line in text.unwrap_or_default().lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            if let Ok(value) = value.parse() {
                self.note(name, value);
            }
        }
    }

    fn note(&mut self, name: &str, value: f64) {
        let (least, most) = self.metrics.entry(name.to_owned()).or_insert((value, value));
        (*least, *most) = (least.min(value), most.max(value));
    }

    fn note_usage(&mut self, name: &str, usage: Usage) {
        assert!(usage.rss_kib < MAX_RSS_KIB, "{name} takes {} KiB of memory", usage.rss_kib);
        assert!(usage.handles < MAX_HANDLES, "{name} has {} files and sockets open", usage.handles);
        let most = self.most.entry(name.to_owned()).or_insert(usage);
        most.rss_kib = most.rss_kib.max(usage.rss_kib);
        most.handles = most.handles.max(usage.handles);
    }
}
