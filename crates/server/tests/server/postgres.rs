//! PostgreSQL for tests: a cluster that is removed with the process that started it.

use std::{
    fs::File,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A running cluster. It stops when this is dropped, and when the thread that started it ends.
pub(crate) struct Cluster {
    postgres: Child,
    folder: TempDir,
}

impl Cluster {
    /// Starts one, if PostgreSQL is installed. Without `durable` it flushes nothing to disk: the crashes that tests survive are the
    /// server's, not the machine's.
    pub(crate) fn start(durable: bool) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        // PostgreSQL refuses to run as root.
        let user = is_root().then(unprivileged_user);
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        if let Some((_, uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let command = |program: &str| {
            // Stops with its parent thread, however that ends.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "QUIT"]);
            if let Some((name, ..)) = user {
                command.args(["--reuid", name, "--clear-groups"]);
            }
            command.arg(programs.join(program)).arg("-D").arg(&data).current_dir(folder.path()).stdout(Stdio::null());
            command
        };
        let made = command("initdb").args(["-U", "tee", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]).status();
        assert!(made.unwrap().success(), "initdb failed");
        let mut postgres = command("postgres");
        postgres.args(["-c", "listen_addresses=", "-c", "max_connections=500", "-c"]);
        postgres.arg(format!("unix_socket_directories={}", folder.path().display()));
        postgres.stderr(File::create(folder.path().join("log")).unwrap());
        postgres.args(["-c", if durable { "fsync=on" } else { "fsync=off" }, "-c", "log_min_messages=fatal"]);
        let mut cluster = Self { postgres: postgres.spawn().unwrap(), folder };
        cluster.wait(&programs);
        Some(cluster)
    }

    /// Whether a cluster can be started here.
    #[allow(dead_code, reason = "others just try")]
    pub(crate) fn is_installed() -> bool {
        programs().is_some()
    }

    /// Sends a signal to all its processes.
    #[allow(dead_code, reason = "of tests that have it stand still")]
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.postgres.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        // It does not matter if one has ended meanwhile.
        let _ = Command::new("kill").args(["-s", signal, &id.to_string()]).args(children.split_whitespace()).status();
    }

    /// The folder of its tables.
    #[allow(dead_code, reason = "of a test that looks at their size")]
    pub(crate) fn tables(&self) -> PathBuf {
        self.folder.path().join("data/base")
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=tee", self.folder.path().display())
    }

    fn wait(&mut self, programs: &Path) {
        let mut ready = Command::new(programs.join("pg_isready"));
        ready.args(["--quiet", "--username", "tee", "--dbname", "postgres", "--host"]).arg(self.folder.path());
        let start = Instant::now();
        while !ready.status().unwrap().success() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(self.postgres.try_wait().unwrap().is_none(), "PostgreSQL did not start: {}", log());
            assert!(start.elapsed() < Duration::from_secs(60), "PostgreSQL did not start in a minute: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGQUIT: data that is thrown away needs no checkpoint. With SIGKILL it would leave its shared memory behind.
        let _ = Command::new("kill").args(["-QUIT", &self.postgres.id().to_string()]).status();
        let _ = self.postgres.wait();
    }
}

/// The folder of PostgreSQL's programs: the newest of Debian's, or one in the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn unprivileged_user() -> (&'static str, u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &'static str| {
        let fields: Vec<_> =
            users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user[0] == name)?;
        Some((name, fields[2].parse().ok()?, fields[3].parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("a user other than root")
}
