//! Ranges of a file that a download asks for. Source: RFC 9110, sections 14.1 and 14.2.

use std::ops::Range;

/// What a `Range` header asks for of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranged {
    /// All of it: the header is no range of bytes, or asks for several, which a server may ignore.
    Whole,
    /// These bytes: at least one, none behind the end.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    Unsatisfiable,
}

/// Reads the value of a `Range` header about a file of `size` bytes.
pub fn ranged(header: &str, size: u64) -> Ranged {
    let Some((unit, set)) = header.split_once('=') else { return Ranged::Whole };
    let Some((first, last)) = set.trim().split_once('-') else { return Ranged::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranged::Whole;
    }
    let range = match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(len)) if first.is_empty() => size.saturating_sub(len)..size,
        (Some(first), None) if last.is_empty() => first..size,
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        _ => return Ranged::Whole,
    };
    match range.start < range.end {
        true => Ranged::Part(range),
        false => Ranged::Unsatisfiable,
    }
}

/// Digits and nothing else; what is too large for a number is behind the end of any file.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Ranged::{Part, Unsatisfiable, Whole};
    use super::ranged;

    #[test]
    fn a_range_is_what_the_file_has_of_it() {
        for (header, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-99", Part(0..100)),
            ("bytes=10-19", Part(10..20)),
            ("bytes=10-1000", Part(10..100)),
            ("bytes=99-", Part(99..100)),
            ("bytes=-1", Part(99..100)),
            ("bytes=-1000", Part(0..100)),
            ("Bytes= 5-5", Part(5..6)),
            ("bytes=0-99999999999999999999999", Part(0..100)),
            ("bytes=100-", Unsatisfiable),
            ("bytes=100-200", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=5-4", Whole),
            ("bytes=0-1,5-6", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("lines=0-1", Whole),
            ("bytes", Whole),
            ("", Whole),
        ] {
            assert_eq!(ranged(header, 100), expected, "{header}");
        }
        assert_eq!(ranged("bytes=0-", 0), Unsatisfiable);
    }
}
