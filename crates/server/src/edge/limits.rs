//! Limits on what a peer may ask for.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::edge::{LeastRate, TokenName};

/// The most askers that a [`RateLimiter`] remembers.
const MAX_ASKERS: usize = 65_536;

/// Limits that protect the server from its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body, except for uploads, in bytes.
    pub max_body_bytes: usize,
    /// The largest upload of a batch, in bytes as they are sent (compressed).
    pub max_upload_bytes: usize,
    /// Requests per second for each token and address, on average. Peers on this machine are exempt if there are no tokens.
    pub requests_per_sec: u32,
    /// How many requests may come at once before the average counts.
    pub request_burst: u32,
    /// Open connections of all peers together. Further ones wait.
    pub max_connections: usize,
    /// Open connections of one address. Further ones are closed at once.
    pub max_connections_per_peer: usize,
    /// The time limit for the TLS handshake, for a request's header to arrive, and for an idle connection, in seconds.
    pub header_timeout_secs: u32,
    /// The time limit for a request to arrive and to be answered, without the answer's transfer, in seconds. Uploads have ten times as
    /// long.
    pub request_timeout_secs: u32,
    /// How long a peer may take nothing of an answer, or send nothing of an upload, in seconds.
    pub stall_timeout_secs: u32,
    /// How many bytes of an upload must arrive per second, on average over `stall_timeout_secs`.
    pub least_upload_bytes_per_sec: u32,
    /// How many bytes of an answer must be taken per second while more of it waits, on average over the same time.
    pub least_answer_bytes_per_sec: u32,
    /// How many bytes of answers may wait in memory for their readers, for all askers together. One asker may have a quarter of it.
    pub max_answer_bytes: usize,
    /// How many clients may follow job changes at the same time.
    pub max_event_streams: usize,
    /// How long a stop waits for requests in progress, in seconds.
    pub stop_grace_secs: u32,
}

/// A limit that would let nothing through.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("limits.{0}: must be greater than 0")]
pub struct LimitsError(&'static str);

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asker {
    pub(crate) peer: PeerKey,
    pub(crate) token: Option<TokenName>,
}

/// An address; with IPv6, the network that one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PeerKey(IpAddr);

/// Limits the requests of an asker per second (the generic cell rate algorithm).
#[derive(Debug)]
pub(crate) struct RateLimiter {
    interval: Duration,
    tolerance: Duration,
    /// When the asker will have paid for what it asked. If that is in the past, it may use its whole burst.
    paid_at: Mutex<HashMap<Asker, Instant>>,
}

/// Counts the connections of each address.
#[derive(Debug, Clone)]
pub(crate) struct PeerConnections {
    max: usize,
    open: Arc<Mutex<HashMap<PeerKey, usize>>>,
}

/// A slot for a connection, held until dropped.
#[derive(Debug)]
pub(crate) struct PeerConnection {
    connections: PeerConnections,
    peer: PeerKey,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Enough for the largest quote or statement in hex.
            max_body_bytes: 256 * 1024,
            max_upload_bytes: 256 * 1024 * 1024,
            requests_per_sec: 100,
            request_burst: 200,
            max_connections: 1024,
            max_connections_per_peer: 256,
            header_timeout_secs: 10,
            request_timeout_secs: 60,
            stall_timeout_secs: 30,
            least_upload_bytes_per_sec: 16 * 1024,
            least_answer_bytes_per_sec: 16 * 1024,
            // A quarter is enough for the two largest answers.
            max_answer_bytes: 256 * 1024 * 1024,
            max_event_streams: 64,
            stop_grace_secs: 10,
        }
    }
}

impl Limits {
    /// Checks the limits. A limit of zero is a mistake: nobody would be served.
    pub(crate) fn check(&self) -> Result<(), LimitsError> {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        for (name, limit) in [
            ("max_body_bytes", count(self.max_body_bytes)),
            ("max_upload_bytes", count(self.max_upload_bytes)),
            ("requests_per_sec", self.requests_per_sec.into()),
            ("request_burst", self.request_burst.into()),
            ("max_connections", count(self.max_connections)),
            ("max_connections_per_peer", count(self.max_connections_per_peer)),
            ("header_timeout_secs", self.header_timeout_secs.into()),
            ("request_timeout_secs", self.request_timeout_secs.into()),
            ("stall_timeout_secs", self.stall_timeout_secs.into()),
            ("max_answer_bytes", count(self.max_answer_bytes)),
        ] {
            if limit == 0 {
                return Err(LimitsError(name));
            }
        }
        Ok(())
    }

    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_secs.into())
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_secs.into())
    }

    pub(crate) fn upload_timeout(&self) -> Duration {
        self.request_timeout().saturating_mul(10)
    }

    pub(crate) fn least_upload_rate(&self) -> LeastRate {
        self.least_rate(self.least_upload_bytes_per_sec)
    }

    pub(crate) fn least_answer_rate(&self) -> LeastRate {
        self.least_rate(self.least_answer_bytes_per_sec)
    }

    fn least_rate(&self, bytes_per_sec: u32) -> LeastRate {
        LeastRate { bytes_per_sec, window: Duration::from_secs(self.stall_timeout_secs.into()) }
    }

    pub(crate) fn stop_grace(&self) -> Duration {
        Duration::from_secs(self.stop_grace_secs.into())
    }
}

