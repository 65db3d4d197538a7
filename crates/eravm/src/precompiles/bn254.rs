//! Addition, multiplication and pairing on the curve BN254. A pair of zeros is the point at infinity.

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use ark_ff::{BigInt, BigInteger, PrimeField};

use crate::{Limit, U256, memory::Memory, precompiles::PrecompileCall};

/// More pairs, at about 80,000 gas each, cost more gas than a transaction can have.
const MAX_PAIRS: u64 = 10_000;

/// Adds two points.
pub(super) fn add(call: &PrecompileCall, memory: &mut Memory) -> Result<(), Limit> {
    let [x1, y1, x2, y2] = call.words(memory, 0);
    let sum = point(&x1, &y1).zip(point(&x2, &y2)).map(|(one, other)| one + other);
    write_point(call, memory, sum)
}

/// Multiplies a point by a number.
pub(super) fn multiply(call: &PrecompileCall, memory: &mut Memory) -> Result<(), Limit> {
    let [x, y, factor] = call.words(memory, 0);
    let product = point(&x, &y).map(|point| point * Fr::from_be_bytes_mod_order(&factor));
    write_point(call, memory, product)
}

/// Checks whether the product of the pairings is one. Writes whether all points are valid, and the answer.
pub(super) fn check_pairings(call: &PrecompileCall, memory: &mut Memory) -> Result<(), Limit> {
    if call.rounds > MAX_PAIRS {
        return Err(Limit::PrecompileRounds);
    }
    let pairs: Option<Vec<_>> = (0..call.rounds as usize).map(|pair| pair_of_points(call, memory, pair)).collect();
    let verdict = pairs.map(|pairs| {
        let (ones, twos): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        Bn254::multi_pairing(ones, twos).0 == ark_ff::One::one()
    });
    let flag = |flag: bool| U256::from(u8::from(flag));
    call.write(memory, [flag(verdict.is_some()), flag(verdict == Some(true))])
}

fn pair_of_points(call: &PrecompileCall, memory: &Memory, pair: usize) -> Option<(G1Affine, G2Affine)> {
    let [x, y, x_imaginary, x_real, y_imaginary, y_real] = call.words(memory, pair * 6);
    let one = point(&x, &y)?;
    let (x, y) = (Fq2::new(field(&x_real)?, field(&x_imaginary)?), Fq2::new(field(&y_real)?, field(&y_imaginary)?));
    let zero = Fq2::default();
    if (x, y) == (zero, zero) {
        return Some((one, G2Affine::zero()));
    }
    let two = G2Affine::new_unchecked(x, y);
    (two.is_on_curve() && two.is_in_correct_subgroup_assuming_on_curve()).then_some((one, two))
}

/// A word as an element of the field. `None` if it is not below the field's order.
fn field(word: &[u8; 32]) -> Option<Fq> {
    Fq::from_bigint(BigInt(U256::from_be_bytes(*word).into_limbs()))
}

fn point(x: &[u8; 32], y: &[u8; 32]) -> Option<G1Affine> {
    let (x, y) = (field(x)?, field(y)?);
    let zero = Fq::default();
    if (x, y) == (zero, zero) {
        return Some(G1Affine::zero());
    }
    let point = G1Affine::new_unchecked(x, y);
    point.is_on_curve().then_some(point)
}

/// Writes a mark of success and the point, or zeros.
fn write_point(call: &PrecompileCall, memory: &mut Memory, point: Option<G1Projective>) -> Result<(), Limit> {
    let word = |field: Fq| U256::from_be_slice(&field.into_bigint().to_bytes_be());
    let coordinates =
        point.map(|point| point.into_affine().xy().map_or((U256::ZERO, U256::ZERO), |(x, y)| (word(x), word(y))));
    let (x, y) = coordinates.unwrap_or_default();
    call.write(memory, [U256::from(u8::from(coordinates.is_some())), x, y])
}
