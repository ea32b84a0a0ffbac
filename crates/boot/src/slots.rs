//! One image's slots as the flash map has them: sizes, sectors, trailers.

use updraft_flash::{AreaId, FlashMap, SlotPair, SlotSource, TrailerAccess, TrailerFormat};
use updraft_image::{
    Flags, Header, HeaderError, Refusal, TlvArea, TornFlags, TrailerState, UpgradeMode,
};

use crate::{BootError, Config};

/// One slot.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Its area.
    pub area: AreaId,
    /// Its size in bytes.
    pub size: u32,
    /// Where its image begins, in bytes from the start of the area.
    pub start: u32,
    /// Bytes that its device writes at once.
    pub write_size: u32,
    /// What its erased bytes read as.
    pub erased: u8,
    /// Its trailer.
    pub trailer: TrailerAccess,
}

impl Slot {
    /// Number of sectors, and their size if all have the same.
    pub(crate) fn sectors<M: FlashMap>(&self, map: &M) -> (u32, Option<u32>) {
        let mut count = 0;
        let mut size = None;
        let mut uniform = true;
        let mut at = 0;
        while let Some(sector) = map.sector_at(self.area, at) {
            uniform &= *size.get_or_insert(sector.size) == sector.size;
            count += 1;
            at = sector.end();
        }
        (count, size.filter(|_| uniform))
    }

    /// Erases `len` bytes from `offset` on, sector by sector upwards.
    pub(crate) fn erase<M: FlashMap>(
        &self,
        map: &mut M,
        offset: u32,
        len: u32,
    ) -> Result<(), M::Error> {
        let end = offset.saturating_add(len);
        let mut at = offset;
        while at < end {
            let Some(sector) = map.sector_at(self.area, at) else {
                break;
            };
            map.erase(self.area, sector.offset, sector.size)?;
            at = sector.end();
        }
        Ok(())
    }

    /// Erases the whole slot, upwards: the header goes first, so that a power cut leaves no
    /// image that could be taken for a whole one.
    pub(crate) fn erase_all<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.erase(map, 0, self.size)
    }

    /// The bytes where the header belongs.
    pub(crate) fn head<M: FlashMap>(&self, map: &mut M) -> Result<Head, M::Error> {
        let mut bytes = [0; Header::SIZE];
        map.read(self.area, self.start, &mut bytes)?;
        Ok(Head { bytes, erased: self.erased })
    }

    /// The image as something to read from.
    pub(crate) fn source<'m, M: FlashMap>(&self, map: &'m mut M) -> SlotSource<'m, M> {
        SlotSource::at(map, self.area, self.start)
    }

    /// Size of the image with its TLVs; 0 if there is none.
    pub(crate) fn image_size<M: FlashMap>(&self, map: &mut M) -> Result<u32, Refusal<M::Error>> {
        let head = self.head(map).map_err(Refusal::Read)?;
        match head.header() {
            Ok(header) => Ok(TlvArea::open(&mut self.source(map), &header)?.end()),
            Err(_) => Ok(0),
        }
    }
}

/// The first 32 bytes of a slot, whatever they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    bytes: [u8; Header::SIZE],
    erased: u8,
}

impl Head {
    pub(crate) fn header(&self) -> Result<Header, HeaderError> {
        Header::parse(&self.bytes)
    }

    /// Whether no image was ever written here: the magic is erased.
    pub(crate) fn is_erased(&self) -> bool {
        self.bytes.iter().take(4).all(|byte| *byte == self.erased)
    }

    /// Whether there is nothing to boot: erased, or flagged so. The flag counts even behind a
    /// damaged magic, as in the original.
    pub(crate) fn is_empty(&self) -> bool {
        let [.., f0, f1, f2, f3, _, _, _, _, _, _, _, _, _, _, _, _] = self.bytes;
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        self.is_erased() || flags & Flags::NON_BOOTABLE.0 != 0
    }
}

/// The slots of one image.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    /// Number of the image.
    pub image: u8,
    /// The slot that runs.
    pub primary: Slot,
    /// The slot that takes updates.
    pub secondary: Slot,
    /// The most sectors that the status has records for.
    pub max_sectors: u32,
    /// Whether to be safer than the original.
    pub strict: bool,
}

impl Slots {
    /// The slots of `pair` under `config`, with the trailers of `mode`.
    pub fn new<M: FlashMap>(
        map: &M,
        config: &Config,
        pair: &SlotPair,
        mode: UpgradeMode,
    ) -> Result<Self, BootError<M::Error>> {
        let Config { max_align, max_sectors, .. } = *config;
        let format = TrailerFormat { mode, max_align, max_sectors };
        let trailers = format.trailers(map, pair);
        let [primary, secondary] = trailers.map_err(|area| BootError::NoSlot { area })?;
        let slot = |trailer: TrailerAccess| -> Result<Slot, BootError<M::Error>> {
            let area = trailer.area();
            let info = map.info(area).ok_or(BootError::NoSlot { area })?;
            let write_size = info.write_size.max(1);
            Ok(Slot { area, size: info.size, start: 0, write_size, erased: info.erased, trailer })
        };
        Ok(Self {
            image: pair.image,
            primary: slot(primary)?,
            secondary: slot(secondary)?,
            max_sectors,
            strict: config.strict(),
        })
    }

    /// The primary slot's trailer as it is to be understood.
    pub(crate) fn primary_state<M: FlashMap>(&self, map: &mut M) -> Result<TrailerState, M::Error> {
        let state = self.primary.trailer.read(map)?;
        Ok(if self.strict { state.decide_torn_flags(TornFlags::CountAsSet) } else { state })
    }

    /// The secondary slot's trailer as it is to be understood; one that cannot be read counts as
    /// erased.
    pub(crate) fn secondary_state<M: FlashMap>(&self, map: &mut M) -> TrailerState {
        let state = self.secondary.trailer.read(map).unwrap_or(TrailerState::UNSET);
        if self.strict { state.decide_torn_flags(TornFlags::CountAsUnset) } else { state }
    }
}
