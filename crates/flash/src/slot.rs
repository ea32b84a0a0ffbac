//! Slots: which areas they are, where their trailers lie, and images read from them.

use updraft_image::{Source, TrailerKeys, TrailerLayout, UpgradeMode};

use crate::trailer::LONGEST_ROW;
use crate::{AreaId, FlashMap, TrailerAccess};

/// The two slots of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPair {
    /// Number of the image, 0 where there is only one.
    pub image: u8,
    /// The slot that the image runs from.
    pub primary: AreaId,
    /// The slot that takes updates.
    pub secondary: AreaId,
}

/// Which of the two slots of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The slot that the image runs from, in modes that copy it there.
    Primary,
    /// The slot that takes updates.
    Secondary,
}

impl Which {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Primary, Self::Secondary];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// Its number in the image: 0 or 1.
    pub const fn number(self) -> u8 {
        match self {
            Self::Primary => 0,
            Self::Secondary => 1,
        }
    }
}

impl SlotPair {
    /// The area of a slot.
    pub const fn area(&self, slot: Which) -> AreaId {
        match slot {
            Which::Primary => self.primary,
            Which::Secondary => self.secondary,
        }
    }
}

/// What a bootloader was built with that decides where the fields of its trailers lie. Everybody
/// who reads or writes a trailer has to know the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerFormat {
    /// The upgrade mode.
    pub mode: UpgradeMode,
    /// The largest write alignment that trailers are laid out for: 8, 16 or 32 bytes.
    pub max_align: u32,
    /// The most sectors of a slot that trailers have status records for.
    pub max_sectors: u32,
    /// What trailers keep of the images' content keys, under bootloaders that decrypt.
    pub keys: Option<TrailerKeys>,
}

impl TrailerFormat {
    /// The trailers of the primary and of the secondary slot. `Err` names the area that does not
    /// exist, holds no such trailer, or whose device writes more at once than a field may take.
    ///
    /// In both, records are as wide as the primary slot's device writes, but no wider than a field:
    /// the one width that bootloader, application, board file and signer all know.
    pub fn trailers<M: FlashMap>(
        &self,
        map: &M,
        slots: &SlotPair,
    ) -> Result<[TrailerAccess; 2], AreaId> {
        let records = map.info(slots.primary).map_or(1, |info| info.write_size.max(1));
        Ok([
            self.trailer(map, slots.primary, records)?,
            self.trailer(map, slots.secondary, records)?,
        ])
    }

    /// Where in the secondary slot in `area` updates begin, in bytes: with swap-offset at its second
    /// sector.
    pub fn update_start<M: FlashMap>(&self, map: &M, area: AreaId) -> u32 {
        match self.mode {
            UpgradeMode::SwapOffset => map.sector_at(area, 0).map_or(0, |sector| sector.size),
            _ => 0,
        }
    }

    /// The trailer of `area` with status records `record` bytes wide, or as wide as a field if
    /// that is less.
    pub fn trailer<M: FlashMap>(
        &self,
        map: &M,
        area: AreaId,
        record: u32,
    ) -> Result<TrailerAccess, AreaId> {
        let Self { mode, max_align, max_sectors, keys } = *self;
        // Shown like this by the map that keeps them in the status area.
        let mode = match mode {
            UpgradeMode::StatusPartition => UpgradeMode::SwapScratch,
            mode => mode,
        };
        let info = map.info(area).ok_or(area)?;
        let longest = match info.kind.writes_replace() {
            true => LONGEST_ROW as u32,
            // A wider write would reach from one field of the trailer into the next.
            false => max_align,
        };
        if info.write_size > longest {
            return Err(area);
        }
        let record = record.min(max_align);
        let layout = TrailerLayout::new(info.size, mode, max_sectors, record, max_align)
            .and_then(|layout| layout.with_keys(keys));
        Ok(TrailerAccess::new(area, layout.ok_or(area)?))
    }
}

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
