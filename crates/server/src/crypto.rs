//! Functions that only call cryptographic libraries.

/// Installs the cryptographic provider for reqwest, which is built here without its own.
pub(crate) fn install() {
    // This fails if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Random bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).expect("the operating system provides random bytes");
    bytes
}
