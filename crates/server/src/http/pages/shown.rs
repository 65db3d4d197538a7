//! How what the server knows is written for people. What a template shows of it is escaped there.

use tee_api::KeyStanding;
pub(super) use tee_pages::{At, Bytes, Short, Span, Stated, Tone, counted, cut, tee};

use crate::keys::Trust;

/// What a command line needs besides, where a quote's root is not Intel's.
pub(super) fn root_option(trust: Trust) -> &'static str {
    match trust {
        Trust::Intel => "",
        Trust::AnotherRoot | Trust::Nobody => " --danger-root-certificate root.der",
    }
}

/// How good a key's standing is.
pub(super) fn key_tone(standing: KeyStanding) -> Tone {
    match standing {
        KeyStanding::Accepted => Tone::Good,
        KeyStanding::Unjudged | KeyStanding::Suspended | KeyStanding::Refused => Tone::Warning,
        KeyStanding::Revoked => Tone::Bad,
    }
}
