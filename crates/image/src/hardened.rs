//! Decisions that a fault in one instruction does not turn round.
//!
//! Whoever can disturb a chip's supply for a moment can make it skip an instruction or read a
//! wrong bit. A decision is therefore not a flag but two patterns of many bits, each computed from a
//! comparison of its own and not set in a branch; the default is no; and whoever acts on
//! a yes asks twice, in two tests that the compiler must not merge. Skipping one jump then leads
//! to the second test, which sees the same no.
//!
//! `cargo xtask long glitch` skips the instructions of a bootloader one by one, and does the same to one
//! with the decisions of `unhardened.rs`, which does not hold.
//!
//! What it does not do: protect the arithmetic of a signature scheme, or stop a fault that hits
//! twice at the right moments.

use core::hint::black_box;

/// The pattern of a yes: 16 of 32 bits set, and 16 bits away from the pattern of a no.
pub const YES: u32 = 0x5a3c_c3a5;
/// The pattern of a no.
pub const NO: u32 = 0x9669_5a3c;
/// What a pattern is combined with for its second copy.
const MASK: u32 = 0xb10c_5eed;

/// A yes or a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    value: u32,
    copy: u32,
}

impl Default for Decision {
    fn default() -> Self {
        Self::NO
    }
}

impl Decision {
    /// No.
    pub const NO: Self = Self { value: NO, copy: NO ^ MASK };

    /// Yes if both bits are 1, computed without a branch: a word of each.
    #[inline(never)]
    fn of_bits(value: u32, copy: u32) -> Self {
        // All ones for a yes, else zero.
        let pattern = |bit: u32| NO ^ ((YES ^ NO) & black_box(bit & 1).wrapping_neg());
        Self { value: pattern(value), copy: pattern(copy) ^ MASK }
    }

    /// The decision of somebody who has only a flag.
    pub fn of(yes: bool) -> Self {
        Self::of_bits(u32::from(black_box(yes)), u32::from(black_box(yes)))
    }

    /// Yes if both are, a word from each.
    pub fn both(a: &Self, b: &Self) -> Self {
        Self::of_bits(u32::from(a.still()), u32::from(b.still()))
    }

    /// The answer to a question about `subject`, which is asked twice.
    pub fn asked<T>(subject: &mut T, mut question: impl FnMut(&mut T) -> bool) -> Self {
        Self::of_bits(ask(subject, &mut question), ask(subject, &mut question))
    }

    /// Yes if both are equal and not empty, in a time that depends on their lengths only.
    pub fn equal(a: &[u8], b: &[u8]) -> Self {
        Self::of_bits(are_equal(a, b), are_equal(a, b))
    }

    /// Yes if `value` is `minimum` or more.
    pub fn at_least(value: u32, minimum: u32) -> Self {
        let bit = || u32::from(black_box(value) >= black_box(minimum));
        Self::of_bits(bit(), bit())
    }

    /// Whether it is a yes. Whoever acts on that asks [`Decision::still`] before doing so.
    #[inline(never)]
    pub fn is_yes(&self) -> bool {
        if black_box(self.value) != YES {
            return false;
        }
        black_box(self.copy) == YES ^ MASK
    }

    /// The second test, from the other copy first.
    #[inline(never)]
    pub fn still(&self) -> bool {
        if black_box(self.copy) != YES ^ MASK {
            return false;
        }
        black_box(self.value) == YES
    }
}

/// Asks once more, right before it matters, what has been asked before.
pub fn again(question: impl FnOnce() -> bool) -> bool {
    question()
}

/// 1 for a yes, else 0.
#[inline(never)]
fn ask<T>(subject: &mut T, question: &mut impl FnMut(&mut T) -> bool) -> u32 {
    u32::from(question(black_box(subject)))
}

/// 1 if both are equal and not empty, else 0.
#[inline(never)]
fn are_equal(a: &[u8], b: &[u8]) -> u32 {
    let mut different = (a.len() ^ b.len()) as u32;
    let mut compared = 0usize;
    for (a, b) in a.iter().zip(b) {
        different |= u32::from(a ^ b);
        compared = compared.wrapping_add(1);
    }
    // A loop that ended early has compared too little.
    different |= (black_box(compared) ^ a.len()) as u32;
    different |= u32::from(a.is_empty());
    is_zero(different)
}

/// 1 for zero, else 0: the top bit of x | -x is set unless x is 0.
fn is_zero(x: u32) -> u32 {
    ((x | x.wrapping_neg()) >> 31) ^ 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_what_was_compared() {
        assert!(Decision::equal(b"abc", b"abc").is_yes() && Decision::of(true).still());
        for (a, b) in [(&b"abc"[..], &b"abd"[..]), (b"abc", b"ab"), (b"", b""), (b"a", b"\xe1")] {
            let no = Decision::equal(a, b);
            assert!(!no.is_yes() && !no.still());
            assert_eq!(no, Decision::NO);
        }
        assert!(!Decision::default().is_yes() && !Decision::of(false).still());
    }

    #[test]
    fn a_number_is_at_least_itself_and_what_is_below() {
        for (value, minimum, yes) in
            [(0, 0, true), (7, 6, true), (u32::MAX, 0, true), (6, 7, false), (0, u32::MAX, false)]
        {
            assert_eq!(Decision::at_least(value, minimum), Decision::of(yes));
        }
    }

    #[test]
    fn no_single_bit_makes_a_yes_of_a_no() {
        for bit in 0..32 {
            let flip = 1 << bit;
            for wrong in [
                Decision { value: NO ^ flip, copy: NO ^ MASK },
                Decision { value: NO, copy: NO ^ MASK ^ flip },
                // A whole word read wrongly is not enough either.
                Decision { value: YES, copy: NO ^ MASK },
                Decision { value: NO, copy: YES ^ MASK },
            ] {
                assert!(!wrong.is_yes() && !wrong.still());
            }
        }
        assert_eq!((YES ^ NO).count_ones(), 16);
    }
}
