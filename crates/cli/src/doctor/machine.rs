//! Checks the machine through its files: what Linux reports about the processor, the devices and itself.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;

use super::check::{Check, Part};

/// An upper limit for the size of the files that are read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The first kernel with TSM reports, and the first with registers that a program can extend.
const REPORTS_SINCE: Kernel = Kernel(6, 7);
const REGISTERS_SINCE: Kernel = Kernel(6, 16);

/// Enough for a server's database and inputs of some days. A prover needs almost nothing.
const LEAST_FREE_BYTES: u64 = 5 << 30;

const ENCLAVE_DEVICE: &str = "/dev/sgx_enclave";
const PROVISION_DEVICE: &str = "/dev/sgx_provision";
const AESM: &str = "/var/run/aesmd/aesm.socket";
const GRAMINE: &str = "gramine-sgx";
const GUEST_DEVICE: &str = "/dev/tdx_guest";
const REPORTS: &str = "/sys/kernel/config/tsm/report";
const RTMR3: &str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384";

/// A machine.
pub(super) struct Machine {
    /// The folder that stands for its `/`.
    root: PathBuf,
    /// Where its programs are.
    search: Vec<PathBuf>,
    /// The features of the first processor.
    flags: Vec<String>,
    kernel: String,
}

/// A kernel's version: the first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kernel(u32, u32);

impl Machine {
    pub(super) fn new(root: &Path, search: Vec<PathBuf>) -> Self {
        let cpuinfo = read(&root.join("proc/cpuinfo"));
        let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'));
        let flags = flags.map(|(_, flags)| flags.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
        let kernel = read(&root.join("proc/sys/kernel/osrelease")).trim().to_owned();
        Self { root: root.to_owned(), search, flags, kernel }
    }

    pub(super) fn checks(&self, folder: &Path) -> Vec<Check> {
        let sgx = [self.sgx_processor(), self.enclave_device(), self.provision_device(), self.aesm(), self.gramine()];
        let tdx = [self.tdx_processor(), self.guest_device(), self.kernel(), self.reports(), self.registers()];
        sgx.into_iter().chain(tdx).chain([self.disk(folder)]).collect()
    }

    fn sgx_processor(&self) -> Check {
        match (self.has("sgx"), self.has("sgx_lc")) {
            (true, true) => Check::ok(Part::Sgx, "processor", "flags sgx and sgx_lc"),
            (true, false) => Check::todo(
                Part::Sgx,
                "processor",
                "flag sgx without sgx_lc",
                "turn on launch control in the firmware's settings: Linux cannot start enclaves without it",
            ),
            (false, _) => Check::todo(
                Part::Sgx,
                "processor",
                "no flag sgx in /proc/cpuinfo",
                "turn on SGX in the settings of the firmware or of the virtual machine; not every processor has it",
            ),
        }
    }

    fn enclave_device(&self) -> Check {
        let opened = OpenOptions::new().read(true).write(true).open(self.at(ENCLAVE_DEVICE));
        let todo = |found: &str, todo: &str| {
            Check::todo(Part::Sgx, "enclave_device", format!("{ENCLAVE_DEVICE} {found}"), todo)
        };
        match opened {
            Ok(_) => Check::ok(Part::Sgx, "enclave_device", ENCLAVE_DEVICE),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                todo("does not exist", "Linux 5.11 or later with CONFIG_X86_SGX creates it if the processor has SGX")
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                todo("cannot be opened by this user", "add the user to the device's group (see ls -l)")
            }
            Err(error) => todo(&format!("cannot be opened: {error}"), "see the kernel's log (dmesg)"),
        }
    }

    fn provision_device(&self) -> Check {
        let todo = "Linux 5.11 or later creates it with /dev/sgx_enclave; a virtual machine needs the provisioning \
            key (QEMU: -cpu host,+sgx-provisionkey)";
        self.there(Part::Sgx, "provision_device", PROVISION_DEVICE, todo)
    }

    fn aesm(&self) -> Check {
        let todo = "install and start AESM, which makes the quotes: Intel's packages sgx-aesm-service and \
            libsgx-aesm-quote-ex-plugin";
        self.there(Part::Sgx, "aesm", AESM, todo)
    }

