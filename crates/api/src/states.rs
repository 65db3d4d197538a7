//! States of jobs and keys: one name each, on the wire, in a server's database and in the labels of metrics.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The status of a job.
///
/// | from | to | when |
/// | --- | --- | --- |
/// | `ReadyToBeProven`, `Failed` | `PickedByProver` | a prover takes it |
/// | `PickedByProver` | `Generated` | as many proofs are accepted as are required |
/// | `PickedByProver` | `ReadyToBeProven` | the lease is given back, or a further proof is required |
/// | `PickedByProver` | `Failed` | the prover reports a failure, or there is no input to hand out |
/// | `PickedByProver` | `PickedByProver` | the lease has expired, and another prover takes it |
/// | `PickedByProver` | `PermanentlyIgnored` | every prover that could prove it has tried |
/// | `Failed`, `PermanentlyIgnored` | `ReadyToBeProven` | somebody retries it, or its input is available again |
/// | any except `Generated` | `PermanentlyIgnored` | somebody gives it up, or its type of enclave is retired |
/// | any | `ReadyToBeProven` | somebody queues it again, or its proofs turn out to be wrong |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for a prover.
    ReadyToBeProven,
    /// A prover has it. For TEE type `none`, this is the final state of a batch that was found correct.
    PickedByProver,
    /// As many proofs were accepted as are required.
    Generated,
    /// A prover reported that the batch cannot be proven, or its input is not readable. It is tried again later.
    Failed,
    /// Given up.
    PermanentlyIgnored,
}

/// Whether a key may sign, and whether what it signed counts.
///
/// | from | to | when |
/// | --- | --- | --- |
/// | `Unjudged` | `Accepted` | it registers at a server that judges quotes |
/// | `Accepted` | `Suspended` | it could not be judged for too long, for lack of collateral |
/// | `Suspended`, `Refused` | `Accepted` | its quote passes, when it is judged again or the key registers again |
/// | any except `Revoked` | `Refused` | its quote breaks the policy, which may have changed |
/// | any | `Revoked` | somebody revokes it, permanently |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyStanding {
    /// The server judges no quotes. It may sign.
    Unjudged,
    /// Its quote passed. It may sign.
    Accepted,
    /// Its quote passed once, and could not be judged since. It makes no new proofs, but what it proved counts.
    Suspended,
    /// Its quote does not pass. It makes no new proofs, but what it proved counts.
    Refused,
    /// Somebody revoked it. It makes no new proofs, and nothing that it proved counts.
    Revoked,
}

/// The text is not a status of a job.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown job status {0:?}")]
pub struct JobStatusError(String);

/// The text is not a standing of a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown standing of a key {0:?}")]
pub struct KeyStandingError(String);

/// A state as a peer names it. A newer peer may name one that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrOther<T> {
    /// A state that is known here.
    Known(T),
    /// The name of an unknown state. It is the peer's text, so code that shows it must handle unprintable characters.
    Other(String),
}

impl JobStatus {
    /// All statuses.
    pub const ALL: [Self; 5] =
        [Self::ReadyToBeProven, Self::PickedByProver, Self::Generated, Self::Failed, Self::PermanentlyIgnored];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadyToBeProven => "ready_to_be_proven",
            Self::PickedByProver => "picked_by_prover",
            Self::Generated => "generated",
            Self::Failed => "failed",
            Self::PermanentlyIgnored => "permanently_ignored",
        }
    }
}

impl KeyStanding {
    /// All standings.
    pub const ALL: [Self; 5] = [Self::Unjudged, Self::Accepted, Self::Suspended, Self::Refused, Self::Revoked];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unjudged => "unjudged",
            Self::Accepted => "accepted",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
        }
    }

    /// Standing and reason in one text, for peers that do not know standings: `unjudged`, `accepted`, `refused: …` or `revoked: …`. For
    /// them, a suspended key is an accepted one.
    pub fn verdict(self, reason: Option<&str>) -> String {
        match (self, reason) {
            (Self::Suspended, _) => Self::Accepted.as_str().to_owned(),
            (Self::Refused | Self::Revoked, Some(reason)) => format!("{self}: {reason}"),
            _ => self.as_str().to_owned(),
        }
    }
}

impl FromStr for JobStatus {
    type Err = JobStatusError;

    fn from_str(text: &str) -> Result<Self, JobStatusError> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| JobStatusError(text.to_owned()))
    }
}

impl FromStr for KeyStanding {
    type Err = KeyStandingError;

    fn from_str(text: &str) -> Result<Self, KeyStandingError> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.as_str() == text)
            .ok_or_else(|| KeyStandingError(text.to_owned()))
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for KeyStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T: Copy> OrOther<T> {
    /// The state, if it is known here.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(state) => Some(*state),
            Self::Other(_) => None,
        }
    }
}

impl<T> From<T> for OrOther<T> {
    fn from(state: T) -> Self {
        Self::Known(state)
    }
}

impl<T: FromStr> FromStr for OrOther<T> {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Other(text.to_owned()), Self::Known))
    }
}

impl<T: fmt::Display> fmt::Display for OrOther<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(state) => state.fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl<T: fmt::Display> Serialize for OrOther<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for OrOther<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Ok(state) = String::deserialize(deserializer)?.parse();
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_name_wherever_it_stands() {
        for status in JobStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for standing in KeyStanding::ALL {
            assert_eq!(serde_json::to_value(standing).unwrap(), standing.as_str());
            assert_eq!(standing.as_str().parse(), Ok(standing));
        }
        assert_eq!("Failed".parse::<JobStatus>(), Err(JobStatusError("Failed".to_owned())));
        assert_eq!("".parse::<KeyStanding>(), Err(KeyStandingError(String::new())));
    }

    #[test]
    fn what_a_newer_server_names_is_kept_as_it_is() {
        let read = |json: &str| serde_json::from_str::<OrOther<JobStatus>>(json);
        let (known, other) = (read("\"failed\"").unwrap(), read("\"proven_twice\"").unwrap());
        assert_eq!((&known, known.known()), (&JobStatus::Failed.into(), Some(JobStatus::Failed)));
        assert_eq!((&other, other.known()), (&OrOther::Other("proven_twice".to_owned()), None));
        for (state, json) in [(known, "\"failed\""), (other, "\"proven_twice\"")] {
            assert_eq!(serde_json::to_string(&state).unwrap(), json);
        }
        assert!(read("7").is_err());
    }

    #[test]
    fn a_standing_reads_as_before_to_those_who_know_none() {
        let verdict = |standing: KeyStanding, reason| standing.verdict(reason);
        assert_eq!(verdict(KeyStanding::Unjudged, None), "unjudged");
        assert_eq!(verdict(KeyStanding::Accepted, None), "accepted");
        assert_eq!(verdict(KeyStanding::Suspended, None), "accepted");
        assert_eq!(verdict(KeyStanding::Refused, Some("tcb_status: Revoked")), "refused: tcb_status: Revoked");
        assert_eq!(verdict(KeyStanding::Revoked, Some("stolen")), "revoked: stolen");
    }
}
