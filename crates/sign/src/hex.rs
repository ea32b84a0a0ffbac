//! Intel HEX: what linkers write and programmers read.
//!
//! ```text
//! :LLAAAATT…CC    length, address, type, data, checksum: pairs of hexadecimal digits
//! types           00 data · 01 end · 02 segment · 04 upper half of addresses · 03, 05 entry point
//! ```

use std::collections::BTreeMap;

/// Largest distance between the first and the last byte of a file, in bytes: a stray record far
/// away must not fill the memory.
pub(crate) const LARGEST: u64 = 256 << 20;
const PER_RECORD: usize = 16;

/// Why a text is no Intel HEX file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// A line is no record.
    #[error("line {line} of the HEX file is no record")]
    Record {
        /// Its number, from 1.
        line: usize,
    },
    /// A record is damaged.
    #[error("line {line} of the HEX file has a wrong checksum")]
    Checksum {
        /// Its number, from 1.
        line: usize,
    },
    /// Two records give the same byte.
    #[error("line {line} of the HEX file gives bytes that were given before")]
    Overlap {
        /// Its number, from 1.
        line: usize,
    },
    /// No data, or no end.
    #[error("the HEX file has no data or no end record")]
    Incomplete,
    /// The data is too far apart.
    #[error("the data of the HEX file spans {0} bytes")]
    Span(u64),
}

/// A run of bytes at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub address: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a file into one segment; gaps are filled with 0xff.
pub fn parse(text: &str) -> Result<Segment, HexError> {
    flatten(&segments(text)?, 0xff).map_err(HexError::Span)
}

/// Puts segments, in the order of their addresses, into one; gaps are filled with `fill`. The error
/// is how many bytes that would take, where it is too many.
pub fn flatten(segments: &[Segment], fill: u8) -> Result<Segment, u64> {
    let address = segments.first().map_or(0, |segment| segment.address);
    let mut flat = Segment { address, bytes: Vec::new() };
    for Segment { address: at, bytes } in segments {
        let start = u64::from(at.saturating_sub(address));
        let end = start + bytes.len() as u64;
        if end > LARGEST {
            return Err(end);
        }
        flat.bytes.resize(flat.bytes.len().max(start as usize), fill);
        flat.bytes.extend_from_slice(bytes);
    }
    Ok(flat)
}

/// Reads a file into what lies together, in the order of addresses; there is at least one segment.
pub fn segments(text: &str) -> Result<Vec<Segment>, HexError> {
    let mut records = BTreeMap::new();
    let mut upper = 0u32;
    let mut ended = false;
    for (index, record) in text.lines().enumerate() {
        let line = index + 1;
        let record = record.trim();
        if record.is_empty() || ended {
            continue;
        }
        let bytes = record
            .strip_prefix(':')
            .and_then(|digits| unhex(digits.as_bytes()))
            .ok_or(HexError::Record { line })?;
        let [len, high, low, kind, data @ .., _] = bytes.as_slice() else {
            return Err(HexError::Record { line });
        };
        if data.len() != usize::from(*len) {
            return Err(HexError::Record { line });
        }
        if bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
            return Err(HexError::Checksum { line });
        }
        let offset = u32::from(u16::from_be_bytes([*high, *low]));
        match (kind, data) {
            (0, data) => {
                let address = upper.checked_add(offset).ok_or(HexError::Record { line })?;
                if !data.is_empty() {
                    records.insert((address, line), data.to_vec());
                }
            }
            (1, []) => ended = true,
            (2, &[high, low]) => upper = u32::from(u16::from_be_bytes([high, low])) << 4,
            (4, &[high, low]) => upper = u32::from(u16::from_be_bytes([high, low])) << 16,
            (3 | 5, _) => {}
            _ => return Err(HexError::Record { line }),
        }
    }
    if records.is_empty() || !ended {
        return Err(HexError::Incomplete);
    }
    let mut segments: Vec<Segment> = Vec::new();
    for ((at, line), data) in records {
        let end = segments.last().map(|last| u64::from(last.address) + last.bytes.len() as u64);
        match (segments.last_mut(), end) {
            (Some(_), Some(end)) if end > u64::from(at) => return Err(HexError::Overlap { line }),
            (Some(last), Some(end)) if end == u64::from(at) => last.bytes.extend_from_slice(&data),
            _ => segments.push(Segment { address: at, bytes: data }),
        }
    }
    Ok(segments)
}

