//! A piece of an image in an MQTT message.
//!
//! ```text
//!  0  "OTAImage"                16  build, u16          28  number of chunks, u16
//!  8  where the data begins     18  size of image, u32  30  which one this is, u16
//! 10  kind of image: 0          22  offset of data, u32
//! 12  major, minor, u16 each    26  bytes of data, u16  32  data       (little-endian)
//! ```

use super::Request;
use crate::{Reason, Version};

/// Bytes of the header.
pub const CHUNK_HEADER: usize = 32;
/// Bytes of the largest piece that devices of every kind have room for.
const LARGEST: u16 = 4096;
/// What a chunk begins with.
pub const MAGIC: [u8; 8] = *b"OTAImage";

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'c> {
    /// Version of the image.
    pub version: Version,
    /// Bytes of the whole image.
    pub total: u32,
    /// Where the data belongs, in bytes of the image.
    pub offset: u32,
    /// Number of chunks.
    pub count: u16,
    /// Which one this is, from 0.
    pub index: u16,
    /// The data.
    pub data: &'c [u8],
}

impl<'c> Chunk<'c> {
    /// The chunk of `image` at `offset`, if images are sent in pieces of `size` bytes. `None` if
    /// there is no such piece, or if there are more than the header can count.
    pub fn of(image: &'c [u8], version: Version, offset: u32, size: u16) -> Option<Self> {
        let total = u32::try_from(image.len()).ok()?;
        let piece = u32::from(size);
        let index = u16::try_from(offset.checked_div(piece)?).ok()?;
        let count = u16::try_from(total.div_ceil(piece)).ok()?;
        let rest = image.get(offset as usize..).filter(|rest| !rest.is_empty())?;
        let data = rest.get(..usize::from(size)).unwrap_or(rest);
        offset.is_multiple_of(piece).then_some(Self { version, total, offset, count, index, data })
    }

    /// What a publisher answers to `request`: the piece of `image` that was asked for. `usual` is the
    /// size of pieces where the request leaves it open; none is larger than 4,096 bytes, for which
    /// devices have room. `None` if the request is for no piece, or there is no such piece.
    pub fn answer(
        image: &'c [u8],
        version: Version,
        request: &Request<'_>,
        usual: u16,
    ) -> Option<Self> {
        let Request::Chunk { offset, size, .. } = request else { return None };
        let size = size.map_or(usual, |size| u16::try_from(size).unwrap_or(u16::MAX));
        Self::of(image, version, *offset, size.min(LARGEST))
    }

    /// The header.
    pub fn header(&self) -> [u8; CHUNK_HEADER] {
        let mut header = [0; CHUNK_HEADER];
        let size = u16::try_from(self.data.len()).unwrap_or(u16::MAX);
        let Version { major, minor, build } = self.version;
        let [t0, t1, t2, t3] = self.total.to_le_bytes();
        let [o0, o1, o2, o3] = self.offset.to_le_bytes();
        let words = [
            CHUNK_HEADER as u16,
            0,
            major,
            minor,
            build,
            u16::from_le_bytes([t0, t1]),
            u16::from_le_bytes([t2, t3]),
            u16::from_le_bytes([o0, o1]),
            u16::from_le_bytes([o2, o3]),
            size,
            self.count,
            self.index,
        ];
        let (magic, rest) = header.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        for (room, word) in rest.chunks_exact_mut(2).zip(words) {
            room.copy_from_slice(&word.to_le_bytes());
        }
        header
    }

    /// Writes header and data to `buffer`; returns how many bytes. `None` if there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Option<usize> {
        let len = CHUNK_HEADER.checked_add(self.data.len())?;
        let (header, data) = buffer.get_mut(..len)?.split_at_mut_checked(CHUNK_HEADER)?;
        header.copy_from_slice(&self.header());
        data.copy_from_slice(self.data);
        Some(len)
    }

    /// Whether a message begins as a chunk does.
    pub fn is_one(message: &[u8]) -> bool {
        message.starts_with(&MAGIC)
    }

    /// Reads a message, and holds everything that it says of itself against everything else.
    ///
    /// # Errors
    /// Which of it cannot be.
    pub fn decode(message: &'c [u8]) -> Result<Self, Reason> {
        if !Self::is_one(message) {
            return Err(Reason::NotAChunk);
        }
        let header = message.first_chunk::<CHUNK_HEADER>().ok_or(Reason::ChunkShort)?;
        let [
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            d0,
            d1,
            k0,
            k1,
            a0,
            a1,
            i0,
            i1,
            b0,
            b1,
            t0,
            t1,
            t2,
            t3,
            o0,
            o1,
            o2,
            o3,
            s0,
            s1,
            n0,
            n1,
            x0,
            x1,
        ] = *header;
        let u16 = |low, high| u16::from_le_bytes([low, high]);
        let (begins, kind, size) = (u16(d0, d1), u16(k0, k1), u16(s0, s1));
        let total = u32::from_le_bytes([t0, t1, t2, t3]);
        let offset = u32::from_le_bytes([o0, o1, o2, o3]);
        let (count, index) = (u16(n0, n1), u16(x0, x1));
        if kind != 0 {
            return Err(Reason::ChunkType);
        }
        if usize::from(begins) < CHUNK_HEADER {
            return Err(Reason::NotAChunk);
        }
        let rest = message.get(usize::from(begins)..).ok_or(Reason::ChunkShort)?;
        let data = rest.get(..usize::from(size)).ok_or(Reason::ChunkShort)?;
        if rest.len() > data.len() {
            return Err(Reason::ChunkLong);
        }
        let version = Version::new(u16(a0, a1), u16(i0, i1), u16(b0, b1));
        let chunk = Self { version, total, offset, count, index, data };
        chunk.check().map(|()| chunk)
    }

    fn check(&self) -> Result<(), Reason> {
        let Self { total, offset, count, index, .. } = *self;
        let size = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        if size == 0 {
            return Err(Reason::ChunkSize { size });
        }
        let end = offset.checked_add(size).filter(|end| *end <= total);
        let end = end.ok_or(Reason::ChunkOffset { offset })?;
        if index >= count {
            return Err(Reason::ChunkIndex);
        }
        // All chunks but the last are as large as this one, or as this one's place tells.
        let number = u32::from(index);
        let piece = match (number, end == total) {
            (0, true) => total,
            (0, false) => size,
            (_, false) => size,
            (_, true) => offset / number,
        };
        if piece.checked_mul(number) != Some(offset) {
            return Err(Reason::ChunkIndex);
        }
        if size > piece {
            return Err(Reason::ChunkSize { size });
        }
        if total.div_ceil(piece) != u32::from(count) {
            return Err(Reason::ChunkCount);
        }
        Ok(())
    }
}
