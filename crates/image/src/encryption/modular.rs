//! Exponentiation modulo a number of 2048 bits, in time that tells nothing about base or exponent.
//!
//! Montgomery multiplication over 32-bit limbs, lowest first: a number `x` is kept as `x · R mod n`
//! with `R = 2^2048`, so that a product is reduced limb by limb as it is built (P. L. Montgomery,
//! "Modular multiplication without trial division", 1985). The modulus is public; everything else
//! is treated alike whatever its bits: no branch and no address depends on it.

use zeroize::{Zeroize, Zeroizing};

/// Bytes of a number.
pub const SIZE: usize = 256;
const LIMBS: usize = SIZE / 4;

type Limbs = [u32; LIMBS];

/// Bits of the exponent that are taken at once.
const WINDOW: u32 = 2;

/// A modulus: odd, and with its topmost bit set.
pub struct Modulus {
    n: Limbs,
    /// −n⁻¹ mod 2³².
    inverse: u32,
}

fn limbs(bytes: &[u8; SIZE]) -> Limbs {
    let mut limbs = [0; LIMBS];
    for (limb, bytes) in limbs.iter_mut().rev().zip(bytes.as_chunks().0) {
        *limb = u32::from_be_bytes(*bytes);
    }
    limbs
}

/// `a − b`, and 1 if that is below zero.
fn subtract(a: &Limbs, b: &Limbs) -> (Limbs, u32) {
    let mut difference = [0; LIMBS];
    let mut borrow = 0;
    for ((to, a), b) in difference.iter_mut().zip(a).zip(b) {
        let wide = u64::from(*a).wrapping_sub((*b).into()).wrapping_sub(borrow);
        *to = wide as u32;
        borrow = (wide >> 32) & 1;
    }
    (difference, borrow as u32)
}

/// `a` where `choose_b` is 0, `b` where it is 1.
fn select(a: &Limbs, b: &Limbs, choose_b: u32) -> Limbs {
    let mask = core::hint::black_box(choose_b).wrapping_neg();
    let mut chosen = *a;
    for (to, from) in chosen.iter_mut().zip(b) {
        *to ^= (*to ^ *from) & mask;
    }
    chosen
}

