//! The sum of two multiples of points, computed at once.

use super::limbs::{self, Limbs};

/// A sum, with the points that are added to it: `Q`, `P − Q`, `P` and `P + Q`.
pub trait Sum {
    fn double(&mut self);
    /// Adds one of the four points, or its negative.
    fn add(&mut self, point: usize, negative: bool);
}

/// Adds `first · P + second · Q` to what is neutral.
///
/// The digits of both numbers are walked together, so that doublings are shared (E. Straus,
/// "Addition chains of vectors", 1964). They are signed, of the form in which no two that follow
/// each other are other than 0 (G. Reitwiesner, "Binary arithmetic", 1960), so that four pairs out
/// of nine need no addition.
pub fn add_multiples(sum: &mut impl Sum, first: &Limbs, second: &Limbs) {
    let (first, second) = (Signed::new(first), Signed::new(second));
    for at in (1..=257).rev() {
        sum.double();
        // From −4 to 4, which the points are in the order of.
        let pair = 3 * first.digit(at) + second.digit(at);
        if pair != 0 {
            sum.add(pair.unsigned_abs() as usize - 1, pair < 0);
        }
    }
}

/// A number whose signed digits are the differences between the bits of three times it and its
/// own, one place further up.
struct Signed<'n> {
    number: &'n Limbs,
    triple: Limbs,
    above: u32,
}

impl<'n> Signed<'n> {
    fn new(number: &'n Limbs) -> Self {
        let mut triple = *number;
        let [first, second] = [(); 2].map(|()| u32::from(limbs::add(&mut triple, number)));
        Self { number, triple, above: first + second }
    }

    fn digit(&self, at: usize) -> i32 {
        bit(&self.triple, self.above, at) - bit(self.number, 0, at)
    }
}

#[inline(never)]
fn bit(limbs: &Limbs, above: u32, at: usize) -> i32 {
    let limb = limbs.get(at / 32).unwrap_or(&above);
    ((limb >> (at % 32)) & 1) as i32
}
