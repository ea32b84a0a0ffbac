//! Ed25519 (RFC 8032). MCUboot signs the image hash as the message, or the image itself.
//!
//! The curve is `−x² + y² = 1 + dx²y²` modulo `2²⁵⁵ − 19`. What is checked is the equation without
//! the cofactor, `R = sB − hA`, as the original does. Beyond that
//! - `s` has to be below the order of the base point, so that no signature has a second form,
//! - the encodings of the key and of `R` have to be the canonical ones of points on the curve,
//! - neither may be a point of small order, which would be the key to a signature of anything.

use super::field::{Prime, Registers, Step, formula};
use super::limbs::{self, Limbs, Wide, ZERO, constant};
use super::sha512::Sha512;
use super::straus::{self, Sum};
use crate::{Decision, PureCheck};

pub struct P25519;

impl Prime for P25519 {
    const MODULUS: Limbs =
        constant("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");

    /// 2²⁵⁶ is 38 more than twice the prime: the upper half counts 38 times.
    fn reduce(product: &mut Wide, result: &mut Limbs) {
        let (low, high) = product.split_at_mut(8);
        let above = limbs::add_multiple(low, high, 38);
        result.copy_from_slice(low);
        // What is above 2²⁵⁵ by now is less than 78, and counts 19 times.
        let above = (above << 1) | (result[7] >> 31);
        result[7] &= 0x7fff_ffff;
        limbs::add(result, &[above * 19, 0, 0, 0, 0, 0, 0, 0]);
        limbs::reduce_once(result, false, &Self::MODULUS);
    }
}

/// The order of the base point, a prime.
const ORDER: Limbs = constant("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");
const ONE: Limbs = [1, 0, 0, 0, 0, 0, 0, 0];
/// The `d` of the equation, −121665/121666.
const D: Limbs = constant("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3");
const ROOT_OF_MINUS_ONE: Limbs =
    constant("2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0");
/// The base point.
const BASE_X: Limbs = constant("216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a");
const BASE_Y: Limbs = constant("6666666666666666666666666666666666666666666666666666666666666658");

// The sum in extended coordinates: the point (X / Z, Y / Z), and T = X Y / Z (RFC 8032, 5.1.4).
const X: usize = 0;
const Y: usize = 1;
const Z: usize = 2;
const T: usize = 3;
// A point to be added: the difference and the sum of both coordinates, twice Z and 2 d T.
const P: usize = 4;
const Q: usize = 5;
const U: usize = 6;
const V: usize = 7;
// What else the formulas need.
const A: usize = 8;
const B: usize = 9;
const C: usize = 10;
const E: usize = 11;
const CONSTANT: usize = 12;

/// Twice the sum: RFC 8032, 5.1.4, which is right for all points.
const DOUBLE: &[Step] = formula! {
    A = X * X;
    B = Y * Y;
    C = Z * Z;
    C = C + C;
    E = X + Y;
    E = E * E;
    // The source's G, H, E and F.
    T = A - B;
    A = A + B;
    E = A - E;
    C = C + T;
    X = E * C;
    Y = T * A;
    Z = C * T;
    T = E * A;
};

/// The sum and the point: the same source, right for all points.
const ADD: &[Step] = formula! {
    A = Y - X;
    A = A * P;
    B = Y + X;
    B = B * Q;
    C = T * V;
    E = Z * U;
    // The source's G, F, E and H.
    T = E + C;
    C = E - C;
    E = B - A;
    A = B + A;
    X = E * C;
    Y = T * A;
    Z = C * T;
    T = E * A;
};

/// The sum as a point to be added, with `d` as the constant.
const PREPARE: &[Step] = formula! {
    P = Y - X;
    Q = Y + X;
    U = Z + Z;
    V = T * CONSTANT;
    V = V + V;
};

/// The negative of the point, once `P` and `Q` have changed places.
const NEGATE: &[Step] = formula! {
    A = V - V;
    V = A - V;
};

/// `X² = A / B` is the equation for `X`, with `d` as the constant and 1 as `Z`.
const RATIO: &[Step] = formula! {
    A = Y * Y;
    B = A * CONSTANT;
    A = A - Z;
    B = B + Z;
    C = A * B;
};

/// A candidate for the root, from a power of `C` in `X`. `E` and `C` become 0 if its square is
/// `A / B`, or the negative of that.
const ROOT: &[Step] = formula! {
    X = X * A;
    C = X * X;
    C = C * B;
    E = C - A;
    C = C + A;
};

