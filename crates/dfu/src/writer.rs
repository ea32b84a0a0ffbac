//! Writing an image into a slot, piece by piece.
//!
//! The semantics are those of Zephyr's `flash_img` with progressive erase, with two differences:
//! every sector of the trailer is cleared and not only the one with its flags, and that happens
//! when the writer is made, so that an old request can never point at a half-written image.

use updraft_flash::{FlashMap, Stream, StreamError, TrailerAccess};

/// Writes one image into one slot, in blocks of `N` bytes.
#[derive(Clone, Debug)]
pub struct SlotWriter<const N: usize> {
    stream: Stream<N>,
}

impl<const N: usize> SlotWriter<N> {
    /// A writer into the slot that `trailer` belongs to. Erases the trailer, from the end
    /// downwards: its magic goes first, so that a power cut leaves no request.
    ///
    /// The slot must not be the one that runs.
    pub fn new<M: FlashMap>(
        map: &mut M,
        trailer: &TrailerAccess,
    ) -> Result<Self, StreamError<M::Error>> {
        let size = map.info(trailer.area()).ok_or(StreamError::NoArea)?.size;
        let stream = Stream::new(map, trailer.area(), 0, size)?;
        trailer.erase(map).map_err(StreamError::Flash)?;
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
