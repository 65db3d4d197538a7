//! The settings that the host gives by QEMU's fw_cfg, one item each: `-fw_cfg name=opt/tee-prover/api_url,string=https://…`.
//!
//! They are not measured. So the list has only what cannot change what the prover signs, and a name that is not in it is an error. Where key and
//! quote come from, the chain and its code are in the image.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    net::IpAddr,
    path::Path,
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};

use crate::network::{Network, Subnet};

/// The kernel's view of fw_cfg (Linux, `Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg`).
pub(crate) const FOLDER: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/tee-prover";

const MAX_TEXT_BYTES: u64 = 4096;
const MAX_FILE_BYTES: u64 = 128 * 1024;

/// Texts that become variables of the prover.
const VARIABLES: [(&str, &str); 13] = [
    ("api_token", "TEE_PROVER_API_TOKEN"),
    ("api_url", "TEE_PROVER_API_URL"),
    ("log_format", "TEE_PROVER_LOG_FORMAT"),
    ("max_backoff", "TEE_PROVER_MAX_BACKOFF_SECS"),
    ("max_idle_poll", "TEE_PROVER_MAX_IDLE_POLL"),
    ("memory_budget", "TEE_PROVER_MEMORY_BUDGET"),
    ("metrics_listen", "TEE_PROVER_METRICS_LISTEN"),
    ("prefetch", "TEE_PROVER_PREFETCH"),
    ("quote_timeout", "TEE_PROVER_QUOTE_TIMEOUT"),
    ("shutdown_grace", "TEE_PROVER_SHUTDOWN_GRACE"),
    ("stuck_verification_timeout", "TEE_PROVER_STUCK_VERIFICATION_TIMEOUT"),
    ("verification_timeout", "TEE_PROVER_VERIFICATION_TIMEOUT"),
    ("verification_workers", "TEE_PROVER_VERIFICATION_WORKERS"),
];

/// PEM files whose paths become variables of the prover.
const FILES: [(&str, &str); 3] = [
    ("api_ca", "TEE_PROVER_API_CA_FILE"),
    ("api_client_certificate", "TEE_PROVER_API_CLIENT_CERTIFICATE_FILE"),
    ("api_client_key", "TEE_PROVER_API_CLIENT_KEY_FILE"),
];

/// Texts for this process: how the machine reaches its network.
const NETWORK: [&str; 3] = ["address", "gateway", "nameserver"];

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) network: Network,
    /// Variable and value.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Variable that names the file, the file's name, and its bytes.
    pub(crate) files: Vec<(&'static str, &'static str, Vec<u8>)>,
}

impl Settings {
    /// Reads a folder with one folder for each setting, whose file `raw` has the value.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut network = BTreeMap::new();
        let (mut variables, mut files) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(folder).with_context(|| format!("no settings: {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let value = entry.path().join("raw");
            if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
                variables.push((*variable, text(&value).context(name)?));
            } else if let Some((known, variable)) = FILES.iter().find(|(known, _)| *known == name) {
                files.push((*variable, *known, bytes(&value, MAX_FILE_BYTES).context(name)?));
            } else if NETWORK.contains(&&*name) {
                network.insert(name.clone(), text(&value).context(name)?);
            } else {
                bail!("unknown setting: {name}");
            }
        }
        let address: Option<Subnet> = parsed(&network, "address")?;
        let network = Network {
            address: address.context("no address: the setting is missing")?,
            gateway: parsed::<IpAddr>(&network, "gateway")?,
            nameserver: parsed::<IpAddr>(&network, "nameserver")?,
        };
        network.check()?;
        Ok(Self { network, variables, files })
    }
}

fn parsed<T: FromStr<Err: Into<anyhow::Error>>>(
    texts: &BTreeMap<String, String>,
    name: &'static str,
) -> Result<Option<T>> {
    let text = texts.get(name);
    text.map(|text| text.parse().map_err(Into::into).with_context(|| format!("{name}: {text:?}"))).transpose()
}

/// One line. The error does not show it, because it may be a token.
fn text(path: &Path) -> Result<String> {
    let text = String::from_utf8(bytes(path, MAX_TEXT_BYTES)?).ok().context("not text")?;
    let text = text.trim_end_matches('\n');
    ensure!(!text.is_empty() && !text.contains(char::is_control), "empty, or more than one line");
    Ok(text.to_owned())
}

fn bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= most, "larger than {most} bytes");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &[u8])]) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in settings {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("raw"), value).unwrap();
        }
        Settings::read(folder.path())
    }

    const ADDRESS: (&str, &[u8]) = ("address", b"192.0.2.7/24");

    fn refusal(setting: (&str, &[u8])) -> String {
        format!("{:#}", read(&[ADDRESS, setting]).unwrap_err())
    }

    #[test]
    fn a_host_says_where_server_and_network_are() {
        let settings = read(&[
            ADDRESS,
            ("gateway", b"192.0.2.1\n"),
            ("api_url", b"https://proofs.example.org\n"),
            ("api_ca", b"-----BEGIN CERTIFICATE-----\n"),
        ])
        .unwrap();
        assert_eq!(settings.network.address, "192.0.2.7/24".parse().unwrap());
        assert_eq!(settings.network.gateway, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(settings.network.nameserver, None);
        assert_eq!(settings.variables, [("TEE_PROVER_API_URL", "https://proofs.example.org".to_owned())]);
        assert_eq!(settings.files, [("TEE_PROVER_API_CA_FILE", "api_ca", b"-----BEGIN CERTIFICATE-----\n".to_vec())]);
    }

    #[test]
    fn what_decides_what_is_signed_is_no_setting() {
        for name in [
            "attestation",
            "attestation_quote_file_path",
            "chain",
            "chain_file",
            "chain_id",
            "danger_any_code",
            "tee_type",
        ] {
            assert_eq!(refusal((name, b"x")), format!("unknown setting: {name}"));
        }
        let variables = VARIABLES.iter().chain(&FILES).map(|(_, variable)| variable.to_lowercase());
        for word in ["attestation", "chain", "danger", "signing", "tee_type"] {
            assert!(variables.clone().all(|variable| !variable.contains(word)), "{word}");
        }
    }

    #[test]
    fn a_token_that_is_no_line_of_text_is_refused_and_not_shown() {
        for value in [&b"secret\nline"[..], b"secret\0", b"", b"\n", b"secret\xff", &[b's'; 5000]] {
            let refusal = refusal(("api_token", value));
            assert!(refusal.starts_with("api_token: ") && !refusal.contains("secret"), "{refusal}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        assert_eq!(refusal(("api_ca", &[b'-'; 200_000])), "api_ca: larger than 131072 bytes");
    }

    #[test]
    fn a_machine_without_an_address_or_with_one_that_makes_no_sense_is_refused() {
        assert!(read(&[]).is_err());
        for address in ["192.0.2.7", "192.0.2.7/33", "192.0.2.7/x", "/24", "2001:db8::7/129"] {
            assert!(read(&[("address", address.as_bytes())]).is_err(), "{address}");
        }
        for other in [("gateway", &b"router"[..]), ("nameserver", b"192.0.2"), ("gateway", b"2001:db8::1")] {
            assert!(read(&[ADDRESS, other]).is_err(), "{other:?}");
        }
        assert!(read(&[("address", b"2001:db8::7/64"), ("gateway", b"fe80::1")]).is_ok());
    }
}
