//! Swap using offset: updates are uploaded one sector up in the secondary slot, so that every
//! sector of the primary image has a free one to go to.
//!
//! ```text
//!            primary            secondary
//! before     A0 A1 A2 ..  | t   -- B0 B1 B2 .. | t     t: trailer
//! swapped    B0 B1 B2 ..  | t   A0 A1 A2 -- .. |
//! reverted   A0 A1 A2 ..  | t   -- B0 B1 B2 .. |
//! ```
//! A swap goes upwards and a revert downwards. Every step erases a sector whose content exists
//! elsewhere, fills it, and then writes its record; a step without a record is simply done again.
//! The records are in the primary trailer, two per sector in the order in which they are done.
//! Source: MCUboot `docs/design.md`, "Image swap using offset (without using scratch)", and
//! `boot/bootutil/src/swap_offset.c`.
//!
//! Strictly, a step leaves a sector alone that holds its bytes already, unless it is the first of
//! a boot: a power cut may have stopped that one.

use updraft_flash::FlashMap;
use updraft_image::{Flag, Magic, MaxSize, SwapInfo, SwapType, TlvArea, TrailerState, UpgradeMode};

use crate::copy::replace;
use crate::slots::Slot;
use crate::status::Records;
use crate::swap_record::{SwapRecord, confirm, is_taken_back};
use crate::{BootError, Installed, Job, Place, Progress, Secrets, Slots, Strategy};

/// The swap-offset mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SwapOffset;

/// What is exchanged, and how.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    revert: bool,
    /// Bytes of a sector.
    sector: u32,
    /// Sectors that the larger image takes; an exchange has at least one.
    pairs: u32,
    /// The last sector of each image that is copied; the original counts one too many.
    last: [u32; 2],
}

impl Exchange {
    /// `sizes` are those of the images in the primary and in the secondary slot.
    fn new(swap: SwapType, sector: u32, swap_size: u32, sizes: [u32; 2]) -> Self {
        let sectors = |size: u32| size.div_ceil(sector.max(1));
        let revert = swap == SwapType::Revert;
        Self { revert, sector, pairs: sectors(swap_size).max(1), last: sizes.map(sectors) }
    }

    fn steps(&self) -> u32 {
        self.pairs.saturating_mul(2)
    }

    /// Does the steps from number `done` on.
    ///
    /// | for i | step | value of the record |
    /// |---|---|---|
    /// | 0, …, last | erase secondary i, copy primary i there | 1 |
    /// | | erase primary i, copy secondary i + 1 there | 2 |
    /// | revert: last, …, 0 | erase secondary i + 1, copy primary i there | 1 |
    /// | | erase primary i, copy secondary i there | 2 |
    ///
    /// A sector behind the end of its image is left out, with the record written all the same.
    fn run<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        done: u32,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        let Slots { primary, secondary, .. } = slots;
        let records = SwapOffset::records(slots);
        // The space check keeps every offset inside the slots.
        let at = |index: u32| index.saturating_mul(self.sector);
        for step in done..self.steps() {
            let turn = step / 2;
            let index = if self.revert { self.pairs - 1 - turn } else { turn };
            let [to, from] = if self.revert { [index + 1, index] } else { [index, index + 1] };
            let [last_out, last_in] = self.last;
            let (copied, from, to, through) = if step % 2 == 0 {
                let from = (primary.area, at(index));
                (index <= last_out, from, (secondary, at(to)), secrets.outgoing(at(index)))
            } else {
                let from = (secondary.area, at(from));
                (index <= last_in, from, (primary, at(index)), secrets.incoming(at(index)))
            };
            if copied {
                // A cut may have stopped the first step.
                let spare = slots.strict() && step > done;
                replace(map, from, to, self.sector, through, spare)?;
            }
            records.write(map, step, if step % 2 == 0 { 1 } else { 2 })?;
        }
        Ok(())
    }

    /// Where the headers are once `done` steps are done.
    fn headers(&self, slots: &Slots, done: u32) -> [Place; 2] {
        let primary = Place { area: slots.primary.area, offset: 0 };
        let secondary = |offset| Place { area: slots.secondary.area, offset };
        let steps = self.steps();
        if self.revert {
            let going = if done + 1 < steps { primary } else { secondary(self.sector) };
            [going, if done < steps { secondary(0) } else { primary }]
        } else {
            let going = if done == 0 { primary } else { secondary(0) };
            [going, if done < 2 { secondary(self.sector) } else { primary }]
        }
    }
}

