//! Whether a caller uses one of this machine's own names.

use axum::http::uri::Authority;

/// Whether a `Host` names only this machine. Otherwise anybody's page could make its name point here, and so read what
/// a browser on this machine may read.
pub fn names_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_are_its_own() {
        for host in ["127.0.0.1:3320", "127.9.9.9", "localhost:3320", "LOCALHOST", "[::1]:3320"] {
            assert!(names_loopback(host), "{host}");
        }
        for host in ["evil.example:3320", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "a b"] {
            assert!(!names_loopback(host), "{host}");
        }
    }
}
