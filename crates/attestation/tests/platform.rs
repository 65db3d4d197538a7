//! Quotes through the files of Gramine and of the kernel. The stand-ins are faithful: named pipes block like the
//! pseudo-files, and the programs behind them answer exactly when the real ones would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
    time::SystemTime,
};

use tee_attestation::{
    Platform, PlatformError, Quote, Report, ReportData, TdxFiles, Tee,
    simulated::{self, Domain, Enclave, Format},
};
use tempfile::TempDir;

const NAMED: ReportData = ReportData::V1 { address: [0xab; 20] };
const OTHER: ReportData = ReportData::V1 { address: [0xcd; 20] };

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn simulated() -> simulated::Platform {
    simulated::Platform::new(SystemTime::now()).unwrap()
}

/// `/dev/attestation`: `quote` is made when it is opened, over what `user_report_data` contains then.
struct Gramine {
    folder: TempDir,
    serving: JoinHandle<()>,
}

impl Gramine {
    fn with(make: impl FnOnce([u8; 64]) -> Vec<u8> + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("attestation_type"), "dcap").unwrap();
        fs::write(at("user_report_data"), [0; 64]).unwrap();
        pipe(&at("quote"));
        let (quote, report_data) = (at("quote"), at("user_report_data"));
        let serving = thread::spawn(move || {
            let mut quote = fs::OpenOptions::new().write(true).open(quote).unwrap();
            let bytes = make(fs::read(report_data).unwrap().try_into().unwrap());
            std::io::Write::write_all(&mut quote, &bytes).unwrap();
        });
        Self { folder, serving }
    }

    fn quote(self, report_data: &ReportData) -> Result<Vec<u8>, PlatformError> {
        let quote = Platform::gramine_at(self.folder.path()).quote(report_data);
        self.serving.join().unwrap();
        quote
    }
}

/// A report of the kernel: `inblob` is taken when its writer closes it, which advances `generation`; `outblob` is the
/// quote over the last one taken.
struct Tsm {
    folder: TempDir,
    serving: JoinHandle<()>,
}

impl Tsm {
    fn with(writes: u64, make: impl FnOnce([u8; 64]) -> Vec<u8> + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("provider"), "tdx_guest\n").unwrap();
        fs::write(at("generation"), "41\n").unwrap();
        fs::write(at("rtmr3"), [3; 48]).unwrap();
        pipe(&at("inblob"));
        pipe(&at("outblob"));
        let (inblob, outblob, generation) = (at("inblob"), at("outblob"), at("generation"));
        let serving = thread::spawn(move || {
            let taken = fs::read(inblob).unwrap().try_into().unwrap();
            fs::write(generation, format!("{}\n", 41 + writes)).unwrap();
            fs::write(outblob, make(taken)).unwrap();
        });
        Self { folder, serving }
    }

    fn files(&self) -> TdxFiles {
        TdxFiles { report: self.folder.path().to_owned(), rtmr3: self.folder.path().join("rtmr3") }
    }

    fn quote(self) -> (Result<Vec<u8>, PlatformError>, Vec<u8>) {
        let quote = Platform::tdx_at(self.files()).quote(&NAMED);
        self.serving.join().unwrap();
        (quote, fs::read(self.folder.path().join("rtmr3")).unwrap())
    }
}

fn sgx(report_data: [u8; 64]) -> Vec<u8> {
    simulated().sgx_quote(&Enclave::default(), &report_data).unwrap()
}

fn tdx(report_data: [u8; 64]) -> Vec<u8> {
    simulated().tdx_quote(Format::V4, &Domain::default(), &report_data).unwrap()
}

#[test]
fn gramine_quotes_the_report_data_that_was_asked_for() {
    let quote = Gramine::with(sgx).quote(&NAMED).unwrap();
    let quote = Quote::parse(&quote).unwrap();
    assert_eq!((quote.tee(), quote.report_data()), (Tee::Sgx, Ok(NAMED)));
}