impl SwapOffset {
    fn records(slots: &Slots) -> Records<'_> {
        Records::new(&slots.primary, slots.max_sectors.saturating_mul(2))
    }

    /// Bytes of a sector, the same for all of both slots.
    fn sector<M: FlashMap>(map: &M, slots: &Slots) -> Result<u32, BootError<M::Error>> {
        let size = slots.primary.sectors(map).1.filter(|size| *size > 0);
        size.ok_or(BootError::NoSlot { area: slots.primary.area })
    }

    /// The sectors that images may take: those before the trailer of either slot, of the
    /// secondary's all but the spare one.
    fn available<M: FlashMap>(map: &M, slots: &Slots, sector: u32) -> u32 {
        let before_trailer = |slot: &Slot| {
            let trailer = slot.trailer.layout().size().div_ceil(sector.max(1));
            slot.sectors(map).0.saturating_sub(trailer)
        };
        before_trailer(&slots.primary).min(before_trailer(&slots.secondary).saturating_sub(1))
    }

    /// The record of `swap` for the images that are in the slots now.
    fn record<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        swap: SwapType,
        sizes: [u32; 2],
    ) -> SwapRecord {
        let start = self.update_start(map, slots, swap);
        let mut tlv_size = |slot: Slot| {
            let header = slot.head(map).ok()?.header().ok()?;
            let tlvs = TlvArea::open(&mut slot.source(map), &header).ok()?;
            u16::try_from(tlvs.end().saturating_sub(tlvs.protected_end())).ok()
        };
        let tlv_sizes = [slots.primary, Slot { start, ..slots.secondary }]
            .map(|slot| tlv_size(slot).unwrap_or(0));
        let [primary, secondary] = sizes;
        SwapRecord {
            info: SwapInfo { swap_type: swap, image: slots.image },
            confirmed: slots.secondary_state(map).image_ok == Flag::Set,
            swap_size: primary.max(secondary),
            tlv_sizes,
        }
    }

    /// Moves the request for a revert to the secondary trailer.
    ///
    /// Until now only the primary trailer asks for it, and that is about to be rewritten.
    /// `copy_done` in the secondary trailer is what tells the request from one for a test.
    ///
    /// | step | where | |
    /// |---|---|---|
    /// | 1 | secondary | erase the trailer sectors, downwards |
    /// | 2 | secondary | `copy_done`, then the record of the revert |
    fn ask_for_revert<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        record: &SwapRecord,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        let trailer = &slots.secondary.trailer;
        trailer.erase(map)?;
        trailer.write_copy_done(map)?;
        SwapRecord { confirmed: false, ..*record }.write(map, trailer, secrets)
    }

    /// Everything that comes before the first sector is copied.
    ///
    /// | step | when | |
    /// |---|---|---|
    /// | 1 | a revert that is not recorded | ask for it in the secondary trailer |
    /// | 2 | not recorded | erase the primary trailer's sectors, downwards; record the swap |
    /// | 3 | | erase the secondary trailer's sectors, downwards |
    ///
    /// The request in the secondary trailer stands until the record does.
    fn prepare<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        record: &SwapRecord,
        recorded: bool,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        if record.info.swap_type == SwapType::Revert {
            let ask = match slots.secondary_state(map).magic {
                Magic::Good => false,
                Magic::Unset => !(slots.strict() && recorded),
                // The original takes a torn magic for somebody else's.
                Magic::Bad => slots.strict() && !recorded,
            };
            if ask {
                Self::ask_for_revert(map, slots, record, secrets)?;
            }
        }
        // A torn erase may have left the record of an older swap of images just as large.
        if !recorded || (slots.strict() && !secrets.are_in(map, &slots.primary.trailer)?) {
            slots.primary.trailer.erase(map)?;
            record.write(map, &slots.primary.trailer, secrets)?;
        }
        slots.secondary.trailer.erase(map)
    }

    /// Whether the primary trailer is what [`Self::prepare`] leaves for the images that are in the
    /// slots now, and for the request in the secondary trailer, whole or half erased.
    ///
    /// Without its flags a request looks like one for a test. A flag that is there still must
    /// agree with the record: then this is what a torn erase has left of an old one.
    fn is_fresh<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        state: &TrailerState,
    ) -> Result<bool, M::Error> {
        let swap = state.swap_info.swap_type;
        let request = slots.secondary_state(map);
        let asked = TrailerState::swap_type(self.mode(), &TrailerState::UNSET, &request);
        let to_stay = state.image_ok == Flag::Set;
        if (asked != SwapType::Test && asked != swap) || to_stay != (swap == SwapType::Permanent) {
            return Ok(false);
        }
        let start = self.update_start(map, slots, swap);
        let sizes = [slots.primary, Slot { start, ..slots.secondary }]
            .map(|slot| slot.image_size(map).unwrap_or(0));
        let expected = self.record(map, slots, swap, sizes);
        let trailer = &slots.primary.trailer;
        Ok(trailer.read_swap_size(map)? == expected.swap_size
            && trailer.read_tlv_sizes(map)? == Some(expected.tlv_sizes))
    }

    /// Sizes of the images whose exchange was interrupted. Where a header is not found, the size
    /// of the larger one is taken: then nothing is left out.
    fn sizes<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        swap_size: u32,
        headers: [Place; 2],
    ) -> Result<[u32; 2], M::Error> {
        let tlvs = slots.primary.trailer.read_tlv_sizes(map)?.unwrap_or_default();
        let mut sizes = [swap_size; 2];
        for ((size, place), tlvs) in sizes.iter_mut().zip(headers).zip(tlvs) {
            // Every image has TLVs.
            if tlvs == 0 {
                *size = 0;
                continue;
            }
            let slot = [slots.primary, slots.secondary].into_iter().find(|s| s.area == place.area);
            let Some(slot) = slot else { continue };
            let head = Slot { start: place.offset, ..slot }.head(map)?;
            let hashed = head.header().ok().and_then(|header| header.hashed_len().ok());
            if let Some(len) = hashed.and_then(|len| len.checked_add(tlvs.into())) {
                *size = len.min(swap_size);
            }
        }
        Ok(sizes)
    }

    /// What is left of an interrupted exchange, and how many of its steps are done.
    fn interrupted<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        swap: SwapType,
    ) -> Result<(Exchange, u32), BootError<M::Error>> {
        let sector = Self::sector(map, slots)?;
        let size = slots.primary.trailer.read_swap_size(map).map_err(BootError::Flash)?;
        let done = Self::records(slots).last_written(map).map_err(BootError::Flash)?;
        let whole = Exchange::new(swap, sector, size, [size; 2]);
        if whole.pairs > Self::available(map, slots, sector) || done > whole.steps() {
            return Err(BootError::BadStatus);
        }
        let headers = whole.headers(slots, done);
        let sizes = Self::sizes(map, slots, size, headers).map_err(BootError::Flash)?;
        Ok((Exchange::new(swap, sector, size, sizes), done))
    }
}

