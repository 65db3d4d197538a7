//! Checks before every endpoint: how often a peer asks, who asks, and whether the caller may do this.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{AUTHORIZATION, HOST, HeaderName, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use tracing::Span;

use crate::{
    edge::{Access, Asker, Caller, Need, Peer, RateLimiter, prover_name},
    http::{AnswerRoom, HeldRoom, Problem},
};

/// Decides who is let in. All endpoints share it.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) access: Arc<Access>,
    pub(crate) rate: RateLimiter,
    pub(crate) answers: AnswerRoom,
    /// Whether a prover must show a certificate besides its token.
    pub(crate) provers_need_certificate: bool,
}

/// The caller, for endpoints where one request may cost as much as many.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    gate: Arc<Gate>,
    asker: Asker,
    caller: Caller,
}

/// Marks an answer to a known caller, or to anybody if tokens are not required. Its connection may be used again.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeepsConnection;

impl Asking {
    /// Counts this many more requests.
    pub(super) fn count(&self, requests: u32) -> Result<(), Problem> {
        if self.gate.access.is_local {
            return Ok(());
        }
        self.gate.rate.take(self.asker.clone(), requests, Instant::now()).map_err(Problem::too_many_requests)
    }

    /// Whether the caller may also do this.
    pub(super) fn may(&self, need: Need) -> bool {
        self.gate.access.allows(&self.caller, need)
    }

    /// Room for an answer to the caller.
    pub(super) fn room(&self) -> HeldRoom {
        self.gate.answers.take(self.asker.clone())
    }
}

/// Lets a request through to an endpoint that requires `need`, or answers with a problem. The body is not read yet.
pub(super) async fn authorize(
    State((gate, need)): State<(Arc<Gate>, Need)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let peer = request.extensions().get::<Peer>().ok_or_else(|| Problem::internal("the request has no peer"))?;
    // A request for what is published changes nothing, not even by POST.
    let changes_nothing = changes_nothing(request.method()) || need == Need::Proofs;
    let caller = gate.access.caller(token(headers, changes_nothing).as_deref());
    let token = match &caller {
        Caller::Token { name, .. } => {
            Span::current().record("caller", tracing::field::display(name));
            Some(name.clone())
        }
        Caller::Anyone | Caller::Unknown => None,
    };
    if gate.access.is_open() {
        refuse_browsers_of_others(&request, gate.access.is_local)?;
    }
    let asker = Asker { peer: peer.address.ip().into(), token };
    let asking = Asking { gate: gate.clone(), asker, caller: caller.clone() };
    asking.count(1)?;
    if !gate.access.allows(&caller, need) {
        return Err(match caller {
            Caller::Unknown => {
                let detail = "a valid token is required: Authorization: Bearer …";
                Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            }
            _ => Problem::new(StatusCode::FORBIDDEN, "forbidden", "the token's role does not allow this"),
        });
    }
    if need == Need::Prove && gate.provers_need_certificate && !peer.has_certificate {
        let detail = "provers must present a client certificate";
        return Err(Problem::new(StatusCode::FORBIDDEN, "certificate_needed", detail));
    }
    let prover = prover_name(&caller, peer.address.ip().into());
    request.extensions_mut().insert(prover);
    request.extensions_mut().insert(asking.clone());
    let answer = next.run(request).await;
    let mut answer = gate.answers.hold(asking.asker, answer).await?;
    if caller != Caller::Unknown {
        answer.extensions_mut().insert(KeepsConnection);
    }
    Ok(answer)
}

/// The token in a request: as a bearer's, or as the password that a person types into a browser. The browser then sends
/// it with every request, even one that a foreign page makes. So a password is accepted only for requests that change
/// nothing.
fn token(headers: &HeaderMap, changes_nothing: bool) -> Option<String> {
    let (scheme, shown) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let shown = shown.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(shown.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") || !changes_nothing {
        return None;
    }
    let credentials = String::from_utf8(BASE64.decode(shown).ok()?).ok()?;
    credentials.split_once(':').map(|(_, password)| password.trim().to_owned())
}

fn changes_nothing(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Refuses requests of foreign pages in a browser on this machine, if tokens are not required. Such a page could use a
/// form or script that posts here, or make its own name point here.
fn refuse_browsers_of_others(request: &Request, is_local: bool) -> Result<(), Problem> {
    let refuse = |detail| Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail));
    let text = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST).or_else(|| request.uri().authority().map(Authority::as_str));
    if is_local && host.is_some_and(|host| !tee_pages::names_loopback(host)) {
        return refuse("the Host header does not name this machine");
    }
    if let Some(origin) = text(ORIGIN)
        && !changes_nothing(request.method())
        && origin.split_once("://").map(|(_, origin)| origin) != host
    {
        return refuse("the request comes from another server's page");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http};

    use super::*;

    #[test]
    fn a_token_is_a_bearers_or_a_password_where_nothing_is_changed() {
        let password = |text: &str| format!("Basic {}", BASE64.encode(text));
        for (value, changes_nothing, expected) in [
            (password(":tpg_1"), true, Some("tpg_1")),
            (password("ops:tpg_1"), true, Some("tpg_1")),
            (password("ops:tpg_1"), false, None),
            (password("tpg_1"), true, None),
            ("Basic tpg_1".to_owned(), true, None),
            ("Basic %".to_owned(), true, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(token(&headers, changes_nothing).as_deref(), expected, "{changes_nothing} {value}");
        }
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_schemes_case() {
        for (value, expected) in [
            ("Bearer tpg_1", Some("tpg_1")),
            ("bearer tpg_1", Some("tpg_1")),
            ("BEARER  tpg_1 ", Some("tpg_1")),
            ("Basic tpg_1", None),
            ("tpg_1", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(token(&headers, false).as_deref(), expected, "{value}");
        }
        assert_eq!(token(&HeaderMap::new(), false), None);
    }

    #[test]
    fn pages_of_others_are_refused_where_nobody_is_asked_who_they_are() {
        let refused = |method: &str, host: &str, origin: Option<&str>, is_local| {
            let mut request = http::Request::builder().method(method).uri("/admin").header(HOST, host);
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            refuse_browsers_of_others(&request.body(Body::empty()).unwrap(), is_local).is_err()
        };
        for host in ["127.0.0.1:3320", "127.9.9.9", "localhost:3320", "LOCALHOST", "[::1]:3320"] {
            assert!(!refused("POST", host, None, true), "{host}");
            assert!(!refused("POST", host, Some(&format!("http://{host}")), true), "{host}");
        }
        for host in ["evil.example:3320", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "a b"] {
            assert!(refused("GET", host, None, true), "{host}");
        }
        assert!(!refused("POST", "tee.example", None, false));
        for origin in ["http://evil.example", "null", "http://localhost:1", "http://127.0.0.1:3320.evil.example"] {
            assert!(refused("POST", "127.0.0.1:3320", Some(origin), true), "{origin}");
            assert!(refused("DELETE", "127.0.0.1:3320", Some(origin), false), "{origin}");
            assert!(!refused("GET", "127.0.0.1:3320", Some(origin), true), "{origin}");
        }
    }
}
