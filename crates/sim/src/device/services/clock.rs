//! A clock that keeps going from what it is set to, as long as the process lives.

use std::time::Duration;

use updraft_smp::server::Clock;
use updraft_smp::{DateTime, OsError};

/// The clock: milliseconds since 1970 at the device's time 0, once it was set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RealTime {
    origin: Option<i64>,
    pub now: Duration,
}

impl RealTime {
    fn elapsed(&self) -> i64 {
        i64::try_from(self.now.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Clock for RealTime {
    fn read(&mut self) -> Result<Option<DateTime>, OsError> {
        Ok(self.origin.map(|origin| DateTime::from_unix(origin.saturating_add(self.elapsed()))))
    }

    fn set(&mut self, moment: DateTime) -> Result<(), OsError> {
        self.origin = Some(moment.to_unix() - self.elapsed());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_from_what_it_was_set_to_over_the_end_of_a_year() {
        let mut clock = RealTime { now: Duration::from_secs(100), ..RealTime::default() };
        assert_eq!(clock.read(), Ok(None));
        let set = DateTime::parse("2027-12-31T23:59:58.250").expect("a moment");
        clock.set(set).expect("it can be set");
        assert_eq!(clock.read(), Ok(Some(set)));
        clock.now += Duration::from_millis(2000);
        let later = clock.read().expect("it can be read").expect("it was set");
        assert_eq!(later.to_string(), "2028-01-01T00:00:00.250");
    }
}
