//! The policy: which quotes are accepted.
//!
//! The file format is a superset of teepot's `attestation_policy.yaml`, so that such a file works unchanged. Where teepot's checker
//! ignores a missing or unknown key, this one refuses: see `docs/ATTESTATION.md`.

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use thiserror::Error;

/// The largest policy file, in bytes.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;

/// Which quotes are accepted. The default accepts none. Each list, if present, accepts only its items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// For SGX enclaves. Without it, none is accepted.
    pub sgx: Option<SgxPolicy>,
    /// For TDX domains. Without it, none is accepted.
    pub tdx: Option<TdxPolicy>,
    /// How long ago Intel may have issued the TCB info and the QE identity. Without it, they are accepted until they expire.
    pub max_collateral_age_secs: Option<u64>,
}

/// Which SGX enclaves are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SgxPolicy {
    /// MRENCLAVE must be one of these. Without them no enclave is accepted: the signer of a program says nothing about what it does.
    pub mrenclaves: Option<Vec<Hex<32>>>,
    /// MRSIGNER must also be one of these.
    pub mrsigners: Option<Vec<Hex<32>>>,
    /// ISVPRODID must also be one of these.
    pub isv_prod_ids: Option<Vec<u16>>,
    /// ISVSVN must also be at least this.
    pub min_isv_svn: Option<u16>,
    /// The platform's status must be one of these.
    #[serde(default = "up_to_date")]
    pub allowed_tcb_levels: Vec<TcbStatus>,
    /// Each of the platform's advisories must be one of these.
    #[serde(default, deserialize_with = "advisories")]
    pub allowed_advisory_ids: Advisories,
    /// None of the platform's advisories may be one of these.
    #[serde(default)]
    pub refused_advisory_ids: Vec<String>,
}

/// Which TDX domains are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxPolicy {
    /// MRTD and RTMR0 to RTMR3 must be one of these sets. Without them no domain is accepted.
    pub mrs: Option<Vec<[Hex<48>; 5]>>,
    /// MRSEAM must also be one of these.
    pub mrseams: Option<Vec<Hex<48>>>,
    /// The TD attributes must also be one of these.
    pub td_attributes: Option<Vec<Hex<8>>>,
    /// XFAM must also be one of these.
    pub xfams: Option<Vec<Hex<8>>>,
    /// MRCONFIGID must also be one of these.
    pub mr_config_ids: Option<Vec<Hex<48>>>,
    /// MROWNER must also be one of these.
    pub mr_owners: Option<Vec<Hex<48>>>,
    /// MROWNERCONFIG must also be one of these.
    pub mr_owner_configs: Option<Vec<Hex<48>>>,
    /// The platform's status must be one of these.
    #[serde(default = "up_to_date")]
    pub allowed_tcb_levels: Vec<TcbStatus>,
    /// Each of the platform's advisories must be one of these.
    #[serde(default, deserialize_with = "advisories")]
    pub allowed_advisory_ids: Advisories,
    /// None of the platform's advisories may be one of these.
    #[serde(default)]
    pub refused_advisory_ids: Vec<String>,
}

/// Which advisories a platform may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advisories {
    /// Any advisory: `any`.
    Any,
    /// Only these.
    Only(Vec<String>),
}

/// A platform's status in Intel's TCB info, as the quote verification library names it. `Revoked` is missing, because no policy can
/// allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum TcbStatus {
    /// Everything is up to date.
    #[serde(alias = "Ok")]
    UpToDate,
    /// Software must take its own measures.
    #[serde(rename = "SWHardeningNeeded", alias = "SwHardeningNeeded")]
    SwHardeningNeeded,
    /// The platform's configuration must change.
    #[serde(alias = "ConfigNeeded")]
    ConfigurationNeeded,
    /// Both of the above.
    #[serde(rename = "ConfigurationAndSWHardeningNeeded", alias = "ConfigAndSwHardeningNeeded")]
    ConfigurationAndSwHardeningNeeded,
    /// Known holes are open.
    OutOfDate,
    /// Known holes are open, and the configuration must change.
    #[serde(alias = "OutOfDateConfigNeeded")]
    OutOfDateConfigurationNeeded,
    /// The TDX module was out of date when the domain started, and has been updated since.
    #[serde(rename = "TDRelaunchAdvised")]
    TdRelaunchAdvised,
    /// The same, and the configuration must change.
    #[serde(rename = "TDRelaunchAdvisedConfigurationNeeded")]
    TdRelaunchAdvisedConfigurationNeeded,
}

/// `N` bytes, written as twice as many hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// Why text is not a policy.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// It is larger than [`MAX_POLICY_BYTES`].
    #[error("policy: {got} bytes, at most {limit} are allowed", limit = MAX_POLICY_BYTES)]
    TooLarge {
        /// The number of bytes.
        got: usize,
    },
    /// It is not YAML, or has an unknown key or an invalid value.
    #[error("policy: {0}")]
    Yaml(String),
    /// It has no section and would refuse every quote: an empty file is probably a mistake.
    #[error("policy: has no section sgx or tdx")]
    Empty,
}

/// The text is not `N` bytes in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be {digits} hex digits")]
pub struct HexError {
    /// The required number of digits.
    pub digits: usize,
}

impl Policy {
    /// Reads the YAML form.
    pub fn from_yaml(yaml: &str) -> Result<Self, PolicyError> {
        if yaml.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLarge { got: yaml.len() });
        }
        let policy: Self =
            serde_saphyr::from_str(yaml).map_err(|error| PolicyError::Yaml(error.without_snippet().to_string()))?;
        if policy.sgx.is_none() && policy.tdx.is_none() {
            return Err(PolicyError::Empty);
        }
        Ok(policy)
    }
}

impl TcbStatus {
    /// The status with this name in Intel's documents.
    pub fn from_intel(name: &str) -> Option<Self> {
        [
            Self::UpToDate,
            Self::SwHardeningNeeded,
            Self::ConfigurationNeeded,
            Self::ConfigurationAndSwHardeningNeeded,
            Self::OutOfDate,
            Self::OutOfDateConfigurationNeeded,
            Self::TdRelaunchAdvised,
            Self::TdRelaunchAdvisedConfigurationNeeded,
        ]
        .into_iter()
        .find(|status| status.as_str() == name)
    }

    /// Its name in Intel's documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::TdRelaunchAdvised => "TDRelaunchAdvised",
            Self::TdRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
        }
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Advisories {
    pub(crate) fn allow(&self, id: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ids) => ids.iter().any(|allowed| allowed.eq_ignore_ascii_case(id)),
        }
    }
}

impl Default for Advisories {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HexError { digits: N.saturating_mul(2) })?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn up_to_date() -> Vec<TcbStatus> {
    vec![TcbStatus::UpToDate]
}

/// `any`, or a list.
fn advisories<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Advisories, D::Error> {
    struct AnyOrList;

    impl<'de> Visitor<'de> for AnyOrList {
        type Value = Advisories;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of advisories, or `any`")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Advisories, E> {
            match text {
                "any" => Ok(Advisories::Any),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }

        fn visit_unit<E: de::Error>(self) -> Result<Advisories, E> {
            Ok(Advisories::default())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Advisories, A::Error> {
            let mut ids = Vec::new();
            while let Some(id) = sequence.next_element()? {
                ids.push(id);
            }
            Ok(Advisories::Only(ids))
        }
    }

    deserializer.deserialize_any(AnyOrList)
}
