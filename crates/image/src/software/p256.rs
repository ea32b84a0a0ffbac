//! The curve P-256 (SP 800-186, 3.2.1.3; SEC 2 calls it secp256r1) and ECDSA's check over it.
//!
//! `y² = x³ − 3x + b` modulo `p = 2²⁵⁶ − 2²²⁴ + 2¹⁹² + 2⁹⁶ − 1`. A number `x` is kept as
//! `x · R mod p` with `R = 2²⁵⁶` (P. L. Montgomery, "Modular multiplication without trial
//! division", 1985).

use super::field::{Prime, Registers, Step, formula};
use super::limbs::{self, Limbs, Wide, ZERO, constant};
use super::straus::{self, Sum};
use crate::Decision;

pub struct P256;

impl Prime for P256 {
    const MODULUS: Limbs =
        constant("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

    /// `product / R`. As `p` is −1 modulo 2³², the lowest limb itself is how often `p` has to be
    /// added to make that limb zero; and as `p` is so sparse, adding it takes no multiplication.
    fn reduce(product: &mut Wide, result: &mut Limbs) {
        let mut top = 0;
        for at in 0..8 {
            let times = i64::from(product[at]);
            // The lowest limb becomes zero without a carry, and is not looked at again.
            let carry = add(&mut product[at + 3], times);
            let carry = add(&mut product[at + 4], carry);
            let carry = add(&mut product[at + 5], carry);
            let carry = add(&mut product[at + 6], carry + times);
            let carry = add(&mut product[at + 7], carry - times);
            top = add(&mut product[at + 8], carry + times + top);
        }
        result.copy_from_slice(&product[8..]);
        limbs::reduce_once(result, top != 0, &Self::MODULUS);
    }
}

/// Adds to a limb; the carry.
#[inline(always)]
fn add(limb: &mut u32, number: i64) -> i64 {
    let sum = i64::from(*limb) + number;
    *limb = sum as u32;
    sum >> 32
}

/// The order of the curve, a prime.
const ORDER: Limbs = constant("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
/// `R mod p`, which stands for 1.
const ONE: Limbs = constant("00000000fffffffeffffffffffffffffffffffff000000000000000000000001");
/// `R² mod p`, which stands for `R`: a number is multiplied by it to be taken in.
const R: Limbs = constant("00000004fffffffdfffffffffffffffefffffffbffffffff0000000000000003");
/// What stands for the `b` of the equation.
const B: Limbs = constant("dc30061d04874834e5a220abf7212ed6acf005cd78843090d89cdf6229c4bddf");
/// What stands for `x` and `y` of the base point.
const BASE_X: Limbs = constant("18905f76a53755c679fb732b7762251075ba95fc5fedb60179e730d418a9143c");
const BASE_Y: Limbs = constant("8571ff1825885d85d2e88688dd21f3258b4ab8e4ba19e45cddf25357ce95560a");

// The sum in Jacobian coordinates: the point (X / Z², Y / Z³), or infinity where Z is 0.
const X: usize = 0;
const Y: usize = 1;
const Z: usize = 2;
// The point that is added, and constants.
const U: usize = 3;
const V: usize = 4;
// What else the formulas need.
const S: usize = 5;
const T: usize = 6;
const W: usize = 7;
// The points that may be added, each x and y, or two zeros for infinity: no point of the curve has
// a y of 0. They are the key, the base point less the key, the base point, and the sum of both.
const POINTS: usize = 8;
const BASE: usize = POINTS + 4;

/// Takes `X` and `Y` in, with `R` as `U`.
const TAKE_IN: &[Step] = formula! {
    X = X * U;
    Y = Y * U;
};

/// `T` is 0 where `X` and `Y` fulfil the equation, with its `b` as `U`.
const EQUATION: &[Step] = formula! {
    S = X * X;
    S = S * X;
    S = S - X;
    S = S - X;
    S = S - X;
    S = S + U;
    T = Y * Y;
    T = T - S;
};

/// Twice the sum: D. Hankerson, A. Menezes, S. Vanstone, "Guide to Elliptic Curve Cryptography",
/// 3.2.2, for curves with the coefficient −3. It takes infinity to infinity, and there is no point
/// of order 2 that it would have to take there.
const DOUBLE: &[Step] = formula! {
    // 3 (X − Z²) (X + Z²)
    S = Z * Z;
    T = X - S;
    S = X + S;
    S = T * S;
    T = S + S;
    S = T + S;
    // 4 X Y²
    W = Y * Y;
    W = W + W;
    T = X * W;
    T = T + T;
    Z = Y * Z;
    Z = Z + Z;
    X = S * S;
    X = X - T;
    X = X - T;
    T = T - X;
    Y = S * T;
    // 8 Y⁴
    W = W * W;
    W = W + W;
    Y = Y - W;
};

/// How far the point is from the sum, measured as the sum is: `T` in x and `S` in y. This is how
/// the addition begins in the same source, of points the second of which has a `Z` of 1.
const DISTANCE: &[Step] = formula! {
    S = Z * Z;
    T = U * S;
    T = T - X;
    S = S * Z;
    S = V * S;
    S = S - Y;
};

/// The rest of the addition, for different points. Opposite ones leave 0 in `Z`, which is right.
const ADD: &[Step] = formula! {
    Z = Z * T;
    W = T * T;
    // T³ and X T²
    T = W * T;
    W = X * W;
    Y = Y * T;
    X = S * S;
    X = X - T;
    X = X - W;
    X = X - W;
    W = W - X;
    W = S * W;
    Y = W - Y;
};

/// The point's negative.
const NEGATE: &[Step] = formula! {
    S = V - V;
    V = S - V;
};

/// The sum's `x` and `y`, with `1 / Z` as `S`.
const FLATTEN: &[Step] = formula! {
    T = S * S;
    X = X * T;
    T = T * S;
    Y = Y * T;
};

/// `U` is 0 if it was the sum's `x` before it was taken in, with `R` as `V`.
const COMPARE: &[Step] = formula! {
    U = U * V;
    S = Z * Z;
    U = U * S;
    U = U - X;
};

impl Sum for Registers<P256> {
    fn double(&mut self) {
        self.run(DOUBLE);
    }

    #[inline(never)]
    fn add(&mut self, point: usize, negative: bool) {
        self.copy(U, POINTS + 2 * point);
        self.copy(V, POINTS + 2 * point + 1);
        if self.is_zero(V) {
            return;
        }
        if negative {
            self.run(NEGATE);
        }
        if self.is_zero(Z) {
            self.copy(X, U);
            self.copy(Y, V);
            return self.set(Z, &ONE);
        }
        self.run(DISTANCE);
        let same = self.is_zero(S) && self.is_zero(T);
        self.run(if same { DOUBLE } else { ADD });
    }
}

impl Registers<P256> {
    /// Makes the four points of an uncompressed key (SEC 1, 2.3.4); `None` unless its coordinates
    /// are below `p` and fulfil the equation.
    #[inline(never)]
    fn points(&mut self, key: &[u8]) -> Option<()> {
        let (4, key) = key.split_first()? else { return None };
        let (x, y) = key.split_at_checked(32)?;
        self.set(X, &number(x));
        self.set(Y, &number(y));
        if y.len() != 32 || !self.is_below_prime(X) || !self.is_below_prime(Y) {
            return None;
        }
        self.set(U, &R);
        self.run(TAKE_IN);
        self.set(U, &B);
        self.run(EQUATION);
        if !self.is_zero(T) {
            return None;
        }
        self.keep(0);
        self.set(BASE, &BASE_X);
        self.set(BASE + 1, &BASE_Y);
        for (negative, point) in [(true, 1), (false, 3)] {
            self.set(Z, &ZERO);
            self.add(2, false);
            self.add(0, negative);
            if !self.is_zero(Z) {
                // What stands for 1, over what stands for Z, lacks R twice.
                self.set(S, &limbs::divide_modulo(&R, self.number(Z), &P256::MODULUS));
                self.run(FLATTEN);
                self.keep(point);
            }
        }
        Some(())
    }

    /// The sum, whose `Z` is 1, becomes one of the points.
    fn keep(&mut self, point: usize) {
        self.copy(POINTS + 2 * point, X);
        self.copy(POINTS + 2 * point + 1, Y);
    }

    /// Whether the `x` of the sum, modulo the order, is `r`. As `p` is less than twice the order, it is
    /// `r` or as much more; and to compare X / Z² takes no division.
    #[inline(never)]
    fn has_r(&mut self, r: &Limbs) -> bool {
        let mut more = *r;
        let beyond = limbs::add(&mut more, &ORDER);
        !self.is_zero(Z) && (self.has_x(r) || (!beyond && self.has_x(&more)))
    }

    /// Whether the sum has this `x`.
    fn has_x(&mut self, x: &Limbs) -> bool {
        self.set(U, x);
        let below = self.is_below_prime(U);
        self.set(V, &R);
        self.run(COMPARE);
        below && self.is_zero(U)
    }
}

/// Whether `(r, s)` is the signature of `hash` by the key with this uncompressed point (FIPS 186-5,
/// 6.4.2); all are big-endian, and only the last 32 bytes of them count. A point beside the curve
/// or with coordinates that are not below `p` is no key.
pub fn verify(key: &[u8], hash: &[u8], r: &[u8], s: &[u8]) -> Decision {
    let (r, s) = (number(r), number(s));
    let mut curve = Registers::<P256>::EMPTY;
    if !is_scalar(&r) || !is_scalar(&s) || curve.points(key).is_none() {
        return Decision::NO;
    }
    let mut hash = number(hash);
    // Less than twice the order, as everything of 256 bits is.
    limbs::reduce_once(&mut hash, false, &ORDER);
    let of_base = limbs::divide_modulo(&hash, &s, &ORDER);
    let of_key = limbs::divide_modulo(&r, &s, &ORDER);
    curve.set(Z, &ZERO);
    straus::add_multiples(&mut curve, &of_base, &of_key);
    Decision::asked(&mut curve, |curve| curve.has_r(&r))
}

#[inline(never)]
fn number(bytes: &[u8]) -> Limbs {
    limbs::from_le_bytes(bytes.iter().rev())
}

/// From 1 to below the order.
fn is_scalar(number: &Limbs) -> bool {
    *number != ZERO && limbs::is_less(number, &ORDER)
}