const SQUARE_X: &[Step] = formula! { X = X * X; };
const X_TIMES_E: &[Step] = formula! { X = X * E; };
const X_TIMES_C: &[Step] = formula! { X = X * C; };
const X_TIMES_CONSTANT: &[Step] = formula! { X = X * CONSTANT; };
const NEGATE_X: &[Step] = formula! {
    A = X - X;
    X = A - X;
};
const COMPLETE: &[Step] = formula! { T = X * Y; };

/// `A` and `B` become 0 if the point `(P / U, Q / U)` is the negative of `(X, Y)`.
const OPPOSITE: &[Step] = formula! {
    A = X * U;
    A = A + P;
    B = Y * U;
    B = B - Q;
};

struct Curve {
    registers: Registers<P25519>,
    /// Four registers for each of the points to be added.
    points: Registers<P25519>,
}

impl Sum for Curve {
    fn double(&mut self) {
        self.registers.run(DOUBLE);
    }

    #[inline(never)]
    fn add(&mut self, point: usize, negative: bool) {
        let exchange = usize::from(negative);
        for (register, part) in [(P, exchange), (Q, exchange ^ 1), (U, 2), (V, 3)] {
            self.registers.set(register, self.points.number(4 * point + part));
        }
        if negative {
            self.registers.run(NEGATE);
        }
        self.registers.run(ADD);
    }
}

impl Curve {
    /// Sets the sum to an affine point.
    fn set(&mut self, x: &Limbs, y: &Limbs) {
        self.registers.set(X, x);
        self.registers.set(Y, y);
        self.registers.set(Z, &ONE);
        self.registers.run(COMPLETE);
    }

    /// Makes the sum one of the points to be added.
    fn keep(&mut self, point: usize) {
        self.registers.set(CONSTANT, &D);
        self.registers.run(PREPARE);
        for part in 0..4 {
            self.points.set(4 * point + part, self.registers.number(P + part));
        }
    }

    /// Sets the sum to the negative of the point with this encoding (RFC 8032, 5.1.3). `None` if
    /// there is none, if `y` is not below the prime or if the point is of small order, as both are
    /// whose `x` of 0 has no sign.
    ///
    /// `x²` is `u/v` with `u = y² − 1` and `v = dy² + 1`. A candidate for the root is
    /// `u(uv)^((p − 5)/8)`: its square times `v` is `u`, or `−u`, or there is no root.
    #[inline(never)]
    fn set_negative(&mut self, encoding: &[u8; 32]) -> Option<()> {
        let mut y = limbs::from_le_bytes(encoding.iter());
        let sign = y[7] >> 31;
        y[7] &= 0x7fff_ffff;
        let registers = &mut self.registers;
        registers.set(Y, &y);
        if !registers.is_below_prime(Y) {
            return None;
        }
        registers.set(Z, &ONE);
        registers.set(CONSTANT, &D);
        registers.run(RATIO);
        power(registers);
        registers.run(ROOT);
        if !registers.is_zero(E) {
            if !registers.is_zero(C) {
                return None;
            }
            registers.set(CONSTANT, &ROOT_OF_MINUS_ONE);
            registers.run(X_TIMES_CONSTANT);
        }
        if registers.number(X)[0] & 1 == sign {
            registers.run(NEGATE_X);
        }
        registers.run(COMPLETE);
        let (x, y) = (*registers.number(X), y);
        // Eight times a point of small order is the neutral one, so that four times it is one of
        // the two with an x of 0.
        registers.run(DOUBLE);
        registers.run(DOUBLE);
        let small = registers.is_zero(X);
        self.set(&x, &y);
        (!small).then_some(())
    }
}

/// Whether `r = sB − hA`; not if key or signature is malformed.
#[inline(never)]
fn equation(key: &[u8; 32], r: &[u8; 32], s: &Limbs, hash: &Limbs) -> Decision {
    let mut curve = Curve { registers: Registers::EMPTY, points: Registers::EMPTY };
    if difference(&mut curve, key, r, s, hash).is_none() {
        return Decision::NO;
    }
    // A disturbed processor may have come to a sum of nothing but zeros, which is no point, and equal to
    // every one by the formulas.
    Decision::asked(&mut curve.registers, |it| !it.is_zero(U) && it.is_zero(A) && it.is_zero(B))
}

