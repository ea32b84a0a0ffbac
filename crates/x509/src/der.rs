//! DER, as much of it as certificates take (X.690, sections 8 and 10).

/// Bytes that are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("what came is no certificate")
    }
}

impl core::error::Error for Malformed {}

/// Tags.
pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OBJECT: u8 = 0x06;
pub const SEQUENCE: u8 = 0x30;

/// A value.
#[derive(Clone, Copy, Debug)]
pub struct Value<'d> {
    pub tag: u8,
    pub content: &'d [u8],
    /// Tag and length included.
    pub whole: &'d [u8],
}

/// Values one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Der<'d>(pub &'d [u8]);

impl<'d> Der<'d> {
    /// The next value.
    pub fn next(&mut self) -> Result<Value<'d>, Malformed> {
        let whole = self.0;
        let (tag, rest) = whole.split_first().ok_or(Malformed)?;
        let (first, rest) = rest.split_first().ok_or(Malformed)?;
        let (len, rest) = match (first, rest) {
            (..=0x7f, rest) => (usize::from(*first), rest),
            (0x81, [len @ 0x80..=0xff, rest @ ..]) => (usize::from(*len), rest),
            (0x82, [high @ 1..=0xff, low, rest @ ..]) => {
                (usize::from(u16::from_be_bytes([*high, *low])), rest)
            }
            // Longer than any certificate, without an end, or not as short as it can be.
            _ => return Err(Malformed),
        };
        let (content, rest) = rest.split_at_checked(len).ok_or(Malformed)?;
        let (whole, _) = whole.split_at_checked(whole.len() - rest.len()).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Value { tag: *tag, content, whole })
    }

    /// The next value, if there is one of this kind.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Value<'d>>, Malformed> {
        match self.0.first() {
            Some(found) if *found == tag => self.next().map(Some),
            _ => Ok(None),
        }
    }

    /// The next value, which has to be of this kind.
    pub fn expect(&mut self, tag: u8) -> Result<Value<'d>, Malformed> {
        self.optional(tag)?.ok_or(Malformed)
    }

    /// What a sequence holds.
    pub fn sequence(&mut self) -> Result<Self, Malformed> {
        self.expect(SEQUENCE).map(|sequence| Self(sequence.content))
    }

    /// Whole bytes in a string of bits.
    pub fn bits(&mut self) -> Result<&'d [u8], Malformed> {
        match self.expect(BIT_STRING)?.content {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// There is nothing more.
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}
