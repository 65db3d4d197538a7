//! A network that cannot be trusted, between the gateway and a server.

use crate::dice::Dice;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// A proxy that treats each connection as the dice say.
pub(crate) struct Chaos {
    address: SocketAddr,
    counts: Arc<Mutex<BTreeMap<&'static str, u32>>>,
}

impl Chaos {
    pub(crate) async fn before(server: SocketAddr, mut dice: Dice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Mutex::new(BTreeMap::new()));
        let counted = counts.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (kind, dice) = (dice.below(10), dice.split());
                let name = match kind {
                    0 => "500",
                    1 => "nonsense",
                    2 => "hung up",
                    3 | 4 => "cut",
                    5 => "trickled",
                    _ => "left alone",
                };
                *counted.lock().unwrap().entry(name).or_default() += 1;
                tokio::spawn(async move {
                    // Whatever breaks here was meant to.
                    let _ = treat(name, client, server, dice).await;
                });
            }
        });
        Self { address, counts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u32> {
        self.counts.lock().unwrap().clone()
    }
}

async fn treat(name: &str, mut client: TcpStream, server: SocketAddr, mut dice: Dice) -> std::io::Result<()> {
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
        _ => {}
    }
    let mut upstream = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = upstream.split();
    let request = async {
        let mut head = [0; 4096];
        let read = from_client.read(&mut head).await?;
        // One exchange a connection: a good one that stays open would take all that follow out of the dice's reach.
        let line = head[..read].windows(2).position(|end| end == b"\r\n").unwrap_or(read);
        to_server.write_all(&head[..line]).await?;
        to_server.write_all(b"\r\nconnection: close").await?;
        to_server.write_all(&head[line..read]).await?;
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        // The answer is still to come.
        std::future::pending::<std::io::Result<()>>().await
    };
    let answer = async {
        // Up to a few requests' worth, then the line goes dead: in a header, in a body, or between.
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
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        broken = request => broken,
        answered = answer => answered,
    }
}
