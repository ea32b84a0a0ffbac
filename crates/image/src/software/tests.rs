//! The arithmetic against another: crypto-bigint's.

extern crate std;

use core::array;

use crypto_bigint::{NonZero, U256};
use proptest::prelude::*;

use super::field::{Prime, Registers, Step, formula};
use super::limbs::{self, Limbs, constant};
use super::{ed25519::P25519, p256::P256};

const P256_ORDER: Limbs =
    constant("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

fn big(limbs: &Limbs) -> U256 {
    let bytes: [u8; 32] = array::from_fn(|at| limbs[at / 4].to_le_bytes()[at % 4]);
    U256::from_le_slice(&bytes)
}

fn modulus(limbs: &Limbs) -> NonZero<U256> {
    NonZero::new(big(limbs)).unwrap()
}

/// Any number, most often with limbs that carries go through or end in.
fn number() -> impl Strategy<Value = Limbs> {
    let limb = prop_oneof![Just(0), Just(1), Just(u32::MAX), Just(u32::MAX - 1), any::<u32>()];
    prop::array::uniform8(limb)
}

/// A number below `modulus`, often one of its neighbours.
fn below(modulus: Limbs) -> impl Strategy<Value = Limbs> {
    prop_oneof![
        number(),
        (0..4_u32).prop_map(move |less| [
            modulus[0].wrapping_sub(less),
            modulus[1],
            modulus[2],
            modulus[3],
            modulus[4],
            modulus[5],
            modulus[6],
            modulus[7]
        ])
    ]
    .prop_map(move |mut number| {
        while !limbs::is_less(&number, &modulus) {
            limbs::subtract(&mut number, &modulus);
        }
        number
    })
}

/// Every operation of the field, where products lack the factor `lacking`.
fn agrees<P: Prime>(a: &Limbs, b: &Limbs, lacking: &U256) -> Result<(), TestCaseError> {
    const A: usize = 0;
    const B: usize = 1;
    const PRODUCT: usize = 2;
    const SQUARE: usize = 3;
    const SUM: usize = 4;
    const DIFFERENCE: usize = 15;
    const FORMULA: &[Step] = formula! {
        PRODUCT = A * B;
        SQUARE = A * A;
        SUM = A + B;
        DIFFERENCE = A - B;
    };
    let mut registers = Registers::<P>::EMPTY;
    registers.set(A, a);
    registers.set(B, b);
    registers.run(FORMULA);
    let is = |register: usize| big(registers.number(register));
    let prime = modulus(&P::MODULUS);
    let (a, b) = (big(a), big(b));
    prop_assert_eq!(is(PRODUCT).mul_mod(lacking, &prime), a.mul_mod(&b, &prime));
    prop_assert_eq!(is(SQUARE).mul_mod(lacking, &prime), a.mul_mod(&a, &prime));
    prop_assert_eq!(is(SUM), a.add_mod(&b, &prime));
    prop_assert_eq!(is(DIFFERENCE), a.sub_mod(&b, &prime));
    for register in [PRODUCT, SQUARE, SUM, DIFFERENCE] {
        prop_assert!(registers.is_below_prime(register));
        prop_assert_eq!(registers.is_zero(register), is(register) == U256::ZERO);
    }
    // In place, from both sides.
    let mut again = Registers::<P>::EMPTY;
    for formula in [formula! { A = A * B; }, formula! { A = B * A; }] {
        again.set(A, registers.number(A));
        again.set(B, registers.number(B));
        again.run(formula);
        prop_assert_eq!(again.number(A), registers.number(PRODUCT));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_field_of_p256_is_that_of_numbers_modulo_its_prime(
        a in below(P256::MODULUS),
        b in below(P256::MODULUS),
    ) {
        // 2²⁵⁶ modulo the prime, which is more than half of it.
        let lacking = U256::ZERO.wrapping_sub(&big(&P256::MODULUS));
        agrees::<P256>(&a, &b, &lacking)?;
    }

    #[test]
    fn the_field_of_ed25519_is_that_of_numbers_modulo_its_prime(
        a in below(P25519::MODULUS),
        b in below(P25519::MODULUS),
    ) {
        agrees::<P25519>(&a, &b, &U256::ONE)?;
    }

    #[test]
    fn a_quotient_times_the_divisor_is_the_dividend(
        a in below(P256_ORDER),
        b in below(P256_ORDER),
    ) {
        let quotient = limbs::divide_modulo(&a, &b, &P256_ORDER);
        let product = big(&quotient).mul_mod(&big(&b), &modulus(&P256_ORDER));
        let expected = if b == limbs::ZERO { U256::ZERO } else { big(&a) };
        prop_assert_eq!(product, expected);
        prop_assert!(limbs::is_less(&quotient, &P256_ORDER));
    }

    #[test]
    fn what_remains_of_a_long_number_is_right(low in number(), high in number()) {
        let mut bytes = [0; 64];
        for (to, from) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(low.iter().chain(&high)) {
            *to = from.to_le_bytes();
        }
        let order = modulus(&P256_ORDER);
        let remainder = limbs::remainder(&bytes, &P256_ORDER);
        // 2²⁵⁶ modulo the order, times the upper half.
        let shifted = big(&high).mul_mod(&U256::ZERO.wrapping_sub(&order), &order);
        prop_assert_eq!(big(&remainder), big(&low).rem_vartime(&order).add_mod(&shifted, &order));
    }

    #[test]
    fn numbers_are_ordered_and_carry_as_they_should(a in number(), b in number()) {
        prop_assert_eq!(limbs::is_less(&a, &b), big(&a) < big(&b));
        let (mut sum, mut difference) = (a, a);
        let carry = limbs::add(&mut sum, &b);
        prop_assert_eq!(big(&sum), big(&a).wrapping_add(&big(&b)));
        prop_assert_eq!(carry, limbs::is_less(&sum, &a));
        prop_assert_eq!(limbs::subtract(&mut difference, &b), limbs::is_less(&a, &b));
        prop_assert_eq!(big(&difference), big(&a).wrapping_sub(&big(&b)));
    }

    #[test]
    fn products_by_halves_are_products(a: u32, b: u32, c: u32, d: u32) {
        for [a, b, c, d] in [[a, b, c, d], [u32::MAX; 4], [a, u32::MAX, c, u32::MAX]] {
            let sum = u64::from(a) * u64::from(b) + u64::from(c) + u64::from(d);
            let (low, high) = limbs::multiply_add_by_halves(a, b, c, d);
            prop_assert_eq!((u64::from(high) << 32) | u64::from(low), sum);
        }
    }
}
