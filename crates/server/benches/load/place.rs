//! Databases, object stores and server processes.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::postgres::Cluster;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Databases {
    Sqlite,
    Postgres,
    Both,
}

/// An empty database, and a folder for everything else.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    url: String,
    /// Stops with this.
    _cluster: Option<Cluster>,
    /// How long a lease lasts.
    pub(crate) lease_secs: u64,
}

/// A running server. It is killed with this.
pub(crate) struct ServerProcess {
    process: Child,
    pub(crate) address: SocketAddr,
}

/// An input as it is stored in the object store.
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: [u8; 32],
}

impl Databases {
    /// One place for each kind of database that is available here.
    pub(crate) fn open(self) -> Vec<Place> {
        let mut places = vec![];
        if self != Self::Postgres {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("tee.sqlite").display());
            places.push(Place { folder, url, _cluster: None, lease_secs: 600 });
        }
        if self != Self::Sqlite {
            match Cluster::start(true) {
                Some(cluster) => {
                    let (folder, url) = (tempfile::tempdir().unwrap(), cluster.url("postgres"));
                    places.push(Place { folder, url, _cluster: Some(cluster), lease_secs: 600 });
                }
                None => {
                    test_skips::skip("PostgreSQL");
                }
            }
        }
        places
    }
}

impl Place {
    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    pub(crate) fn database(&self) -> &'static str {
        if self.is_sqlite() { "sqlite" } else { "postgres" }
    }

    /// Gives the database its schema.
    pub(crate) async fn migrate(&self) {
        tee_server::migrate(&self.url.clone().into()).await.unwrap();
    }

    /// A connection to its database.
    pub(crate) async fn connection(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.unwrap()
    }

    /// Runs a statement and returns its one number.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        let mut connection = self.connection().await;
        let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        row.get(0)
    }

    /// Adds batches that wait for SGX provers, without the server, which would flush each to disk.
    pub(crate) async fn add_batches(&self, first: u32, blobs: &[Blob]) {
        let inputs = self.folder.path().join("objects/inputs");
        fs::create_dir_all(&inputs).unwrap();
        self.migrate().await;
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query("INSERT INTO claimed_tee_types (tee_type) VALUES ('sgx') ON CONFLICT DO NOTHING")
            .execute(&mut *transaction)
            .await
            .unwrap();
        for (number, blob) in (first..).zip(blobs) {
            for form in ["json", "cbor"] {
                fs::write(inputs.join(format!("{number}.{form}.zst")), &blob.bytes).unwrap();
            }
            sqlx::query(
                "INSERT INTO batches (number, input_key, json_bytes, json_sha256, cbor_bytes, cbor_sha256, source, created_at)
                 VALUES ($1, $2, $3, $4, $3, $4, 'load', 0)",
            )
            .bind(i64::from(number))
            .bind(format!("inputs/{number}"))
            .bind(blob.bytes.len() as i64)
            .bind(blob.sha256.as_slice())
            .execute(&mut *transaction)
            .await
            .unwrap();
            sqlx::query(
                "INSERT INTO tee_proof_generation_details
                     (l1_batch_number, tee_type, status, claimable_at, created_at, updated_at)
                 VALUES ($1, 'sgx', 'ready_to_be_proven', 0, 0, 0)",
            )
            .bind(i64::from(number))
            .execute(&mut *transaction)
            .await
            .unwrap();
        }
        transaction.commit().await.unwrap();
        connection.close().await.unwrap();
    }

    /// Starts a server and waits until it is up.
    pub(crate) async fn start(&self) -> ServerProcess {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        self.start_at(free).await
    }

    pub(crate) async fn start_at(&self, address: SocketAddr) -> ServerProcess {
        let config = self.folder.path().join(format!("{}.yaml", address.port()));
        let yaml = format!(
            "database_url: \"{}\"\nobject_store: \"file://{}\"\nlisten: {address}\nproof_generation_timeout: {}s\n\
             max_attempts: 1000\ndanger_unjudged_quotes: true\ndanger_any_code: true\ndanger_bare_roots: true\n",
            self.url,
            self.folder.path().join("objects").display(),
            self.lease_secs
        );
        fs::write(&config, yaml).unwrap();
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_tee-proof-server"))
            .arg("--config-path")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = ServerProcess { process, address };
        server.wait(self).await;
        server
    }
}

impl ServerProcess {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SIGKILL, without a chance to finish anything.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The most memory that it ever had, in MiB.
    pub(crate) fn peak_rss_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    async fn wait(&mut self, place: &Place) {
        let health = format!("{}/health/ready", self.url());
        let http = crate::prover::http();
        let started = Instant::now();
        while !http.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if self.process.try_wait().unwrap().is_some() {
                panic!("{}", fs::read_to_string(place.folder.path().join("log")).unwrap());
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the server is not ready after a minute");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Blob {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { sha256: Sha256::digest(&bytes).into(), bytes }
    }

    /// Inputs that consist only of their number.
    pub(crate) fn tiny(numbers: impl Iterator<Item = u32>) -> Vec<Self> {
        numbers.map(|number| Self::new(zstd::encode_all(&*number.to_string().into_bytes(), 3).unwrap())).collect()
    }
}
