//! The little of CBOR that SMP needs: one map with text keys, read key by key.
//!
//! Accepted: definite and indefinite maps and lists, integers longer than need be, keys in any
//! order, unknown keys with values of any type. Refused: anything but a map, keys that are not
//! text, strings of indefinite length where a value is wanted, nesting beyond
//! [`Value::MAX_DEPTH`]. Of a repeated key the first counts.

mod reader;

use core::fmt;

use reader::{
    BREAK, BYTES, FALSE, LIST, MAP, NEGATIVE, NULL, Reader, SIMPLE, TAG, TEXT, TRUE, UNSIGNED,
};

/// A payload that is not a map, is cut short, or has a known key of the wrong type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in the payload at which reading stopped, in bytes.
    pub offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the CBOR map that was expected, at byte {} of the payload", self.offset)
    }
}

impl core::error::Error for Malformed {}

/// Calls `field` for every key of the map in `payload`. A value that `field` leaves alone is
/// skipped. Bytes behind the map are ignored, as servers do.
pub fn fields<'b>(
    payload: &'b [u8],
    mut field: impl FnMut(&'b str, Value<'_, 'b>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    map(&mut Reader::new(payload), &mut field)
}

/// What is called for every key. Not generic: a device reads many kinds of requests.
type Field<'f, 'b> = dyn FnMut(&'b str, Value<'_, 'b>) -> Result<(), Malformed> + 'f;

fn map<'b>(reader: &mut Reader<'b>, field: &mut Field<'_, 'b>) -> Result<(), Malformed> {
    let mut left = reader.argument(MAP)?;
    while more(reader, &mut left)? {
        let key = reader.text()?;
        let before = reader.position();
        field(key, Value { reader })?;
        if reader.position() == before {
            skip(reader)?;
        }
    }
    Ok(())
}

/// Counts down a definite length or looks for the break of an indefinite one.
fn more(reader: &mut Reader<'_>, left: &mut Option<u64>) -> Result<bool, Malformed> {
    match left {
        Some(0) => Ok(false),
        Some(n) => {
            *n -= 1;
            Ok(true)
        }
        None => Ok(!reader.step_over(BREAK)?),
    }
}

/// Steps over one value, however it nests, without recursion.
fn skip(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    // Items left on each open level; `None` for a level that ends with a break.
    let mut levels = [Some(1_u64); Value::MAX_DEPTH];
    let mut depth = 0;
    loop {
        let malformed = Malformed { offset: reader.position() };
        let level = levels.get_mut(depth).ok_or(malformed)?;
        if !more(reader, level)? {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return Ok(()),
            }
            continue;
        }
        let before = *reader;
        let head = reader.head()?;
        let items = match (head.major, head.argument) {
            (UNSIGNED | NEGATIVE | SIMPLE, _) => continue,
            (BYTES | TEXT, Some(_)) => {
                *reader = before;
                match head.major {
                    BYTES => drop(reader.string(BYTES)?),
                    _ => drop(reader.text()?),
                }
                continue;
            }
            (MAP, Some(pairs)) => Some(pairs.checked_mul(2).ok_or(malformed)?),
            (TAG, _) => Some(1),
            (_, items) => items,
        };
        depth += 1;
        *levels.get_mut(depth).ok_or(malformed)? = items;
    }
}

/// The value behind a key, yet to be read.
pub struct Value<'d, 'b> {
    reader: &'d mut Reader<'b>,
}