#[test]
fn a_quote_that_is_not_the_one_asked_for_is_not_handed_on() {
    let stale = Gramine::with(|_| sgx(OTHER.to_bytes())).quote(&NAMED);
    assert!(matches!(stale, Err(PlatformError::OtherKey)), "{stale:?}");
    let empty = Gramine::with(|_| sgx([9; 64])).quote(&NAMED);
    assert!(matches!(empty, Err(PlatformError::OtherReportData(_))), "{empty:?}");
    let other = Gramine::with(tdx).quote(&NAMED);
    assert!(matches!(other, Err(PlatformError::OtherTee { got: Tee::Tdx, expected: Tee::Sgx })), "{other:?}");
    let none = Gramine::with(|_| b"no quote".to_vec()).quote(&NAMED);
    assert!(matches!(none, Err(PlatformError::Quote(_))), "{none:?}");
}

#[test]
fn gramine_without_dcap_says_so() {
    for kind in ["none", "epid\n", ""] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("attestation_type"), kind).unwrap();
        let error = Platform::gramine_at(folder.path()).quote(&NAMED).unwrap_err();
        assert!(matches!(&error, PlatformError::NotDcap { found } if found == kind.trim()), "{error}");
    }
    let nowhere = Platform::gramine_at("/nowhere").quote(&NAMED).unwrap_err();
    assert!(matches!(nowhere, PlatformError::File { .. }));
}

#[test]
fn the_kernel_quotes_the_report_data_and_rtmr3_changes_after_it() {
    let (quote, rtmr3) = Tsm::with(1, tdx).quote();
    let quote = Quote::parse(&quote.unwrap()).unwrap();
    assert_eq!((quote.tee(), quote.version(), quote.report_data()), (Tee::Tdx, 4, Ok(NAMED)));
    let Report::Tdx(report) = quote.report() else { panic!("a quote of TDX") };
    assert_eq!(report.rtmrs, Domain::default().rtmrs);
    // The value that was written. The real register shows a hash of it and of the register's earlier content.
    assert_eq!(rtmr3, b"tee-prover-gateway: a signing key has been named");
}

#[test]
fn a_report_that_others_write_to_or_that_took_nothing_is_refused() {
    for writes in [0, 2, 17] {
        let (quote, rtmr3) = Tsm::with(writes, tdx).quote();
        assert!(matches!(quote, Err(PlatformError::Conflict { got }) if got == writes), "{quote:?}");
        assert_eq!(rtmr3, [3; 48]);
    }
}

#[test]
fn a_quote_without_a_change_of_rtmr3_is_not_handed_on() {
    let tsm = Tsm::with(1, tdx);
    // A register that cannot be extended: what is written equals what it contained.
    fs::write(tsm.folder.path().join("rtmr3"), b"tee-prover-gateway: a signing key has been named").unwrap();
    let (quote, _) = tsm.quote();
    assert!(matches!(quote, Err(PlatformError::NotExtended)), "{quote:?}");

    let tsm = Tsm::with(1, tdx);
    fs::remove_file(tsm.folder.path().join("rtmr3")).unwrap();
    let quote = Platform::tdx_at(tsm.files()).quote(&NAMED);
    assert!(matches!(quote, Err(PlatformError::File { .. })), "{quote:?}");
    tsm.serving.join().unwrap();
}

#[test]
fn a_report_folder_is_made_and_removed_again() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    // In a folder on a disk, the kernel makes no attributes.
    let files = TdxFiles { report: report.clone(), rtmr3: PathBuf::from("/nowhere") };
    let error = Platform::tdx_at(files).quote(&NAMED).unwrap_err();
    assert!(matches!(&error, PlatformError::File { path, .. } if *path == report.join("provider")), "{error}");
    assert!(!report.exists());
}

#[test]
fn reports_of_another_processor_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("provider"), "sev_guest\n").unwrap();
    let files = TdxFiles { report: folder.path().to_owned(), rtmr3: PathBuf::from("/nowhere") };
    let error = Platform::tdx_at(files).quote(&NAMED).unwrap_err();
    assert!(matches!(&error, PlatformError::NotTdx { found } if found == "sev_guest"), "{error}");
}

#[test]
fn endless_files_are_not_read_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("attestation_type"), "dcap").unwrap();
    fs::write(folder.path().join("user_report_data"), [0; 64]).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("quote")).unwrap();
    let error = Platform::gramine_at(folder.path()).quote(&NAMED).unwrap_err();
    assert!(matches!(error, PlatformError::TooLarge { .. }), "{error}");
}
