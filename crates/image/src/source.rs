//! Where an image is read from.

use core::fmt;

use crate::{Describe, Text, text};

/// A readable run of bytes that begins with an image header: a slot in flash, or a file in memory.
pub trait Source {
    /// Why a read failed.
    type Error;

    /// How many bytes can be read.
    fn size(&self) -> u32;

    /// Fills `buf` with the bytes from `offset` on.
    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Self::Error>;
}

impl<S: Source> Source for &mut S {
    type Error = S::Error;

    fn size(&self) -> u32 {
        (**self).size()
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), S::Error> {
        (**self).read(offset, buf)
    }
}

/// A read past the end of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Offset of the read.
    pub offset: u32,
    /// Length of the read.
    pub len: usize,
    /// Size of the slice.
    pub size: usize,
}

impl Describe for OutOfRange {
    fn describe(&self, to: &mut Text<'_>) {
        let Self { offset, len, size } = self;
        to.fill("{} bytes at offset {} are past the end ({} bytes)", &[len, offset, size]);
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl core::error::Error for OutOfRange {}

impl Source for &[u8] {
    type Error = OutOfRange;

    fn size(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), OutOfRange> {
        let out_of_range = OutOfRange { offset, len: buf.len(), size: self.len() };
        let start = usize::try_from(offset).map_err(|_| out_of_range)?;
        let end = start.checked_add(buf.len()).ok_or(out_of_range)?;
        buf.copy_from_slice(self.get(start..end).ok_or(out_of_range)?);
        Ok(())
    }
}
