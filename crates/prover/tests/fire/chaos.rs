//! An unreliable network between the gateway and its servers.

use crate::dice::Dice;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// More than any request's header.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A proxy that treats each connection at random, and connects it to one of several servers.
pub(crate) struct Chaos {
    address: SocketAddr,
    counts: Arc<Mutex<BTreeMap<&'static str, u32>>>,
    calm: Arc<AtomicBool>,
}

impl Chaos {
    pub(crate) async fn before(servers: Vec<SocketAddr>, mut dice: Dice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counts, calm) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicBool::new(false)));
        let (counted, is_calm) = (counts.clone(), calm.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (kind, server) = (dice.below(14), servers[dice.below(servers.len() as u64) as usize]);
                let dice = dice.split();
                let name = match kind {
                    _ if is_calm.load(Ordering::Relaxed) => "left alone",
                    0 => "500",
                    1 => "nonsense",
                    2 => "hung up",
                    3 | 4 => "cut",
                    5 => "trickled",
                    6 => "delayed",
                    7 | 8 => "sent twice",
                    _ => "left alone",
                };
                *counted.lock().unwrap().entry(name).or_default() += 1;
                tokio::spawn(async move {
                    // Whatever breaks here is meant to.
                    let _ = treat(name, client, server, dice).await;
                });
            }
        });
        Self { address, counts, calm }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leaves all later connections alone.
    #[allow(dead_code, reason = "not every test comes to an end that way")]
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u32> {
        self.counts.lock().unwrap().clone()
    }
}

async fn treat(name: &str, mut client: TcpStream, server: SocketAddr, mut dice: Dice) -> io::Result<()> {
    const NONSENSE: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 7\r\nconnection: close\r\n\r\n<html/>";
    const ERROR: &[u8] = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    match name {
        "500" | "nonsense" => {
            let mut request = [0; 4096];
            let _ = client.read(&mut request).await?;
            return client.write_all(if name == "500" { ERROR } else { NONSENSE }).await;
        }
        "hung up" => return Ok(()),
        "sent twice" => {
            let (head, body) = whole_request(&mut client).await?;
            // The server answers the first one in full, but nobody receives the answer.
            let mut first = open(server, &head).await?;
            first.write_all(&body).await?;
            tokio::io::copy(&mut first, &mut tokio::io::sink()).await?;
            let mut second = open(server, &head).await?;
            second.write_all(&body).await?;
            return tokio::io::copy(&mut second, &mut client).await.map(drop);
        }
        _ => {}
    }
    let (mut from_client, mut to_client) = client.split();
    let (head, begun) = head(&mut from_client).await?;
    if name == "delayed" {
        sleep(dice.up_to(Duration::from_millis(1500))).await;
    }
    let mut upstream = open(server, &head).await?;
    let (mut from_server, mut to_server) = upstream.split();
    let request = async {
        to_server.write_all(&begun).await?;
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        // The answer never arrives.
        std::future::pending::<io::Result<()>>().await
    };
    let answer = async {
        // The connection goes dead after up to a few requests' bytes: in a header, in a body, or between.
        let mut left = match name {
            "cut" => dice.below(60_000) as usize,
            "trickled" => dice.below(3_000) as usize,
            _ => usize::MAX,
        };
        let mut piece = [0; 1024];
        while left > 0 {
            let wanted = if name == "trickled" { 8 } else { piece.len() }.min(left);
            let read = from_server.read(&mut piece[..wanted]).await?;
            if read == 0 {
                break;
            }
            to_client.write_all(&piece[..read]).await?;
            left -= read;
            if name == "trickled" {
                sleep(Duration::from_millis(2)).await;
            }
        }
        Ok::<_, io::Error>(())
    };
    tokio::select! {
        broken = request => broken,
        answered = answer => answered,
    }
}

/// A connection to the server, with a request's header sent. Each connection has one exchange: otherwise a good
/// connection that stays open would carry all later requests past the dice.
async fn open(server: SocketAddr, head: &[u8]) -> io::Result<TcpStream> {
    let mut upstream = TcpStream::connect(server).await?;
    let line = head.windows(2).position(|end| end == b"\r\n").unwrap_or(head.len());
    upstream.write_all(&head[..line]).await?;
    upstream.write_all(b"\r\nconnection: close").await?;
    upstream.write_all(&head[line..]).await?;
    Ok(upstream)
}

/// A request's header, with the part of its body that came with it.
async fn head(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        if let Some(end) = head.windows(4).position(|end| end == b"\r\n\r\n") {
            let begun = head.split_off(end + 4);
            return Ok((head, begun));
        }
        if head.len() > MAX_HEAD_BYTES || from.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn whole_request(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (head, mut body) = head(client).await?;
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let begun = body.len();
    body.resize(length.unwrap_or(0).max(begun), 0);
    client.read_exact(&mut body[begun..]).await?;
    Ok((head, body))
}
