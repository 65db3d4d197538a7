//! Report data and attestation quotes.
