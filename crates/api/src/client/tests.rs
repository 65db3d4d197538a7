//! Tests against a server that sends exactly the bytes that a test specifies.

use std::{io::Write, time::Duration};

use tee_verifier::{H256, InputForm, L1BatchNumber};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;
use crate::{BearerTokenError, InputEncoding, NetworkError, Quote, Signature, SigningKey};

/// Answers one connection with `answer` and closes it. Returns the request.
async fn serve_once(answer: impl Into<Vec<u8>>) -> (Client, JoinHandle<String>) {
    let answer = answer.into();
    serve(move |mut stream| async move {
        let request = read_request(&mut stream).await;
        stream.write_all(&answer).await.unwrap();
        request
    })
    .await
}

async fn serve<F: Future<Output = String> + Send + 'static>(
    handle: impl FnOnce(tokio::net::TcpStream) -> F + Send + 'static,
) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { handle(listener.accept().await.unwrap().0).await });
    let options = ClientOptions {
        read_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_secs(5),
        max_input_bytes: 1 << 20,
        ..ClientOptions::default()
    };
    (Client::new(&url, options).unwrap(), task)
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    [answer.as_bytes(), b"\r\n", body].concat()
}

fn submission() -> SubmitProof {
    SubmitProof {
        signature: Signature::from_bytes(&[1; 64]).unwrap(),
        pubkey: SigningKey::from_hex(&"07".repeat(32)).unwrap().public_key(),
        proof: H256::repeat_byte(2),
        tee_type: TeeType::Sgx,
        statement: None,
    }
}

#[tokio::test]
async fn nothing_to_do_is_none_and_the_request_asks_for_cbor_and_zstd() {
    let (client, request) = serve_once(answer("204 No Content", &[], b"")).await;
    assert!(client.proof_inputs(TeeType::Sgx).await.unwrap().is_none());
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /base/tee/proof_inputs HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("accept: application/cbor, application/json\r\n"), "{request}");
    assert!(request.contains("accept-encoding: zstd\r\n"), "{request}");
    assert!(request.contains("user-agent: tee-prover-gateway/"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"tee_type\":\"sgx\"}"), "{request}");
}

#[tokio::test]
async fn an_input_that_cannot_be_read_still_brings_its_lease() {
    let headers = [("content-type", "application/json"), ("tee-lease-id", "abc"), ("tee-lease-expires-in", "600")];
    let (client, _request) = serve_once(answer("200 OK", &headers, b"{\"V1\":{}}")).await;
    let work = client.proof_inputs(TeeType::Sgx).await.unwrap().unwrap();
    let lease = Lease { id: "abc".parse().unwrap(), expires_in: Duration::from_secs(600) };
    assert_eq!(work.lease, Some(lease));
    assert!(matches!(work.input, Err(UnreadableInput::Input(_))), "{:?}", work.input);
}

/// A server that sends a byte now and then never reaches the time-out between two pieces.
#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let (client, _request) = serve(|mut stream| async move {
        let request = read_request(&mut stream).await;
        let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{";
        stream.write_all(begun).await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        request
    })
    .await;
    let pace = Pace { grace: Duration::from_millis(100), least_bytes_per_sec: 16 * 1024 };
    let client = Client { pace, ..client };
    let slow = NetworkError::Slow { least_bytes_per_sec: pace.least_bytes_per_sec };
    let error = client.proof_inputs(TeeType::Sgx).await.unwrap_err();
    assert_eq!(error, ClientError::Network { error: slow, retry_after: None });
}

