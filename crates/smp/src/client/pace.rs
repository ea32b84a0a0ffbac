//! How fast an upload goes.

use core::time::Duration;

/// A rate, smoothed over some seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Offset and time that the rate is measured from.
    from: Option<(u32, Duration)>,
    /// Bytes in a second.
    rate: Option<u32>,
}

impl Pace {
    /// How long is measured before the rate changes.
    const SPAN: Duration = Duration::from_millis(500);

    /// The upload is at `off`.
    pub(super) fn at(&mut self, off: u32, now: Duration) {
        let Some((from, since)) = self.from.filter(|(from, _)| *from <= off) else {
            // It begins, or begins again.
            self.from = Some((off, now));
            return;
        };
        let elapsed = now.saturating_sub(since);
        if elapsed < Self::SPAN {
            return;
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        let measured = u64::from(off - from).saturating_mul(1_000_000) / micros;
        let smooth = match self.rate {
            Some(rate) => (u64::from(rate) * 3 + measured) / 4,
            None => measured,
        };
        self.rate = Some(u32::try_from(smooth).unwrap_or(u32::MAX));
        self.from = Some((off, now));
    }

    /// Bytes in a second, once that can be told.
    pub(super) fn rate(&self) -> Option<u32> {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_steady_upload_has_its_rate_and_a_pause_lowers_it() {
        let mut pace = Pace::default();
        for step in 0..50 {
            pace.at(step * 1000, at(u64::from(step) * 100));
        }
        assert_eq!(pace.rate(), Some(10_000));
        pace.at(50_000, at(14_900));
        assert!((7_500..8_000).contains(&pace.rate().unwrap()), "{pace:?}");
    }

    #[test]
    fn what_begins_again_has_not_gone_backwards() {
        let mut pace = Pace::default();
        pace.at(0, at(0));
        assert_eq!(pace.rate(), None, "nothing to tell from");
        pace.at(50_000, at(1000));
        pace.at(10_000, at(2000));
        pace.at(60_000, at(3000));
        assert_eq!(pace.rate(), Some(50_000));
    }
}