impl<'b> Value<'_, 'b> {
    /// Levels of lists, maps and tags that a skipped value may have.
    pub const MAX_DEPTH: usize = 8;

    fn first<T>(
        self,
        into: &mut Option<T>,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T, Malformed>,
    ) -> Result<(), Malformed> {
        if into.is_none() {
            *into = Some(read(self.reader)?);
        }
        Ok(())
    }

    /// Reads an unsigned integer, unless there was one before.
    pub fn u32(self, into: &mut Option<u32>) -> Result<(), Malformed> {
        self.first(into, |reader| {
            let before = *reader;
            narrow(before, reader.argument(UNSIGNED)?.unwrap_or(0))
        })
    }

    /// Reads a signed integer, unless there was one before.
    pub fn i32(self, into: &mut Option<i32>) -> Result<(), Malformed> {
        self.first(into, |reader| {
            let before = *reader;
            narrow(before, reader.integer()?)
        })
    }

    /// Reads an unsigned integer of up to 64 bits, unless there was one before.
    pub fn u64(self, into: &mut Option<u64>) -> Result<(), Malformed> {
        self.first(into, |reader| Ok(reader.argument(UNSIGNED)?.unwrap_or(0)))
    }

    /// Reads a signed integer of up to 64 bits, unless there was one before.
    pub fn i64(self, into: &mut Option<i64>) -> Result<(), Malformed> {
        self.first(into, Reader::integer)
    }

    /// Reads a boolean, unless there was one before.
    pub fn bool(self, into: &mut Option<bool>) -> Result<(), Malformed> {
        self.first(into, |reader| match reader.step_over(TRUE)? {
            true => Ok(true),
            false if reader.step_over(FALSE)? => Ok(false),
            false => reader.malformed(),
        })
    }

    /// Reads a text, unless there was one before.
    pub fn str(self, into: &mut Option<&'b str>) -> Result<(), Malformed> {
        self.first(into, Reader::text)
    }

    /// Reads a byte string, unless there was one before.
    pub fn bytes(self, into: &mut Option<&'b [u8]>) -> Result<(), Malformed> {
        self.first(into, |reader| reader.string(BYTES))
    }

    /// Reads a byte string, unless there was one before. Null is none, as clients written in Go say.
    pub fn bytes_or_null(self, into: &mut Option<&'b [u8]>) -> Result<(), Malformed> {
        match self.reader.step_over(NULL)? {
            true => Ok(()),
            false => self.bytes(into),
        }
    }

    /// Reads a byte string, or the bytes of a text, unless there was one before.
    pub fn bytes_or_str(self, into: &mut Option<&'b [u8]>) -> Result<(), Malformed> {
        match self.reader.peek()? >> 5 {
            TEXT => self.first(into, |reader| reader.text().map(str::as_bytes)),
            _ => self.bytes(into),
        }
    }

    /// Whether a map comes, which [`map`](Self::map) reads.
    pub fn is_map(&self) -> bool {
        self.reader.peek().is_ok_and(|first| first >> 5 == MAP)
    }

    /// Whether an integer comes.
    pub fn is_integer(&self) -> bool {
        self.reader.peek().is_ok_and(|first| first >> 5 <= NEGATIVE)
    }

    /// Reads a boolean, or an integer of which only 0 counts as `false`.
    pub fn flag(self, into: &mut Option<bool>) -> Result<(), Malformed> {
        match self.reader.peek()? {
            TRUE | FALSE => self.bool(into),
            _ => self.first(into, |reader| reader.integer().map(|n| n != 0)),
        }
    }

    /// Reads a nested map key by key.
    pub fn map(
        self,
        mut field: impl FnMut(&'b str, Value<'_, 'b>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        map(self.reader, &mut field)
    }

    /// Reads a list; `item` must read each value that it is given, or it is skipped.
    pub fn list(
        self,
        mut item: impl FnMut(Value<'_, 'b>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut left = self.reader.argument(LIST)?;
        while more(self.reader, &mut left)? {
            let before = self.reader.position();
            item(Value { reader: self.reader })?;
            if self.reader.position() == before {
                skip(self.reader)?;
            }
        }
        Ok(())
    }
}

/// An integer of fewer bits; one that does not fit is no value for the key that it began at.
fn narrow<T, N: TryFrom<T>>(before: Reader<'_>, value: T) -> Result<N, Malformed> {
    N::try_from(value).or_else(|_| before.malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Result<Option<u32>, Malformed> {
        let mut off = None;
        fields(payload, |key, value| match key {
            "o" => value.u32(&mut off),
            _ => Ok(()),
        })?;
        Ok(off)
    }

    #[test]
    fn skips_unknown_values_of_every_type() {
        let values: [&[u8]; 16] = [
            &[0x05],
            &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x42, 1, 2],
            &[0x5f, 0x41, 1, 0x42, 2, 3, 0xff],
            &[0x7f, 0x61, b'a', 0xff],
            &[0x82, 0x9f, 1, 2, 0xff, 0xbf, 0x61, b'k', 0x80, 0xff],
            &[0xa1, 0x61, b'k', 0x9f, 0xa0, 0xff],
            &[0xbf, 0xff],
            &[0xf4],
            &[0xf6],
            &[0xf7],
            &[0xf9, 0, 0],
            &[0xfa, 0, 0, 0, 0],
            &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xc1, 0x1a, 0, 0, 0, 1],
            &[0xe5],
        ];
        for value in values {
            let mut payload = [0_u8; 32];
            payload[..3].copy_from_slice(&[0xa2, 0x61, b'x']);
            payload[3..3 + value.len()].copy_from_slice(value);
            payload[3 + value.len()..][..3].copy_from_slice(&[0x61, b'o', 7]);
            assert_eq!(read(&payload[..6 + value.len()]), Ok(Some(7)), "{value:02x?}");
        }
    }

    /// minicbor reads the same, whatever the bytes: the integer, text and byte string that a map of one
    /// key has, or nothing.
    #[test]
    fn reads_what_another_reader_reads() {
        fn same<T: PartialEq + fmt::Debug>(ours: Result<Option<T>, Malformed>, other: Option<T>) {
            assert_eq!(ours.ok().flatten(), other);
        }
        let mut seed = 1_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u8
        };
        for round in 0..400_000_u32 {
            let mut payload = [0; 14];
            payload[..3].copy_from_slice(&[0xa1, 0x61, b'o']);
            // Every first byte in turn, and often small lengths behind it.
            payload[3] = (round & 0xff) as u8;
            payload[4..].fill_with(&mut random);
            if round & 0x100 != 0 {
                payload[4..11].fill(0);
                payload[4 + usize::from(random() & 7)] = random() & 7;
            }
            let value = &payload[3..];
            let decoder = || minicbor::Decoder::new(value);
            macro_rules! read {
                ($method:ident) => {{
                    let mut into = None;
                    fields(&payload, |_, value| value.$method(&mut into)).map(|()| into)
                }};
            }
            same(read!(u32), decoder().u32().ok());
            same(read!(i32), decoder().i32().ok());
            same(read!(u64), decoder().u64().ok());
            same(read!(i64), decoder().i64().ok());
            same(read!(bool), decoder().bool().ok());
            same(read!(str), decoder().str().ok());
            same(read!(bytes), decoder().bytes().ok());
        }
    }

    #[test]
    fn refuses_deep_nesting_without_a_stack() {
        let mut payload = [0x81_u8; 64];
        payload[..3].copy_from_slice(&[0xa1, 0x61, b'x']);
        assert!(read(&payload).is_err());
    }

    #[test]
    fn the_first_of_a_repeated_key_counts() {
        assert_eq!(read(&[0xa2, 0x61, b'o', 1, 0x61, b'o', 2]), Ok(Some(1)));
    }

    #[test]
    fn refuses_what_is_not_a_map_with_text_keys() {
        for payload in [&[][..], &[0x80], &[0xff, 0xff], &[0xa1, 0x01, 0x01], &[0xa1], &[0xbf]] {
            assert!(read(payload).is_err(), "{payload:02x?}");
        }
    }

    #[test]
    fn refuses_a_known_key_of_the_wrong_type() {
        assert_eq!(read(&[0xa1, 0x61, b'o', 0x61, b'x']), Err(Malformed { offset: 3 }));
    }
}
