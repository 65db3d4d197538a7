//! How a node is asked over HTTP, whichever of its APIs.

use std::time::Duration;

use reqwest::{Client, Response, Url, redirect};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(600);

/// A client that follows nobody elsewhere and waits for nobody without end.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    crate::crypto::install();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("tee-proof-server/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// An address that can be asked: http or https, with a host.
pub(crate) fn url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// An answer's body; `None` where it has more bytes than that.
pub(crate) async fn body(mut answer: Response, max_bytes: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > max_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}
