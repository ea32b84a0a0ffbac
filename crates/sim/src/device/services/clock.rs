//! A clock that keeps going from what it is set to, as long as the process lives.

use std::time::Duration;

use updraft_smp::server::Clock;
use updraft_smp::{DateTime, OsError};

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

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
        Ok(self.origin.map(|origin| from_milliseconds(origin.saturating_add(self.elapsed()))))
    }

    fn set(&mut self, moment: DateTime) -> Result<(), OsError> {
        self.origin = Some(to_milliseconds(&moment) - self.elapsed());
        Ok(())
    }
}

fn to_milliseconds(moment: &DateTime) -> i64 {
    let days = days_before(moment.year.into(), moment.month.into()) + i64::from(moment.day) - 1;
    let minutes = i64::from(moment.hour) * 60 + i64::from(moment.minute);
    let seconds = minutes * 60 + i64::from(moment.second);
    days * DAY + seconds * 1000 + i64::from(moment.millisecond.unwrap_or(0))
}

fn from_milliseconds(milliseconds: i64) -> DateTime {
    let (days, rest) = (milliseconds.div_euclid(DAY), milliseconds.rem_euclid(DAY));
    let mut year = 1970 + days.div_euclid(366);
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..12).take_while(|month| days_before(year, month + 1) <= days).count() as i64 + 1;
    DateTime {
        year: year.clamp(1900, 9999) as u16,
        month: month as u8,
        day: (days - days_before(year, month) + 1) as u8,
        hour: (rest / 3_600_000) as u8,
        minute: (rest / 60_000 % 60) as u8,
        second: (rest / 1000 % 60) as u8,
        millisecond: Some((rest % 1000) as u16),
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leaps = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months = BEFORE.get(month as usize - 1).copied().unwrap_or(0);
    years + months + i64::from(leap && month > 2)
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

    #[test]
    fn every_day_comes_back() {
        let mut previous = None;
        for day in (to_milliseconds(&DateTime::parse("1900-01-01T12:00:00").unwrap()) / DAY)..60_000
        {
            let moment = from_milliseconds(day * DAY + 7);
            assert!(moment.is_valid(), "{moment}");
            assert_eq!(to_milliseconds(&moment), day * DAY + 7);
            assert!(previous < Some(moment));
            previous = Some(moment);
        }
        assert_eq!(from_milliseconds(0).to_string(), "1970-01-01T00:00:00.000");
    }
}
