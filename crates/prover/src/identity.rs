//! The identity of the prover: its key, and the quote that vouches for it.

use crate::config::{Attestation, Config};
use std::{
    fs::File,
    io::Read,
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tee_api::{KeyError, MAX_QUOTE_BYTES, PublicKey, Quote, SigningKey, TeeType};
use tee_attestation::{
    Platform, PlatformError, QuoteError, Report, ReportData, ReportDataError, Tee,
    simulated::{self, SimulationError},
};
use thiserror::Error;
use tokio::time::{Instant, interval_at, sleep};
use zeroize::Zeroizing;

const SIGNING_KEY: &str = "TEE_PROVER_SIGNING_KEY";
/// How often the log says that a quote is still awaited.
const STILL_WAITING: Duration = Duration::from_secs(10);

/// The signer of proofs.
#[derive(Debug)]
pub enum Identity {
    /// No signer: batches are verified, and nothing is submitted.
    None,
    /// A key that the server knows by its quote.
    Enclave(Enclave),
}

/// A signing key with its quote.
#[derive(Debug)]
pub struct Enclave {
    pub(crate) tee_type: TeeType,
    pub(crate) key: SigningKey,
    pub(crate) quote: Quote,
    pub(crate) simulated: bool,
}

/// Why there is no signer.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The type of enclave is not configured.
    #[error("the TEE type is missing: set TEE_PROVER_TEE_TYPE to sgx, tdx or none")]
    NoTeeType,
    /// The configured type differs from that of the key to be made.
    #[error("attestation makes a key of type {made}, but the configured TEE type is {configured}")]
    OtherType {
        /// What was configured.
        configured: TeeType,
        /// The type that would be made.
        made: TeeType,
    },
    /// A key is to be made here, and another one is set: it is unclear which one would sign.
    #[error("attestation: {0} makes a key, but {SIGNING_KEY} is set too")]
    TwoKeys(Attestation),
    /// The processor returns no quote.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The quoting service does not answer.
    #[error("no quote within {limit:?}: {waits_for} does not answer")]
    NoQuoteInTime {
        /// What was waited for.
        waits_for: String,
        /// The time limit.
        limit: Duration,
    },
    /// The key is not set.
    #[error("the signing key is missing: set {SIGNING_KEY}")]
    NoKey,
    /// The key is invalid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No file with the quote is named.
    #[error("the quote is missing: set TEE_PROVER_ATTESTATION_QUOTE_FILE_PATH")]
    NoQuote,
    /// The quote's file cannot be read.
    #[error("{path}")]
    ReadQuote {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        error: std::io::Error,
    },
    /// The quote's size is out of bounds.
    #[error(transparent)]
    QuoteSize(#[from] tee_api::QuoteError),
    /// The quote is malformed.
    #[error(transparent)]
    Quote(#[from] QuoteError),
    /// The quote comes from another type of enclave.
    #[error("the quote does not come from the configured TEE type, {configured}")]
    OtherTee {
        /// What was configured.
        configured: TeeType,
    },
    /// The quote names no key.
    #[error(transparent)]
    ReportData(#[from] ReportDataError),
    /// The quote names another key, so no server would accept the proofs.
    #[error("the quote does not name the signing key {public_key}")]
    OtherKey {
        /// The key that should be named.
        public_key: PublicKey,
    },
    /// The simulation failed.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

impl Identity {
    /// Loads or makes key and quote, as configured. A quote that is made here is awaited for the configured time. If this future is
    /// dropped meanwhile, a thread stays behind and keeps waiting.
    pub async fn of(config: &Config, environment: impl Fn(&str) -> Option<String>) -> Result<Self, IdentityError> {
        match config.attestation {
            // Nothing is signed, so the source of the key does not matter.
            _ if config.tee_type == Some(TeeType::None) => Ok(Self::None),
            Attestation::Environment => Self::load(config, environment),
            made if environment(SIGNING_KEY).map(Zeroizing::new).is_some() => Err(IdentityError::TwoKeys(made)),
            Attestation::Sgx => Self::made(config, Enclave::attested(Platform::gramine(), config.quote_timeout).await?),
            Attestation::Tdx => Self::made(config, Enclave::attested(Platform::tdx(), config.quote_timeout).await?),
            Attestation::Simulation => Self::simulated(config),
        }
    }

    /// Loads the key from the environment and the quote from its file, as `tee-key-preexec` leaves them, and checks that they belong
    /// together.
    fn load(config: &Config, environment: impl Fn(&str) -> Option<String>) -> Result<Self, IdentityError> {
        let tee_type = config.tee_type.ok_or(IdentityError::NoTeeType)?;
        let key = Zeroizing::new(environment(SIGNING_KEY).ok_or(IdentityError::NoKey)?);
        let key = SigningKey::from_hex(&key)?;
        let quote = read_quote(config)?;
        let said = tee_attestation::Quote::parse(quote.as_bytes())?;
        if type_of(said.tee()) != tee_type {
            return Err(IdentityError::OtherTee { configured: tee_type });
        }
        let public_key = key.public_key();
        if !said.report_data()?.names(&public_key.to_bytes(), &public_key.address().0) {
            return Err(IdentityError::OtherKey { public_key });
        }
        // `tee-key-preexec --simulation` hands over such quotes too.
        let simulated = matches!(said.report(), Report::Sgx(report) if report.mr_enclave == simulated::mr_enclave());
        Ok(Self::Enclave(Enclave { tee_type, key, quote, simulated }))
    }

    /// Makes a key and a quote of a simulated SGX platform, which is worthless except to those who choose to trust it.
    pub fn simulated(config: &Config) -> Result<Self, IdentityError> {
        match config.tee_type {
            Some(TeeType::None) => Ok(Self::None),
            _ => Self::made(config, Enclave::simulated()?),
        }
    }

    /// Checks that the type of the key that was made is the configured one, if one is configured.
    fn made(config: &Config, enclave: Enclave) -> Result<Self, IdentityError> {
        match config.tee_type {
            Some(configured) if configured != enclave.tee_type => {
                Err(IdentityError::OtherType { configured, made: enclave.tee_type })
            }
            _ => Ok(Self::Enclave(enclave)),
        }
    }

    /// The type that the prover reports.
    pub fn tee_type(&self) -> TeeType {
        match self {
            Self::None => TeeType::None,
            Self::Enclave(enclave) => enclave.tee_type,
        }
    }

    /// The public half of the key.
    pub fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::None => None,
            Self::Enclave(enclave) => Some(enclave.key.public_key()),
        }
    }
}

impl Enclave {
    /// Makes a key in this enclave and has the processor quote it. The quoting service may never answer: the wait is logged, and ends
    /// after `limit`. If this future is dropped or times out, a thread stays behind and keeps waiting.
    pub async fn attested(platform: Platform, limit: Duration) -> Result<Self, IdentityError> {
        let waits_for = platform.waits_for();
        let make = move || {
            let key = SigningKey::random()?;
            let quote = Quote::new(platform.quote(&naming(&key))?)?;
            Ok(Self { tee_type: type_of(platform.tee()), key, quote, simulated: false })
        };
        let started = Instant::now();
        let mut still_waiting = interval_at(started + STILL_WAITING, STILL_WAITING);
        let mut making = tokio::task::spawn_blocking(make);
        let out_of_time = sleep(limit);
        tokio::pin!(out_of_time);
        tracing::info!(waits_for, "asking for a quote");
        loop {
            tokio::select! {
                made = &mut making => return made.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())),
                () = &mut out_of_time => return Err(IdentityError::NoQuoteInTime { waits_for, limit }),
                _ = still_waiting.tick() => {
                    tracing::warn!(waits_for, seconds = started.elapsed().as_secs(), "still waiting for a quote");
                }
            }
        }
    }

    /// Makes a key and a quote of a simulated SGX platform.
    pub fn simulated() -> Result<Self, IdentityError> {
        Self::simulated_on(&simulated::Platform::new(SystemTime::now())?)
    }

    /// The same, on a simulated platform whose root somebody may have chosen to trust.
    pub fn simulated_on(platform: &simulated::Platform) -> Result<Self, IdentityError> {
        let key = SigningKey::random()?;
        let quote = Quote::new(platform.quote(&naming(&key))?)?;
        Ok(Self { tee_type: TeeType::Sgx, key, quote, simulated: true })
    }

    /// The type of enclave that the quote comes from.
    pub fn tee_type(&self) -> TeeType {
        self.tee_type
    }

    /// The key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The quote that names the key.
    pub fn quote(&self) -> &Quote {
        &self.quote
    }
}

