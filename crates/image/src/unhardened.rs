//! Decisions as flags, taken once: what [`hardened`](../hardened.rs) is there to be better than.
//!
//! It stands in for that in bootloaders that are only built to be broken, with
//! `--cfg updraft_unhardened`: a search for skipped instructions that start an image which nobody may
//! start has to find some in these. No feature leads here, and the build script of the firmware
//! refuses a release that is made so.

/// A yes or a no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision(bool);

impl Decision {
    /// No.
    pub const NO: Self = Self(false);

    /// The decision of somebody who has only a flag.
    pub fn of(yes: bool) -> Self {
        Self(yes)
    }

    /// Yes if both are.
    pub fn both(a: &Self, b: &Self) -> Self {
        Self(a.0 && b.0)
    }

    /// The answer to a question about `subject`, asked once.
    pub fn asked<T>(subject: &mut T, question: impl FnOnce(&mut T) -> bool) -> Self {
        Self(question(subject))
    }

    /// Yes if both are equal and not empty.
    pub fn equal(a: &[u8], b: &[u8]) -> Self {
        Self(a == b && !a.is_empty())
    }

    /// Yes if `value` is `minimum` or more.
    pub fn at_least(value: u32, minimum: u32) -> Self {
        Self(value >= minimum)
    }

    /// Whether it is a yes.
    pub fn is_yes(&self) -> bool {
        self.0
    }

    /// Nobody asks twice.
    pub fn still(&self) -> bool {
        true
    }
}

/// Whoever has come here was told yes.
pub fn again(_: impl FnOnce() -> bool) -> bool {
    true
}
