//! Writing an image into a slot, piece by piece.
//!
//! The semantics are those of Zephyr's `flash_img` with progressive erase, with two differences:
//! every sector of the trailer is cleared and not only the one with its flags, and that happens
//! when the writer is made, so that an old request can never point at a half-written image. As
//! there, what lies before the image is cleared too: with swap-offset that may be an old image.

use updraft_flash::{
    AreaId, Block, FlashMap, ProgressError, ProgressStore, Stream, StreamError, StreamTag,
    TrailerAccess, is_blank,
};

/// Writes one image into one slot, in blocks of `N` bytes.
///
/// It decides nothing: [`Dfu::writer`](crate::Dfu::writer) does, and knows the slot and the place.
#[derive(Clone, Debug)]
pub struct SlotWriter<const N: usize> {
    stream: Stream<N>,
    area: AreaId,
}

impl<const N: usize> SlotWriter<N> {
    /// A writer from offset `start` on into the slot that `trailer` belongs to. Erases the trailer,
    /// from the end downwards: its magic goes first, so that a power cut leaves no request. Then
    /// erases the sectors before `start`, where they are not blank.
    ///
    /// The fields of the trailer that decide over the next boot are out of its reach. The slot must
    /// not be the one that runs.
    pub fn new<M: FlashMap>(
        map: &mut M,
        trailer: &TrailerAccess,
        start: u32,
    ) -> Result<Self, StreamError<M::Error>> {
        let writer = Self::over(map, trailer, start)?;
        trailer.erase(map).map_err(StreamError::Flash)?;
        writer.clear_below(map, start)?;
        Ok(writer)
    }

    /// The same, but goes on with `tag` where the progress stored under `key` says that an earlier
    /// writer had come to, see [`Stream::load_progress`]. Nothing that was written is erased then.
    pub fn resume<M: FlashMap, S: ProgressStore>(
        map: &mut M,
        trailer: &TrailerAccess,
        start: u32,
        (store, key, tag): (&mut S, &str, &StreamTag),
    ) -> Result<Self, ProgressError<M::Error, S::Error>> {
        let mut writer = Self::over(map, trailer, start)?;
        let written = writer.stream.load_progress(map, store, key, tag)?;
        let end = start.saturating_add(written);
        let trailer_begins = first_sector(map, trailer);
        let size = trailer.layout().slot_size();
        if written == 0 {
            return Ok(Self::new(map, trailer, start)?);
        }
        if end <= trailer_begins {
            // A request can have been made since, of what is there of the image.
            trailer.erase(map).map_err(StreamError::Flash)?;
        } else if !is_blank(map, writer.area, end, size.saturating_sub(end))
            .map_err(StreamError::Flash)?
        {
            return Ok(Self::new(map, trailer, start)?);
        }
        writer.clear_below(map, start)?;
        Ok(writer)
    }

    /// The stream, with nothing erased yet.
    fn over<M: FlashMap>(
        map: &M,
        trailer: &TrailerAccess,
        start: u32,
    ) -> Result<Self, StreamError<M::Error>> {
        let area = trailer.area();
        let size = trailer.layout().slot_size();
        // What is uploaded must not be able to write a request of its own. Where one write covers
        // several fields, the range ends before it.
        let write_size = map.info(area).map_or(1, |info| info.write_size.max(1));
        let end = trailer.layout().swap_info();
        let end = end - end % write_size;
        let capacity = end.saturating_sub(start);
        if capacity == 0 {
            return Err(StreamError::Full { written: 0, capacity });
        }
        let stream = Stream::new(map, area, start, size.saturating_sub(start))?;
        let stream = stream.limited_to(capacity).erased_from(first_sector(map, trailer));
        Ok(Self { stream, area })
    }

    fn clear_below<M: FlashMap>(
        &self,
        map: &mut M,
        start: u32,
    ) -> Result<(), StreamError<M::Error>> {
        let area = self.area;
        let mut at = 0;
        while let Some(sector) = map.sector_at(area, at).filter(|sector| sector.end() <= start) {
            if !is_blank(map, area, sector.offset, sector.size).map_err(StreamError::Flash)? {
                map.erase(area, sector.offset, sector.size).map_err(StreamError::Flash)?;
            }
            at = sector.end();
        }
        Ok(())
    }

    /// The same writer, which reads back and compares every block that it has written.
    pub fn with_read_back(self) -> Self {
        Self { stream: self.stream.with_read_back(), ..self }
    }

    /// The slot's area.
    pub fn area(&self) -> AreaId {
        self.area
    }

    /// Bytes that are in flash; what waits for its block to be full is not counted.
    pub fn written(&self) -> u32 {
        self.stream.written()
    }

    /// Bytes that the slot takes.
    pub fn capacity(&self) -> u32 {
        self.stream.capacity()
    }

    /// Takes in `data`. Sectors are erased just before their first byte is written.
    pub fn write<M: FlashMap>(
        &mut self,
        map: &mut M,
        data: &[u8],
    ) -> Result<(), StreamError<M::Error>> {
        self.stream.write(map, data)
    }

    /// The same; every block that was written is shown to `each`, see [`Stream::write_with`].
    pub fn write_with<M: FlashMap>(
        &mut self,
        map: &mut M,
        data: &[u8],
        each: impl FnMut(Block<'_>) -> Result<(), u32>,
    ) -> Result<(), StreamError<M::Error>> {
        self.stream.write_with(map, data, each)
    }

    /// Stores under `key` how far `tag` has come, for [`SlotWriter::resume`]. What is buffered is
    /// written by then or lost: the source goes on at [`SlotWriter::written`].
    pub fn save_progress<M: FlashMap, S: ProgressStore>(
        &mut self,
        map: &mut M,
        (store, key, tag): (&mut S, &str, &StreamTag),
    ) -> Result<(), ProgressError<M::Error, S::Error>> {
        self.stream.save_progress(map, store, key, tag)
    }

    /// Writes the last block, padded to the write size with the erased value.
    pub fn finish<M: FlashMap>(mut self, map: &mut M) -> Result<u32, StreamError<M::Error>> {
        self.stream.flush(map)?;
        Ok(self.stream.written())
    }
}

/// Where the first sector begins that holds a part of the trailer.
fn first_sector<M: FlashMap>(map: &M, trailer: &TrailerAccess) -> u32 {
    let begins = trailer.layout().status();
    map.sector_at(trailer.area(), begins).map_or(u32::MAX, |sector| sector.offset)
}
