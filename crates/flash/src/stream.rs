//! An append-only writer that erases as it goes.
//!
//! The semantics are those of Zephyr's `stream_flash` with progressive erase: data is collected
//! to whole blocks, a sector is erased just before its first byte is written and never earlier,
//! the last block is padded to the write size with the erased value. Unlike it, sectors may be
//! smaller than a block, and the start of the stream has to be the start of a sector, so that
//! nothing written before can be erased. Where a write replaces what was there, nothing is erased.

use core::fmt;

use crate::{AreaId, FlashMap};

/// Why a stream could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The flash map has no such area.
    NoArea,
    /// The data would pass the end of the stream's range; nothing of it was taken.
    Full {
        /// Bytes taken so far.
        written: u32,
        /// Bytes that the range holds.
        capacity: u32,
    },
    /// The range does not begin on a sector boundary, or its end is not a multiple of the write
    /// size.
    Misaligned {
        /// Where the range begins in the area.
        start: u32,
    },
    /// The block size is not a multiple of the device's write size.
    BlockSize {
        /// Bytes of a block.
        block: usize,
        /// Bytes that the device writes at once.
        write_size: u32,
    },
    /// More data after the stream was finished with a block that had to be padded.
    Finished,
    /// The flash failed. The stream is not usable any more.
    Flash(E),
}

impl<E: fmt::Display> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoArea => f.write_str("the flash map has no such area"),
            Self::Full { written, capacity } => {
                write!(f, "the data passes the {capacity} bytes of the area ({written} are taken)")
            }
            Self::Misaligned { start } => {
                write!(f, "a stream cannot begin at offset {start:#x}: no sector begins there")
            }
            Self::BlockSize { block, write_size } => {
                write!(f, "{block}-byte blocks are no multiple of the {write_size}-byte write size")
            }
            Self::Finished => f.write_str("the stream is finished"),
            Self::Flash(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StreamError<E> {}

/// A stream into a range of an area, in blocks of `N` bytes.
#[derive(Clone, Debug)]
pub struct Stream<const N: usize> {
    area: AreaId,
    start: u32,
    capacity: u32,
    /// Bytes in flash, padding not counted.
    written: u32,
    /// First offset of the range that has not been erased.
    erased_to: u32,
    block: [u8; N],
    filled: usize,
    padded: bool,
}

impl<const N: usize> Stream<N> {
    /// A stream into `capacity` bytes of `area` from offset `start` on.
    pub fn new<M: FlashMap>(
        map: &M,
        area: AreaId,
        start: u32,
        capacity: u32,
    ) -> Result<Self, StreamError<M::Error>> {
        let info = map.info(area).ok_or(StreamError::NoArea)?;
        let write_size = info.write_size.max(1);
        let fits = start.checked_add(capacity).is_some_and(|end| end <= info.size);
        if !fits || capacity == 0 {
            return Err(StreamError::Full {
                written: 0,
                capacity: info.size.saturating_sub(start),
            });
        }
        if map.sector_at(area, start).is_none_or(|sector| sector.offset != start)
            || !capacity.is_multiple_of(write_size)
        {
            return Err(StreamError::Misaligned { start });
        }
        if N == 0 || !N.is_multiple_of(write_size as usize) {
            return Err(StreamError::BlockSize { block: N, write_size });
        }
        Ok(Self {
            area,
            start,
            capacity,
            written: 0,
            erased_to: 0,
            block: [0; N],
            filled: 0,
            padded: false,
        })
    }

    /// Bytes that are in flash.
    pub fn written(&self) -> u32 {
        self.written
    }

    /// Bytes that wait for their block to be full.
    pub fn buffered(&self) -> usize {
        self.filled
    }

    /// Takes in `data`; every full block is written at once.
    pub fn write<M: FlashMap>(
        &mut self,
        map: &mut M,
        mut data: &[u8],
    ) -> Result<(), StreamError<M::Error>> {
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if self.taken().checked_add(len).is_none_or(|end| end > self.capacity) {
            return Err(StreamError::Full { written: self.taken(), capacity: self.capacity });
        }
        if self.padded && !data.is_empty() {
            return Err(StreamError::Finished);
        }
        while !data.is_empty() {
            let free = self.block.get_mut(self.filled..).unwrap_or_default();
            let n = free.len().min(data.len());
            let (now, later) = data.split_at(n);
            for (to, from) in free.iter_mut().zip(now) {
                *to = *from;
            }
            self.filled += n;
            data = later;
            if self.filled == N {
                self.sync(map)?;
            }
        }
        Ok(())
    }

    /// Writes what is buffered, padded to the write size with the erased value. Without anything
    /// buffered the flash is not touched.
    pub fn flush<M: FlashMap>(&mut self, map: &mut M) -> Result<(), StreamError<M::Error>> {
        if self.filled == 0 { Ok(()) } else { self.sync(map) }
    }

    fn taken(&self) -> u32 {
        // `filled` is at most N and the sum at most `capacity`.
        self.written.saturating_add(self.filled as u32)
    }

    fn sync<M: FlashMap>(&mut self, map: &mut M) -> Result<(), StreamError<M::Error>> {
        let info = map.info(self.area).ok_or(StreamError::NoArea)?;
        let padded = self.filled.next_multiple_of(info.write_size.max(1) as usize);
        if !info.kind.writes_replace() {
            self.erase_up_to(map, self.taken())?;
        }
        let block = self.block.get_mut(..padded).ok_or(StreamError::Finished)?;
        if let Some(padding) = block.get_mut(self.filled..) {
            padding.fill(info.erased);
        }
        map.write(self.area, self.start.saturating_add(self.written), block)
            .map_err(StreamError::Flash)?;
        self.padded = padded != self.filled;
        self.written = self.taken();
        self.filled = 0;
        Ok(())
    }

    /// Erases the sectors that the bytes before `end` touch and that were not erased yet.
    fn erase_up_to<M: FlashMap>(
        &mut self,
        map: &mut M,
        end: u32,
    ) -> Result<(), StreamError<M::Error>> {
        while self.erased_to < end {
            let at = self.start.saturating_add(self.erased_to);
            let sector = map.sector_at(self.area, at).ok_or(StreamError::NoArea)?;
            map.erase(self.area, sector.offset, sector.size).map_err(StreamError::Flash)?;
            self.erased_to = sector.end().saturating_sub(self.start);
        }
        Ok(())
    }
}
