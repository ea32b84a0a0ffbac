//! A slot as a place that an image can be read from.

use updraft_image::Source;

use crate::{AreaId, FlashMap};

/// An area of a flash map, read as an image that begins `start` bytes in.
#[derive(Debug)]
pub struct SlotSource<'m, M> {
    map: &'m mut M,
    area: AreaId,
    start: u32,
    size: u32,
}

impl<'m, M: FlashMap> SlotSource<'m, M> {
    /// The image at the beginning of `area`; a missing area reads as an empty source.
    pub fn new(map: &'m mut M, area: AreaId) -> Self {
        Self::at(map, area, 0)
    }

    /// The image that begins at offset `start` of `area`.
    pub fn at(map: &'m mut M, area: AreaId, start: u32) -> Self {
        let size = map.info(area).map_or(0, |info| info.size.saturating_sub(start));
        Self { map, area, start, size }
    }
}

impl<M: FlashMap> Source for SlotSource<'_, M> {
    type Error = M::Error;

    fn size(&self) -> u32 {
        self.size
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), M::Error> {
        // An overflowing offset saturates and is refused by the map as out of bounds.
        self.map.read(self.area, self.start.saturating_add(offset), buf)
    }
}
