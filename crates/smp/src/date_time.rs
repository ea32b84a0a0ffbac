//! Date and time as the operating-system group spells them.
//!
//! ```text
//! 2026-11-21T01:02:03        and where there are milliseconds
//! 2026-11-21T01:02:03.045
//! ```
//! No time zone is kept: what a clock is set to is what it tells. Read are also any one character
//! between two numbers, fractions of any length (what is finer than a millisecond is dropped), and
//! a zone at the end, which is checked and then ignored, as the servers of the field do.
//!
//! Source: Zephyr documentation, "Default / OS Management Group", date-time.

use core::fmt;

/// A moment on a clock without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime {
    /// Year, 1900 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 and up.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Milliseconds, 0 to 999; `None` for a clock that has none.
    pub millisecond: Option<u16>,
}

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Days from 1970 to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leaps = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months = usize::try_from(month - 1).ok().and_then(|month| BEFORE.get(month));
    years + months.copied().unwrap_or(0) + i64::from(leap && month > 2)
}

impl DateTime {
    /// Bytes of the longest text that it is written as.
    pub const TEXT_MAX: usize = 23;

    /// Reads a text; `None` if it is not a moment.
    pub fn parse(text: &str) -> Option<Self> {
        let mut text = Text(text.as_bytes());
        let year = text.number(4)?;
        let mut part = || {
            text.separator()?;
            text.number(2).and_then(|number| u8::try_from(number).ok())
        };
        let (month, day) = (part()?, part()?);
        let (hour, minute, second) = (part()?, part()?, part()?);
        let millisecond = text.fraction()?;
        text.zone()?;
        let moment = Self { year, month, day, hour, minute, second, millisecond };
        moment.is_valid().then_some(moment)
    }

    /// The moment so many milliseconds after the beginning of 1970.
    pub fn from_unix(milliseconds: i64) -> Self {
        let (days, rest) = (milliseconds.div_euclid(DAY), milliseconds.rem_euclid(DAY));
        // Never too late: the loop makes up for what the leap years make it too early.
        let mut year = 1970 + days.div_euclid(if days < 0 { 365 } else { 366 });
        while days_before(year + 1, 1) <= days {
            year += 1;
        }
        let begun = |month: &i64| days_before(year, *month) <= days;
        let month = (1..=12).rev().find(begun).unwrap_or(1);
        let small = |number: i64| u8::try_from(number).unwrap_or(0);
        Self {
            year: u16::try_from(year).unwrap_or(0),
            month: small(month),
            day: small(days - days_before(year, month) + 1),
            hour: small(rest / 3_600_000),
            minute: small(rest / 60_000 % 60),
            second: small(rest / 1000 % 60),
            millisecond: u16::try_from(rest % 1000).ok(),
        }
    }

    /// Milliseconds from the beginning of 1970.
    pub fn to_unix(&self) -> i64 {
        let days = days_before(self.year.into(), self.month.into()) + i64::from(self.day) - 1;
        let minutes = i64::from(self.hour) * 60 + i64::from(self.minute);
        let seconds = minutes * 60 + i64::from(self.second);
        days * DAY + seconds * 1000 + i64::from(self.millisecond.unwrap_or(0))
    }

    /// Whether there is such a moment.
    pub fn is_valid(&self) -> bool {
        let leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return false,
        };
        (1900..=9999).contains(&self.year)
            && (1..=days).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
            && self.millisecond.is_none_or(|millisecond| millisecond < 1000)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        millisecond.map_or(Ok(()), |millisecond| write!(f, ".{millisecond:03}"))
    }
}

/// What is left of a text.
struct Text<'t>(&'t [u8]);

impl Text<'_> {
    fn next_if(&mut self, fits: impl FnOnce(u8) -> bool) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        fits(*first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// A number of so many digits.
    fn number(&mut self, digits: u32) -> Option<u16> {
        (0..digits).try_fold(0_u16, |number, _| {
            let digit = self.next_if(|byte| byte.is_ascii_digit())? - b'0';
            number.checked_mul(10)?.checked_add(digit.into())
        })
    }

    fn separator(&mut self) -> Option<u8> {
        self.next_if(|byte| byte.is_ascii() && !byte.is_ascii_digit())
    }

    /// `.` and digits, if there are any: milliseconds.
    #[expect(clippy::option_option, reason = "no fraction is as good as one; a bad one is not")]
    fn fraction(&mut self) -> Option<Option<u16>> {
        if self.next_if(|byte| byte == b'.').is_none() {
            return Some(None);
        }
        let (mut value, mut weight) = (0, 100);
        let mut digits = 0_u32;
        while let Some(digit) = self.next_if(|byte| byte.is_ascii_digit()) {
            value += u16::from(digit - b'0') * weight;
            weight /= 10;
            digits += 1;
        }
        (digits > 0).then_some(Some(value))
    }

    /// `Z`, `+hh:mm`, `-hhmm` or nothing, and then the end.
    fn zone(&mut self) -> Option<()> {
        if self.next_if(|byte| matches!(byte, b'+' | b'-')).is_some() {
            self.number(2)?;
            self.next_if(|byte| byte == b':');
            self.number(2)?;
        } else {
            self.next_if(|byte| matches!(byte, b'Z' | b'z'));
        }
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString as _;

    use super::DateTime;

    fn again(text: &str) -> Option<std::string::String> {
        DateTime::parse(text).map(|moment| moment.to_string())
    }

    #[test]
    fn reads_what_clients_of_the_field_send() {
        for (sent, kept) in [
            ("2026-11-21T01:02:03", "2026-11-21T01:02:03"),
            ("2026-11-21 01:02:03", "2026-11-21T01:02:03"),
            ("2026-11-21T01:02:03.5", "2026-11-21T01:02:03.500"),
            ("2017-01-01T00:00:00.123456+00:00", "2017-01-01T00:00:00.123"),
            ("2016-03-02T22:44:00-08:00", "2016-03-02T22:44:00"),
            ("2024-02-29T23:59:59.007Z", "2024-02-29T23:59:59.007"),
        ] {
            assert_eq!(again(sent).as_deref(), Some(kept));
            assert!(kept.len() <= DateTime::TEXT_MAX);
        }
    }

    #[test]
    fn every_day_has_a_number_and_comes_back() {
        let first = DateTime::parse("1900-01-01T12:00:00").unwrap().to_unix() / super::DAY;
        let mut previous = None;
        for day in first..60_000 {
            let moment = DateTime::from_unix(day * super::DAY + 7);
            assert!(moment.is_valid(), "{moment}");
            assert_eq!(moment.to_unix(), day * super::DAY + 7);
            assert!(previous < Some(moment));
            previous = Some(moment);
        }
        assert_eq!(DateTime::from_unix(0).to_string(), "1970-01-01T00:00:00.000");
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for text in [
            "",
            "nope",
            "2026-11-21",
            "2026-11-21T01:02",
            "2026-11-21T01:02:03 and more",
            "2026-11-21T01:02:03.",
            "2026-11-21T01:02:03+1",
            "2026-13-01T00:00:00",
            "2026-00-01T00:00:00",
            "2026-02-29T00:00:00",
            "2026-04-31T00:00:00",
            "2026-01-01T24:00:00",
            "2026-01-01T00:60:00",
            "2026-01-01T00:00:60",
            "1899-12-31T23:59:59",
            "2026-1-1T00:00:00",
        ] {
            assert_eq!(again(text), None, "{text}");
        }
    }
}
