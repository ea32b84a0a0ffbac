//! An append-only writer that erases as it goes.
//!
//! ```text
//! start                    written     + buffered        erased_to             start + capacity
//! ├── in flash ────────────┼───────────┄                 ┊                     ┤
//! ├── sector ───────┼── sector ──────────────────────────┼── not erased yet … ─┤
//! ```
//! The semantics are those of Zephyr's `stream_flash` with progressive erase: data is collected
//! to whole blocks, a sector is erased just before its first byte is written and never earlier,
//! the last block is padded to the write size with the erased value. Where a write replaces what
//! was there, nothing is erased.
//!
//! Unlike it, a stream is made of whole sectors: no erase reaches a byte that the stream has
//! written, nor one outside its range. Sectors may be of any sizes, also smaller than a block. What
//! a sector's erase goes up to is read off the sector and not added up, so that streams do not run
//! ahead of their sectors.

mod error;
mod progress;

pub use error::StreamError;
pub use progress::{ProgressError, ProgressStore, StreamTag, is_blank};

use progress::Sum;

use crate::{AreaId, FlashMap};

/// A stream into a range of an area, in blocks of `N` bytes.
#[derive(Clone, Debug)]
pub struct Stream<const N: usize> {
    area: AreaId,
    start: u32,
    /// Bytes that may be written; at most what lies between `start` and the end of the range.
    limit: u32,
    /// Bytes in flash, padding not counted.
    written: u32,
    /// First offset of the range that has not been erased.
    erased_to: u32,
    /// Offset of the area from which on everything is erased already.
    erased_from: u32,
    block: [u8; N],
    filled: usize,
    state: State,
    read_back: bool,
    /// Over what was last asked to be kept as progress.
    sum: Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Padded,
    Dead,
}

/// A block that has just been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'b> {
    /// Where it begins in the area, in bytes.
    pub offset: u32,
    /// Its bytes, without padding. With [`Stream::with_read_back`] the flash holds the same.
    pub bytes: &'b [u8],
}

impl<const N: usize> Stream<N> {
    /// A stream into `capacity` bytes of `area` from offset `start` on. Where sectors have to be
    /// erased, these bytes are whole sectors, or reach to the end of the area.
    pub fn new<M: FlashMap>(
        map: &M,
        area: AreaId,
        start: u32,
        capacity: u32,
    ) -> Result<Self, StreamError<M::Error>> {
        let info = map.info(area).ok_or(StreamError::NoArea)?;
        let write_size = info.write_size.max(1);
        let end = start.checked_add(capacity).filter(|end| *end <= info.size && capacity > 0);
        let Some(end) = end else {
            let capacity = info.size.saturating_sub(start);
            return Err(StreamError::Full { written: 0, capacity });
        };
        let begins = |at| map.sector_at(area, at).is_some_and(|sector| sector.offset == at);
        let ends = end == info.size || info.kind.writes_replace() || begins(end);
        if !begins(start) || !ends || !capacity.is_multiple_of(write_size) {
            return Err(StreamError::Misaligned { start });
        }
        if N == 0 || !N.is_multiple_of(write_size as usize) {
            return Err(StreamError::BlockSize { block: N, write_size });
        }
        Ok(Self {
            area,
            start,
            limit: capacity,
            written: 0,
            erased_to: 0,
            erased_from: u32::MAX,
            block: [0; N],
            filled: 0,
            state: State::Open,
            read_back: false,
            sum: Sum::NONE,
        })
    }

    /// The same stream, which takes no more than `bytes`: what follows in the last of their sectors
    /// is for the stream to erase, and for others to write.
    pub fn limited_to(mut self, bytes: u32) -> Self {
        self.limit = self.limit.min(bytes);
        self
    }

    /// The same stream, told that the area is erased from `offset` on.
    pub fn erased_from(mut self, offset: u32) -> Self {
        self.erased_from = offset;
        self
    }

    /// The same stream, which reads back and compares every block that it has written.
    pub fn with_read_back(mut self) -> Self {
        self.read_back = true;
        self
    }

    /// Bytes that are in flash, padding not counted. After an error: that surely are.
    pub fn written(&self) -> u32 {
        self.written
    }

    /// Bytes that wait for their block to be full.
    pub fn buffered(&self) -> usize {
        self.filled
    }