impl Strategy for SwapOffset {
    fn mode(&self) -> UpgradeMode {
        UpgradeMode::SwapOffset
    }

    /// The secondary slot has as many sectors as the primary or one more, all of one size.
    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool {
        let (primary, size) = slots.primary.sectors(map);
        let (secondary, other) = slots.secondary.sectors(map);
        let counts = primary == secondary || secondary.checked_sub(1) == Some(primary);
        counts && primary <= slots.max_sectors && size.is_some() && size == other
    }

    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32 {
        let pair = [&slots.primary, &slots.secondary];
        let [sizes, trailers] =
            [pair.map(|slot| slot.size), pair.map(|slot| slot.trailer.layout().size())];
        let (_, sector) = slots.primary.sectors(map);
        sector.and_then(|sector| MaxSize::swap_offset(sizes, sector, trailers)).unwrap_or(0)
    }

    /// An update begins in the second sector; the image that a revert brings back in the first.
    fn update_start<M: FlashMap>(&self, map: &M, slots: &Slots, swap: SwapType) -> u32 {
        match swap {
            SwapType::Revert => 0,
            _ => map.sector_at(slots.secondary.area, 0).map_or(0, |sector| sector.size),
        }
    }

    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        progress: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>> {
        match progress {
            Progress::None => Ok(Place::before(self, map, slots, SwapType::None)),
            Progress::Recorded(swap) => Ok(Place::before(self, map, slots, swap)),
            Progress::Interrupted { swap, .. } => {
                let (exchange, done) = Self::interrupted(map, slots, swap)?;
                Ok(exchange.headers(slots, done))
            }
        }
    }

