//! How times, hashes and states are written for people. Templates escape what they show of these.

use tee_api::KeyStanding;
pub(super) use tee_pages::{At, Bytes, Short, Span, Stated, Tone, counted, cut, tee};

use crate::keys::Trust;

/// The extra option that a command line needs if quotes do not chain up to Intel's root.
pub(super) fn root_option(trust: Trust) -> &'static str {
    match trust {
        Trust::Intel => "",
        Trust::AnotherRoot | Trust::Nobody => " --danger-root-certificate root.der",
    }
}

/// The tone of a key's standing.
pub(super) fn key_tone(standing: KeyStanding) -> Tone {
    match standing {
        KeyStanding::Accepted => Tone::Good,
        KeyStanding::Unjudged | KeyStanding::Suspended | KeyStanding::Refused => Tone::Warning,
        KeyStanding::Revoked => Tone::Bad,
    }
}