    /// Bytes from the start on that need no erase before they are written.
    pub fn erased(&self) -> u32 {
        self.erased_to
    }

    /// Bytes that the stream takes.
    pub fn capacity(&self) -> u32 {
        self.limit
    }

    /// Takes in `data`; every full block is written at once.
    pub fn write<M: FlashMap>(
        &mut self,
        map: &mut M,
        data: &[u8],
    ) -> Result<(), StreamError<M::Error>> {
        self.write_with(map, data, |_| Ok(()))
    }

    /// The same; every block that was written is shown to `each`, which may refuse to go on with a
    /// code of its own: [`StreamError::Rejected`].
    pub fn write_with<M: FlashMap>(
        &mut self,
        map: &mut M,
        mut data: &[u8],
        mut each: impl FnMut(Block<'_>) -> Result<(), u32>,
    ) -> Result<(), StreamError<M::Error>> {
        if data.is_empty() {
            return Ok(());
        }
        self.is_open()?;
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if self.taken().checked_add(len).is_none_or(|end| end > self.limit) {
            return Err(StreamError::Full { written: self.taken(), capacity: self.limit });
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
                self.sync(map, &mut each)?;
            }
        }
        Ok(())
    }

    /// Writes what is buffered, padded to the write size with the erased value. Without anything
    /// buffered the flash is not touched. A block that had to be padded was the last one.
    pub fn flush<M: FlashMap>(&mut self, map: &mut M) -> Result<(), StreamError<M::Error>> {
        self.flush_with(map, |_| Ok(()))
    }

    /// The same; the block is shown to `each` like those of [`Stream::write_with`].
    pub fn flush_with<M: FlashMap>(
        &mut self,
        map: &mut M,
        mut each: impl FnMut(Block<'_>) -> Result<(), u32>,
    ) -> Result<(), StreamError<M::Error>> {
        if self.filled == 0 {
            return Ok(());
        }
        self.is_open()?;
        self.sync(map, &mut each)
    }

    fn is_open<E>(&self) -> Result<(), StreamError<E>> {
        match self.state {
            State::Open => Ok(()),
            State::Padded => Err(StreamError::Finished),
            State::Dead => Err(StreamError::Dead),
        }
    }

    fn taken(&self) -> u32 {
        // `filled` is at most N and the sum at most `limit`.
        self.written.saturating_add(self.filled as u32)
    }

    fn sync<M: FlashMap>(
        &mut self,
        map: &mut M,
        each: &mut impl FnMut(Block<'_>) -> Result<(), u32>,
    ) -> Result<(), StreamError<M::Error>> {
        // Until it is known to be in flash, the block counts as buffered.
        self.state = State::Dead;
        let info = map.info(self.area).ok_or(StreamError::NoArea)?;
        let padded = self.filled.next_multiple_of(info.write_size.max(1) as usize);
        if !info.kind.writes_replace() {
            self.erase_up_to(map, self.taken())?;
        }
        let block = self.block.get_mut(..padded).ok_or(StreamError::Finished)?;
        if let Some(padding) = block.get_mut(self.filled..) {
            padding.fill(info.erased);
        }
        let offset = self.start.saturating_add(self.written);
        map.write(self.area, offset, block).map_err(StreamError::Flash)?;
        if self.read_back {
            compare(map, self.area, offset, block)?;
        }
        let bytes = self.block.get(..self.filled).unwrap_or_default();
        each(Block { offset, bytes }).map_err(|code| StreamError::Rejected { code })?;
        self.state = if padded == self.filled { State::Open } else { State::Padded };
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
            if sector.offset < self.erased_from {
                map.erase(self.area, sector.offset, sector.size).map_err(StreamError::Flash)?;
            }
            self.erased_to = sector.end().saturating_sub(self.start);
        }
        Ok(())
    }
}

fn compare<M: FlashMap>(
    map: &mut M,
    area: AreaId,
    offset: u32,
    block: &[u8],
) -> Result<(), StreamError<M::Error>> {
    let mut at = offset;
    for wanted in block.chunks(64) {
        let mut piece = [0; 64];
        let piece = piece.get_mut(..wanted.len()).unwrap_or_default();
        map.read(area, at, piece).map_err(StreamError::Flash)?;
        if piece != wanted {
            return Err(StreamError::ReadBack { offset: at });
        }
        at = at.saturating_add(wanted.len() as u32);
    }
    Ok(())
}
