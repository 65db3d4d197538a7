//! A server's files with batches in them, and the server that runs on them as a process.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::Stdio, time::Duration};
use tee_devnet::{Chain, Genesis, Load};
use tee_server::{Clock, Config, JobStatus, NewBatch, ObjectStoreUrl, Server};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::sleep,
};

/// The devnet's first.
pub(crate) const FIRST_BATCH: u32 = 14034;
/// Short, so that what a killed server held is soon available again.
const LEASE_SECS: u32 = 2;
/// A failed batch is tried again after this time. If batches fail in a test, that must be after its end.
const POISON_LEASE_SECS: u32 = 600;
const FOLDER: &str = "TEE_FIRE_FOLDER";
const ADDRESS: &str = "TEE_FIRE_ADDRESS";
const LEASE: &str = "TEE_FIRE_LEASE_SECS";

pub(crate) struct World {
    folder: TempDir,
    address: SocketAddr,
    lease_secs: u32,
    server: Option<Child>,
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) generated: bool,
    pub(crate) failed: bool,
    pub(crate) proofs: usize,
}

impl Outcome {
    pub(crate) const PROVEN: Self = Self { generated: true, failed: false, proofs: 1 };
    pub(crate) const FAILED: Self = Self { generated: false, failed: true, proofs: 0 };
}

impl World {
    /// Tiny batches of the devnet. Those at the places in `poison` also claim that storage is in another shard.
    pub(crate) async fn with_batches(batches: u32, poison: &[usize]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // An address that is free now, and unlikely to be taken soon: each test has its own server.
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let lease_secs = if poison.is_empty() { LEASE_SECS } else { POISON_LEASE_SECS };
        let server = Server::start(config(folder.path(), address, lease_secs)).await.unwrap();
        let mut chain = Chain::new(Genesis::sepolia().unwrap());
        for index in 0..batches as usize {
            let mut new = next_batch(&mut chain);
            if poison.contains(&index) {
                new.input.system_env.zk_porter_available = true;
            }
            server.service().add_batch(new).await.unwrap();
        }
        server.stop().await;
        Self { folder, address, lease_secs, server: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts the server, and waits until it listens.
    pub(crate) async fn start_server(&mut self) {
        let server = Command::new(std::env::current_exe().unwrap())
            .args(["server_process", "--exact", "--ignored"])
            .env(FOLDER, self.folder.path())
            .env(ADDRESS, self.address.to_string())
            .env(LEASE, self.lease_secs.to_string())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.server = Some(server);
        while TcpStream::connect(self.address).await.is_err() {
            let server = self.server.as_mut().expect("it was started");
            assert_eq!(server.try_wait().unwrap(), None, "the server has ended");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The server in this process, with a clock that the test sets.
    pub(crate) async fn serve_by(&self, clock: Clock) -> Server {
        Server::start_with_clock(config(self.folder.path(), self.address, self.lease_secs), clock).await.unwrap()
    }

    /// SIGKILL, without a chance to finish or report anything.
    pub(crate) async fn kill_server(&mut self) {
        self.server.take().expect("it runs").kill().await.unwrap();
    }

    /// The outcomes in the database, once the server is gone.
    pub(crate) async fn outcomes(&self) -> BTreeMap<u32, Outcome> {
        let server = self.serve_by(Clock::System).await;
        assert!(server.service().disagreements().await.unwrap().is_empty());
        let outcomes = outcomes(&server).await;
        server.stop().await;
        outcomes
    }
}

/// A tiny batch of the devnet.
pub(crate) fn next_batch(chain: &mut Chain) -> NewBatch {
    let input = chain.seal(Load { transactions: 1, cold_reads: 0, l1_transactions: 0 }).unwrap().input;
    NewBatch { input, expected_root: None, sealed_at_ms: None, source: "devnet".to_owned() }
}

/// The outcome of each batch in a server's database.
pub(crate) async fn outcomes(server: &Server) -> BTreeMap<u32, Outcome> {
    let mut outcomes = BTreeMap::new();
    for row in server.service().overview(0, 100_000).await.unwrap() {
        let outcome = outcomes.entry(row.number).or_insert(Outcome { generated: false, failed: false, proofs: 0 });
        outcome.generated |= row.status == JobStatus::Generated;
        outcome.failed |= row.status == JobStatus::Failed;
        outcome.proofs += usize::from(row.proof.is_some());
    }
    outcomes
}

/// The server's process.
pub(crate) async fn serve_until_killed() {
    let (Some(folder), Ok(address), Ok(lease_secs)) =
        (std::env::var_os(FOLDER), std::env::var(ADDRESS), std::env::var(LEASE))
    else {
        return;
    };
    let config = config(Path::new(&folder), address.parse().unwrap(), lease_secs.parse().unwrap());
    let _server = Server::start(config).await.unwrap();
    std::future::pending::<()>().await;
}

fn config(folder: &Path, address: SocketAddr, lease_secs: u32) -> Config {
    let database = format!("sqlite://{}", folder.join("tee.sqlite").display());
    let mut config = Config::new(database, ObjectStoreUrl::folder(&folder.join("inputs")));
    config.danger_unjudged_quotes = true;
    config.danger_any_code = true;
    config.listen = address;
    config.proof_generation_timeout_secs = lease_secs;
    config
}