    fn gramine(&self) -> Check {
        let found = self.search.iter().map(|folder| folder.join(GRAMINE)).find(|path| self.in_root(path).exists());
        match found {
            Some(path) => Check::ok(Part::Sgx, "gramine", path.display().to_string()),
            None => Check::todo(
                Part::Sgx,
                "gramine",
                format!("{GRAMINE} is not in PATH"),
                "install Gramine, in which the prover runs as an enclave",
            ),
        }
    }

    fn tdx_processor(&self) -> Check {
        if self.has("tdx_guest") {
            return Check::ok(Part::Tdx, "processor", "flag tdx_guest");
        }
        let (found, todo) = match self.has("tdx_host_platform") {
            true => ("a host for trust domains", "run the prover in a trust domain, and run this command there"),
            false => ("no flag tdx_guest in /proc/cpuinfo", "start the virtual machine as a TDX domain"),
        };
        Check::todo(Part::Tdx, "processor", found, todo)
    }

    fn guest_device(&self) -> Check {
        let todo = "a trust domain's kernel creates it with CONFIG_TDX_GUEST_DRIVER (modprobe tdx-guest)";
        self.there(Part::Tdx, "guest_device", GUEST_DEVICE, todo)
    }

    fn kernel(&self) -> Check {
        let lacks = match Kernel::parse(&self.kernel) {
            None => "cannot read its version",
            Some(version) if version < REPORTS_SINCE => {
                "too old for TSM reports (6.7) and for extending registers (6.16)"
            }
            Some(version) if version < REGISTERS_SINCE => {
                "has TSM reports, but is too old for extending registers (6.16)"
            }
            Some(_) => return Check::ok(Part::Tdx, "kernel", format!("Linux {}", self.kernel)),
        };
        let found = format!("Linux {}: {lacks}", self.kernel);
        Check::todo(Part::Tdx, "kernel", found, "install Linux 6.16 or later in the trust domain")
    }

    fn reports(&self) -> Check {
        let todo = "Linux with CONFIG_TSM_REPORTS creates it: mount -t configfs none /sys/kernel/config. If it is \
            still missing in a trust domain, a paravisor keeps quotes from it (as on Azure)";
        self.there(Part::Tdx, "reports", REPORTS, todo)
    }

    fn registers(&self) -> Check {
        let todo = "Linux 6.16 or later with CONFIG_TSM_MEASUREMENTS creates it";
        self.there(Part::Tdx, "registers", RTMR3, todo)
    }

