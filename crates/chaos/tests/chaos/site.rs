//! Everything that runs: servers, provers, and what is around them.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tee_api::{PublicKey, SigningKey};
use tee_attestation::{
    ReportData,
    simulated::{self, Platform, Publication},
};
use tee_server::{NewToken, Role};
use tempfile::TempDir;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::{
    batches::Devnet,
    clock::FakeClock,
    dice::Dice,
    disk::Disk,
    fault::Fault,
    ledger::Ledger,
    network::Chaos,
    node::Node,
    operator::Operator,
    pccs::Service,
    postgres::Cluster,
    program::{Launch, Program},
    s3::S3Server,
    watch::Seen,
};

/// Short, so that what a killed program held is soon available again.
pub(crate) const LEASE_SECS: u64 = 4;
/// How long a key that cannot be judged may sign.
pub(crate) const SUSPEND_AFTER_SECS: u64 = 2;

const PROVERS: usize = 4;
/// The memory that a prover may use for batches; [`crate::batches::Poison::Huge`] needs more.
const PROVER_MEMORY: &str = "256 MiB";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file, one server, inputs in a folder.
    Sqlite,
    /// A cluster, two servers, and inputs in a bucket if there is an S3 server.
    Postgres,
}

pub(crate) struct Site {
    folder: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) operator: Operator,
    pub(crate) servers: Vec<Program>,
    pub(crate) clocks: Vec<Option<FakeClock>>,
    pub(crate) provers: Vec<Prover>,
    /// The token with which the forger is let in.
    pub(crate) forger_token: String,
    pub(crate) machine: Platform,
    pub(crate) pccs: Service,
    pub(crate) node: Node,
    pub(crate) devnet: Devnet,
    pub(crate) disk: Option<Disk>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) bucket: Option<S3Server>,
    pub(crate) seen: Seen,
    /// Ensures that there is only one fault of each kind at a time.
    turns: Mutex<BTreeMap<Fault, Arc<AsyncMutex<()>>>>,
    /// Removed with this value, unless something went wrong; after everything that writes to it, and after the disk in
    /// it.
    temporary: Option<TempDir>,
}

pub(crate) struct Prover {
    pub(crate) program: Program,
    pub(crate) network: Chaos,
    key: Mutex<PublicKey>,
}

