//! One image's slots as the flash map has them: sizes, sectors, trailers.

use updraft_flash::{
    AreaId, Fault, FlashError, FlashMap, SlotPair, SlotSource, TrailerAccess, TrailerFormat,
    readable,
};
use updraft_image::{
    Decrypted, Flag, Flags, Header, HeaderError, Magic, Refusal, Rules, Strictness, SwapType,
    TlvArea, TlvType, TornFlags, TrailerState, UpgradeMode, Validated, Verifier, Version, validate,
};

use crate::outcome::Step;
use crate::upgrade::Plan;
use crate::{BootError, Config, Strategy};

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
    /// Whether the bodies of encrypted images are ciphertext in it.
    pub ciphertext: bool,
}

impl Slot {
    /// The slot in `area`, whose trailer depends on no other slot.
    pub(crate) fn alone<M: FlashMap>(
        map: &M,
        format: &TrailerFormat,
        area: AreaId,
    ) -> Step<Self, M> {
        let record = map.info(area).map_or(1, |info| info.write_size.max(1));
        Self::new(map, format, area, record, false)
    }

    /// The slot in `area` with status records `record` bytes wide.
    fn new<M: FlashMap>(
        map: &M,
        format: &TrailerFormat,
        area: AreaId,
        record: u32,
        ciphertext: bool,
    ) -> Step<Self, M> {
        let trailer = format.trailer(map, area, record);
        let (Ok(trailer), Some(info)) = (trailer, map.info(area)) else {
            return Err(BootError::NoSlot { area });
        };
        let write_size = info.write_size.max(1);
        let (size, erased) = (info.size, info.erased);
        Ok(Self { area, size, start: 0, write_size, erased, trailer, ciphertext })
    }

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

    /// The same downwards: a trailer goes before the data that it tells of.
    pub(crate) fn erase_all_downwards<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let mut end = self.size;
        while let Some(sector) = end.checked_sub(1).and_then(|last| map.sector_at(self.area, last))
        {
            map.erase(self.area, sector.offset, sector.size)?;
            end = sector.offset;
        }
        Ok(())
    }

    /// How many sectors `len` bytes from the start take.
    pub(crate) fn sectors_below<M: FlashMap>(&self, map: &M, len: u32) -> u32 {
        let (mut count, mut end) = (0, 0);
        while end < len {
            count += 1;
            end = map.sector_at(self.area, end).map_or(u32::MAX, |sector| sector.end());
        }
        count
    }

    /// The bytes where the header belongs. Where cells cannot be read until they are erased, there
    /// is a damaged header: giving up on it would keep what a cut has torn from being mended.
    pub(crate) fn head<M: FlashMap>(&self, map: &mut M) -> Result<Head, M::Error> {
        let mut bytes = [0; Header::SIZE];
        if !readable(map.read(self.area, self.start, &mut bytes))? {
            bytes = [Head::DAMAGED; Header::SIZE];
        }
        Ok(Head { bytes, erased: self.erased })
    }

    /// The header of the image.
    #[inline(never)]
    pub(crate) fn header<M: FlashMap>(&self, map: &mut M) -> Result<Header, Refusal<M::Error>> {
        self.head(map).map_err(Refusal::Read)?.header().map_err(Refusal::Header)
    }

    /// The version of the image, if there is one.
    pub(crate) fn version<M: FlashMap>(&self, map: &mut M) -> Result<Option<Version>, M::Error> {
        Ok(self.head(map)?.header().ok().map(|header| header.version))
    }

    /// The image as something to read from.
    pub(crate) fn source<'m, M: FlashMap>(&self, map: &'m mut M) -> SlotSource<'m, M> {
        SlotSource::at(map, self.area, self.start)
    }

    /// Checks the image against `rules` and the keys of `verifier`.
    pub(crate) fn validate<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        verifier: &mut V,
        rules: &Rules,
    ) -> Result<(Header, Validated), Refusal<M::Error>> {
        let header = self.header(map)?;
        let source = self.source(map);
        let mut source = match verifier.private_key().filter(|_| self.ciphertext) {
            Some(key) => Decrypted::open(source, &header, key)?,
            None => Decrypted::with_key(source, &header, None)?,
        };
        let validated = validate(&mut source, &header, rules, verifier)?;
        Ok((header, validated))
    }

    /// The image's security counter.
    pub(crate) fn security_counter<M: FlashMap>(
        &self,
        map: &mut M,
    ) -> Result<u32, Refusal<M::Error>> {
        let header = self.header(map)?;
        let mut source = self.source(map);
        let mut protected = TlvArea::open(&mut source, &header)?.iter_protected();
        let entry = protected.find(&mut source, TlvType::SEC_CNT)?;
        let entry = entry.ok_or(Refusal::NoSecurityCounter)?;
        let mut bytes = [0; 4];
        let payload = entry.payload(&mut source, &mut bytes).map_err(Refusal::Read)?;
        match payload.map(TryInto::try_into) {
            Some(Ok(bytes)) => Ok(u32::from_le_bytes(bytes)),
            _ => Err(Refusal::TlvLength { entry }),
        }
    }

    /// Size of the image with its TLVs; 0 if there is none.
    pub(crate) fn image_size<M: FlashMap>(&self, map: &mut M) -> Result<u32, Refusal<M::Error>> {
        match self.header(map) {
            Ok(header) => Ok(TlvArea::open(&mut self.source(map), &header)?.end()),
            Err(Refusal::Read(error)) => Err(Refusal::Read(error)),
            Err(_) => Ok(0),
        }
    }
}

