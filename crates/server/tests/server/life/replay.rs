//! A trace of the model on two real servers that share a database.

use std::{sync::Mutex, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tee_api::TeeType;
use tee_server::{JobChange, JobFilter, JobStatus, ProofFilter};
use tee_verifier::H256;

use super::model::{Action, Answer, Life, Prover, Root, Rules, Status, Who};
use crate::world::{Key, LEASE_SECS, World, http_from, root};

/// Longer than the time for which a prover that does not ask is counted.
const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3600);

/// The two servers, and how many traces they have run.
pub(super) struct Pair {
    servers: [World; 2],
    /// The time of their clock.
    now: Mutex<Duration>,
    traces: u32,
    pub(super) steps: usize,
}

/// A trace in progress, with a batch, two provers and two keys.
struct Replay<'a> {
    pair: &'a Pair,
    batch: u32,
    provers: [Actor; 2],
    steps: usize,
}

struct Actor {
    http: Client,
    name: String,
    key: Key,
    lease: Option<String>,
}

impl Pair {
    pub(super) async fn start(rules: Rules) -> Self {
        let server = World::start_with(|config| {
            config.max_attempts = rules.max_attempts.into();
            config.required_proofs.sgx = Some(rules.required_proofs.into());
        })
        .await;
        let other = server.beside().await;
        Self { servers: [server, other], now: Mutex::default(), traces: 0, steps: 0 }
    }

    fn advance(&self, by: Duration) {
        *self.now.lock().unwrap() += by;
        self.servers[0].clock.advance(by);
    }

    fn now_ms(&self) -> i64 {
        self.now.lock().unwrap().as_millis() as i64
    }

    /// Does what the trace says, and compares every answer and everything that is stored with the model.
    pub(super) async fn replay(&mut self, rules: Rules, trace: &[Action]) {
        self.traces += 1;
        let world = &self.servers[0];
        // Provers of other traces have long been gone.
        self.advance(TWO_DAYS);
        world.add(self.traces).await;
        let mut provers = Vec::new();
        for who in [Who::A, Who::B] {
            let number = 2 * self.traces + who as u32;
            let address = [127, 1, (number >> 8) as u8, number as u8];
            let key = Key::numbered(number);
            world.post("/tee/register_attestation", &key.registration()).await.assert_success();
            let name = format!("address:127.1.{}.{}", address[2], address[3]);
            provers.push(Actor { http: http_from(address.into()), name, key, lease: None });
        }
        let provers = provers.try_into().unwrap_or_else(|_| unreachable!("there are two"));
        let mut replay = Replay { pair: self, batch: self.traces, provers, steps: 0 };
        let mut life = rules.first();
        for (at, &action) in trace.iter().enumerate() {
            let (next, expected) = rules.step(life, action);
            let answer = replay.act(action).await;
            assert_eq!(answer, expected, "{action:?}, number {at} of {trace:?}, from {life}");
            replay.compare(&next).await.unwrap_or_else(|error| {
                panic!("after {action:?}, number {at} of {trace:?}, from {life} to {next}: {error}");
            });
            life = next;
        }
        let (batch, steps) = (replay.batch, replay.steps);
        // No other trace may be given this batch.
        self.servers[0].server.service().requeue_job(batch, TeeType::Sgx).await.unwrap();
        self.servers[0].server.service().ignore_job(batch, TeeType::Sgx).await.unwrap();
        self.steps += steps;
    }
}