impl Site {
    /// Starts everything. A batch is sealed at a fixed interval.
    pub(crate) async fn build(database: Database, seal_every: Duration, dice: &mut Dice) -> Self {
        let temporary = tempfile::Builder::new().prefix("tee-chaos-").tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let ledger = Arc::new(Ledger::default());
        fs::create_dir(folder.join("node")).unwrap();
        let devnet = Devnet::start(folder.join("node"), seal_every, ledger.clone(), dice.split());
        let node = Node::new(folder.join("node"), ledger.clone());
        let machine = Platform::new(SystemTime::now()).unwrap();
        let pccs = Service::default();
        publish(&pccs, &machine, &Publication::default());

        fs::create_dir(folder.join("data")).unwrap();
        let disk = (database == Database::Sqlite).then(|| Disk::mount(&folder.join("data"))).flatten();
        let cluster = (database == Database::Postgres).then(|| Cluster::start(false).expect("PostgreSQL is there"));
        let bucket = match database {
            Database::Sqlite => None,
            Database::Postgres => bucket().await,
        };
        let token = |name: &str, role| NewToken::random(name.parse().unwrap(), role);
        let names: Vec<_> = (1..=PROVERS).map(|number| format!("prover-{number}")).collect();
        let (admin, forger) = (token("operator", Role::Admin), token("forger", Role::Prover));
        let prover_tokens: Vec<_> = names.iter().map(|name| token(name, Role::Prover)).collect();
        let lines: Vec<_> = prover_tokens.iter().chain([&admin, &forger]).map(NewToken::line).collect();
        fs::write(folder.join("tokens.yaml"), format!("tokens:\n{}\n", lines.join("\n"))).unwrap();
        fs::write(folder.join("policy.yaml"), policy()).unwrap();
        fs::write(folder.join("root.der"), machine.root_certificate().unwrap()).unwrap();
        let pins = serde_json::to_string(&devnet.pins).unwrap();
        fs::write(folder.join("chain.yaml"), format!("chain: {pins}\n")).unwrap();

        let shared = SharedConfig {
            database: match &cluster {
                None => format!("sqlite://{}", folder.join("data/tee.sqlite").display()),
                Some(cluster) => cluster.url("postgres"),
            },
            object_store: match &bucket {
                None => format!("file://{}", folder.join("data/objects").display()),
                Some(_) => format!("s3://{BUCKET}/chaos"),
            },
            collateral: pccs.url().await,
            node: node.url().await,
            pins,
            environment: bucket.iter().flat_map(S3Server::environment).map(owned).collect(),
        };
        let count = if database == Database::Sqlite { 1 } else { 2 };
        let addresses: Vec<_> = (0..count).map(|_| free_address()).collect();
        let operator = Operator::new(admin.secret().to_owned(), addresses.clone());
        let (mut servers, mut clocks) = (vec![], vec![]);
        for (number, address) in (1..).zip(&addresses) {
            let name = format!("server-{number}");
            let clock = FakeClock::new(&folder.join(format!("{name}.clock")));
            let launch = shared.launch(&folder, &name, *address, clock.as_ref());
            let server = Program::new(name.clone(), launch, folder.join(format!("{name}.log")), ledger.clone());
            server.start().await;
            servers.push(server);
            clocks.push(clock);
        }
        let mut provers = vec![];
        for (name, token) in names.into_iter().zip(prover_tokens) {
            let network = Chaos::before(addresses.clone(), dice.split()).await;
            let prover = Prover::new(&folder, &machine, name, token.secret(), network, ledger.clone());
            prover.program.start().await;
            provers.push(prover);
        }
        let (forger_token, temporary) = (forger.secret().to_owned(), Some(temporary));
        Self {
            folder,
            temporary,
            ledger,
            operator,
            servers,
            clocks,
            provers,
            forger_token,
            machine,
            pccs,
            node,
            devnet,
            disk,
            cluster,
            bucket,
            seen: Seen::default(),
            turns: Mutex::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the servers judge all keys again at once.
    pub(crate) fn touch_policy(&self) {
        fs::write(self.path("policy.yaml"), format!("{}# {:?}\n", policy(), SystemTime::now())).unwrap();
    }

    pub(crate) fn publish(&self, publication: &Publication) {
        publish(&self.pccs, &self.machine, publication);
    }

    /// Waits until there is no other fault of the kind.
    pub(crate) async fn turn(&self, fault: Fault) -> OwnedMutexGuard<()> {
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default().clone();
        turn.lock_owned().await
    }

    /// The bytes in the bucket, if there is one.
    pub(crate) async fn bucket_bytes(&self) -> u64 {
        let Some(bucket) = &self.bucket else { return 0 };
        let (mut last, mut bytes) = (String::new(), 0);
        loop {
            let page = format!("{}/{BUCKET}?list-type=2&start-after={last}", bucket.endpoint);
            let page = self.operator.http.get(page).send().await.unwrap().error_for_status().unwrap();
            let page = page.text().await.unwrap();
            let all = |element: &str| {
                let begin = format!("<{element}>");
                let texts = page.split(&begin).skip(1);
                texts.map(|text| text.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let Some(key) = all("Key").pop() else { return bytes };
            last = key;
            bytes += all("Size").iter().map(|size| size.parse::<u64>().unwrap()).sum::<u64>();
        }
    }

    /// Everything that runs and serves metrics.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &Program> {
        self.servers.iter().chain(self.provers.iter().map(|prover| &prover.program))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.temporary.take().map(TempDir::keep);
            println!("everything is kept in {}", kept.unwrap_or_default().display());
        }
    }
}

impl Prover {
    fn new(folder: &Path, machine: &Platform, name: String, token: &str, network: Chaos, ledger: Arc<Ledger>) -> Self {
        let environment = [
            ("TEE_PROVER_API_URL", network.url().as_str()),
            ("TEE_PROVER_API_TOKEN", token),
            ("TEE_PROVER_TEE_TYPE", "sgx"),
            ("TEE_PROVER_CHAIN_FILE", &folder.join("chain.yaml").display().to_string()),
            ("TEE_PROVER_METRICS_LISTEN", "127.0.0.1:0"),
            ("TEE_PROVER_INITIAL_RETRY_BACKOFF_SECS", "20ms"),
            ("TEE_PROVER_MAX_BACKOFF_SECS", "500ms"),
            ("TEE_PROVER_MAX_IDLE_POLL", "200ms"),
            ("TEE_PROVER_MEMORY_BUDGET", PROVER_MEMORY),
            ("TEE_PROVER_VERIFICATION_WORKERS", "1"),
            ("TEE_PROVER_SHUTDOWN_GRACE", "5s"),
            ("TEE_PROVER_LOG_FORMAT", "json"),
        ]
        .map(owned)
        .to_vec();
        let file = env!("CARGO_BIN_EXE_chaos-prover");
        let mut launch = Launch { file, arguments: vec![], environment, key: None };
        let key = Mutex::new(new_key(&mut launch, folder, &name, machine));
        let log = folder.join(format!("{name}.log"));
        Self { program: Program::new(name, launch, log, ledger), network, key }
    }

    pub(crate) fn key(&self) -> PublicKey {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it, and starts it later with another key.
    pub(crate) async fn change_key(&self, site: &Site, down: impl Future<Output = ()>) {
        let change = |launch: &mut Launch| {
            let key = new_key(launch, &site.folder, &self.program.name, &site.machine);
            *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
        };
        self.program.kill_and_change(down, change).await;
    }
}

/// Gives a prover a key, with the quote that names it.
fn new_key(launch: &mut Launch, folder: &Path, name: &str, machine: &Platform) -> PublicKey {
    let key = SigningKey::random().unwrap();
    let public = key.public_key();
    let quote = folder.join(format!("{name}.quote"));
    fs::write(&quote, machine.quote(&ReportData::V1 { address: public.address().0 }).unwrap()).unwrap();
    for (name, value) in [
        ("TEE_PROVER_SIGNING_KEY", key.expose_hex().as_str()),
        ("TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH", &quote.display().to_string()),
    ] {
        launch.environment.retain(|(other, _)| other != name);
        launch.environment.push(owned((name, value)));
    }
    launch.key = Some(public);
    public
}

/// What servers have in common.
struct SharedConfig {
    database: String,
    object_store: String,
    collateral: String,
    node: String,
    pins: String,
    environment: Vec<(String, String)>,
}

impl SharedConfig {
    fn launch(&self, folder: &Path, name: &str, address: SocketAddr, clock: Option<&FakeClock>) -> Launch {
        let Self { database, object_store, collateral, node, pins, environment } = self;
        let at = |name: &str| folder.join(name).display().to_string();
        let yaml = format!(
            "database_url: \"{database}\"
object_store: \"{object_store}\"
listen: {address}
tokens_file: {tokens}
log_format: json
proof_generation_timeout: {LEASE_SECS}s
max_attempts: 1000
chain: {pins}
mirror: {{ node_url: \"{node}\" }}
attestation:
  policy: {policy}
  collateral: {collateral}
  danger_root_certificate: {root}
  rejudge_interval: 1s
  suspend_after: {SUSPEND_AFTER_SECS}s
limits: {{ requests_per_sec: 10000, request_burst: 10000 }}
",
            tokens = at("tokens.yaml"),
            policy = at("policy.yaml"),
            root = at("root.der"),
        );
        let config = folder.join(format!("{name}.yaml"));
        fs::write(&config, yaml).unwrap();
        let file = env!("CARGO_BIN_EXE_chaos-server");
        let arguments = vec!["--config-path".to_owned(), config.display().to_string()];
        let clock = clock.iter().flat_map(|clock| clock.environment());
        Launch { file, arguments, environment: environment.iter().cloned().chain(clock).collect(), key: None }
    }
}

const BUCKET: &str = "inputs";

/// An S3 server with a bucket, if one is installed.
async fn bucket() -> Option<S3Server> {
    let Some(server) = S3Server::start() else {
        test_skips::skip("moto_server in the path, so inputs are kept in a folder");
        return None;
    };
    let made = crate::operator::http().put(format!("{}/{BUCKET}", server.endpoint)).send().await.unwrap();
    assert!(made.status().is_success());
    Some(server)
}

/// The policy under which the provers' keys may sign.
fn policy() -> String {
    format!("sgx: {{mrenclaves: [{}]}}\n", hex::encode(simulated::mr_enclave()))
}

fn publish(pccs: &Service, machine: &Platform, publication: &Publication) {
    pccs.publish(&machine.publish(publication).unwrap(), &machine.publish(&Publication::tdx()).unwrap());
}

/// An address that is free now, and unlikely to be taken soon.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
