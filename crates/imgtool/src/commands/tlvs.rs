//! The TLVs of an image as imgtool walks them: by its own lengths, whatever their sum.

use crate::Failure;

/// First word of an image.
pub const IMAGE_MAGIC: u32 = 0x96f3_b83d;

/// A TLV.
pub struct Tlv<'i> {
    pub kind: u16,
    /// What it says is its length; the payload is shorter where the file ends.
    pub len: u16,
    pub payload: &'i [u8],
}

/// Part of a file with an image, or all of it, read at the file's own offsets.
#[derive(Clone, Copy)]
pub struct Image<'i> {
    bytes: &'i [u8],
    /// Where they begin in the file.
    start: usize,
    /// Bytes of the file.
    size: usize,
}

impl<'i> Image<'i> {
    /// All of a file.
    pub fn whole(bytes: &'i [u8]) -> Self {
        Self { bytes, start: 0, size: bytes.len() }
    }

    /// The bytes from `start` on of a file of `size`.
    pub fn part(bytes: &'i [u8], start: usize, size: usize) -> Self {
        Self { bytes, start, size }
    }

    /// Bytes of the file.
    pub fn size(self) -> usize {
        self.size
    }

    /// A number of two bytes.
    pub fn u16(self, at: usize) -> Result<u16, Failure> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// A number of four bytes.
    pub fn u32(self, at: usize) -> Result<u32, Failure> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// Some bytes.
    pub fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Failure> {
        let rest = at.checked_sub(self.start).and_then(|at| self.bytes.get(at..));
        rest.and_then(|rest| rest.first_chunk()).copied().ok_or_else(|| {
            let cause = format!("the file ends at {:#x}, before {at:#x} + {N}", self.size);
            Failure::error(cause, "this is no image, or not all of it")
        })
    }

    /// The TLV at an offset, and the offset behind it.
    pub fn tlv(self, at: usize) -> Result<(Tlv<'i>, usize), Failure> {
        let (kind, len) = (self.u16(at)?, self.u16(at + 2)?);
        let payload = &self.bytes[at + 4 - self.start..];
        let payload = &payload[..payload.len().min(len.into())];
        Ok((Tlv { kind, len, payload }, at + 4 + usize::from(len)))
    }

    /// The TLVs from an offset up to another, which the last one may pass.
    pub fn tlvs(self, mut at: usize, end: usize) -> Result<(Vec<Tlv<'i>>, usize), Failure> {
        let mut tlvs = Vec::new();
        while at < end {
            let (tlv, behind) = self.tlv(at)?;
            tlvs.push(tlv);
            at = behind;
        }
        Ok((tlvs, at))
    }
}
