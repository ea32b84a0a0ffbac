//! Moments, as certificates say when they are valid (RFC 5280, section 4.1.2.5).

use crate::Malformed;
use crate::der::Der;

/// Tags of a moment with a year of two digits, and of four.
const SHORT: u8 = 0x17;
const LONG: u8 = 0x18;

/// A moment in UTC, to the second; the default comes before all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Year, month, day, hour, minute, second, in digits.
    digits: [u8; 14],
}

impl Moment {
    pub(crate) fn read(from: &mut Der<'_>) -> Result<Self, Malformed> {
        let value = from.next()?;
        let digits = value.content.strip_suffix(b"Z").ok_or(Malformed)?;
        // Years of two digits are those from 1950 to 2049.
        let century: &[u8] = match (value.tag, digits) {
            (SHORT, [b'5'..=b'9', ..]) => b"19",
            (SHORT, _) => b"20",
            (LONG, _) => b"",
            _ => return Err(Malformed),
        };
        let mut found = Self::default();
        let len = century.len() + digits.len();
        if len != found.digits.len() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Malformed);
        }
        found
            .digits
            .iter_mut()
            .zip(century.iter().chain(digits))
            .for_each(|(to, from)| *to = *from);
        Ok(found)
    }
}