/// Whether a failure may pass by itself: a device that does not answer now may hold a good image
/// still. Cells that cannot be read stay so until they are erased.
pub(crate) fn may_pass<E: FlashError>(error: &E) -> bool {
    error.fault() != Fault::Unreadable
}

/// The first 32 bytes of a slot, whatever they are.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; Header::SIZE],
    erased: u8,
}

impl Head {
    /// Stands for a byte that cannot be read. A header of these has no magic, is not erased and
    /// has no flag set that counts without one.
    const DAMAGED: u8 = 0xaa;

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
    pub strictness: Strictness,
    /// The upgrade mode.
    pub mode: UpgradeMode,
}

impl Slots {
    /// The slots of `pair` under `config`, with the trailers of `mode`.
    pub fn new<M: FlashMap>(
        map: &M,
        config: &Config,
        pair: &SlotPair,
        mode: UpgradeMode,
    ) -> Result<Self, BootError<M::Error>> {
        let Config { max_align, max_sectors, keys, .. } = *config;
        let format = TrailerFormat { mode, max_align, max_sectors, keys };
        // What both have to know is what the primary slot's device writes.
        let record = map.info(pair.primary).map_or(1, |info| info.write_size.max(1));
        Ok(Self {
            image: pair.image,
            primary: Slot::new(map, &format, pair.primary, record, false)?,
            secondary: Slot::new(map, &format, pair.secondary, record, true)?,
            max_sectors,
            strictness: config.rules.strictness,
            mode,
        })
    }

    /// Whether to be safer than the original.
    pub fn strict(&self) -> bool {
        self.strictness.is_strict()
    }

    /// The slot whose image will run once `plan` has been carried out; `None` if that has none and
    /// the others are to run without it.
    pub(crate) fn will_run<M: FlashMap, S: Strategy>(
        &self,
        map: &mut M,
        strategy: &S,
        plan: Plan,
    ) -> Step<Option<Slot>, M> {
        let swap = match plan {
            Plan::Upgrade { swap, .. } => swap,
            Plan::Bootstrap => SwapType::None,
            Plan::Nothing | Plan::Resumed(_) | Plan::GiveUp => {
                let erased = self.primary.head(map).map_err(BootError::Flash)?.is_erased();
                return Ok((!self.strict() || !erased).then_some(self.primary));
            }
        };
        let start = strategy.update_start(map, self, swap);
        Ok(Some(Slot { start, ..self.secondary }))
    }

    /// The primary slot's trailer as it is to be understood.
    pub(crate) fn primary_state<M: FlashMap>(&self, map: &mut M) -> Result<TrailerState, M::Error> {
        let state = self.primary.trailer.read(map)?;
        Ok(if self.strict() { state.decide_torn_flags(TornFlags::CountAsSet) } else { state })
    }

    /// Confirms what the primary slot holds: `image_ok`, unless something stands there. What a cut
    /// has left of it counts as set, and what nobody ever wrote could not be set any more.
    pub(crate) fn confirm_primary<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self.primary_state(map)?.image_ok {
            Flag::Unset => self.primary.trailer.write_image_ok(map),
            _ => Ok(()),
        }
    }

    /// Ends what the primary trailer has a record of, and confirms what the slot holds: `image_ok`,
    /// then `copy_done`, unless something stands there.
    pub(crate) fn end_record<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.confirm_primary(map)?;
        match self.primary_state(map)?.copy_done {
            Flag::Unset => self.primary.trailer.write_copy_done(map),
            _ => Ok(()),
        }
    }

    /// The same if that is of a swap that is not over.
    pub(crate) fn end_standing_record<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let state = self.primary_state(map)?;
        let stands = state.magic == Magic::Good && state.copy_done == Flag::Unset;
        if stands { self.end_record(map) } else { Ok(()) }
    }

    /// Whether the secondary trailer asks for an upgrade of that kind.
    pub(crate) fn asks_for<M: FlashMap>(&self, map: &mut M, swap: SwapType) -> bool {
        let state = self.secondary_state(map);
        let to_stay = state.image_ok == Flag::Set;
        state.magic == Magic::Good && to_stay == (swap == SwapType::Permanent)
    }

    /// Asks for the image in the secondary slot, in a trailer that is erased.
    pub(crate) fn request<M: FlashMap>(&self, map: &mut M, swap: SwapType) -> Result<(), M::Error> {
        let trailer = &self.secondary.trailer;
        if swap == SwapType::Permanent {
            trailer.write_image_ok(map)?;
        }
        trailer.write_magic(map)
    }

    /// The secondary slot's trailer as it is to be understood; one that cannot be read counts as
    /// erased.
    pub(crate) fn secondary_state<M: FlashMap>(&self, map: &mut M) -> TrailerState {
        let state = self.secondary.trailer.read(map).unwrap_or(TrailerState::UNSET);
        if self.strict() { state.decide_torn_flags(TornFlags::CountAsUnset) } else { state }
    }
}
