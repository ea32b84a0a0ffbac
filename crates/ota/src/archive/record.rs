//! The record before each file.
//!
//! ```text
//!   0  name          124  size, octal       156  kind: '0'      257  "ustar", then NUL or a space
//! 100  mode, octal   136  time, octal       157  link           345  what comes before the name
//! 108  owner, group  148  sum, octal                            500  zeros
//! ```

use super::RECORD;

const NAME: usize = 100;
const SIZE: core::ops::Range<usize> = 124..136;
const SUM: core::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const MARK: core::ops::Range<usize> = 257..262;
const PREFIX: usize = 345;

/// Whether it has the mark of `ustar`, old or new.
pub fn is_marked(record: &[u8]) -> bool {
    let after = record.get(MARK.end);
    record.get(MARK) == Some(b"ustar") && matches!(after, Some(0 | b' '))
}

/// Name and size of the plain file behind a record.
pub fn parse(record: &[u8; RECORD]) -> Option<(&str, u32)> {
    let kind = *record.get(KIND)?;
    let prefix = *record.get(PREFIX)?;
    if !is_marked(record) || !matches!(kind, b'0' | 0) || prefix != 0 {
        return None;
    }
    if octal(record.get(SUM)?)? != sum(record) {
        return None;
    }
    let name = record.get(..NAME)?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    let name = core::str::from_utf8(name.get(..end)?).ok()?;
    Some((name, octal(record.get(SIZE)?)?))
}

/// The record of the file `name`, which has to be short enough.
pub fn write(name: &str, size: u32) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(room) = record.get_mut(at..at.saturating_add(bytes.len())) {
            room.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(SIZE.start, &digits::<11>(size));
    put(136, b"00000000000\0");
    put(KIND, b"0");
    put(MARK.start, b"ustar\x0000");
    let sum = sum(&record);
    if let Some(room) = record.get_mut(SUM.start..SUM.start + 6) {
        room.copy_from_slice(&digits::<6>(sum));
    }
    if let Some(room) = record.get_mut(SUM.start + 6..SUM.end) {
        room.copy_from_slice(b"\0 ");
    }
    record
}

/// All bytes, the sum's own counted as spaces.
fn sum(record: &[u8; RECORD]) -> u32 {
    let bytes = record.iter().enumerate();
    bytes.map(|(at, byte)| u32::from(if SUM.contains(&at) { b' ' } else { *byte })).sum()
}

/// Octal digits up to NUL or space, leading spaces passed over.
fn octal(field: &[u8]) -> Option<u32> {
    let begin = field.iter().position(|byte| *byte != b' ')?;
    let digits = field.get(begin..)?;
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if digits.is_empty() || rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u32::from(digit - b'0')),
        _ => None,
    })
}

fn digits<const N: usize>(value: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 8) as u8;
        rest /= 8;
    }
    digits
}