/// The differences of both sides' coordinates, in `A` and `B`.
fn difference(
    curve: &mut Curve,
    key: &[u8; 32],
    r: &[u8; 32],
    s: &Limbs,
    hash: &Limbs,
) -> Option<()> {
    if !limbs::is_less(s, &ORDER) {
        return None;
    }
    // The negative of the key, the base point, and their difference and sum.
    curve.set_negative(key)?;
    curve.keep(0);
    for (negative, point) in [(true, 1), (false, 3)] {
        curve.set(&BASE_X, &BASE_Y);
        curve.keep(2);
        curve.add(0, negative);
        curve.keep(point);
    }
    curve.set(&ZERO, &ONE);
    straus::add_multiples(curve, s, hash);
    for (to, from) in [(P, X), (Q, Y), (U, Z)] {
        curve.registers.copy(to, from);
    }
    curve.set_negative(r)?;
    curve.registers.run(OPPOSITE);
    Some(())
}

/// `X = C ^ ((p − 5) / 8)`. The exponent is 2²⁵² − 3: 250 ones, a zero and a one. To double the
/// ones takes as many squarings and a multiplication.
fn power(registers: &mut Registers<P25519>) {
    registers.copy(X, C);
    let mut ones = 1_u32;
    // The bits of 250 behind its first.
    for bit in [1, 1, 1, 1, 0, 1, 0] {
        registers.copy(E, X);
        for _ in 0..ones {
            registers.run(SQUARE_X);
        }
        registers.run(X_TIMES_E);
        ones *= 2;
        if bit == 1 {
            registers.run(SQUARE_X);
            registers.run(X_TIMES_C);
            ones += 1;
        }
    }
    registers.run(SQUARE_X);
    registers.run(SQUARE_X);
    registers.run(X_TIMES_C);
}

/// Whether `signature` is that of `message` by `key`.
pub fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Decision {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else {
        return Decision::NO;
    };
    let mut hash = Sha512::new();
    begin(&mut hash, key, signature);
    hash.update(message);
    is_good(&mut hash, key, signature)
}

/// A check over a message that is too long to be held.
#[derive(Clone)]
pub struct Check {
    hash: Sha512,
    key: [u8; 32],
    signature: [u8; 64],
}

impl Check {
    /// `None` if the key has another length.
    pub fn begin(key: &[u8], signature: &[u8; 64]) -> Option<Self> {
        let key = key.try_into().ok()?;
        let mut check = Self { hash: Sha512::new(), key, signature: *signature };
        begin(&mut check.hash, &key, signature);
        Some(check)
    }
}

impl PureCheck for Check {
    fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    fn finish(mut self) -> Decision {
        is_good(&mut self.hash, &self.key, &self.signature)
    }
}

/// Takes in what stands before the message.
fn begin(hash: &mut Sha512, key: &[u8; 32], signature: &[u8; 64]) {
    hash.update(&signature[..32]);
    hash.update(key);
}

/// Whether the signature is good for what was hashed.
fn is_good(hash: &mut Sha512, key: &[u8; 32], signature: &[u8; 64]) -> Decision {
    let hash = limbs::remainder(&hash.finish(), &ORDER);
    let Some((r, s)) = signature.split_first_chunk() else { return Decision::NO };
    equation(key, r, &limbs::from_le_bytes(s.iter()), &hash)
}

impl core::fmt::Debug for Check {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Check")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_point(encoding: &[u8; 32]) -> bool {
        let mut curve = Curve { registers: Registers::EMPTY, points: Registers::EMPTY };
        curve.set_negative(encoding).is_some()
    }

    #[test]
    fn every_point_has_one_encoding() {
        let mut points = 0;
        for y in 0..19 {
            let mut low = [0; 32];
            low[0] = y;
            points += u32::from(is_point(&low));
            // The prime on top, with either sign.
            let mut high = [0xff; 32];
            high[0] = 0xed + y;
            assert!(!is_point(&high), "{y}");
            high[31] = 0x7f;
            assert!(!is_point(&high), "{y}");
        }
        assert!(points > 4, "{points}");
    }

    #[test]
    fn points_of_small_order_are_none() {
        // y of 1, −1 and 0: orders 1, 2 and 4; the last one has order 8.
        let minus_one =
            constant("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec");
        let eighth = constant("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7");
        for y in [ONE, minus_one, ZERO, eighth] {
            let mut encoding = [0; 32];
            for (to, from) in encoding.as_chunks_mut().0.iter_mut().zip(&y) {
                *to = from.to_le_bytes();
            }
            for sign in [0, 0x80] {
                encoding[31] = (encoding[31] & 0x7f) | sign;
                assert!(!is_point(&encoding), "{encoding:x?}");
            }
        }
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(is_point(&base));
    }
}