/// Writes segments, which must be in the order of their addresses; those that touch become one.
pub fn emit(segments: &[Segment]) -> String {
    let mut text = String::new();
    let segments = joined(segments);
    let end = |segment: &Segment| u64::from(segment.address) + segment.bytes.len() as u64;
    let far = segments.iter().any(|segment| end(segment) > 0x1_0000);
    let mut upper = None;
    for Segment { address, bytes } in &segments {
        let mut at = *address;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let [u1, u0, l1, l0] = at.to_be_bytes();
            if far && upper != Some([u1, u0]) {
                record(&mut text, 4, [0, 0], &[u1, u0]);
                upper = Some([u1, u0]);
            }
            // A record does not pass the end of the 64 KiB that its address counts within.
            let room = 0x1_0000 - (at as usize & 0xffff);
            let (data, behind) = rest.split_at(rest.len().min(PER_RECORD).min(room));
            record(&mut text, 0, [l1, l0], data);
            at = at.wrapping_add(data.len() as u32);
            rest = behind;
        }
    }
    record(&mut text, 1, [0, 0], &[]);
    text
}

fn joined(segments: &[Segment]) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for segment in segments {
        match out.last_mut() {
            Some(last)
                if u64::from(last.address) + last.bytes.len() as u64
                    == u64::from(segment.address) =>
            {
                last.bytes.extend_from_slice(&segment.bytes);
            }
            _ => out.push(segment.clone()),
        }
    }
    out
}

fn record(text: &mut String, kind: u8, [high, low]: [u8; 2], data: &[u8]) {
    let mut bytes = vec![data.len() as u8, high, low, kind];
    bytes.extend_from_slice(data);
    bytes.push(bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte)));
    text.push(':');
    bytes.iter().for_each(|byte| *text += &format!("{byte:02X}"));
    text.push('\n');
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::{HexError, Segment, emit, parse};

    #[test]
    fn far_segments_survive_their_text() {
        let segment = |address, len| Segment { address, bytes: (0..len).collect() };
        let segments = [segment(0xfff8, 20), segment(0x2_0000, 3)];
        let read = parse(&emit(&segments)).unwrap();
        assert_eq!(read.address, 0xfff8);
        assert_eq!(read.bytes[..20], segments[0].bytes);
        assert_eq!(read.bytes[20..0x1_0008], vec![0xff; 0x1_0008 - 20]);
        assert_eq!(read.bytes[0x1_0008..], segments[1].bytes);
        assert_eq!(emit(&[segment(4, 2)]), ":020004000001F9\n:00000001FF\n");
    }

    #[test]
    fn records_of_any_kind_and_order_are_read() {
        let text = ":0100100002ED\r\n:0100000001FE\n:040000050000C00037\n:00000001FF\nbehind";
        assert_eq!(parse(text).unwrap().bytes[..2], [1, 0xff]);
        let segment = ":020000021000EC\n:0100000007F8\n:00000001FF\n";
        assert_eq!(parse(segment), Ok(Segment { address: 0x1_0000, bytes: vec![7] }));
    }

    #[test]
    fn damaged_files_are_refused_by_line() {
        let line_2 = |record| parse(&format!(":0100000001FE\n{record}\n:00000001FF\n"));
        assert_eq!(line_2(":0100000002FE"), Err(HexError::Checksum { line: 2 }));
        assert_eq!(line_2(":0100000001FE"), Err(HexError::Overlap { line: 2 }));
        for record in ["0100000001FE", ":01000000", ":0", ":zz", ":020000000100FD", ":00000009F7"] {
            assert!(line_2(record).is_err(), "{record}");
        }
        assert_eq!(line_2(":020000000100FD"), Err(HexError::Overlap { line: 2 }));
        assert_eq!(parse(":0100000001FE\n"), Err(HexError::Incomplete));
        assert_eq!(parse(":00000001FF\n"), Err(HexError::Incomplete));
        let far = ":0100000001FE\n:020000044000BA\n:0100000001FE\n:00000001FF\n";
        assert_eq!(parse(far), Err(HexError::Span(0x4000_0001)));
    }
}
