//! Outgoing HTTP, with one set of rules for all callers and servers: redirects are not followed, waits and bodies are bounded, this
//! machine is reached without a proxy, and no error shows a URL, which may hold a secret.

mod error;
mod tls;
mod token;

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use reqwest::{
    Client, Response, Url,
    header::{AUTHORIZATION, DATE, HeaderMap, RETRY_AFTER},
    redirect,
};
use tokio::time::{Instant, timeout_at};

pub(crate) use self::error::printable;
pub use self::{
    error::{ClientSetupError, NetworkError},
    tls::{ClientCertificate, TlsFiles, Trust, certificates},
    token::{BearerToken, BearerTokenError},
};
use crate::{build, chain};

/// The caller's name, its time limits, and the certificates that it trusts.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The name of the program, as the server sees it.
    pub program: &'static str,
    /// For establishing a connection, TLS included.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// For a whole exchange, the transfer included.
    pub total_timeout: Duration,
    /// The server certificates to trust, for `https`.
    pub trust: Trust,
    /// The certificate to show to a server that requires one.
    pub certificate: Option<ClientCertificate>,
    /// Sent with every request, for servers that require a token.
    pub token: Option<BearerToken>,
}

/// The minimum rate of a transfer: a server that sends too slowly is dropped long before the limit for the whole exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long any rate is accepted.
    pub grace: Duration,
    /// The minimum average rate after that.
    pub least_bytes_per_sec: u64,
}

impl HttpOptions {
    /// The options of a program that trusts the system's authorities and shows neither certificate nor token.
    pub fn new(program: &'static str) -> Self {
        Self {
            program,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(300),
            trust: Trust::System,
            certificate: None,
            token: None,
        }
    }

    /// A client of the server at `url`. Nothing is sent yet.
    pub fn client(&self, url: &Url) -> Result<Client, ClientSetupError> {
        let mut http = Client::builder()
            .tls_backend_preconfigured(tls::config(url, &self.trust, self.certificate.as_ref())?)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.read_timeout)
            .timeout(self.total_timeout)
            .redirect(redirect::Policy::none())
            .user_agent(build::user_agent(self.program));
        if let Some(token) = &self.token {
            http = http.default_headers(HeaderMap::from_iter([(AUTHORIZATION, token.header()?)]));
        }
        if is_loopback(url) {
            // A proxy could not reach it.
            http = http.no_proxy();
        }
        http.build().map_err(|error| ClientSetupError::Http(chain(&error.without_url())))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { grace: Duration::from_secs(30), least_bytes_per_sec: 16 * 1024 }
    }
}

/// Parses an http or https URL with a host.
pub fn url(text: &str) -> Result<Url, ClientSetupError> {
    let url = Url::parse(text).map_err(|_| ClientSetupError::Url)?;
    let can_be_asked = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    can_be_asked.then_some(url).ok_or(ClientSetupError::Url)
}

/// Parses a base URL for the paths of requests: it ends with a slash.
pub fn base_url(text: &str) -> Result<Url, ClientSetupError> {
    let mut url = url(text)?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// Whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Reads the body; `None` if it exceeds `limit` bytes.
pub async fn read_body(mut response: Response, limit: u64, pace: Pace) -> Result<Option<Vec<u8>>, NetworkError> {
    let fits = |length: u64| length <= limit;
    if !response.content_length().is_none_or(fits) {
        return Ok(None);
    }
    let started = Instant::now();
    let mut body = Vec::new();
    loop {
        let chunk = timeout_at(started + pace.time_for(body.len() as u64), response.chunk()).await;
        let Some(chunk) = chunk.map_err(|_| pace.too_slow())?? else { return Ok(Some(body)) };
        if !fits((body.len() + chunk.len()) as u64) {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
}

impl Pace {
    /// The time by which more than this many bytes must have arrived.
    fn time_for(&self, bytes: u64) -> Duration {
        let secs = bytes.checked_div(self.least_bytes_per_sec).unwrap_or(u64::from(u32::MAX));
        self.grace.saturating_add(Duration::from_secs(secs))
    }

    fn too_slow(&self) -> NetworkError {
        NetworkError::Slow { least_bytes_per_sec: self.least_bytes_per_sec }
    }
}

/// Parses `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. A date is compared with the server's own `Date`, since its
/// clock and ours may differ.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(date(headers)?).unwrap_or_default())
}

/// The server's time when it answered, to the second: `Date` (RFC 9110, section 6.6.1).
pub fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{BUILD, long_version};

    #[test]
    fn what_can_be_asked_has_a_host_and_speaks_http() {
        for wrong in ["", "host", "ftp://host", "file:///etc/passwd", "http://", "https://:1", "unix:/run/x"] {
            assert_eq!(url(wrong), Err(ClientSetupError::Url), "{wrong}");
        }
        assert_eq!(base_url("http://host/a").unwrap().as_str(), "http://host/a/");
        assert_eq!(base_url("https://host").unwrap().as_str(), "https://host/");
    }

    #[test]
    fn this_machine_has_many_addresses() {
        for (text, loopback) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1", true),
            ("http://127.3.2.1", true),
            ("http://[::1]:1/x", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(is_loopback(&url(text).unwrap()), loopback, "{text}");
        }
    }

    #[tokio::test]
    async fn a_server_is_told_the_program_and_no_error_shows_the_url() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url(&format!("http://{}/?key=s3cret", listener.local_addr().unwrap())).unwrap();
        let client = HttpOptions::new("a-program").client(&url).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        };
        let (answer, request) = tokio::join!(client.get(url.clone()).send(), server);
        let said = format!("user-agent: a-program/{}\r\n", long_version());
        assert!(request.contains(&said), "{request}");
        assert!(said.contains(BUILD.version), "{said}");
        let broken = read_body(answer.unwrap(), 100, Pace::default()).await.unwrap_err();
        assert!(matches!(broken, NetworkError::Broken(_)), "{broken}");
        drop(listener);
        let refused = NetworkError::from(client.get(url).send().await.unwrap_err());
        assert!(matches!(refused, NetworkError::Connect(_)), "{refused}");
        assert!(!format!("{broken:?} {refused:?}").contains("s3cret"), "{refused}");
    }
}