impl Modulus {
    /// Takes big-endian bytes; `None` for a number that is even or shorter than 2048 bits.
    pub fn new(bytes: &[u8; SIZE]) -> Option<Self> {
        let n = limbs(bytes);
        let ([lowest, ..], [first, ..]) = (n, *bytes);
        if lowest & 1 == 0 || first & 0x80 == 0 {
            return None;
        }
        // Newton: an odd number is its own inverse mod 8, and each step doubles the bits.
        let mut inverse = lowest;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2_u32.wrapping_sub(lowest.wrapping_mul(inverse)));
        }
        Some(Self { n, inverse: inverse.wrapping_neg() })
    }

    /// `a · b / R mod n`, below n if one of both is.
    fn multiply(&self, a: &Limbs, b: &Limbs) -> Limbs {
        let mut sum = [0; LIMBS];
        let mut top = 0;
        for a in a.iter().map(|a| u64::from(*a)) {
            // What makes the lowest limb zero when it is added `factor` times.
            let lowest = (a as u32).wrapping_mul(b[0]).wrapping_add(sum[0]);
            let factor = u64::from(lowest.wrapping_mul(self.inverse));
            let (mut carry_a, mut carry_n) = (0, 0);
            for at in 0..LIMBS {
                // 2³² − 1 squared, and twice 2³² − 1 on top, fill 64 bits exactly.
                let wide_a = a * u64::from(b[at]) + u64::from(sum[at]) + carry_a;
                let wide_n = factor * u64::from(self.n[at]) + (wide_a & 0xffff_ffff) + carry_n;
                (carry_a, carry_n) = (wide_a >> 32, wide_n >> 32);
                if at > 0 {
                    sum[at - 1] = wide_n as u32;
                }
            }
            let wide = carry_a + carry_n + top;
            sum[LIMBS - 1] = wide as u32;
            top = wide >> 32;
        }
        let (reduced, borrow) = subtract(&sum, &self.n);
        // Below n already, if nothing stands above the limbs to borrow from.
        let below = borrow & (top as u32 ^ 1);
        let product = select(&reduced, &sum, below);
        sum.zeroize();
        product
    }

    /// `R mod n` and `R² mod n`.
    fn powers_of_r(&self) -> (Limbs, Limbs) {
        // n has its topmost bit set, so that R − n is below n.
        let (one, _) = subtract(&[0; LIMBS], &self.n);
        let mut two = [0; LIMBS];
        let mut carry = 0;
        for (to, from) in two.iter_mut().zip(&one) {
            *to = (from << 1) | carry;
            carry = from >> 31;
        }
        let (reduced, borrow) = subtract(&two, &self.n);
        let mut power = select(&reduced, &two, borrow & (carry ^ 1));
        // 2 squared eleven times is 2^2048, which is R.
        for _ in 0..11 {
            power = self.multiply(&power, &power);
        }
        (one, power)
    }

    /// `base ^ exponent mod n`, both in big-endian bytes; `None` if `base` is not below n. The
    /// time depends on the number of bytes in `exponent` alone.
    pub fn power(&self, base: &[u8; SIZE], exponent: &[u8]) -> Option<Zeroizing<[u8; SIZE]>> {
        let base = Zeroizing::new(limbs(base));
        let (_, below) = subtract(&base, &self.n);
        if below == 0 {
            return None;
        }
        let (one, r_squared) = self.powers_of_r();
        let mut table = Zeroizing::new([one; 1 << WINDOW]);
        let base = Zeroizing::new(self.multiply(&base, &r_squared));
        for at in 1..table.len() {
            table[at] = self.multiply(&table[at - 1], &base);
        }
        let mut power = Zeroizing::new(one);
        for byte in exponent {
            for shift in (0..8).step_by(WINDOW as usize).rev() {
                for _ in 0..WINDOW {
                    *power = self.multiply(&power, &power);
                }
                let window = u32::from(byte >> shift) & ((1 << WINDOW) - 1);
                let mut factor = Zeroizing::new(one);
                for (at, entry) in (0..).zip(table.iter()) {
                    let difference: u32 = window ^ at;
                    // 1 for no difference, 0 for one of a few bits.
                    let same = difference.wrapping_sub(1) >> 31;
                    *factor = select(&factor, entry, same);
                }
                *power = self.multiply(&power, &factor);
            }
        }
        let mut unit = [0; LIMBS];
        unit[0] = 1;
        *power = self.multiply(&power, &unit);
        let mut bytes = Zeroizing::new([0; SIZE]);
        for (to, limb) in bytes.as_chunks_mut().0.iter_mut().zip(power.iter().rev()) {
            *to = limb.to_be_bytes();
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Modulus, SIZE};

    fn number(top: u8, low: u8) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0] = top;
        bytes[SIZE - 1] = low;
        bytes
    }

    #[test]
    fn only_odd_numbers_of_2048_bits_are_moduli() {
        assert!(Modulus::new(&number(0x80, 1)).is_some());
        assert!(Modulus::new(&number(0x80, 2)).is_none());
        assert!(Modulus::new(&number(0x7f, 1)).is_none());
    }

    #[test]
    fn small_powers_are_what_they_are() {
        for modulus in [number(0x80, 1), [0xff; SIZE]] {
            let modulus = Modulus::new(&modulus).unwrap();
            let power = |base, exponent: &[u8]| *modulus.power(&number(0, base), exponent).unwrap();
            assert_eq!(power(3, &[5]), number(0, 243));
            assert_eq!(power(7, &[0, 0, 2]), number(0, 49));
            assert_eq!(power(9, &[]), number(0, 1));
            assert_eq!(power(0, &[1, 0, 1]), number(0, 0));
            assert_eq!(power(1, &[0xff; SIZE]), number(0, 1));
        }
        assert!(Modulus::new(&[0xff; SIZE]).unwrap().power(&[0xff; SIZE], &[1]).is_none());
    }

    #[test]
    fn minus_one_squared_is_one() {
        let modulus = Modulus::new(&[0xff; SIZE]).unwrap();
        let mut minus_one = [0xff; SIZE];
        minus_one[SIZE - 1] = 0xfe;
        assert_eq!(*modulus.power(&minus_one, &[2]).unwrap(), number(0, 1));
        assert_eq!(*modulus.power(&minus_one, &[3]).unwrap(), minus_one);
    }
}
