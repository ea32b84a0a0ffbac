//! Numbers of 256 bits: eight limbs of 32, lowest first, and what both curves do with them.
//!
//! Everything here is public (keys, hashes, signatures), so that time may depend on it.

/// A number below 2²⁵⁶.
pub type Limbs = [u32; 8];

/// A product of two.
pub type Wide = [u32; 16];

pub const ZERO: Limbs = [0; 8];

/// From 64 hexadecimal digits, most significant first.
pub const fn constant(digits: &str) -> Limbs {
    let digits = digits.as_bytes();
    assert!(digits.len() == 64);
    let mut limbs = ZERO;
    let mut at = 0;
    while at < 64 {
        let digit = match digits[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("not a digit"),
        };
        limbs[7 - at / 8] = (limbs[7 - at / 8] << 4) | digit as u32;
        at += 1;
    }
    limbs
}

/// From bytes, least significant first; what is above the 32nd is left out.
pub fn from_le_bytes<'b>(bytes: impl Iterator<Item = &'b u8>) -> Limbs {
    let mut limbs = ZERO;
    for (at, byte) in bytes.take(32).enumerate() {
        limbs[at / 4] |= u32::from(*byte) << (at % 4 * 8);
    }
    limbs
}

/// Adds `b` to `a`; whether there was a carry out of the top.
#[inline(never)]
pub fn add(a: &mut Limbs, b: &Limbs) -> bool {
    let mut carry = 0;
    for (a, b) in a.iter_mut().zip(b) {
        carry += u64::from(*a) + u64::from(*b);
        *a = carry as u32;
        carry >>= 32;
    }
    carry != 0
}

/// Takes `b` from `a`; whether it was more than there is.
#[inline(never)]
pub fn subtract(a: &mut Limbs, b: &Limbs) -> bool {
    let mut borrow = 0;
    for (a, b) in a.iter_mut().zip(b) {
        borrow += i64::from(*a) - i64::from(*b);
        *a = borrow as u32;
        borrow >>= 32;
    }
    borrow != 0
}

#[inline(never)]
pub fn is_less(a: &Limbs, b: &Limbs) -> bool {
    for (a, b) in a.iter().zip(b).rev() {
        if a != b {
            return a < b;
        }
    }
    false
}

/// Halves the number below `top · 2²⁵⁶`.
#[cfg(feature = "sig-ecdsa-p256")]
fn halve(a: &mut Limbs, top: bool) {
    let mut above = u32::from(top);
    for a in a.iter_mut().rev() {
        let odd = *a & 1;
        *a = (*a >> 1) | (above << 31);
        above = odd;
    }
}

/// Takes `modulus` from a number that is less than twice as much, unless it is less already.
/// 2²⁵⁶ belongs to the number if it is `above`.
#[inline(never)]
pub fn reduce_once(a: &mut Limbs, above: bool, modulus: &Limbs) {
    if above || !is_less(a, modulus) {
        subtract(a, modulus);
    }
}

/// Adds modulo `modulus`; both have to be below it.
#[inline(never)]
pub fn add_modulo(a: &mut Limbs, b: &Limbs, modulus: &Limbs) {
    let above = add(a, b);
    reduce_once(a, above, modulus);
}

/// Subtracts modulo `modulus`; both have to be below it.
#[inline(never)]
pub fn subtract_modulo(a: &mut Limbs, b: &Limbs, modulus: &Limbs) {
    if subtract(a, b) {
        add(a, modulus);
    }
}

/// `a / b` modulo an odd prime that both are below; 0 if `b` is.
///
/// The binary form of Euclid's algorithm (D. Knuth, "The Art of Computer Programming" 4.5.2,
/// algorithm B), which carries along what has to be divided: at each step `x · b = a · u` and
/// `y · b = a · v`, until `u` is 0 and `v` the common divisor, which is 1.
#[cfg(feature = "sig-ecdsa-p256")]
#[inline(never)]
pub fn divide_modulo(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let (mut u, mut v) = (*b, *modulus);
    let (mut x, mut y) = (*a, ZERO);
    while u != ZERO {
        if u[0] & 1 == 0 {
            halve(&mut u, false);
            let carry = x[0] & 1 == 1 && add(&mut x, modulus);
            halve(&mut x, carry);
        } else {
            if is_less(&u, &v) {
                core::mem::swap(&mut u, &mut v);
                core::mem::swap(&mut x, &mut y);
            }
            subtract(&mut u, &v);
            subtract_modulo(&mut x, &y, modulus);
        }
    }
    y
}

/// What remains of a number in bytes, least significant first, by `modulus`.
#[cfg(feature = "sig-ed25519")]
pub fn remainder(bytes: &[u8; 64], modulus: &Limbs) -> Limbs {
    let mut remainder = ZERO;
    for byte in bytes.iter().rev() {
        for bit in (0..8).rev() {
            let half = remainder;
            add_modulo(&mut remainder, &half, modulus);
            if (byte >> bit) & 1 == 1 {
                add_modulo(&mut remainder, &[1, 0, 0, 0, 0, 0, 0, 0], modulus);
            }
        }
    }
    remainder
}

/// `a · b` in full.
pub fn multiply(product: &mut Wide, a: &Limbs, b: &Limbs) {
    for (at, factor) in a.iter().enumerate() {
        product[at + 8] = add_multiple(&mut product[at..at + 8], b, *factor);
    }
}

/// Adds `factor · b` to the limbs of `sum`, as many as `b` has; the carry out of them.
#[inline(always)]
pub fn add_multiple(sum: &mut [u32], b: &[u32], factor: u32) -> u32 {
    let mut carry = 0;
    for (sum, b) in sum.iter_mut().zip(b) {
        (*sum, carry) = multiply_add(factor, *b, *sum, carry);
    }
    carry
}

/// The lower and the upper half of `a · b + c + d`, which never takes more than both.
#[cfg(not(all(target_arch = "arm", not(target_has_atomic = "32"))))]
#[inline(always)]
fn multiply_add(a: u32, b: u32, c: u32, d: u32) -> (u32, u32) {
    let sum = u64::from(a) * u64::from(b) + u64::from(c) + u64::from(d);
    (sum as u32, (sum >> 32) as u32)
}

/// ARMv6-M, which is the Arm without compare-and-swap as well as the one without long
/// multiplication, would call a function of the compiler's that takes twice as many instructions.
#[cfg(all(target_arch = "arm", not(target_has_atomic = "32")))]
use multiply_add_by_halves as multiply_add;

/// The same from products of 16 bits, to each of which two numbers of 16 bits can be added before
/// it takes more than 32.
#[cfg(any(test, all(target_arch = "arm", not(target_has_atomic = "32"))))]
#[inline(always)]
pub fn multiply_add_by_halves(a: u32, b: u32, c: u32, d: u32) -> (u32, u32) {
    let halves = |n: u32| (n & 0xffff, n >> 16);
    let ((a_low, a_high), (b_low, b_high)) = (halves(a), halves(b));
    let ((c_low, c_high), (d_low, d_high)) = (halves(c), halves(d));
    let (low, up) = halves(a_low * b_low + c_low + d_low);
    let (middle, up) = halves(a_high * b_low + c_high + up);
    let (middle, more) = halves(a_low * b_high + d_high + middle);
    (low | (middle << 16), a_high * b_high + up + more)
}