impl Replay<'_> {
    /// One server and the other in turn.
    fn world(&self) -> &World {
        &self.pair.servers[(self.steps / 2 + self.steps) % 2]
    }

    async fn act(&mut self, action: Action) -> Answer {
        self.steps += 1;
        let service = self.world().server.service();
        match action {
            Action::Claim(who) => self.claim(who).await,
            Action::Renew(who) => self.under_lease(who, Method::POST, "/renew", Value::Null).await,
            Action::Fail(who) => self.under_lease(who, Method::POST, "/fail", json!({"kind": "k", "error": "e"})).await,
            Action::GiveBack(who) => self.under_lease(who, Method::DELETE, "", Value::Null).await,
            Action::Submit { who, root, with_lease } => self.submit(who, root, with_lease).await,
            Action::Suspend(who) => self.set_suspended(who, ("unjudged", "suspended"), "1").await,
            Action::Resume(who) => self.set_suspended(who, ("suspended", "unjudged"), "NULL").await,
            Action::Revoke(who) => {
                let key = self.provers[who as usize].key.public();
                service.revoke_key(&key, "chaos", true).await.unwrap().expect("the key is registered");
                Answer::Done
            }
            Action::Retry => changed(service.retry_job(self.batch, TeeType::Sgx).await),
            Action::Ignore => changed(service.ignore_job(self.batch, TeeType::Sgx).await),
            Action::Requeue => changed(service.requeue_job(self.batch, TeeType::Sgx).await),
            Action::TimePasses => {
                self.pair.advance(Duration::from_secs(LEASE_SECS));
                Answer::Done
            }
        }
    }

    async fn claim(&mut self, who: Who) -> Answer {
        let url = format!("{}/tee/proof_inputs", self.world().url());
        let actor = &mut self.provers[who as usize];
        let answer = actor.http.post(url).body(json!({"tee_type": "sgx"}).to_string()).send().await.unwrap();
        if answer.status() == StatusCode::NO_CONTENT {
            return Answer::NoWork;
        }
        assert_eq!(answer.status(), StatusCode::OK);
        actor.lease = Some(answer.headers()["tee-lease-id"].to_str().unwrap().to_owned());
        // Otherwise it would be given back.
        answer.bytes().await.unwrap();
        Answer::Done
    }

    async fn under_lease(&self, who: Who, method: Method, path: &str, body: Value) -> Answer {
        let actor = &self.provers[who as usize];
        let lease = actor.lease.as_ref().expect("the model gives it one");
        let url = format!("{}/tee/leases/{lease}{path}", self.world().url());
        answer(actor.http.request(method, url).body(body.to_string()).send().await.unwrap()).await
    }

    async fn submit(&self, who: Who, said: Root, with_lease: bool) -> Answer {
        let actor = &self.provers[who as usize];
        let url = format!("{}/tee/submit_proofs/{}", self.world().url(), self.batch);
        let proof = actor.key.proof(self.root(said));
        let mut request = actor.http.post(url).body(serde_json::to_string(&proof).unwrap());
        if with_lease {
            request = request.header("tee-lease-id", actor.lease.as_ref().expect("the model gives it one"));
        }
        answer(request.send().await.unwrap()).await
    }

    fn root(&self, said: Root) -> H256 {
        match said {
            Root::Right => root(self.batch),
            Root::Wrong => H256::repeat_byte(self.batch as u8 | 1),
        }
    }

    /// As a server does it with keys that could not be judged.
    async fn set_suspended(&self, who: Who, (from, to): (&str, &str), at: &str) -> Answer {
        let world = self.world();
        let key = world.bytes_literal(&self.provers[who as usize].key.public().to_bytes());
        world
            .execute(&format!(
                "UPDATE tee_attestations
                 SET suspended_at = {at}, standing = CASE WHEN standing = '{from}' THEN '{to}' ELSE standing END
                 WHERE pubkey = {key}"
            ))
            .await;
        Answer::Done
    }

    /// Compares what is stored with the model.
    async fn compare(&self, life: &Life) -> Result<(), String> {
        let service = self.world().server.service();
        let filter = JobFilter { number: Some(self.batch), tee_type: Some(TeeType::Sgx), status: None };
        let job = service.jobs(&filter, None, 1).await.unwrap().pop().expect("the job is there");
        let status = match life.status {
            Status::Ready => JobStatus::ReadyToBeProven,
            Status::Picked { .. } => JobStatus::PickedByProver,
            Status::Generated => JobStatus::Generated,
            Status::Failed => JobStatus::Failed,
            Status::Ignored => JobStatus::PermanentlyIgnored,
        };
        let is_leased = matches!(life.status, Status::Picked { .. });
        same(
            "job",
            (job.status, job.attempts, job.lease_expires_at_ms.is_some()),
            (status, life.attempts.into(), is_leased),
        )?;
        let proofs = service.proofs(&ProofFilter { number: Some(self.batch), tee_type: None }, None, 9).await.unwrap();
        let known = service.provers(None, 1000).await.unwrap();
        for (actor, prover) in self.provers.iter().zip(&life.provers) {
            let Prover { proof, active, failures_in_a_row, paused, .. } = *prover;
            let stored = proofs.iter().find(|stored| stored.pubkey == actor.key.public()).map(|stored| stored.root);
            same(&format!("proof of {}", actor.name), stored, proof.map(|said| self.root(said)))?;
            let entry = known.iter().find(|entry| entry.name == actor.name);
            same(&format!("{} is known", actor.name), entry.is_some(), active)?;
            if let Some(entry) = entry {
                same(
                    &format!("failures in a row of {}", actor.name),
                    entry.failures_in_a_row,
                    failures_in_a_row.into(),
                )?;
                let is_paused = entry.paused_until_ms > self.pair.now_ms();
                same(&format!("pause of {}", actor.name), is_paused, paused)?;
            }
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, stored: T, expected: T) -> Result<(), String> {
    if stored == expected { Ok(()) } else { Err(format!("{what}: {stored:?} is stored, and {expected:?} expected")) }
}

fn changed(change: Result<JobChange, sqlx::Error>) -> Answer {
    match change.unwrap() {
        JobChange::Made => Answer::Done,
        JobChange::NotWhen(_) => Answer::NotWhen,
        JobChange::Unknown => panic!("the job is not there"),
    }
}

async fn answer(response: reqwest::Response) -> Answer {
    let status = response.status();
    let body = response.bytes().await.unwrap();
    if status == StatusCode::OK {
        return Answer::Done;
    }
    let problem: Value = serde_json::from_slice(&body).unwrap();
    match problem["code"].as_str().unwrap() {
        "stale_lease" => Answer::StaleLease,
        "revoked_key" => Answer::RevokedKey,
        "no_collateral" => Answer::SuspendedKey,
        "disagreeing_root" => Answer::DisagreeingRoot,
        code => panic!("{code}: {problem}"),
    }
}
