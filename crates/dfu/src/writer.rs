//! Writing an image into a slot, piece by piece.
//!
//! The semantics are those of Zephyr's `flash_img` with progressive erase, with two differences:
//! every sector of the trailer is cleared and not only the one with its flags, and that happens
//! when the writer is made, so that an old request can never point at a half-written image. As
//! there, what lies before the image is cleared too: with swap-offset that may be an old image.

use updraft_flash::{FlashMap, Stream, StreamError, TrailerAccess};

use crate::request::is_blank;

/// Writes one image into one slot, in blocks of `N` bytes.
#[derive(Clone, Debug)]
pub struct SlotWriter<const N: usize> {
    stream: Stream<N>,
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
        let area = trailer.area();
        // What is uploaded must not be able to write a request of its own. Where one write covers
        // several fields, the range ends before it.
        let write_size = map.info(area).map_or(1, |info| info.write_size.max(1));
        let end = trailer.layout().swap_info();
        let end = end - end % write_size;
        let stream = Stream::new(map, area, start, end.saturating_sub(start))?;
        trailer.erase(map).map_err(StreamError::Flash)?;
        let mut at = 0;
        while let Some(sector) = map.sector_at(area, at).filter(|sector| sector.end() <= start) {
            if !is_blank(map, area, sector.offset, sector.size).map_err(StreamError::Flash)? {
                map.erase(area, sector.offset, sector.size).map_err(StreamError::Flash)?;
            }
            at = sector.end();
        }
        Ok(Self { stream })
    }

    /// Bytes that are in flash; what waits for its block to be full is not counted.
    pub fn written(&self) -> u32 {
        self.stream.written()
    }

    /// Takes in `data`. Sectors are erased just before their first byte is written.
    pub fn write<M: FlashMap>(
        &mut self,
        map: &mut M,
        data: &[u8],
    ) -> Result<(), StreamError<M::Error>> {
        self.stream.write(map, data)
    }

    /// Writes the last block, padded to the write size with the erased value.
    pub fn finish<M: FlashMap>(mut self, map: &mut M) -> Result<u32, StreamError<M::Error>> {
        self.stream.flush(map)?;
        Ok(self.stream.written())
    }
}
