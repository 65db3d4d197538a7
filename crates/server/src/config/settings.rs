//! Turns what was set, in the file and in environment variables over it, into a configuration.

use std::{
    convert::Infallible,
    fmt, fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Deserializer};
use tee_api::{
    TeeType,
    settings::{Bytes, Interval, Line, Origin, Setting, Variables},
};
use tee_verifier::{ChainFile, ChainPins};

use super::{CompletionConfig, Config, ConfigError, Loaded, LogFormat, MirrorConfig};
use crate::{
    batches::ObjectStoreUrl,
    database::RequiredProofs,
    edge::{Limits, TlsConfig},
    keys::AttestationConfig,
};

/// The prefix of all variables.
const PREFIX: &str = "TEE_SERVER_";

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The keys of the file. Keys that end in a unit of time, and sizes that end in `_bytes`, are those of the previous release.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    listen: Setting<SocketAddr>,
    danger_open: Setting<bool>,
    tokens_file: Setting<Text>,
    public_proofs: Setting<bool>,
    tls: Setting<TlsSettings>,
    limits: Setting<LimitsSettings>,
    log_format: Setting<LogFormat>,
    database_url: Setting<Text>,
    object_store: Setting<ObjectStoreUrl>,
    first_processed_batch: Setting<u32>,
    proof_generation_timeout: Setting<Interval>,
    proof_generation_timeout_secs: Setting<u64>,
    longest_lease: Setting<Interval>,
    longest_lease_secs: Setting<u64>,
    max_attempts: Setting<u32>,
    max_leases_per_prover: Setting<u32>,
    batch_permanently_ignored_timeout: Setting<Interval>,
    batch_permanently_ignored_timeout_hours: Setting<u64>,
    tee_types: Setting<TeeTypes>,
    required_proofs: Setting<RequiredProofsSettings>,
    keep_finished_inputs: Setting<Interval>,
    keep_finished_inputs_days: Setting<NonZeroU32>,
    mirror: Setting<MirrorSettings>,
    completion: Setting<CompletionSettings>,
    attestation: Setting<AttestationSettings>,
    danger_bare_roots: Setting<bool>,
    danger_unjudged_quotes: Setting<bool>,
    chain: Setting<ChainPins>,
    danger_any_code: Setting<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TlsSettings {
    certificate: Setting<Text>,
    key: Setting<Text>,
    prover_ca: Setting<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSettings {
    max_body: Setting<Bytes>,
    max_body_bytes: Setting<u64>,
    max_upload: Setting<Bytes>,
    max_upload_bytes: Setting<u64>,
    requests_per_sec: Setting<u32>,
    request_burst: Setting<u32>,
    max_connections: Setting<usize>,
    max_connections_per_peer: Setting<usize>,
    header_timeout: Setting<Interval>,
    header_timeout_secs: Setting<u64>,
    request_timeout: Setting<Interval>,
    request_timeout_secs: Setting<u64>,
    stall_timeout: Setting<Interval>,
    stall_timeout_secs: Setting<u64>,
    least_upload_per_sec: Setting<Bytes>,
    least_upload_bytes_per_sec: Setting<u64>,
    least_answer_per_sec: Setting<Bytes>,
    least_answer_bytes_per_sec: Setting<u64>,
    max_answer: Setting<Bytes>,
    max_answer_bytes: Setting<u64>,
    max_event_streams: Setting<usize>,
    stop_grace: Setting<Interval>,
    stop_grace_secs: Setting<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RequiredProofsSettings {
    sgx: Setting<u32>,
    tdx: Setting<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MirrorSettings {
    node_url: Setting<Text>,
    rpc_url: Setting<Text>,
    first_batch: Setting<u32>,
    token_file: Setting<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CompletionSettings {
    rpc_url: Setting<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AttestationSettings {
    policy: Setting<Text>,
    collateral: Setting<Text>,
    refresh_before: Setting<Interval>,
    refresh_before_secs: Setting<u64>,
    rejudge_interval: Setting<Interval>,
    rejudge_interval_secs: Setting<u64>,
    suspend_after: Setting<Interval>,
    suspend_after_secs: Setting<u64>,
    known_builds: Setting<Text>,
    danger_root_certificate: Setting<Text>,
}

/// Any text, displayed with YAML quotes. `Debug` does not show it, since some of it is secret.
struct Text(String);

/// Types of enclave. In a variable they are separated by commas.
#[derive(Debug)]
struct TeeTypes(Vec<TeeType>);

/// The pins from a file, given by its path.
struct PinsFromFile(ChainPins);

/// Reads the keys one after another and records what it finds. A key in a section is named `section.key`; its variable is [`PREFIX`]
/// followed by the key in upper case, with `_` for the dot.
struct Reader<'a> {
    environment: Variables<'a>,
    lines: Vec<(Option<&'static str>, Line)>,
    warnings: Vec<String>,
    /// Whether anything was set in the current section.
    said: bool,
}

pub(super) fn load(
    path: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
    names: &[String],
) -> Result<Loaded, ConfigError> {
    let settings = match path {
        None => Settings::default(),
        Some(path) => serde_saphyr::from_str(&fs::read_to_string(path)?)
            .map_err(|error| ConfigError::Yaml(error.without_snippet().to_string()))?,
    };
    let environment = Variables::new(PREFIX, environment);
    let mut reader = Reader { environment, lines: Vec::new(), warnings: Vec::new(), said: false };
    let config = settings.resolve(&mut reader)?;
    reader.environment.refuse_unknown(names)?;
    Ok(Loaded { config, lines: reader.lines, warnings: reader.warnings })
}

impl Settings {
    fn resolve(self, reader: &mut Reader<'_>) -> Result<Config, ConfigError> {
        let database_url = reader.secret("database_url", self.database_url)?;
        let object_store = reader.optional("object_store", self.object_store)?;
        let default = Config::new(
            database_url.ok_or(ConfigError::Missing("database_url"))?,
            object_store.ok_or(ConfigError::Missing("object_store"))?,
        );
        Ok(Config {
            listen: reader.or("listen", self.listen, default.listen)?,
            danger_open: reader.or("danger_open", self.danger_open, default.danger_open)?,
            tokens_file: reader.path("tokens_file", self.tokens_file)?,
            public_proofs: reader.or("public_proofs", self.public_proofs, default.public_proofs)?,
            tls: reader.section(self.tls, TlsSettings::resolve)?,
            limits: self.limits.value().unwrap_or_default().resolve(reader)?,
            log_format: reader.or("log_format", self.log_format, default.log_format)?,
            first_processed_batch: reader.or(
                "first_processed_batch",
                self.first_processed_batch,
                default.first_processed_batch,
            )?,
            proof_generation_timeout_secs: reader.secs(
                "proof_generation_timeout",
                (self.proof_generation_timeout, self.proof_generation_timeout_secs),
                default.proof_generation_timeout_secs,
            )?,
            longest_lease_secs: reader.secs(
                "longest_lease",
                (self.longest_lease, self.longest_lease_secs),
                default.longest_lease_secs,
            )?,
            max_attempts: reader.or("max_attempts", self.max_attempts, default.max_attempts)?,
            max_leases_per_prover: reader.or(
                "max_leases_per_prover",
                self.max_leases_per_prover,
                default.max_leases_per_prover,
            )?,
            batch_permanently_ignored_timeout: reader.interval(
                "batch_permanently_ignored_timeout",
                (
                    self.batch_permanently_ignored_timeout,
                    ("_hours", self.batch_permanently_ignored_timeout_hours, HOUR),
                ),
                default.batch_permanently_ignored_timeout,
            )?,
            tee_types: reader.or("tee_types", self.tee_types, TeeTypes(default.tee_types))?.0,
            required_proofs: self.required_proofs.value().unwrap_or_default().resolve(reader)?,
            keep_finished_inputs_days: reader
                .days("keep_finished_inputs", (self.keep_finished_inputs, self.keep_finished_inputs_days))?,
            mirror: reader.section(self.mirror, MirrorSettings::resolve)?,
            completion: reader.section(self.completion, CompletionSettings::resolve)?,
            attestation: reader.section(self.attestation, AttestationSettings::resolve)?,
            danger_bare_roots: reader.or("danger_bare_roots", self.danger_bare_roots, default.danger_bare_roots)?,
            danger_unjudged_quotes: reader.or(
                "danger_unjudged_quotes",
                self.danger_unjudged_quotes,
                default.danger_unjudged_quotes,
            )?,
            chain: reader.chain(self.chain)?,
            danger_any_code: reader.or("danger_any_code", self.danger_any_code, default.danger_any_code)?,
            ..default
        })
    }
}

// The sections that may be absent. An incomplete one is an inner error, which counts only if anything was set in the section.
impl TlsSettings {
    fn resolve(self, reader: &mut Reader<'_>) -> Result<Result<TlsConfig, ConfigError>, ConfigError> {
        let certificate = reader.path("tls.certificate", self.certificate)?;
        let key = reader.path("tls.key", self.key)?;
        let prover_ca = reader.path("tls.prover_ca", self.prover_ca)?;
        Ok(match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(TlsConfig { certificate, key, prover_ca }),
            (None, _) => Err(ConfigError::Missing("tls.certificate")),
            (_, None) => Err(ConfigError::Missing("tls.key")),
        })
    }
}

impl LimitsSettings {
    fn resolve(self, reader: &mut Reader<'_>) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        Ok(Limits {
            max_body_bytes: reader.bytes(
                "limits.max_body",
                (self.max_body, "limits.max_body_bytes", self.max_body_bytes),
                default.max_body_bytes,
            )?,
            max_upload_bytes: reader.bytes(
                "limits.max_upload",
                (self.max_upload, "limits.max_upload_bytes", self.max_upload_bytes),
                default.max_upload_bytes,
            )?,
            requests_per_sec: reader.or("limits.requests_per_sec", self.requests_per_sec, default.requests_per_sec)?,
            request_burst: reader.or("limits.request_burst", self.request_burst, default.request_burst)?,
            max_connections: reader.or("limits.max_connections", self.max_connections, default.max_connections)?,
            max_connections_per_peer: reader.or(
                "limits.max_connections_per_peer",
                self.max_connections_per_peer,
                default.max_connections_per_peer,
            )?,
            header_timeout_secs: reader.secs(
                "limits.header_timeout",
                (self.header_timeout, self.header_timeout_secs),
                default.header_timeout_secs,
            )?,
            request_timeout_secs: reader.secs(
                "limits.request_timeout",
                (self.request_timeout, self.request_timeout_secs),
                default.request_timeout_secs,
            )?,
            stall_timeout_secs: reader.secs(
                "limits.stall_timeout",
                (self.stall_timeout, self.stall_timeout_secs),
                default.stall_timeout_secs,
            )?,
            least_upload_bytes_per_sec: reader.bytes(
                "limits.least_upload_per_sec",
                (self.least_upload_per_sec, "limits.least_upload_bytes_per_sec", self.least_upload_bytes_per_sec),
                default.least_upload_bytes_per_sec,
            )?,
            least_answer_bytes_per_sec: reader.bytes(
                "limits.least_answer_per_sec",
                (self.least_answer_per_sec, "limits.least_answer_bytes_per_sec", self.least_answer_bytes_per_sec),
                default.least_answer_bytes_per_sec,
            )?,
            max_answer_bytes: reader.bytes(
                "limits.max_answer",
                (self.max_answer, "limits.max_answer_bytes", self.max_answer_bytes),
                default.max_answer_bytes,
            )?,
            max_event_streams: reader.or(
                "limits.max_event_streams",
                self.max_event_streams,
                default.max_event_streams,
            )?,
            stop_grace_secs: reader.secs(
                "limits.stop_grace",
                (self.stop_grace, self.stop_grace_secs),
                default.stop_grace_secs,
            )?,
        })
    }
}

impl RequiredProofsSettings {
    fn resolve(self, reader: &mut Reader<'_>) -> Result<RequiredProofs, ConfigError> {
        Ok(RequiredProofs {
            sgx: reader.optional("required_proofs.sgx", self.sgx)?,
            tdx: reader.optional("required_proofs.tdx", self.tdx)?,
        })
    }
}

impl MirrorSettings {
    fn resolve(self, reader: &mut Reader<'_>) -> Result<Result<MirrorConfig, ConfigError>, ConfigError> {
        let node_url = reader.secret("mirror.node_url", self.node_url)?;
        let rpc_url = reader.secret("mirror.rpc_url", self.rpc_url)?;
        let first_batch = reader.or("mirror.first_batch", self.first_batch, 0)?;
        let token_file = reader.path("mirror.token_file", self.token_file)?;
        let node_url = node_url.ok_or(ConfigError::Missing("mirror.node_url"));
        Ok(node_url.map(|node_url| MirrorConfig { node_url, rpc_url, first_batch, token_file }))
    }
}

impl CompletionSettings {
    fn resolve(self, reader: &mut Reader<'_>) -> Result<Result<CompletionConfig, ConfigError>, ConfigError> {
        let rpc_url = reader.secret("completion.rpc_url", self.rpc_url)?;
        let rpc_url = rpc_url.ok_or(ConfigError::Missing("completion.rpc_url"));
        Ok(rpc_url.map(|rpc_url| CompletionConfig { rpc_url }))
    }
}

impl AttestationSettings {
    fn resolve(self, reader: &mut Reader<'_>) -> Result<Result<AttestationConfig, ConfigError>, ConfigError> {
        let policy = reader.path("attestation.policy", self.policy)?;
        let collateral = reader.secret("attestation.collateral", self.collateral)?;
        let default = AttestationConfig::new(PathBuf::new(), String::new());
        let config = AttestationConfig {
            refresh_before_secs: reader.secs(
                "attestation.refresh_before",
                (self.refresh_before, self.refresh_before_secs),
                default.refresh_before_secs,
            )?,
            rejudge_interval_secs: reader.secs(
                "attestation.rejudge_interval",
                (self.rejudge_interval, self.rejudge_interval_secs),
                default.rejudge_interval_secs,
            )?,
            suspend_after_secs: reader.secs(
                "attestation.suspend_after",
                (self.suspend_after, self.suspend_after_secs),
                default.suspend_after_secs,
            )?,
            known_builds: reader.path("attestation.known_builds", self.known_builds)?,
            danger_root_certificate: reader
                .path("attestation.danger_root_certificate", self.danger_root_certificate)?,
            ..default
        };
        Ok(match (policy, collateral) {
            (Some(policy), Some(collateral)) => Ok(AttestationConfig { policy, collateral, ..config }),
            (None, _) => Err(ConfigError::Missing("attestation.policy")),
            (_, None) => Err(ConfigError::Missing("attestation.collateral")),
        })
    }
}

impl Reader<'_> {
    /// Reads a section that may be absent.
    fn section<S: Default, C>(
        &mut self,
        settings: Setting<S>,
        resolve: impl FnOnce(S, &mut Self) -> Result<Result<C, ConfigError>, ConfigError>,
    ) -> Result<Option<C>, ConfigError> {
        self.said = settings.is_set();
        let before = self.lines.len();
        let resolved = resolve(settings.value().unwrap_or_default(), self)?;
        if self.said {
            return resolved.map(Some);
        }
        // The defaults of an absent section are not part of the configuration. If they were shown and read again, they would require the
        // rest of it.
        let first = self.lines.drain(before..).next();
        if let Some((Some(section), _)) = first {
            self.lines.push((None, Line::new(section, None, Origin::Default)));
        }
        Ok(None)
    }

    fn overlay<T: FromStr<Err: fmt::Display>>(
        &mut self,
        key: &'static str,
        setting: &mut Setting<T>,
    ) -> Result<(), ConfigError> {
        let variable = format!("{PREFIX}{}", key.replace('.', "_").to_uppercase());
        setting.overlay(&self.environment, &[&variable])?;
        self.said |= setting.is_set();
        Ok(())
    }

    /// The value, or the default.
    fn or<T: FromStr<Err: fmt::Display> + fmt::Display>(
        &mut self,
        key: &'static str,
        mut setting: Setting<T>,
        default: T,
    ) -> Result<T, ConfigError> {
        self.overlay(key, &mut setting)?;
        let (section, name) = split(key);
        let mut lines = Vec::new();
        let value = setting.or(name, default, &mut lines);
        self.lines.extend(lines.into_iter().map(|line| (section, line)));
        Ok(value)
    }

    /// The value, which may be absent.
    fn optional<T: FromStr<Err: fmt::Display> + fmt::Display>(
        &mut self,
        key: &'static str,
        mut setting: Setting<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.overlay(key, &mut setting)?;
        let (section, name) = split(key);
        let mut lines = Vec::new();
        let value = setting.optional(name, &mut lines);
        self.lines.extend(lines.into_iter().map(|line| (section, line)));
        Ok(value)
    }

    fn path(&mut self, key: &'static str, setting: Setting<Text>) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.optional(key, setting)?.map(|Text(path)| path.into()))
    }

    /// A value that may hold a password: the output shows only that it is set.
    fn secret(&mut self, key: &'static str, mut setting: Setting<Text>) -> Result<Option<String>, ConfigError> {
        self.overlay(key, &mut setting)?;
        let (section, name) = split(key);
        let line = match setting.origin() {
            Origin::Default => Line::new(name, None, Origin::Default),
            origin => Line::new("# secret", Some(format!("{name} (hidden)")), origin),
        };
        self.lines.push((section, line));
        Ok(setting.value().map(|Text(secret)| secret))
    }

    /// A span of time. The previous release had it as a number, under the key with this ending.
    fn span(
        &mut self,
        key: &'static str,
        said: Setting<Interval>,
        (ending, before, unit): (&str, Setting<u64>, Duration),
    ) -> Result<Setting<Interval>, ConfigError> {
        let in_units = |number: u64| unit.checked_mul(u32::try_from(number).ok()?).map(Interval);
        let before = match before {
            Setting::File(number) => {
                let error = "too large".to_owned();
                Setting::File(in_units(number).ok_or(ConfigError::Value { key, error })?)
            }
            _ => Setting::Unset,
        };
        self.renamed(key, said, &format!("{key}{ending}"), before)
    }

    fn interval(
        &mut self,
        key: &'static str,
        (said, before): (Setting<Interval>, (&str, Setting<u64>, Duration)),
        default: Duration,
    ) -> Result<Duration, ConfigError> {
        let said = self.span(key, said, before)?;
        Ok(self.or(key, said, Interval(default))?.0)
    }

    /// A span in whole seconds.
    fn secs<N: Copy + Into<u64> + TryFrom<u64>>(
        &mut self,
        key: &'static str,
        (said, before): (Setting<Interval>, Setting<u64>),
        default: N,
    ) -> Result<N, ConfigError> {
        let default = Duration::from_secs(default.into());
        let span = self.interval(key, (said, ("_secs", before, SECOND)), default)?;
        let whole = (span.subsec_nanos() == 0).then_some(span.as_secs());
        let error =
            || ConfigError::Value { key, error: "must be a whole number of seconds, and not too large".to_owned() };
        whole.and_then(|secs| N::try_from(secs).ok()).ok_or_else(error)
    }

    /// A span in whole days, which may be absent.
    fn days(
        &mut self,
        key: &'static str,
        (said, before): (Setting<Interval>, Setting<NonZeroU32>),
    ) -> Result<Option<NonZeroU32>, ConfigError> {
        let said = self.span(key, said, ("_days", before.map(|days| days.get().into()), DAY))?;
        let Some(Interval(span)) = self.optional(key, said)? else { return Ok(None) };
        let days = span.as_secs() / DAY.as_secs();
        let whole = u32::try_from(days).ok().filter(|days| DAY.checked_mul(*days) == Some(span));
        let error = || ConfigError::Value {
            key,
            error: "must be a whole number of days, at least one (such as 30d)".to_owned(),
        };
        whole.and_then(NonZeroU32::new).map(Some).ok_or_else(error)
    }

    /// A size.
    fn bytes<N: Copy + TryInto<u64> + TryFrom<u64>>(
        &mut self,
        key: &'static str,
        (said, before_key, before): (Setting<Bytes>, &str, Setting<u64>),
        default: N,
    ) -> Result<N, ConfigError> {
        let said = self.renamed(key, said, before_key, before.map(Bytes))?;
        let bytes = self.or(key, said, Bytes(default.try_into().unwrap_or(u64::MAX)))?.0;
        N::try_from(bytes).map_err(|_| ConfigError::Value { key, error: "too large".to_owned() })
    }

    /// The file's value under the key, or under its name in the previous release, which causes a warning.
    fn renamed<T>(
        &mut self,
        key: &'static str,
        now: Setting<T>,
        before_key: &str,
        before: Setting<T>,
    ) -> Result<Setting<T>, ConfigError> {
        if !before.is_set() {
            return Ok(now);
        }
        if now.is_set() {
            return Err(ConfigError::Value {
                key,
                error: format!("is also set under its old name {before_key}: remove that"),
            });
        }
        self.warnings.push(format!("{before_key} is now {key}; the old name will be removed in the next release"));
        Ok(before)
    }

    fn chain(&mut self, mut said: Setting<ChainPins>) -> Result<Option<ChainPins>, ConfigError> {
        let mut file = Setting::<PinsFromFile>::Unset;
        self.overlay("chain_file", &mut file)?;
        if let Setting::Environment(variable, PinsFromFile(chain)) = file {
            said = Setting::Environment(variable, chain);
        }
        let mut lines = Vec::new();
        let chain = said.optional("chain", &mut lines);
        self.lines.extend(lines.into_iter().map(|line| (None, line)));
        Ok(chain)
    }
}

/// Splits a key into its section and its name there.
fn split(key: &'static str) -> (Option<&'static str>, &'static str) {
    match key.split_once('.') {
        Some((section, name)) => (Some(section), name),
        None => (None, key),
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl FromStr for Text {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// Quotes as in JSON, which is valid YAML.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", serde_json::Value::from(&*self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

impl<'de> Deserialize<'de> for TeeTypes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl FromStr for TeeTypes {
    type Err = tee_api::TeeTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(|tee_type| tee_type.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for TeeTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|tee_type| tee_type.as_str()).collect();
        write!(f, "[{}]", names.join(", "))
    }
}

impl FromStr for PinsFromFile {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        let text = crate::watched::read(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
        let text = String::from_utf8(text).map_err(|error| format!("{path}: {error}"))?;
        let file: ChainFile =
            serde_saphyr::from_str(&text).map_err(|error| format!("{path}: {}", error.without_snippet()))?;
        Ok(Self(file.chain))
    }
}