    /// A swap was begun if the primary trailer says so and the request is gone from the secondary
    /// one: the request is cleared only once the record stands.
    ///
    /// Strictly, a complete record without a step done counts even while the request is still
    /// there. Otherwise a power cut while the request is being erased could leave half of it, and
    /// turn a permanent upgrade or a revert into a test. And a record that names no swap is none:
    /// it is what a torn erase may leave of an old one.
    fn progress<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<Progress, BootError<M::Error>> {
        let state = slots.primary_state(map).map_err(BootError::Flash)?;
        if state.magic != Magic::Good || state.copy_done != Flag::Unset {
            return Ok(Progress::None);
        }
        let swap = state.swap_info.swap_type;
        let unnamed = swap == SwapType::None;
        let requested = slots.secondary_state(map).magic == Magic::Good;
        if (slots.strict() && unnamed) || (!slots.strict() && requested) {
            return Ok(Progress::None);
        }
        let records = Self::records(slots);
        let written = records.last_written(map).map_err(BootError::Flash)?;
        if written == 0 {
            let mut fresh = || self.is_fresh(map, slots, &state).map_err(BootError::Flash);
            let taken_back = slots.strict() && is_taken_back(&state);
            let recorded = !unnamed && !taken_back && (!requested || fresh()?);
            return Ok(if recorded { Progress::Recorded(swap) } else { Progress::None });
        }
        if requested {
            return Ok(Progress::None);
        }
        let whole = records.all_written(map, 0, written).map_err(BootError::Flash)?;
        Ok(Progress::Interrupted { swap, gap: !whole })
    }

    /// Brings the slots from wherever they are to the swapped state.
    ///
    /// | step | when | |
    /// |---|---|---|
    /// | 1 | no sector copied (the original: only one) | record the swap, clear the request |
    /// | 2 | | exchange |
    /// | 3 | revert | erase the secondary slot's first sector: no update begins there |
    /// | 4 | revert, imitating or not erased | erase the secondary trailer's sectors, downwards |
    /// | 5 | permanent or revert | `image_ok` in the primary trailer, unless it is there |
    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>> {
        let sizes = [job.primary_size, job.secondary_size];
        let (exchange, done, record) = match job.progress {
            Progress::Interrupted { .. } => {
                let (exchange, done) = Self::interrupted(map, slots, job.swap)?;
                let size = slots.primary.trailer.read_swap_size(map).map_err(BootError::Flash)?;
                // The images are no longer where their TLVs could be measured.
                let info = SwapInfo { swap_type: job.swap, image: slots.image };
                let record =
                    SwapRecord { info, confirmed: false, swap_size: size, tlv_sizes: [0; 2] };
                (exchange, done, record)
            }
            Progress::None | Progress::Recorded(_) => {
                let record = self.record(map, slots, job.swap, sizes);
                let sector = Self::sector(map, slots)?;
                (Exchange::new(job.swap, sector, record.swap_size, sizes), 0, record)
            }
        };
        let available = Self::available(map, slots, exchange.sector);
        if exchange.pairs > available {
            if !slots.strict() {
                confirm(map, slots, job.swap).map_err(BootError::Flash)?;
            }
            return Ok(Installed::NoSpace { needed: exchange.pairs, available });
        }
        let mut install = || {
            // The original does not count the first step as a beginning.
            if done == 0 || (done == 1 && !slots.strict()) {
                let recorded = job.progress != Progress::None;
                Self::prepare(map, slots, &record, recorded, secrets)?;
            }
            exchange.run(map, slots, done, secrets)?;
            if exchange.revert {
                slots.secondary.erase(map, 0, exchange.sector)?;
                // The original may have gone on with this revert before, and have asked for it anew.
                if !slots.strict() || !slots.secondary.trailer.is_erased(map)? {
                    slots.secondary.trailer.erase(map)?;
                }
            }
            confirm(map, slots, job.swap)
        };
        install().map_err(BootError::Flash)?;
        Ok(Installed::Done)
    }
}
