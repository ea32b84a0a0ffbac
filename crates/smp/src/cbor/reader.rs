//! CBOR item by item, as small as a bootloader wants it (RFC 8949, section 3).
//!
//! ```text
//! first byte │ major type: 3 bits │ info: 5 bits │ 0..=23 is the argument itself,
//!                                                │ 24..=27: 1, 2, 4 or 8 bytes of it follow,
//!                                                │ 31: of indefinite length, or the break of such
//! ```

use super::Malformed;

/// Major types.
pub(super) const UNSIGNED: u8 = 0;
pub(super) const NEGATIVE: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const LIST: u8 = 4;
pub(super) const MAP: u8 = 5;
pub(super) const TAG: u8 = 6;
pub(super) const SIMPLE: u8 = 7;

/// Whole items.
pub(super) const FALSE: u8 = 0xf4;
pub(super) const TRUE: u8 = 0xf5;
pub(super) const NULL: u8 = 0xf6;
pub(super) const BREAK: u8 = 0xff;

const INDEFINITE: u8 = 31;

/// What an item begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub major: u8,
    /// An integer, or bytes or items that follow; `None` if their end is marked by a break.
    pub argument: Option<u64>,
}

/// Where in the bytes reading goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl<'b> Reader<'b> {
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub const fn position(&self) -> usize {
        self.position
    }

    /// That reading stops at the item that begins here.
    pub const fn malformed<T>(&self) -> Result<T, Malformed> {
        Err(Malformed { offset: self.position })
    }

    /// The next byte, which stays.
    pub fn peek(&self) -> Result<u8, Malformed> {
        match self.bytes.get(self.position) {
            Some(byte) => Ok(*byte),
            None => self.malformed(),
        }
    }

    /// Steps over the next byte, if it is this one; says whether it was.
    pub fn step_over(&mut self, byte: u8) -> Result<bool, Malformed> {
        let there = self.peek()? == byte;
        self.position += usize::from(there);
        Ok(there)
    }

    /// Reads what the next item begins with. If that is malformed, it is still there.
    pub fn head(&mut self) -> Result<Head, Malformed> {
        let first = self.peek()?;
        let (major, info) = (first >> 5, first & 31);
        let mut end = self.position + 1;
        let argument = match info {
            0..=23 => Some(info.into()),
            24..=27 => {
                let start = end;
                end += 1 << (info - 24);
                let Some(bytes) = self.bytes.get(start..end) else { return self.malformed() };
                Some(bytes.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte)))
            }
            INDEFINITE if matches!(major, BYTES..=MAP) => None,
            _ => return self.malformed(),
        };
        self.position = end;
        Ok(Head { major, argument })
    }

    /// Reads an item of this major type: its argument.
    pub fn argument(&mut self, major: u8) -> Result<Option<u64>, Malformed> {
        let before = *self;
        match self.head()? {
            head if head.major == major => Ok(head.argument),
            _ => before.malformed(),
        }
    }

    /// Reads an integer.
    pub fn integer(&mut self) -> Result<i64, Malformed> {
        let before = *self;
        let Head { major, argument } = self.head()?;
        match (major, argument.and_then(|value| i64::try_from(value).ok())) {
            (UNSIGNED, Some(value)) => Ok(value),
            (NEGATIVE, Some(value)) => Ok(!value),
            _ => before.malformed(),
        }
    }

    /// Reads a string of this major type and of definite length.
    pub fn string(&mut self, major: u8) -> Result<&'b [u8], Malformed> {
        let before = *self;
        let len = self.argument(major)?.and_then(|len| usize::try_from(len).ok());
        let end = len.and_then(|len| self.position.checked_add(len));
        let Some(string) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            return before.malformed();
        };
        self.position += string.len();
        Ok(string)
    }

    /// Reads a text of definite length.
    pub fn text(&mut self) -> Result<&'b str, Malformed> {
        let before = *self;
        let text = core::str::from_utf8(self.string(TEXT)?);
        text.or_else(|_| before.malformed())
    }
}