fn type_of(tee: Tee) -> TeeType {
    match tee {
        Tee::Sgx => TeeType::Sgx,
        Tee::Tdx => TeeType::Tdx,
    }
}

fn naming(key: &SigningKey) -> ReportData {
    ReportData::V1 { address: key.public_key().address().0 }
}

fn read_quote(config: &Config) -> Result<Quote, IdentityError> {
    let path = config.attestation_quote_file_path.as_ref().ok_or(IdentityError::NoQuote)?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that the file is too large.
    File::open(path)
        .and_then(|file| file.take(MAX_QUOTE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| IdentityError::ReadQuote { path: path.clone(), error })?;
    Ok(Quote::new(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, path::Path};
    use tee_verifier::Pins;

    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    async fn load(tee_type: TeeType, key: Option<&str>, quote: &[u8]) -> Result<Identity, IdentityError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(quote).unwrap();
        load_at(tee_type, key, file.path()).await
    }

    async fn load_at(tee_type: TeeType, key: Option<&str>, quote: &Path) -> Result<Identity, IdentityError> {
        let config = Config {
            tee_type: Some(tee_type),
            attestation_quote_file_path: Some(quote.to_owned()),
            ..Config::new(String::new(), Pins::danger_any_code())
        };
        Identity::of(&config, |name| key.filter(|_| name == SIGNING_KEY).map(str::to_owned)).await
    }

    fn quote_of(report_data: ReportData) -> Vec<u8> {
        simulated::Platform::new(SystemTime::now()).unwrap().quote(&report_data).unwrap()
    }

    fn quote_of_key(key: &str) -> Vec<u8> {
        quote_of(ReportData::V1 { address: SigningKey::from_hex(key).unwrap().public_key().address().0 })
    }

    #[tokio::test]
    async fn key_and_quote_that_belong_together_are_an_identity() {
        let identity = load(TeeType::Sgx, Some(KEY), &quote_of_key(KEY)).await.unwrap();
        assert_eq!(identity.tee_type(), TeeType::Sgx);
        assert_eq!(identity.public_key(), Some(SigningKey::from_hex(KEY).unwrap().public_key()));
        let public_key = identity.public_key().unwrap().to_bytes();
        load(TeeType::Sgx, Some(KEY), &quote_of(ReportData::V0 { public_key })).await.unwrap();
    }

    #[test]
    fn a_simulated_identitys_quote_names_its_key() {
        let identity = Identity::simulated(&Config::new(String::new(), Pins::danger_any_code())).unwrap();
        let Identity::Enclave(enclave) = &identity else { panic!("a simulated prover signs") };
        let quote = tee_attestation::Quote::parse(enclave.quote.as_bytes()).unwrap();
        let key = enclave.key.public_key();
        assert!(quote.report_data().unwrap().names(&key.to_bytes(), &key.address().0));
    }

    #[tokio::test]
    async fn a_prover_of_type_none_needs_neither_key_nor_quote() {
        assert!(matches!(load_at(TeeType::None, None, Path::new("/nowhere")).await, Ok(Identity::None)));
        let config = Config { tee_type: Some(TeeType::None), ..Config::new(String::new(), Pins::danger_any_code()) };
        assert!(matches!(Identity::simulated(&config), Ok(Identity::None)));
    }

    #[tokio::test]
    async fn what_is_missing_or_does_not_belong_together_is_said() {
        let quote = quote_of_key(KEY);
        let no_type = Identity::of(&Config::new(String::new(), Pins::danger_any_code()), |_| None).await;
        assert!(matches!(no_type, Err(IdentityError::NoTeeType)));
        assert!(matches!(load(TeeType::Sgx, None, &quote).await, Err(IdentityError::NoKey)));
        assert!(matches!(load(TeeType::Sgx, Some("ac09"), &quote).await, Err(IdentityError::Key(KeyError::Secret))));
        let nowhere = load_at(TeeType::Sgx, Some(KEY), Path::new("/nowhere")).await;
        assert!(matches!(nowhere, Err(IdentityError::ReadQuote { .. })));
        assert!(matches!(load(TeeType::Sgx, Some(KEY), b"").await, Err(IdentityError::QuoteSize(_))));
        assert!(matches!(
            load(TeeType::Sgx, Some(KEY), &[0; MAX_QUOTE_BYTES + 1]).await,
            Err(IdentityError::QuoteSize(_))
        ));
        assert!(matches!(load(TeeType::Sgx, Some(KEY), b"test").await, Err(IdentityError::Quote(_))));
        assert!(matches!(load(TeeType::Tdx, Some(KEY), &quote).await, Err(IdentityError::OtherTee { .. })));
        let other = load(TeeType::Sgx, Some(KEY), &quote_of_key(&"07".repeat(32))).await;
        assert!(matches!(other, Err(IdentityError::OtherKey { .. })));
    }

    #[tokio::test]
    async fn a_key_that_is_made_here_is_the_only_one_and_of_the_configured_type() {
        let config = |attestation, tee_type| Config {
            attestation,
            tee_type,
            ..Config::new(String::new(), Pins::danger_any_code())
        };
        let two =
            Identity::of(&config(Attestation::Simulation, None), |name| (name == SIGNING_KEY).then(|| KEY.to_owned()))
                .await;
        assert!(matches!(two, Err(IdentityError::TwoKeys(Attestation::Simulation))));
        let tdx = Identity::of(&config(Attestation::Simulation, Some(TeeType::Tdx)), |_| None).await;
        assert!(matches!(tdx, Err(IdentityError::OtherType { configured: TeeType::Tdx, made: TeeType::Sgx })));
        let none = Identity::of(&config(Attestation::Sgx, Some(TeeType::None)), |_| None).await;
        assert!(matches!(none, Ok(Identity::None)));
        for attestation in [Attestation::Sgx, Attestation::Tdx] {
            let no_enclave = Identity::of(&config(attestation, None), |_| None).await;
            assert!(matches!(no_enclave, Err(IdentityError::Platform(_))), "{no_enclave:?}");
        }
    }

    /// Gramine's files, with nobody who makes the quote.
    struct SilentGramine(tempfile::TempDir);

    impl SilentGramine {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("attestation_type"), "dcap").unwrap();
            std::fs::write(folder.path().join("user_report_data"), [0; 64]).unwrap();
            let quote = folder.path().join("quote");
            assert!(std::process::Command::new("mkfifo").arg(quote).status().unwrap().success());
            Self(folder)
        }

        fn platform(&self) -> Platform {
            Platform::gramine_at(self.0.path())
        }
    }

    impl Drop for SilentGramine {
        fn drop(&mut self) {
            // The thread that waits for the quote gets an empty one, so that the test can end.
            let _ = std::fs::write(self.0.path().join("quote"), b"");
        }
    }

    #[tokio::test]
    async fn a_quote_that_does_not_come_is_waited_for_only_so_long_and_what_was_waited_for_is_said() {
        let silent = SilentGramine::new();
        let limit = Duration::from_millis(1);
        let Err(IdentityError::NoQuoteInTime { waits_for, limit: waited }) =
            Enclave::attested(silent.platform(), limit).await
        else {
            panic!("there is no quote")
        };
        assert_eq!(waited, limit);
        assert!(waits_for.starts_with(silent.0.path().to_str().unwrap()) && waits_for.contains("AESM"), "{waits_for}");
    }

    /// Runs on its own thread, because the test's thread waits and must be free to see the stop.
    #[tokio::test]
    async fn a_stop_is_seen_while_a_quote_does_not_come() {
        let silent = SilentGramine::new();
        let stop = tokio_util::sync::CancellationToken::new();
        let stopping = async {
            // The quote is requested once its report data is written.
            while std::fs::read(silent.0.path().join("user_report_data")).unwrap() == [0; 64] {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let attested = Enclave::attested(silent.platform(), Duration::MAX);
        let (stopped, ()) = tokio::join!(stop.run_until_cancelled(attested), stopping);
        assert!(stopped.is_none());
    }

    #[tokio::test]
    async fn a_simulated_quote_is_known_for_one_wherever_it_comes_from() {
        let Ok(Identity::Enclave(enclave)) = load(TeeType::Sgx, Some(KEY), &quote_of_key(KEY)).await else { panic!() };
        assert!(enclave.simulated);
    }

    #[tokio::test]
    async fn the_key_is_not_shown() {
        let identity = load(TeeType::Sgx, Some(KEY), &quote_of_key(KEY)).await.unwrap();
        assert!(!format!("{identity:?}").contains(KEY));
        let error = load(TeeType::Sgx, Some(&KEY[1..]), &quote_of_key(KEY)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&KEY[1..20]));
    }
}