impl From<IpAddr> for PeerKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            // Whoever has one IPv6 address usually has all 2^64 of its network.
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
}

impl std::fmt::Display for PeerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl RateLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let interval = Duration::from_secs(1) / limits.requests_per_sec.max(1);
        let tolerance = interval.saturating_mul(limits.request_burst.saturating_sub(1));
        Self { interval, tolerance, paid_at: Mutex::default() }
    }

    /// Admits this many requests, or returns the wait until the next one. Requests that come together pass together,
    /// and the next one waits until they are paid for.
    pub(crate) fn take(&self, asker: Asker, requests: u32, now: Instant) -> Result<(), Duration> {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        if paid_at.len() >= MAX_ASKERS {
            paid_at.retain(|_, paid_at| *paid_at > now);
            if paid_at.len() >= MAX_ASKERS {
                // Bounded memory is worth more than exact counts.
                paid_at.clear();
            }
        }
        let paid = paid_at.entry(asker).or_insert(now);
        let debt = paid.saturating_duration_since(now);
        if debt > self.tolerance {
            return Err(debt - self.tolerance);
        }
        *paid = now + debt + self.interval.saturating_mul(requests);
        Ok(())
    }
}

impl PeerConnections {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, open: Arc::default() }
    }

    /// A slot for one more connection of this peer, if it may have one.
    pub(crate) fn take(&self, peer: PeerKey) -> Option<PeerConnection> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(PeerConnection { connections: self.clone(), peer })
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(address: &str, token: Option<&str>) -> Asker {
        let peer = address.parse::<IpAddr>().unwrap().into();
        Asker { peer, token: token.map(|token| token.parse().unwrap()) }
    }

    #[test]
    fn a_burst_passes_then_the_average_counts_for_each_asker_alone() {
        let limits = Limits { requests_per_sec: 10, request_burst: 3, ..Limits::default() };
        let limiter = RateLimiter::new(&limits);
        let start = Instant::now();
        let first = asker("10.0.0.1", None);
        for _ in 0..3 {
            assert_eq!(limiter.take(first.clone(), 1, start), Ok(()));
        }
        assert_eq!(limiter.take(first.clone(), 1, start), Err(Duration::from_millis(100)));
        for other in [asker("10.0.0.2", None), asker("10.0.0.1", Some("a")), asker("::1", None)] {
            assert_eq!(limiter.take(other, 1, start), Ok(()));
        }
        let later = start + Duration::from_millis(100);
        assert_eq!(limiter.take(first.clone(), 1, later), Ok(()));
        assert_eq!(limiter.take(first.clone(), 1, later), Err(Duration::from_millis(100)));
        let rested = start + Duration::from_secs(10);
        for _ in 0..3 {
            assert_eq!(limiter.take(first.clone(), 1, rested), Ok(()));
        }
        assert!(limiter.take(first, 1, rested).is_err());
    }

    #[test]
    fn what_comes_together_counts_as_what_it_is() {
        let limits = Limits { requests_per_sec: 10, request_burst: 3, ..Limits::default() };
        let limiter = RateLimiter::new(&limits);
        let (start, first) = (Instant::now(), asker("10.0.0.1", None));
        assert_eq!(limiter.take(first.clone(), 100, start), Ok(()));
        assert_eq!(limiter.take(first.clone(), 1, start), Err(Duration::from_millis(9800)));
        assert_eq!(limiter.take(first, 1, start + Duration::from_millis(9800)), Ok(()));
    }

    #[test]
    fn many_addresses_do_not_fill_the_memory() {
        let limiter = RateLimiter::new(&Limits::default());
        let now = Instant::now();
        for number in 0..2 * MAX_ASKERS as u32 {
            limiter.take(asker(&std::net::Ipv4Addr::from_bits(number).to_string(), None), 1, now).unwrap();
            assert!(limiter.paid_at.lock().unwrap().len() <= MAX_ASKERS);
        }
    }

    #[test]
    fn neighbours_in_ipv6_are_one_and_mapped_ipv4_is_ipv4() {
        let key = |address: &str| PeerKey::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::2"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
    }

    #[test]
    fn a_peer_has_so_many_connections_and_a_closed_one_makes_room() {
        let connections = PeerConnections::new(2);
        let peer = PeerKey::from(IpAddr::from([10, 0, 0, 1]));
        let first = connections.take(peer).unwrap();
        let _second = connections.take(peer).unwrap();
        assert!(connections.take(peer).is_none());
        assert!(connections.take(PeerKey::from(IpAddr::from([10, 0, 0, 2]))).is_some());
        drop(first);
        assert!(connections.take(peer).is_some());
        drop(_second);
        assert!(connections.open.lock().unwrap().is_empty());
    }

    #[test]
    fn a_limit_of_nothing_is_a_mistake() {
        assert_eq!(Limits::default().check(), Ok(()));
        let nothing = Limits { max_connections: 0, ..Limits::default() };
        assert_eq!(nothing.check(), Err(LimitsError("max_connections")));
    }
}
