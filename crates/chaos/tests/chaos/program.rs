//! A program as a process that is started, killed and paused.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tee_api::PublicKey;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::{Mutex as AsyncMutex, oneshot},
    time::{sleep, timeout},
};

use crate::ledger::Ledger;

/// How long a program may take until it is up, including the time that faults around it take at first.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// How a program is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) file: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// The key that a prover signs with.
    pub(crate) key: Option<PublicKey>,
}

/// A program, and its process if it has one.
pub(crate) struct Program {
    pub(crate) name: String,
    /// Held while something is done to the process.
    process: AsyncMutex<Process>,
    /// 0 while there is no process.
    id: AtomicU32,
    /// The address at which it serves metrics.
    address: Mutex<String>,
    log: PathBuf,
    ledger: Arc<Ledger>,
}

struct Process {
    launch: Launch,
    child: Option<Child>,
    /// Set when it is expected to end.
    may_end: Arc<AtomicBool>,
}

/// What a process uses of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) rss_kib: u64,
    pub(crate) handles: u64,
}

impl Program {
    pub(crate) fn new(name: String, launch: Launch, log: PathBuf, ledger: Arc<Ledger>) -> Self {
        let process = AsyncMutex::new(Process { launch, child: None, may_end: Arc::default() });
        Self { name, process, id: AtomicU32::new(0), address: Mutex::default(), log, ledger }
    }

    pub(crate) async fn start(&self) {
        self.start_locked(&mut *self.process.lock().await).await;
    }

    /// SIGKILL, without a chance to finish anything. Later it is started again.
    pub(crate) async fn kill_during(&self, time: impl Future<Output = ()>) {
        self.kill_and_change(time, |_| ()).await;
    }

    /// The same, with a change in how it is started.
    pub(crate) async fn kill_and_change(&self, time: impl Future<Output = ()>, change: impl FnOnce(&mut Launch)) {
        let mut process = self.process.lock().await;
        self.kill_locked(&mut process).await;
        time.await;
        change(&mut process.launch);
        self.start_locked(&mut process).await;
    }

    /// SIGSTOP, and SIGCONT after a while.
    pub(crate) async fn pause_during(&self, time: impl Future<Output = ()>) {
        let _process = self.process.lock().await;
        self.signal("STOP").await;
        time.await;
        self.signal("CONT").await;
    }

    /// SIGTERM, and its exit code.
    pub(crate) async fn stop(&self) -> Option<i32> {
        let mut process = self.process.lock().await;
        process.may_end.store(true, Ordering::SeqCst);
        self.signal("TERM").await;
        let mut child = process.child.take().expect("it runs");
        let exit = timeout(Duration::from_secs(60), child.wait()).await;
        self.id.store(0, Ordering::SeqCst);
        exit.unwrap_or_else(|_| panic!("{} does not stop", self.name)).unwrap().code()
    }

    /// The address at which it serves metrics, while it runs.
    pub(crate) fn address(&self) -> String {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        let folder = match self.id.load(Ordering::SeqCst) {
            0 => return None,
            id => PathBuf::from(format!("/proc/{id}")),
        };
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))?;
        let handles = fs::read_dir(folder.join("fd")).ok()?.count() as u64;
        Some(Usage { rss_kib: rss.parse().ok()?, handles })
    }

    async fn start_locked(&self, process: &mut Process) {
        let started = Instant::now();
        // It may have to be started several times while something around it is wrong, as a supervisor would do it.
        while !self.try_start(process).await {
            assert!(started.elapsed() < START_PATIENCE, "{} does not start: {}", self.name, self.log.display());
            sleep(Duration::from_millis(300)).await;
        }
    }

    async fn try_start(&self, process: &mut Process) -> bool {
        let Launch { file, arguments, environment, key } = process.launch.clone();
        let mut child = Command::new(file)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (up, is_up) = oneshot::channel();
        process.may_end = Arc::new(AtomicBool::new(false));
        let log = Log {
            file: File::options().create(true).append(true).open(&self.log).unwrap(),
            name: self.name.clone(),
            key,
            ledger: self.ledger.clone(),
            up: Some(up),
            may_end: process.may_end.clone(),
        };
        let id = child.id().expect("it was just started");
        tokio::spawn(log.follow(child.stderr.take().expect("it is piped")));
        match timeout(START_PATIENCE, is_up).await {
            Ok(Ok(address)) => {
                *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
                process.child = Some(child);
                self.id.store(id, Ordering::SeqCst);
                true
            }
            // It ended, or hangs.
            _ => false,
        }
    }

    async fn kill_locked(&self, process: &mut Process) {
        process.may_end.store(true, Ordering::SeqCst);
        if let Some(mut child) = process.child.take() {
            self.id.store(0, Ordering::SeqCst);
            child.kill().await.unwrap();
        }
    }

    async fn signal(&self, signal: &str) {
        let id = self.id.load(Ordering::SeqCst).to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().await.unwrap();
        assert!(sent.success(), "{}: {signal}", self.name);
    }
}

/// The output of a program.
struct Log {
    file: File,
    name: String,
    key: Option<PublicKey>,
    ledger: Arc<Ledger>,
    /// Receives its address once it is up.
    up: Option<oneshot::Sender<String>>,
    may_end: Arc<AtomicBool>,
}

impl Log {
    async fn follow(mut self, stderr: ChildStderr) {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            writeln!(self.file, "{line}").unwrap();
            let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
            if let (Some(address), Some(_)) = (said["fields"]["address"].as_str(), &self.up) {
                let _ = self.up.take().map(|up| up.send(address.to_owned()));
            }
            if let Some(key) = self.key {
                self.ledger.heard(key, &said);
            }
        }
        // A program that never came up is started again.
        if self.up.is_none() && !self.may_end.load(Ordering::SeqCst) {
            self.ledger.ended_by_itself(&self.name);
        }
    }
}
