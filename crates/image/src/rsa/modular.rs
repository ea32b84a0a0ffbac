//! Exponentiation modulo a number of 2048 or 3072 bits, in time that tells nothing about base or
//! exponent.
//!
//! Montgomery multiplication over 32-bit limbs, lowest first: a number `x` is kept as `x · R mod n`
//! with `R` one bit longer than the limbs, so that a product is reduced limb by limb as it is built (P. L. Montgomery,
//! "Modular multiplication without trial division", 1985). The modulus is public; everything else
//! is treated alike whatever its bits: no branch and no address depends on it.

use zeroize::Zeroize;
#[cfg(feature = "enc-rsa")]
use zeroize::Zeroizing;

type Limbs<const LIMBS: usize> = [u32; LIMBS];

/// A number as big-endian bytes.
pub type Number<const LIMBS: usize> = [[u8; 4]; LIMBS];

/// Bits of a private exponent that are taken at once.
#[cfg(feature = "enc-rsa")]
const WINDOW: u32 = 2;

/// A modulus: odd, and with its topmost bit set.
pub struct Modulus<const LIMBS: usize> {
    n: Limbs<LIMBS>,
    /// −n⁻¹ mod 2³².
    inverse: u32,
}

/// Of exactly as many big-endian bytes as the limbs take.
fn limbs<const LIMBS: usize>(bytes: &[u8]) -> Option<Limbs<LIMBS>> {
    let (words, b"") = bytes.as_chunks() else { return None };
    let words: &Number<LIMBS> = words.try_into().ok()?;
    let mut limbs = [0; LIMBS];
    for (limb, bytes) in limbs.iter_mut().rev().zip(words) {
        *limb = u32::from_be_bytes(*bytes);
    }
    Some(limbs)
}

fn bytes<const LIMBS: usize>(limbs: &Limbs<LIMBS>) -> Number<LIMBS> {
    let mut words = [[0; 4]; LIMBS];
    for (to, limb) in words.iter_mut().zip(limbs.iter().rev()) {
        *to = limb.to_be_bytes();
    }
    words
}

