//! `tee-health http://HOST:PORT/PATH`: whether a program reports that it is healthy. It is the health check of
//! containers without a shell.
//!
//! It speaks only plain HTTP: a server that speaks TLS is asked from outside its container.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// A longer line is no status line.
const MAX_LINE_BYTES: u64 = 1024;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: tee-health http://HOST:PORT/PATH");
        return ExitCode::from(2);
    };
    let Some((authority, path)) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
        eprintln!("error: {url} is not http://HOST:PORT/PATH");
        return ExitCode::from(2);
    };
    match status_line(authority, path) {
        Ok(line) if line.split(' ').nth(1) == Some("200") => ExitCode::SUCCESS,
        Ok(line) => {
            eprintln!("unhealthy: {line}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("unhealthy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The first line of the answer, such as `HTTP/1.1 200 OK`.
fn status_line(authority: &str, path: &str) -> io::Result<String> {
    let address = authority.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: if a server answers before it has read everything, the rest could not be written.
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(io::Read::take(stream, MAX_LINE_BYTES)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