#[tokio::test]
async fn a_bomb_is_not_unfolded() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(&vec![b' '; 8 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    for content_type in ["application/json", "application/cbor"] {
        let headers = [("content-type", content_type), ("content-encoding", "zstd")];
        let (client, _request) = serve_once(answer("200 OK", &headers, &bomb)).await;
        let work = client.proof_inputs(TeeType::Sgx).await.unwrap().unwrap();
        let input = work.input.expect_err("spaces");
        if content_type == "application/json" {
            assert!(matches!(input, UnreadableInput::TooLarge { .. }), "{input:?}");
        }
    }
}

#[tokio::test]
async fn a_body_past_the_limit_is_not_read() {
    for body in [answer("200 OK", &[], &vec![0; (1 << 20) + 1]), {
        let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n100001\r\n".to_vec();
        chunked.resize(chunked.len() + (1 << 20) + 1, b' ');
        chunked.extend_from_slice(b"\r\n0\r\n\r\n");
        chunked
    }] {
        let (client, _request) = serve(move |mut stream| async move {
            let request = read_request(&mut stream).await;
            // The client hangs up early.
            let _ = stream.write_all(&body).await;
            request
        })
        .await;
        let work = client.proof_inputs(TeeType::Sgx).await.unwrap().unwrap();
        assert!(matches!(work.input, Err(UnreadableInput::TooLarge { limit: 0x10_0000 })), "{:?}", work.input);
    }
}

#[tokio::test]
async fn a_body_cut_short_is_the_networks_fault() {
    let mut cut = answer("200 OK", &[], &[b' '; 1000]);
    cut.truncate(cut.len() - 500);
    let (client, _request) = serve_once(cut).await;
    let error = client.proof_inputs(TeeType::Sgx).await.unwrap_err();
    assert!(matches!(error, ClientError::Network { error: NetworkError::Broken(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_reset_and_a_refused_connection_are_the_networks_fault() {
    let (client, task) = serve_once("").await;
    let error = client.submit_proof(L1BatchNumber(1), &submission(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Network { error: NetworkError::Broken(_), .. }), "{error:?}");
    task.await.unwrap();
    let error = client.submit_proof(L1BatchNumber(1), &submission(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Network { error: NetworkError::Connect(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_silent_server_is_a_time_out() {
    let (client, task) = serve(|mut stream| async move {
        let request = read_request(&mut stream).await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        request
    })
    .await;
    let error = client.proof_inputs(TeeType::Sgx).await.unwrap_err();
    assert!(matches!(error, ClientError::Network { error: NetworkError::TimeOut, .. }), "{error:?}");
    task.await.unwrap();
}

#[tokio::test]
async fn statuses_are_sorted_by_who_is_at_fault() {
    for status in [408, 425, 429, 500, 502, 503, 599] {
        let (client, _request) = serve_once(answer(&format!("{status} X"), &[("retry-after", "7")], b"later\n")).await;
        let error = client.submit_proof(L1BatchNumber(1), &submission(), None).await.unwrap_err();
        let expected = ClientError::Network {
            error: NetworkError::Unavailable { status, detail: "later ".to_owned() },
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(error, expected);
    }
    let problem = br#"{"type":"about:blank","code":"unknown_key","status":401,"detail":"register first"}"#;
    let (client, _request) = serve_once(answer("401 X", &[], problem)).await;
    let expected =
        ClientError::Refused { status: 401, code: Some("unknown_key".to_owned()), detail: "register first".to_owned() };
    assert_eq!(client.submit_proof(L1BatchNumber(1), &submission(), None).await, Err(expected));

    let (client, _request) = serve_once(answer("302 X", &[("location", "http://example.com")], b"")).await;
    let error = client.submit_proof(L1BatchNumber(1), &submission(), None).await;
    assert_eq!(error, Err(AnswerError::Status(302).into()));
}

#[tokio::test]
async fn a_date_to_retry_after_counts_from_the_servers_clock() {
    let headers = [("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let (client, _request) = serve_once(answer("503 X", &headers, b"")).await;
    let error = client.submit_proof(L1BatchNumber(1), &submission(), None).await.unwrap_err();
    let ClientError::Network { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_success_that_does_not_say_so_is_nobodys_word_that_a_proof_was_taken() {
    for body in [&b"<html>log in</html>"[..], b"", b"\"Failure\"", b"{}"] {
        let (client, _request) = serve_once(answer("200 OK", &[], body)).await;
        let error = client.submit_proof(L1BatchNumber(1), &submission(), None).await;
        assert_eq!(error, Err(AnswerError::NotSuccess.into()));
    }
}

#[tokio::test]
async fn a_token_is_sent_and_never_shown() {
    let (client, request) = serve(|mut stream| async move {
        let request = read_request(&mut stream).await;
        stream.write_all(&answer("204 No Content", &[], b"")).await.unwrap();
        request
    })
    .await;
    let token: BearerToken = "s3cret\n".parse().unwrap();
    let options = ClientOptions { token: Some(token), ..ClientOptions::default() };
    assert!(!format!("{options:?}").contains("s3cret"));
    let client = Client::new(client.base_url.as_str(), options).unwrap();
    assert!(client.claim(TeeType::Sgx, Some(Duration::from_secs(20))).await.unwrap().is_none());
    assert!(!format!("{client:?}").contains("s3cret"));
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /base/tee/proof_inputs?wait_secs=20 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer s3cret\r\n"), "{request}");
    for text in ["", " ", "a b", "é", "a\r\nb", &"a".repeat(4097)] {
        assert_eq!(text.parse::<BearerToken>(), Err(BearerTokenError), "{text}");
    }
}

#[tokio::test]
async fn nonsense_is_the_answers_fault() {
    for (headers, expected) in [
        (vec![("content-type", "text/html")], AnswerError::ContentType),
        (vec![("content-encoding", "gzip")], AnswerError::ContentEncoding),
        (vec![("tee-lease-id", "a b"), ("tee-lease-expires-in", "1")], AnswerError::Lease),
        (vec![("tee-lease-id", "a")], AnswerError::Lease),
        (vec![("tee-lease-id", "a"), ("tee-lease-expires-in", "-1")], AnswerError::Lease),
    ] {
        let (client, _request) = serve_once(answer("200 OK", &headers, b"{}")).await;
        assert_eq!(client.proof_inputs(TeeType::Sgx).await.err(), Some(expected.into()));
    }
}

#[tokio::test]
async fn a_submission_names_its_lease_only_when_there_is_one() {
    for lease in [None, Some("abc".parse::<LeaseId>().unwrap())] {
        let (client, request) = serve_once(answer("200 OK", &[], b"\"Success\"")).await;
        client.submit_proof(L1BatchNumber(77), &submission(), lease.as_ref()).await.unwrap();
        let request = request.await.unwrap();
        assert!(request.starts_with("POST /base/tee/submit_proofs/77 HTTP/1.1\r\n"), "{request}");
        assert_eq!(request.contains("tee-lease-id: abc\r\n"), lease.is_some(), "{request}");
    }
}

#[tokio::test]
async fn registrations_and_leases_have_their_paths() {
    let lease_id: LeaseId = "abc".parse().unwrap();
    let (client, request) = serve_once(answer("200 OK", &[], b"\"Success\"")).await;
    let attestation = Quote::new(vec![1]).unwrap();
    let pubkey = submission().pubkey;
    client.register_attestation(&RegisterAttestation { attestation, pubkey }).await.unwrap();
    assert!(request.await.unwrap().starts_with("POST /base/tee/register_attestation "));

    let headers = [("tee-lease-id", "abc"), ("tee-lease-expires-in", "5")];
    let (client, request) = serve_once(answer("200 OK", &headers, b"\"Success\"")).await;
    assert_eq!(client.renew_lease(&lease_id).await.unwrap().expires_in, Duration::from_secs(5));
    assert!(request.await.unwrap().starts_with("POST /base/tee/leases/abc/renew "));

    let (client, request) = serve_once(answer("200 OK", &[], b"\"Success\"")).await;
    client.fail_lease(&lease_id, &FailReport::new("k", "e")).await.unwrap();
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /base/tee/leases/abc/fail "));
    assert!(request.ends_with(r#"{"kind":"k","error":"e"}"#), "{request}");

    let (client, request) = serve_once(answer("204 No Content", &[], b"")).await;
    client.give_back_lease(&lease_id).await.unwrap();
    assert!(request.await.unwrap().starts_with("DELETE /base/tee/leases/abc "));
}

#[test]
fn what_is_not_a_base_url_is_refused() {
    for url in ["", "localhost:3320", "ftp://x", "http://", "/tee"] {
        assert_eq!(Client::new(url, ClientOptions::default()).err(), Some(ClientSetupError::Url), "{url}");
    }
    let loopback = |url| Client::new(url, ClientOptions::default()).unwrap().is_loopback();
    assert!(loopback("http://127.0.0.1:3320") && loopback("http://localhost") && loopback("http://[::1]:1/x"));
    assert!(!loopback("http://10.0.0.1") && !loopback("http://127.0.0.1.example.com"));
}

#[test]
fn a_token_is_exposed_only_over_plain_http_to_another_machine() {
    let exposed = |url, token: Option<&str>| {
        let token = token.map(|token| token.parse().unwrap());
        Client::new(url, ClientOptions { token, ..ClientOptions::default() }).unwrap().exposes_token()
    };
    let token = Some("s3cret");
    assert!(exposed("http://10.0.0.1:3320", token) && exposed("http://proofs.example.org", token));
    assert!(!exposed("http://10.0.0.1:3320", None));
    assert!(!exposed("http://127.0.0.1:3320", token) && !exposed("http://localhost", token));
    assert!(!exposed("https://proofs.example.org", token));
}

/// A real batch input in JSON and zstd, where the test data is at hand.
fn real_input() -> Option<Vec<u8>> {
    let data = test_skips::data()?;
    Some(std::fs::read(data.join("era-batches/v26-sepolia.json.zst")).unwrap())
}

#[test]
fn an_input_is_decompressed_no_further_than_it_may() {
    let Some(body) = real_input() else { return };
    let json = zstd::decode_all(&*body).unwrap();
    let size = json.len() as u64;
    let limit = MAX_INPUT_BYTES;
    let encoded = EncodedInput { body: Some(body), encoding: InputEncoding::zstd(InputForm::Json), limit };
    let decoded = encoded.decode(size).unwrap();
    assert_eq!((decoded.bytes, decoded.input), (size, BatchInput::from_json(&json).unwrap()));
    let cut = encoded.decode(size - 1);
    assert!(matches!(cut, Err(UnreadableInput::TooLarge { limit }) if limit == size - 1), "{cut:?}");
}

#[tokio::test]
async fn real_inputs_are_read_in_every_form() {
    let Some(json_zstd) = real_input() else { return };
    let json = zstd::decode_all(&*json_zstd).unwrap();
    let expected = BatchInput::from_json(&json).unwrap();
    let mut cbor = Vec::new();
    expected.to_cbor(&mut cbor).unwrap();
    let cbor_zstd = zstd::encode_all(&*cbor, 1).unwrap();
    for (content_type, encoding, body) in [
        ("application/json", "identity", json),
        ("application/json; charset=utf-8", "zstd", json_zstd),
        ("application/cbor", "identity", cbor),
        ("application/cbor", "zstd", cbor_zstd),
    ] {
        let headers = [("content-type", content_type), ("content-encoding", encoding)];
        let (client, _request) = serve_once(answer("200 OK", &headers, &body)).await;
        let client = Client { max_input_bytes: MAX_INPUT_BYTES, ..client };
        let work = client.proof_inputs(TeeType::Tdx).await.unwrap().unwrap();
        assert_eq!(work.lease, None);
        assert_eq!(work.input.unwrap(), expected, "{content_type} {encoding}");
    }
}
