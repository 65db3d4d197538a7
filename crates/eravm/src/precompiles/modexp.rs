//! Modular exponentiation of words.

use crate::{Limit, U256, memory::Memory, precompiles::PrecompileCall};

/// Computes a power from base, exponent and modulus. Every result modulo zero is zero.
pub(super) fn power(call: &PrecompileCall, memory: &mut Memory) -> Result<(), Limit> {
    let [base, exponent, modulus] = call.words(memory, 0).map(U256::from_be_bytes::<32>);
    call.write(memory, [base.pow_mod(exponent, modulus)])
}
