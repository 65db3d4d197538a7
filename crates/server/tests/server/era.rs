//! zksync-era's own prover, byte by byte: the requests that its `api_client.rs` (29.x) sends through reqwest, in its order,
//! over one connection. It knows neither leases nor statements, signs with 64 or 65 bytes, and reads JSON.

use std::{io::Read, time::Duration};

use serde_json::Value;
use tee_api::TeeType;
use tee_server::JobStatus::{Generated, PickedByProver};
use tee_verifier::BatchInput;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::world::{Key, ROOT, World, input};

/// A connection as reqwest keeps it.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    /// What reqwest adds when it was built with decompression.
    accept_encoding: Option<&'static str>,
}

struct RawAnswer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Connection {
    async fn open(world: &World, accept_encoding: Option<&'static str>) -> Self {
        let address = world.server.local_addr();
        let stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        Self { stream, host: address.to_string(), accept_encoding }
    }

    /// `client.post(url).json(&body).send()`.
    async fn post(&mut self, path: &str, body: &str) -> RawAnswer {
        let encoding = self.accept_encoding.map(|listed| format!("accept-encoding: {listed}\r\n")).unwrap_or_default();
        let request = format!(
            "POST {path} HTTP/1.1\r\ncontent-type: application/json\r\naccept: */*\r\n{encoding}host: {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        timeout(Duration::from_secs(20), self.answer()).await.unwrap()
    }

    async fn answer(&mut self) -> RawAnswer {
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let mut body = vec![];
        if header("transfer-encoding") == Some("chunked") {
            loop {
                let mut line = vec![];
                while !line.ends_with(b"\r\n") {
                    line.push(self.stream.read_u8().await.unwrap());
                }
                let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
                let mut piece = vec![0; size + 2];
                self.stream.read_exact(&mut piece).await.unwrap();
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&piece[..size]);
            }
        } else if let Some(length) = header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut body).await.unwrap();
        }
        RawAnswer { status, head, body }
    }
}

impl RawAnswer {
    fn assert_success(&self) {
        assert_eq!((self.status, &*self.body), (200, &b"\"Success\""[..]));
        assert!(self.head.contains("content-type: application/json\r\n"), "{}", self.head);
    }

    async fn plain(&self) -> Vec<u8> {
        let mut plain = vec![];
        if self.head.contains("content-encoding: zstd\r\n") {
            zstd::Decoder::new(&*self.body).unwrap().read_to_end(&mut plain).unwrap();
        } else if self.head.contains("content-encoding: gzip\r\n") {
            let mut decoder = async_compression::tokio::bufread::GzipDecoder::new(&*self.body);
            decoder.read_to_end(&mut plain).await.unwrap();
        } else {
            assert!(!self.head.contains("content-encoding"), "{}", self.head);
            plain.clone_from(&self.body);
        }
        plain
    }
}

/// One run of its loop: register, take a batch, submit, and find that there is no more.
async fn prove_one(world: &World, accept_encoding: Option<&'static str>, number: u32, signature_bytes: usize) {
    let key = Key::new(number as u8);
    let mut connection = Connection::open(world, accept_encoding).await;
    let registration = key.registration();
    let registration =
        format!(r#"{{"attestation":{},"pubkey":{}}}"#, registration["attestation"], registration["pubkey"]);
    connection.post("/tee/register_attestation", &registration).await.assert_success();

    let answer = connection.post("/tee/proof_inputs", r#"{"tee_type":"sgx"}"#).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json\r\n"), "{}", answer.head);
    if let Some(listed) = accept_encoding {
        let expected = if listed.contains("zstd") { "zstd" } else { "gzip" };
        assert!(answer.head.contains(&format!("content-encoding: {expected}\r\n")), "{}", answer.head);
    }
    let plain = answer.plain().await;
    assert_eq!(BatchInput::from_json(&plain).unwrap(), input(number));
    let envelope: Value = serde_json::from_slice(&plain).unwrap();
    let fields: Vec<_> = envelope["V1"].as_object().unwrap().keys().map(String::as_str).collect();
    for field in
        ["vm_run_data", "merkle_paths", "l2_blocks_execution_data", "l1_batch_env", "system_env", "pubdata_params"]
    {
        assert!(fields.contains(&field), "{fields:?}");
    }

    let signature = hex::encode(&key.sign(ROOT).to_bytes()[..signature_bytes]);
    let proof = format!(
        r#"{{"signature":"{signature}","pubkey":"{}","proof":"{}","tee_type":"sgx"}}"#,
        key.public(),
        hex::encode(ROOT)
    );
    connection.post(&format!("/tee/submit_proofs/{number}"), &proof).await.assert_success();

    let answer = connection.post("/tee/proof_inputs", r#"{"tee_type":"sgx"}"#).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
}

#[tokio::test]
async fn zksync_eras_prover_works_unchanged() {
    let world = World::start().await;
    let mut number = 0;
    for accept_encoding in [None, Some("gzip"), Some("zstd"), Some("gzip, br, zstd, deflate")] {
        for signature_bytes in [64, 65] {
            number += 1;
            world.add(number).await;
            prove_one(&world, accept_encoding, number, signature_bytes).await;
        }
    }
    let statuses = world.statuses(TeeType::Sgx).await;
    assert_eq!(statuses, (1..=number).map(|number| (number, Generated)).collect::<Vec<_>>());
    let proofs = world.get("/api/proofs?limit=1000").await.json();
    let lengths: Vec<_> = proofs["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|proof| proof["signature"].as_str().unwrap().len() / 2)
        .collect();
    assert_eq!(lengths, [64, 65].repeat(4));
}

#[tokio::test]
async fn a_prover_of_zksync_era_that_was_late_still_submits_as_nobody_else_has_the_batch() {
    let world = World::start().await;
    world.add(1).await;
    let key = Key::new(1);
    let mut connection = Connection::open(&world, None).await;
    let registration = key.registration().to_string();
    connection.post("/tee/register_attestation", &registration).await.assert_success();
    connection.post("/tee/proof_inputs", r#"{"tee_type":"sgx"}"#).await;
    world.clock.advance(Duration::from_secs(100_000));
    let proof = serde_json::to_string(&key.proof(ROOT)).unwrap();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, PickedByProver)]);
    connection.post("/tee/submit_proofs/1", &proof).await.assert_success();
    assert_eq!(world.statuses(TeeType::Sgx).await, [(1, Generated)]);
}
