//! The little of CBOR that SMP needs: one map with text keys, read key by key.
//!
//! Accepted: definite and indefinite maps and lists, integers longer than need be, keys in any
//! order, unknown keys with values of any type. Refused: anything but a map, keys that are not
//! text, strings of indefinite length where a value is wanted, nesting beyond
//! [`Value::MAX_DEPTH`]. Of a repeated key the first counts.

use core::fmt;

use minicbor::Decoder;
use minicbor::data::Type;

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
    field: impl FnMut(&'b str, Value<'_, 'b>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    map(&mut Decoder::new(payload), field)
}

fn map<'b>(
    decoder: &mut Decoder<'b>,
    mut field: impl FnMut(&'b str, Value<'_, 'b>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut left = at(decoder, Decoder::map)?;
    while more(decoder, &mut left)? {
        let key = at(decoder, Decoder::str)?;
        let before = decoder.position();
        field(key, Value { decoder })?;
        if decoder.position() == before {
            skip(decoder)?;
        }
    }
    Ok(())
}

/// Counts down a definite length or looks for the break of an indefinite one.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, Malformed> {
    match left {
        Some(0) => Ok(false),
        Some(n) => {
            *n -= 1;
            Ok(true)
        }
        None if at(decoder, |d| d.datatype())? == Type::Break => {
            decoder.set_position(decoder.position() + 1);
            Ok(false)
        }
        None => Ok(true),
    }
}

fn at<'b, T>(
    decoder: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
) -> Result<T, Malformed> {
    let offset = decoder.position();
    read(decoder).map_err(|_| Malformed { offset })
}

/// Steps over one value, however it nests. minicbor's own `skip` needs an allocator for
/// indefinite lengths inside definite ones.
fn skip(decoder: &mut Decoder<'_>) -> Result<(), Malformed> {
    // Items left on each open level; `None` for a level that ends with a break.
    let mut levels = [Some(1_u64); Value::MAX_DEPTH];
    let mut depth = 0;
    loop {
        let offset = decoder.position();
        let malformed = Malformed { offset };
        let level = levels.get_mut(depth).ok_or(malformed)?;
        if !more(decoder, level)? {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return Ok(()),
            }
            continue;
        }
        let open = match at(decoder, |d| d.datatype())? {
            Type::Array | Type::ArrayIndef => Some(at(decoder, Decoder::array)?),
            Type::Map | Type::MapIndef => {
                let pairs = at(decoder, Decoder::map)?;
                Some(pairs.map(|n| n.checked_mul(2).ok_or(malformed)).transpose()?)
            }
            Type::Tag => {
                at(decoder, Decoder::tag)?;
                Some(Some(1))
            }
            Type::Bytes => at(decoder, Decoder::bytes).map(|_| None)?,
            Type::String => at(decoder, Decoder::str).map(|_| None)?,
            Type::BytesIndef | Type::StringIndef => {
                decoder.set_position(offset + 1);
                Some(None)
            }
            Type::Bool => at(decoder, Decoder::bool).map(|_| None)?,
            Type::Null => at(decoder, Decoder::null).map(|_| None)?,
            Type::Undefined => at(decoder, Decoder::undefined).map(|_| None)?,
            Type::Simple => at(decoder, Decoder::simple).map(|_| None)?,
            Type::F16 => forward(decoder, 3).map(|()| None)?,
            Type::F32 => at(decoder, Decoder::f32).map(|_| None)?,
            Type::F64 => at(decoder, Decoder::f64).map(|_| None)?,
            Type::Break | Type::Unknown(_) => return Err(malformed),
            _ => at(decoder, Decoder::int).map(|_| None)?,
        };
        if let Some(items) = open {
            depth += 1;
            *levels.get_mut(depth).ok_or(malformed)? = items;
        }
    }
}

fn forward(decoder: &mut Decoder<'_>, by: usize) -> Result<(), Malformed> {
    let offset = decoder.position();
    match offset.checked_add(by).filter(|end| *end <= decoder.input().len()) {
        Some(end) => {
            decoder.set_position(end);
            Ok(())
        }
        None => Err(Malformed { offset }),
    }
}

