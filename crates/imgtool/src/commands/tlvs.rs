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

/// A file with an image, read at offsets that it tells itself.
#[derive(Clone, Copy)]
pub struct Image<'i>(pub &'i [u8]);

impl<'i> Image<'i> {
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
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().ok_or_else(|| {
            let cause = format!("the file ends at {:#x}, before {at:#x} + {N}", self.0.len());
            Failure::error(cause, "this is no image, or not all of it")
        })
    }

    /// The bytes from the beginning to an offset, or to the end of the file.
    pub fn to(self, end: usize) -> &'i [u8] {
        &self.0[..end.min(self.0.len())]
    }

    /// The TLV at an offset, and the offset behind it.
    pub fn tlv(self, at: usize) -> Result<(Tlv<'i>, usize), Failure> {
        let (kind, len) = (self.u16(at)?, self.u16(at + 2)?);
        let (start, end) = (at + 4, at + 4 + usize::from(len));
        let payload = &self.to(end)[start.min(self.0.len())..];
        Ok((Tlv { kind, len, payload }, end))
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
