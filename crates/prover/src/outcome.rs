//! The ways in which a batch ends.

use crate::{event::Event, metrics::Stage};
use tee_api::ClientError;
use tee_verifier::L1BatchNumber;
use vise::EncodeLabelValue;

/// The end of a batch. Each batch that a server hands out comes to exactly one of these.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server accepted its proof.
    Submitted { batch: L1BatchNumber },
    /// It was verified by a prover of type `none`, which signs nothing.
    Verified,
    /// It cannot be proven. An unreadable input has no number.
    Failed { batch: Option<L1BatchNumber>, failure: Failure },
    /// The server finally refused its proof.
    Refused { batch: L1BatchNumber, error: ClientError },
    /// Its lease was lost during this stage: the batch belongs to another prover now.
    Lost { batch: L1BatchNumber, during: Stage },
    /// It was given back during this stage, without a proof: the prover stops, or the input did not arrive.
    GivenBack { during: Stage },
    /// Its proof was given up: the lease has ended and the server does not answer, or the prover stops.
    Abandoned,
}

/// Why a batch cannot be proven.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A short stable name.
    pub(crate) kind: &'static str,
    pub(crate) error: String,
}

/// Why a batch does not reach its next stage.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// The batch's fault.
    Failed(Failure),
    /// The prover was told to stop.
    Stopped,
}

/// An [`Outcome`] without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[metrics(rename_all = "snake_case")]
pub(crate) enum OutcomeLabel {
    Submitted,
    Verified,
    Failed,
    Refused,
    Lost,
    GivenBack,
    Abandoned,
}

impl Outcome {
    /// The labels in metrics: the outcome, and the kind of a failure.
    pub(crate) fn labels(&self) -> (OutcomeLabel, &'static str) {
        match self {
            Self::Submitted { .. } => (OutcomeLabel::Submitted, ""),
            Self::Verified => (OutcomeLabel::Verified, ""),
            Self::Failed { failure, .. } => (OutcomeLabel::Failed, failure.kind),
            Self::Refused { .. } => (OutcomeLabel::Refused, ""),
            Self::Lost { .. } => (OutcomeLabel::Lost, ""),
            Self::GivenBack { .. } => (OutcomeLabel::GivenBack, ""),
            Self::Abandoned => (OutcomeLabel::Abandoned, ""),
        }
    }

    /// Logs the outcome. The log's span names the batch.
    pub(crate) fn log(&self) {
        match self {
            Self::Submitted { .. } => tracing::info!("submitted"),
            Self::Failed { failure: Failure { kind, error }, .. } => {
                tracing::error!(kind, error, "the batch cannot be proven");
            }
            Self::Refused { error, .. } => tracing::error!(%error, "the proof was refused"),
            Self::Lost { during: Stage::Submit, .. } => {
                tracing::warn!("the proof came too late: another prover has the batch now");
            }
            Self::Lost { .. } => tracing::warn!("dropped the batch: another prover has it now"),
            Self::GivenBack { during: Stage::Verify } => tracing::warn!("stopped before the batch was verified"),
            Self::Abandoned => tracing::warn!("the proof was not submitted"),
            // A verification, a stop, and the fault for which batches are given back have lines of their own.
            Self::Verified | Self::GivenBack { .. } => {}
        }
    }

    /// The event for observers, if there is one: a batch that was given back comes again.
    pub(crate) fn into_event(self) -> Option<Event> {
        match self {
            Self::Submitted { batch } => Some(Event::Submitted { batch }),
            Self::Failed { batch, failure: Failure { kind, error } } => Some(Event::Failed { batch, kind, error }),
            Self::Refused { batch, error } => Some(Event::Refused { batch, error: error.to_string() }),
            Self::Lost { batch, .. } => Some(Event::Lost { batch }),
            Self::Verified | Self::GivenBack { .. } | Self::Abandoned => None,
        }
    }
}
