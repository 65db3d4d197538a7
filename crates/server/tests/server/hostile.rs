//! Hostile peers. Each time, the server continues to serve others.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use tee_server::{Limits, NewToken, Role};
use tee_verifier::{U256, keccak256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::world::{World, new_batch};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection from another address of this machine than the one that other tests use.
async fn connect_from(address: [u8; 4], to: SocketAddr, receive_bytes: Option<u32>) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((address, 0).into())?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(to).await
}

/// Reads until the server closes.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = vec![];
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn assert_serves_others(world: &World) {
    let answer = timeout(PATIENCE, world.get("/tee/present_batches")).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}

async fn world(change: impl FnOnce(&mut Limits)) -> World {
    World::start_with(|config| change(&mut config.limits)).await
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_off_in_time() {
    let world = world(|limits| limits.header_timeout_secs = 1).await;
    for start in ["", "GET", "GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: "] {
        let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let started = Instant::now();
        let (mut reader, mut writer) = stream.into_split();
        // A byte from time to time does not gain more time.
        let drip = tokio::spawn(async move {
            while !start.is_empty() && writer.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if start.is_empty() {
                std::future::pending::<()>().await;
            }
        });
        assert_serves_others(&world).await;
        let mut answer = vec![];
        let _ = timeout(PATIENCE, reader.read_to_end(&mut answer)).await.expect("the server closes");
        let elapsed = started.elapsed();
        drip.abort();
        assert!(elapsed >= Duration::from_millis(900) && elapsed < Duration::from_secs(10), "{start:?} {elapsed:?}");
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{start:?}");
    }
    assert_serves_others(&world).await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_answered_in_time() {
    let world = world(|limits| limits.request_timeout_secs = 1).await;
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    let head = "POST /tee/proof_inputs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_serves_others(&world).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
}

#[tokio::test]
async fn an_upload_that_stalls_is_answered_in_time() {
    let world = world(|limits| limits.stall_timeout_secs = 1).await;
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    let head = "POST /admin/batches HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_serves_others(&world).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_huge_header_is_refused() {
    let world = world(|_| ()).await;
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    let head = format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {}", "a".repeat(64 * 1024));
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
    let many: String = (0..200).map(|number| format!("x{number}: a\r\n")).collect();
    let head = format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_serves_others(&world).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let world = world(|_| ()).await;
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\r\n\r\n\0\0\0\0 garbage\r\n\r\n", &[0xff; 1000]]
    {
        let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_serves_others(&world).await;
}

#[tokio::test]
async fn half_open_connections_of_one_peer_leave_room_for_others() {
    let world = world(|limits| {
        limits.max_connections = 8;
        limits.max_connections_per_peer = 4;
    })
    .await;
    let attacker = [127, 0, 0, 2];
    let address = world.server.local_addr();
    let mut held = vec![];
    for _ in 0..4 {
        held.push(connect_from(attacker, address, None).await.unwrap());
    }
    for _ in 0..8 {
        let mut stream = connect_from(attacker, address, None).await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "");
        assert_serves_others(&world).await;
    }
    drop(held);
    // A connection that was closed makes room again.
    let served = async {
        loop {
            let mut stream = connect_from(attacker, address, None).await.unwrap();
            let request = "GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            if read_to_end(&mut stream).await.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn half_open_connections_at_the_limit_make_others_wait_no_longer_than_a_header_may_take() {
    let world = world(|limits| {
        limits.max_connections = 4;
        limits.max_connections_per_peer = 4;
        limits.header_timeout_secs = 1;
    })
    .await;
    let mut held = vec![];
    for _ in 0..4 {
        held.push(connect_from([127, 0, 0, 2], world.server.local_addr(), None).await.unwrap());
    }
    assert_serves_others(&world).await;
}

/// Larger than the sockets' buffers, and not compressible.
const LARGE: usize = 16 << 20;

/// Asks for an answer of that size.
async fn ask_for_much(world: &World) -> TcpStream {
    let words = (0..LARGE as u32 / 32).map(|number| keccak256(&number.to_be_bytes()));
    let mut batch = new_batch(1, None);
    batch.input.vm_run_data.used_bytecodes = [(U256::one(), words.collect())].into();
    world.server.service().add_batch(batch).await.unwrap();
    let mut stream = connect_from([127, 0, 0, 2], world.server.local_addr(), Some(4096)).await.unwrap();
    let request = "GET /tee/proof_inputs_no_lock/1 HTTP/1.1\r\nhost: localhost\r\naccept: application/cbor\r\n\
                   accept-encoding: zstd\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Waits until the hostile connection is the only one.
async fn assert_others_are_cut_off(world: &World) {
    let open = async || {
        let metrics = String::from_utf8(world.get("/metrics").await.body).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("tee_server_open_connections ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let cut = async {
        while open().await > 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, cut).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let world = world(|limits| limits.stall_timeout_secs = 1).await;
    let mut stream = ask_for_much(&world).await;
    assert_others_are_cut_off(&world).await;
    let mut got = vec![];
    let _ = timeout(PATIENCE, stream.read_to_end(&mut got)).await.unwrap();
    assert!(got.len() < LARGE, "{} bytes", got.len());
}

#[tokio::test]
async fn a_reader_that_drips_is_cut_off_while_something_of_its_answer_goes_on_its_way_all_the_time() {
    // The sockets between them take nothing for a while, and then much at once.
    let world = world(|limits| {
        limits.stall_timeout_secs = 3;
        limits.least_answer_bytes_per_sec = 1_000_000;
    })
    .await;
    let mut stream = ask_for_much(&world).await;
    let dripping = tokio::spawn(async move {
        let (mut piece, mut got) = (vec![0; 40_000], 0);
        while stream.read_exact(&mut piece).await.is_ok() {
            got += piece.len();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        got
    });
    assert_others_are_cut_off(&world).await;
    let got = timeout(PATIENCE, dripping).await.unwrap().unwrap();
    assert!(got < LARGE, "{got} bytes");
}

#[tokio::test]
async fn uploads_that_drip_keep_no_other_from_coming_in_and_are_cut_off() {
    let world = world(|limits| limits.stall_timeout_secs = 3).await;
    let head = "POST /admin/batches HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cbor\r\n\
                content-length: 100000\r\n\r\n";
    let mut dripping = vec![];
    for _ in 0..4 {
        let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let drip = tokio::spawn(async move {
            while writer.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        dripping.push(tokio::spawn(async move {
            let mut answer = vec![];
            let _ = reader.read_to_end(&mut answer).await;
            drip.abort();
            String::from_utf8_lossy(&answer).into_owned()
        }));
    }
    let mut honest = vec![];
    new_batch(1, None).input.to_cbor(&mut honest).unwrap();
    let headers = [("content-type", "application/cbor")];
    let added = timeout(PATIENCE, world.send(Method::POST, "/admin/batches", &headers, honest)).await.unwrap();
    assert_eq!(added.status, StatusCode::CREATED);
    assert!(dripping.iter().all(|upload| !upload.is_finished()), "it had to wait for them");
    for upload in dripping {
        let answer = timeout(PATIENCE, upload).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}

#[tokio::test]
async fn who_has_no_token_gets_one_answer_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.yaml");
    let token = NewToken::random("r".parse().unwrap(), Role::Reader);
    std::fs::write(&tokens, format!("tokens:\n{}\n", token.line())).unwrap();
    let world = World::start_with(|config| {
        config.tokens_file = Some(tokens.clone());
        config.public_proofs = true;
    })
    .await;
    let authorization = format!("authorization: Bearer {}\r\n", token.secret());
    for (path, header, answers) in [
        ("/health/live", "", 1),
        ("/tee/present_batches", "", 1),
        ("/nowhere", "", 1),
        ("/tee/present_batches", authorization.as_str(), 3),
    ] {
        let mut stream = TcpStream::connect(world.server.local_addr()).await.unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{header}\r\n");
        stream.write_all(ask.repeat(2).as_bytes()).await.unwrap();
        let last = ask.replace("host: ", "connection: close\r\nhost: ");
        let _ = stream.write_all(last.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), answers, "{path}: {answer}");
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_have_so_much_room_and_others_are_served_meanwhile() {
    // Three times what sockets can hold.
    let collateral_bytes = 24 << 20;
    let world = world(|limits| limits.max_answer_bytes = 256 << 20).await;
    world.add(1).await;
    let key = world.registered_key(1).await;
    world.submit(1, &key.proof(crate::world::ROOT), None).await.assert_success();
    let json = format!("\"{}\"", "c".repeat(collateral_bytes));
    let literal = world.bytes_literal(json.as_bytes());
    world.execute(&format!("UPDATE tee_attestations SET collateral = {literal}")).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"unstable_getTeeProofs","params":[1,null]}"#;
    let ask = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{call}", call.len());
    let address = world.server.local_addr();
    let (mut reading, mut refused) = (vec![], 0);
    for _ in 0..8 {
        let mut stream = connect_from([127, 0, 0, 2], address, Some(4096)).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut start)).await.unwrap().unwrap();
        match &start {
            b"HTTP/1.1 200" => reading.push(stream),
            b"HTTP/1.1 503" => refused += 1,
            _ => panic!("{}", String::from_utf8_lossy(&start)),
        }
    }
    // A quarter of the room is for two of them.
    assert_eq!((reading.len(), refused), (2, 6));
    let proofs = world.rpc_proofs(1).await;
    assert_eq!(proofs[0]["collateral"].as_str().map(str::len), Some(collateral_bytes));
    // A client that goes away makes room.
    drop(reading);
    let served = async {
        loop {
            let mut stream = connect_from([127, 0, 0, 2], address, None).await.unwrap();
            stream.write_all(ask.replace("host:", "connection: close\r\nhost:").as_bytes()).await.unwrap();
            if read_to_end(&mut stream).await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.unwrap();
}