    fn disk(&self, folder: &Path) -> Check {
        let path = self.in_root(folder);
        // A folder that does not exist yet will be on its parent's file system.
        let path = path.ancestors().find(|path| path.exists()).unwrap_or(&path);
        let name = folder.display();
        match statvfs(path) {
            Ok(stat) => {
                #[allow(clippy::useless_conversion, reason = "not 64 bits on every platform")]
                let free_bytes = u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size()));
                let found = format!("{:.1} GiB free in {name}", free_bytes as f64 / f64::from(1 << 30));
                match free_bytes >= LEAST_FREE_BYTES {
                    true => Check::ok(Part::Machine, "disk", found),
                    false => Check::todo(
                        Part::Machine,
                        "disk",
                        found,
                        "a server needs 5 GiB or more for its database and inputs; a prover needs very little",
                    ),
                }
            }
            Err(error) => Check::todo(
                Part::Machine,
                "disk",
                format!("cannot find out the free space in {name}: {error}"),
                "name an existing folder with --folder",
            ),
        }
    }

    fn there(&self, part: Part, check: &'static str, path: &'static str, todo: &str) -> Check {
        match fs::metadata(self.at(path)) {
            Ok(_) => Check::ok(part, check, path),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Check::todo(part, check, format!("{path} does not exist"), todo)
            }
            Err(error) => {
                Check::todo(part, check, format!("{path}: {error}"), "run this command as root to look at it")
            }
        }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|has| has == flag)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.in_root(Path::new(path))
    }

    fn in_root(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Kernel {
    /// As in `6.16.3-arch1-1` or `6.16-rc2`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// A file's text, empty if it cannot be read: a machine without the file gives the same answer.
fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    // A part of a file says less, but nothing wrong.
    let _ = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A machine with these files, and with `flags` of its processor.
    fn machine(flags: &str, kernel: &str, files: &[&str]) -> (TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        let cpuinfo = format!("processor\t: 0\nflags\t\t: fpu vme {flags}\nbugs\t\t:\n");
        for (path, text) in [("proc/cpuinfo", &*cpuinfo), ("proc/sys/kernel/osrelease", kernel)] {
            write(root.path(), path, text);
        }
        files.iter().for_each(|path| write(root.path(), path.trim_start_matches('/'), ""));
        let machine = Machine::new(root.path(), vec!["/usr/local/bin".into(), "/usr/bin".into()]);
        (root, machine)
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The checks of a part that are not in order.
    fn todo(machine: &Machine, part: Part) -> Vec<&'static str> {
        let checks = machine.checks(Path::new("/var/lib")).into_iter();
        let failed = checks.filter(|check| check.part == part && !check.ok);
        failed.map(|check| check.check).collect()
    }

    #[test]
    fn a_machine_with_sgx_and_gramine_lacks_nothing_for_sgx() {
        let files = [ENCLAVE_DEVICE, PROVISION_DEVICE, AESM, "/usr/bin/gramine-sgx"];
        let (_root, complete) = machine("sgx sgx_lc", "5.15.0-100-generic", &files);
        assert_eq!(todo(&complete, Part::Sgx), [""; 0]);
        assert_eq!(todo(&complete, Part::Tdx), ["processor", "guest_device", "kernel", "reports", "registers"]);
        for (at, lacking) in ["enclave_device", "provision_device", "aesm", "gramine"].into_iter().enumerate() {
            let mut files = files.to_vec();
            files.remove(at);
            let (_root, machine) = machine("sgx sgx_lc", "5.15.0", &files);
            assert_eq!(todo(&machine, Part::Sgx), [lacking]);
        }
        for flags in ["", "sgx", "sgx_lc", "sgx1 sgx_lcx"] {
            let (_root, machine) = machine(flags, "5.15.0", &files);
            assert_eq!(todo(&machine, Part::Sgx), ["processor"], "{flags}");
        }
    }

    #[test]
    fn a_domain_with_a_new_kernel_lacks_nothing_for_tdx() {
        let reports = format!("{REPORTS}/.there");
        let files = [GUEST_DEVICE, &reports, RTMR3];
        let (_root, complete) = machine("tdx_guest", "6.16.0-1-amd64\n", &files);
        assert_eq!(todo(&complete, Part::Tdx), [""; 0]);
        assert!(!todo(&complete, Part::Sgx).is_empty());
        let (_root, old) = machine("tdx_guest", "6.8.0-45-generic", &files[..2]);
        assert_eq!(todo(&old, Part::Tdx), ["kernel", "registers"]);
        let (_root, host) = machine("tdx_host_platform", "6.16.0", &files);
        let checks = host.checks(Path::new("/"));
        let processor = checks.iter().find(|check| check.part == Part::Tdx && !check.ok).unwrap();
        assert_eq!((processor.check, &*processor.found), ("processor", "a host for trust domains"));
    }

    #[test]
    fn a_machine_without_any_file_lacks_everything_and_says_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let checks = Machine::new(root.path(), vec!["/usr/bin".into()]).checks(Path::new("/var/lib/tee/server"));
        let (machines, of_enclaves): (Vec<_>, Vec<_>) =
            checks.into_iter().partition(|check| check.part == Part::Machine);
        assert!(of_enclaves.iter().all(|check| !check.ok && check.todo.is_some()), "{of_enclaves:?}");
        assert!(machines[0].found.contains("GiB free in /var/lib/tee/server"), "{machines:?}");
    }

    #[test]
    fn kernels_are_compared_by_their_first_two_numbers() {
        for (text, version) in [
            ("6.16.3-arch1-1", Some(Kernel(6, 16))),
            ("6.16-rc2", Some(Kernel(6, 16))),
            ("6.7+", Some(Kernel(6, 7))),
            ("10.0", Some(Kernel(10, 0))),
            ("6", None),
            ("", None),
            ("next", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(Kernel::parse(text), version, "{text}");
        }
        assert!(Kernel(6, 7) < Kernel(6, 16) && Kernel(6, 16) < Kernel(7, 0));
    }
}
