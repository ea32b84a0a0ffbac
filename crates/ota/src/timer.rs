//! Waiting: with a jitter, so that a fleet does not come all at once, and longer after each failure.

use core::time::Duration;

/// Numbers that spread devices over time; of no use for secrets (Marsaglia's xorshift).
#[derive(Clone, Debug)]
pub struct Random(u32);

impl Random {
    /// Begins at `seed`, which should differ from device to device.
    pub fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// `time`, lengthened by up to an eighth.
    pub fn jitter(&mut self, time: Duration) -> Duration {
        time.saturating_add((time / 8).saturating_mul(self.number() >> 16) / 0xffff)
    }
}

/// How often something is tried again, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Before the second try; doubled before each one after.
    pub first: Duration,
    /// Never longer than this, jitter aside.
    pub longest: Duration,
    /// Tries in all.
    pub tries: u8,
}

impl Retry {
    /// How long to wait after `failed` tries; `None` if that were all.
    pub fn after(&self, failed: u8, random: &mut Random) -> Option<Duration> {
        if failed >= self.tries {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << failed.saturating_sub(1).min(24));
        Some(random.jitter(doubled.min(self.longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_end() {
        let second = Duration::from_secs(1);
        let retry = Retry { first: second, longest: 10 * second, tries: 7 };
        let mut random = Random::new(5);
        let waits: Vec<_> = (1..).map_while(|failed| retry.after(failed, &mut random)).collect();
        assert_eq!(waits.len(), 6);
        for (wait, least) in waits.iter().zip([1, 2, 4, 8, 10, 10]) {
            assert!((least * second..=least * second * 9 / 8).contains(wait), "{waits:?}");
        }
        assert!(waits.iter().any(|wait| wait.subsec_nanos() != 0), "{waits:?}");
    }

    extern crate std;
    use std::vec::Vec;
}
