//! Keys: which may sign. Quotes are judged when keys register, and again while they are in use.

mod judge;
mod judgeable;
mod standing;

pub use self::judge::{AttestationConfig, AttestationSetupError};
pub(crate) use self::{
    judge::{Attestor, JudgeError, Judged, secs},
    standing::watch,
};
