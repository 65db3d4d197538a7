//! What is asked of libraries of cryptography alone.

/// Has reqwest find its cryptography, of which its build here brings none.
pub(crate) fn install() {
    // Fails when it was there before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