/// `a − b`, and 1 if that is below zero.
fn subtract<const LIMBS: usize>(a: &Limbs<LIMBS>, b: &Limbs<LIMBS>) -> (Limbs<LIMBS>, u32) {
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
fn select<const LIMBS: usize>(a: &Limbs<LIMBS>, b: &Limbs<LIMBS>, choose_b: u32) -> Limbs<LIMBS> {
    let mask = core::hint::black_box(choose_b).wrapping_neg();
    let mut chosen = *a;
    for (to, from) in chosen.iter_mut().zip(b) {
        *to ^= (*to ^ *from) & mask;
    }
    chosen
}

impl<const LIMBS: usize> Modulus<LIMBS> {
    /// Takes big-endian bytes, as many as the limbs have; `None` for a number that is even or has
    /// fewer bits.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let n = limbs(bytes)?;
        let lowest = *n.first()?;
        if lowest & 1 == 0 || n.last()? >> 31 == 0 {
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
    fn multiply(&self, a: &Limbs<LIMBS>, b: &Limbs<LIMBS>) -> Limbs<LIMBS> {
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

    /// `R mod n`: 1 as the multiplication takes it.
    fn one(&self) -> Limbs<LIMBS> {
        // n has its topmost bit set, so that R − n is below n.
        subtract(&[0; LIMBS], &self.n).0
    }

    /// `R² mod n`.
    fn r_squared(&self) -> Limbs<LIMBS> {
        const fn bits<const LIMBS: usize>() -> u32 {
            32 * LIMBS as u32
        }
        let squarings = bits::<LIMBS>().trailing_zeros();
        let mut power = self.one();
        // 2 to the odd factor of R's bits, …
        for _ in 0..bits::<LIMBS>() >> squarings {
            let mut double = [0; LIMBS];
            let mut carry = 0;
            for (to, from) in double.iter_mut().zip(&power) {
                *to = (from << 1) | carry;
                carry = from >> 31;
            }
            let (reduced, borrow) = subtract(&double, &self.n);
            power = select(&reduced, &double, borrow & (carry ^ 1));
        }
        // … squared as often as 2 is a factor of them: 2^2048 is 2 squared eleven times.
        for _ in 0..squarings {
            power = self.multiply(&power, &power);
        }
        power
    }

    /// `base ^ 65537 mod n`, in big-endian bytes; `None` if `base` has another length or is not
    /// below n.
    #[cfg(feature = "sig-rsa")]
    pub fn public_power(&self, base: &[u8]) -> Option<Number<LIMBS>> {
        let base = limbs(base)?;
        let (_, below) = subtract(&base, &self.n);
        if below == 0 {
            return None;
        }
        let mut power = self.multiply(&base, &self.r_squared());
        for _ in 0..16 {
            power = self.multiply(&power, &power);
        }
        // With the factor as it is the product comes out as it is, too.
        Some(bytes(&self.multiply(&power, &base)))
    }

    /// `base ^ exponent mod n`, all in big-endian bytes; `None` if `base` has another length or is
    /// not below n. The time depends on the number of bytes in `exponent` alone.
    #[cfg(feature = "enc-rsa")]
    pub fn power(&self, base: &[u8], exponent: &[u8]) -> Option<Zeroizing<Number<LIMBS>>> {
        let base = Zeroizing::new(limbs(base)?);
        let (_, below) = subtract(&base, &self.n);
        if below == 0 {
            return None;
        }
        let one = self.one();
        let mut table = Zeroizing::new([one; 1 << WINDOW]);
        let base = Zeroizing::new(self.multiply(&base, &self.r_squared()));
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
        Some(Zeroizing::new(bytes(&power)))
    }
}

#[cfg(test)]
mod tests {
    use super::Modulus;

    const SIZE: usize = 256;

    fn number<const SIZE: usize>(top: u8, low: u8) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0] = top;
        bytes[SIZE - 1] = low;
        bytes
    }

    #[test]
    fn only_odd_numbers_of_all_bits_are_moduli() {
        assert!(Modulus::<64>::new(&number::<SIZE>(0x80, 1)).is_some());
        assert!(Modulus::<64>::new(&number::<SIZE>(0x80, 2)).is_none());
        assert!(Modulus::<64>::new(&number::<SIZE>(0x7f, 1)).is_none());
        assert!(Modulus::<96>::new(&number::<SIZE>(0x80, 1)).is_none());
        assert!(Modulus::<96>::new(&number::<384>(0x80, 1)).is_some());
    }

    fn small_powers<const LIMBS: usize, const SIZE: usize>() {
        for modulus in [number::<SIZE>(0x80, 1), [0xff; SIZE]] {
            let modulus = Modulus::<LIMBS>::new(&modulus).unwrap();
            let power = |base, exponent: &[u8]| {
                let bytes = modulus.power(&number::<SIZE>(0, base), exponent).unwrap();
                <[u8; SIZE]>::try_from(bytes.as_flattened()).unwrap()
            };
            assert_eq!(power(3, &[5]), number(0, 243));
            assert_eq!(power(7, &[0, 0, 2]), number(0, 49));
            assert_eq!(power(9, &[]), number(0, 1));
            assert_eq!(power(0, &[1, 0, 1]), number(0, 0));
            assert_eq!(power(1, &[0xff; 8]), number(0, 1));
            for base in [0, 1, 2, 200] {
                let public = modulus.public_power(&number::<SIZE>(3, base)).unwrap();
                let private = modulus.power(&number::<SIZE>(3, base), &[1, 0, 1]).unwrap();
                assert_eq!(public, *private);
            }
        }
        let modulus = Modulus::<LIMBS>::new(&[0xff; SIZE]).unwrap();
        assert!(modulus.power(&[0xff; SIZE], &[1]).is_none());
        assert!(modulus.public_power(&[0xff; SIZE]).is_none());
        assert!(modulus.public_power(&[0; 8]).is_none());
    }

    #[test]
    fn small_powers_are_what_they_are() {
        small_powers::<64, 256>();
        small_powers::<96, 384>();
    }

    #[test]
    fn minus_one_squared_is_one() {
        let modulus = Modulus::<64>::new(&[0xff; SIZE]).unwrap();
        let mut minus_one = [0xff; SIZE];
        minus_one[SIZE - 1] = 0xfe;
        let power = |exponent| modulus.power(&minus_one, &[exponent]).unwrap();
        assert_eq!(power(2).as_flattened(), number::<SIZE>(0, 1));
        assert_eq!(power(3).as_flattened(), minus_one);
        assert_eq!(modulus.public_power(&minus_one).unwrap().as_flattened(), minus_one);
    }
}
