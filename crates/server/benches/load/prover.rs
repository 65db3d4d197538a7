//! A prover that proves nothing: it claims, signs what it is told to, and submits.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

use reqwest::{Client, StatusCode};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::json;
use tee_api::{PublicKey, Signature, SubmitProof, TeeType};
use tee_attestation::{ReportData, simulated::Platform};
use tee_verifier::H256;
use tokio::time::sleep;

static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform::new(SystemTime::now()).unwrap());

/// How long a prover waits when a server does not answer.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Prover {
    http: Client,
    key: SecretKey,
    /// The servers that it may ask, the next one first.
    urls: Vec<String>,
}

/// A batch in work.
pub(crate) struct Claimed {
    pub(crate) number: u32,
    pub(crate) lease: String,
}

/// An HTTP client for this machine.
pub(crate) fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap()
}

impl Prover {
    pub(crate) fn new(http: &Client, seed: u32, urls: Vec<String>) -> Self {
        let mut secret = [1; 32];
        secret[..4].copy_from_slice(&seed.to_be_bytes());
        Self { http: http.clone(), key: SecretKey::from_slice(&secret).unwrap(), urls }
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_bytes(&self.key.public_key(SECP256K1).serialize()).unwrap()
    }

    pub(crate) async fn register(&self) {
        self.register_at(&self.urls[0]).await;
    }

    pub(crate) async fn register_at(&self, server: &str) {
        let pubkey = self.public();
        let quote = PLATFORM.quote(&ReportData::V1 { address: pubkey.address().0 }).unwrap();
        let body = json!({ "attestation": hex::encode(quote), "pubkey": pubkey.to_string() }).to_string();
        let url = format!("{server}/tee/register_attestation");
        let answer = self.http.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }

    /// Claims a batch, with as many attempts as it takes. `None` if there is none.
    pub(crate) async fn claim(&mut self) -> Option<Claimed> {
        loop {
            match self.try_claim().await {
                Ok(claimed) => return claimed,
                Err(_) => self.turn().await,
            }
        }
    }

    async fn try_claim(&self) -> Result<Option<Claimed>, reqwest::Error> {
        let url = format!("{}/tee/proof_inputs", self.urls[0]);
        let request = self.http.post(url).header("accept-encoding", "zstd").body(r#"{"tee_type":"sgx"}"#);
        let answer = request.send().await?.error_for_status()?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let lease = answer.headers()["tee-lease-id"].to_str().unwrap().to_owned();
        let number = zstd::decode_all(&*answer.bytes().await?).unwrap();
        let number = String::from_utf8(number).unwrap().parse().unwrap();
        Ok(Some(Claimed { number, lease }))
    }

    /// Submits the proof of a batch until a server acknowledges it. False if the lease was no longer this prover's.
    pub(crate) async fn submit(&mut self, claimed: &Claimed) -> bool {
        let body = serde_json::to_string(&self.proof(claimed.number)).unwrap();
        loop {
            let url = format!("{}/tee/submit_proofs/{}", self.urls[0], claimed.number);
            let request = self.http.post(url).header("tee-lease-id", &claimed.lease).body(body.clone());
            match request.send().await.map(|answer| answer.status()) {
                Ok(StatusCode::OK) => return true,
                Ok(StatusCode::CONFLICT) => return false,
                Ok(status) => assert!(status.is_server_error(), "{status}"),
                Err(_) => {}
            }
            self.turn().await;
        }
    }

    pub(crate) fn proof(&self, number: u32) -> SubmitProof {
        let root = H256::from_low_u64_be(number.into());
        let message = Message::from_slice(root.as_bytes()).unwrap();
        let (id, compact) = SECP256K1.sign_ecdsa_recoverable(&message, &self.key).serialize_compact();
        let signature = Signature::from_bytes(&[&compact[..], &[27 + id.to_i32() as u8]].concat()).unwrap();
        SubmitProof { signature, pubkey: self.public(), proof: root, tee_type: TeeType::Sgx, statement: None }
    }

    /// Makes the next server the first one to ask.
    async fn turn(&mut self) {
        self.urls.rotate_left(1);
        sleep(PAUSE).await;
    }
}

/// The duration in milliseconds that a share of the durations did not exceed.
pub(crate) fn percentile_ms(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort();
    let index = (durations.len() * percent / 100).min(durations.len() - 1);
    durations[index].as_secs_f64() * 1000.0
}

/// The time that some work took, and its result.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (work.await, start.elapsed())
}
