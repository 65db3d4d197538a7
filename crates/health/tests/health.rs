//! How `tee-health` judges answers.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Command,
    thread,
};

/// The exit code for this answer; the request must be for this path.
fn exit_code(answer: &'static str, path: &'static str) -> Option<i32> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        assert_eq!(asked.next().unwrap(), format!("GET {path} HTTP/1.1"));
        // Reads all of the request: closing a connection with unread bytes resets it, and the answer may be lost.
        asked.find(String::is_empty).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let code = run(&[&format!("http://{address}{path}")]);
    server.join().unwrap();
    code
}

fn run(arguments: &[&str]) -> Option<i32> {
    Command::new(env!("CARGO_BIN_EXE_tee-health")).args(arguments).status().unwrap().code()
}

#[test]
fn only_200_is_well() {
    assert_eq!(exit_code("HTTP/1.1 200 OK\r\n\r\n", "/health/ready"), Some(0));
    assert_eq!(exit_code("HTTP/1.1 503 Service Unavailable\r\n\r\n200 ", "/health/ready"), Some(1));
    assert_eq!(exit_code("", "/health/live"), Some(1));
    assert_eq!(exit_code("nonsense 2000\r\n", "/"), Some(1));
}

#[test]
fn who_does_not_listen_is_not_well() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(run(&[&format!("http://{address}/health/ready")]), Some(1));
}

#[test]
fn what_is_no_address_is_an_error_of_the_command_line() {
    for arguments in [&[][..], &["https://127.0.0.1:1/health"], &["127.0.0.1:1"], &["http://a/b", "http://c/d"]] {
        assert_eq!(run(arguments), Some(2), "{arguments:?}");
    }
}