/// The value behind a key, yet to be read.
pub struct Value<'d, 'b> {
    decoder: &'d mut Decoder<'b>,
}

impl<'b> Value<'_, 'b> {
    /// Levels of lists, maps and tags that a skipped value may have.
    pub const MAX_DEPTH: usize = 8;

    fn first<T>(
        self,
        into: &mut Option<T>,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
    ) -> Result<(), Malformed> {
        if into.is_none() {
            *into = Some(at(self.decoder, read)?);
        }
        Ok(())
    }

    /// Reads an unsigned integer, unless there was one before.
    pub fn u32(self, into: &mut Option<u32>) -> Result<(), Malformed> {
        self.first(into, Decoder::u32)
    }

    /// Reads a signed integer, unless there was one before.
    pub fn i32(self, into: &mut Option<i32>) -> Result<(), Malformed> {
        self.first(into, Decoder::i32)
    }

    /// Reads an unsigned integer of up to 64 bits, unless there was one before.
    pub fn u64(self, into: &mut Option<u64>) -> Result<(), Malformed> {
        self.first(into, Decoder::u64)
    }

    /// Reads a signed integer of up to 64 bits, unless there was one before.
    pub fn i64(self, into: &mut Option<i64>) -> Result<(), Malformed> {
        self.first(into, Decoder::i64)
    }

    /// Reads a boolean, unless there was one before.
    pub fn bool(self, into: &mut Option<bool>) -> Result<(), Malformed> {
        self.first(into, Decoder::bool)
    }

    /// Reads a text, unless there was one before.
    pub fn str(self, into: &mut Option<&'b str>) -> Result<(), Malformed> {
        self.first(into, Decoder::str)
    }

    /// Reads a byte string, unless there was one before.
    pub fn bytes(self, into: &mut Option<&'b [u8]>) -> Result<(), Malformed> {
        self.first(into, Decoder::bytes)
    }

    /// Reads a byte string, unless there was one before. Null is none, as clients written in Go say.
    pub fn bytes_or_null(self, into: &mut Option<&'b [u8]>) -> Result<(), Malformed> {
        match at(self.decoder, |d| d.datatype())? {
            Type::Null => at(self.decoder, Decoder::null),
            _ => self.bytes(into),
        }
    }

    /// Reads a byte string, or the bytes of a text, unless there was one before.
    pub fn bytes_or_str(self, into: &mut Option<&'b [u8]>) -> Result<(), Malformed> {
        match at(self.decoder, |d| d.datatype())? {
            Type::String => self.first(into, |d| d.str().map(str::as_bytes)),
            _ => self.bytes(into),
        }
    }

    /// Whether a map comes, which [`map`](Self::map) reads.
    pub fn is_map(&self) -> bool {
        matches!(self.decoder.datatype(), Ok(Type::Map | Type::MapIndef))
    }

    /// Whether an integer comes.
    pub fn is_integer(&self) -> bool {
        use Type::{I8, I16, I32, I64, Int, U8, U16, U32, U64};
        matches!(self.decoder.datatype(), Ok(U8 | U16 | U32 | U64 | I8 | I16 | I32 | I64 | Int))
    }

    /// Reads a boolean, or an integer of which only 0 counts as `false`.
    pub fn flag(self, into: &mut Option<bool>) -> Result<(), Malformed> {
        match at(self.decoder, |d| d.datatype())? {
            Type::Bool => self.bool(into),
            _ => self.first(into, |d| d.i64().map(|n| n != 0)),
        }
    }

    /// Reads a nested map key by key.
    pub fn map(
        self,
        field: impl FnMut(&'b str, Value<'_, 'b>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        map(self.decoder, field)
    }

    /// Reads a list; `item` must read each value that it is given, or it is skipped.
    pub fn list(
        self,
        mut item: impl FnMut(Value<'_, 'b>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut left = at(self.decoder, Decoder::array)?;
        while more(self.decoder, &mut left)? {
            let before = self.decoder.position();
            item(Value { decoder: self.decoder })?;
            if self.decoder.position() == before {
                skip(self.decoder)?;
            }
        }
        Ok(())
    }
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
