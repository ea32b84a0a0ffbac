//! Swap using scratch: chunk by chunk, from the top downwards, the secondary image's part goes to
//! the scratch area, the primary's to the secondary slot, and the scratch area's to the primary.
//!
//! ```text
//!            primary         secondary        scratch
//! before     A0 A1 A2 | t    B0 B1 B2 | t     ..
//! round 1    A0 A1 B2 | t    B0 B1 A2 |       B2         t: trailer
//! round 2    A0 B1 B2 | t    B0 A1 A2 |       B1
//! round 3    B0 B1 B2 | t    A0 A1 A2 |       B0
//! ```
//! Every step erases what exists elsewhere, fills it, and then writes its record; a step without a
//! record is simply done again. The records are in the primary trailer, three per round. Where the
//! top chunk shares a sector with that trailer, record and trailer are kept in the scratch area
//! until the chunk is in its place. Source: MCUboot `docs/design.md`, "Image swap (with scratch)",
//! and `boot/bootutil/src/swap_scratch.c`.
//!
//! Strictly, a step leaves a sector of a slot alone that holds its bytes already, unless it is the
//! first of a boot: a power cut may have stopped that one.
//!
//! # Wear
//!
//! The scratch area is erased as a whole, once a round, and a round takes as many sectors of the
//! primary slot as it holds. So its sectors wear evenly, and an area of `n` sectors has each of
//! them erased an `n`th as often as an area of one.
//!
//! # Two places for one record
//!
//! A record in the scratch area counts before one in the primary trailer: the primary trailer is
//! only erased, and may only look odd, while the scratch area has a record. So there must never be
//! a doubt about the latter. Strictly it is retired by a write of its own before the scratch area
//! is erased: a torn erase may leave the magic and take the image away, and what is left would be
//! copied to the primary slot once more.
//!
//! The original does neither see nor do that. It may go back to a record that has been retired;
//! once it has erased the primary trailer, the record counts again. And it may leave a torn one:
//! a status record in the primary trailer of the step that ends the use of the scratch area's
//! record, or of a later one, counts before that, as long as there are steps to be done.

mod chunks;
mod record;

use updraft_flash::{AreaId, FlashMap, TrailerAccess};
use updraft_image::{Flag, Magic, SwapInfo, SwapType, UpgradeMode};

use crate::copy::{copy, holds, replace};
use crate::secrets::Through;
use crate::slots::Slot;
use crate::swap_record::{SwapRecord, confirm};
use crate::{BootError, Installed, Job, Place, Progress, Secrets, Slots, Strategy};
use chunks::{Chunk, Exchange};
use record::{Source, Status};

/// The swap-scratch mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SwapScratch {
    /// The scratch area. All images share it.
    pub scratch: AreaId,
}

/// One swap: the slots, the scratch area, and what is exchanged.
struct Swap<'s> {
    slots: &'s Slots,
    secrets: &'s Secrets,
    scratch: Slot,
    exchange: Exchange,
}

impl Swap<'_> {
    /// Everything that comes before the first chunk is copied.
    ///
    /// | step | when | |
    /// |---|---|---|
    /// | 1 | | erase the scratch area, record the swap there |
    /// | 2 | primary trailer not shared | erase its sectors, downwards; record the swap there |
    /// | 3 | primary trailer not shared | erase the scratch area's trailer, imitating all of it |
    ///
    /// A request for an upgrade stands in the secondary trailer until the first chunk is in the
    /// scratch area. That for a revert is in the primary trailer, so step 2 must not begin before
    /// step 1 is done, nor step 1 be done again once step 2 has begun.
    fn prepare<M: FlashMap>(
        &self,
        map: &mut M,
        record: &SwapRecord,
        recorded: Option<Source>,
    ) -> Result<(), M::Error> {
        let Self { slots: Slots { primary, strictness, .. }, secrets, scratch, exchange } = self;
        let recorded = recorded.filter(|_| strictness.is_strict());
        if recorded == Some(Source::Primary) {
            return scratch.erase_all(map);
        }
        let kept = recorded == Some(Source::Scratch) && !exchange.shares_trailer;
        if !kept {
            // What was retired in it may count again once a torn erase has taken the mark.
            if strictness.is_strict() && scratch.trailer.read(map)?.magic == Magic::Good {
                scratch.trailer.erase(map)?;
            }
            scratch.erase_all(map)?;
            record.write(map, &scratch.trailer, secrets)?;
        }
        if exchange.shares_trailer {
            return Ok(());
        }
        primary.trailer.erase(map)?;
        record.write(map, &primary.trailer, secrets)?;
        if strictness.is_strict() && !kept {
            scratch.trailer.erase(map)
        } else {
            scratch.erase_all(map)
        }
    }

    /// Does the steps from number `done` on.
    fn run<M: FlashMap>(&self, map: &mut M, done: u32) -> Result<(), M::Error> {
        let Self { slots, scratch, exchange, .. } = self;
        let mut blank = done == 0;
        // The last thing of a round that no record tells of.
        let left = slots.strict() && exchange.shares_trailer && done == 3;
        if left && !scratch.trailer.is_erased(map)? {
            scratch.erase_all_downwards(map)?;
            blank = true;
        }
        let mut next = Some(exchange.top);
        for round in 0..exchange.rounds {
            let Some(chunk) = next else { break };
            for state in 0..3 {
                let step = round * 3 + state;
                if step >= done {
                    // A cut may have stopped the first step.
                    let spare = slots.strict() && step > done;
                    self.step(map, step, &chunk, &mut blank, spare)?;
                }
            }
            next = exchange.below(map, slots, &chunk);
        }
        Ok(())
    }

    /// Does one step.
    ///
    /// | | erase | copy | record |
    /// |---|---|---|---|
    /// | 1 | scratch, unless it is blank | secondary to scratch | 1 |
    /// | 2 | secondary, at first with its trailer | primary to secondary | 2 |
    /// | 3 | primary | scratch to primary | 3 |
    ///
    /// In the top chunk, where that shares a sector with the primary trailer, records 1 and 2 are
    /// in the scratch area, and step 3 goes on:
    ///
    /// | | |
    /// |---|---|
    /// | before the erase | erase the primary trailer's sectors, downwards |
    /// | after the copy | `image_ok`, `swap_info`, `swap_size`, keys, magic to the primary trailer |
    /// | after the record | strictly, retire the record in the scratch area |
    /// | at last | erase the scratch area downwards, its trailer first |
    fn step<M: FlashMap>(
        &self,
        map: &mut M,
        step: u32,
        chunk: &Chunk,
        blank: &mut bool,
        spare: bool,
    ) -> Result<(), M::Error> {
        let Self {
            slots: Slots { primary, secondary, strictness, .. },
            secrets,
            scratch,
            exchange,
        } = self;
        let (top, shared) = (step < 3, step < 3 && exchange.shares_trailer);
        let Chunk { offset, end } = *chunk;
        let copied = if top { exchange.top_copied } else { end - offset };
        let status = primary.trailer.layout().status();
        let fill = |map: &mut M, from, to: &Slot, through| {
            // Without a trailer in it, all of a chunk is copied.
            if spare && !shared {
                return replace(map, from, (to, offset), copied, through, spare);
            }
            // Where the trailer begins in the chunk, its sectors have been erased already.
            let len = match map.sector_at(to.area, status) {
                Some(first) if shared => first.offset.saturating_sub(offset),
                _ => end - offset,
            };
            to.erase(map, offset, len)?;
            copy(map, from, (to.area, offset), copied, through)
        };
        match step % 3 {
            0 => {
                if !*blank {
                    scratch.erase_all(map)?;
                }
                *blank = false;
                let from = (secondary.area, offset);
                copy(map, from, (scratch.area, 0), copied, Through::NOTHING)?;
            }
            1 => {
                if top {
                    secondary.trailer.erase(map)?;
                }
                fill(map, (primary.area, offset), secondary, secrets.outgoing(offset))?;
            }
            _ => {
                if shared {
                    primary.trailer.erase(map)?;
                }
                fill(map, (scratch.area, 0), primary, secrets.incoming(offset))?;
                if shared {
                    self.hand_over(map, offset.saturating_add(copied))?;
                }
            }
        }
        let value = (step % 3) as u8 + 1;
        if shared && step < 2 {
            return record::in_scratch(scratch, primary).write(map, step, value);
        }
        record::in_primary(self.slots).write(map, step, value)?;
        if shared {
            if strictness.is_strict() {
                record::retire(map, scratch)?;
            }
            scratch.erase_all_downwards(map)?;
            // The original erases it once more before it is used.
            *blank = strictness.is_strict();
        }
        Ok(())
    }

    /// Takes the record from the scratch area to the primary trailer. The original also copies the
    /// status records, to `end` of the image; where the trailer lies elsewhere it does without.
    fn hand_over<M: FlashMap>(&self, map: &mut M, end: u32) -> Result<(), M::Error> {
        let Self { slots: Slots { image, primary, strictness, .. }, scratch, .. } = self;
        if !strictness.is_strict() {
            let records = (scratch.area, scratch.trailer.layout().status());
            let [to, len] = [end, primary.write_size.saturating_mul(2)];
            copy(map, records, (primary.area, to), len, Through::NOTHING)?;
        }
        let state = scratch.trailer.read(map)?;
        let swap_size = scratch.trailer.read_swap_size(map)?;
        if state.image_ok == Flag::Set {
            primary.trailer.write_image_ok(map)?;
        }
        let info = SwapInfo { image: *image, ..state.swap_info };
        primary.trailer.write_swap_info(map, info)?;
        primary.trailer.write_swap_size(map, swap_size)?;
        self.secrets.write(map, &primary.trailer)?;
        primary.trailer.write_magic(map)
    }

    /// Where the headers are once `done` steps are done. They are in the chunk that comes last.
    fn headers(&self, done: u32) -> [Place; 2] {
        let at = |slot: &Slot| Place { area: slot.area, offset: 0 };
        let [primary, secondary] = [at(&self.slots.primary), at(&self.slots.secondary)];
        let last = self.exchange.steps().saturating_sub(3);
        match done.checked_sub(last) {
            None | Some(0) => [primary, secondary],
            Some(1) => [primary, at(&self.scratch)],
            Some(2) => [secondary, at(&self.scratch)],
            Some(_) => [secondary, primary],
        }
    }
}

impl SwapScratch {
    fn scratch<M: FlashMap>(&self, map: &M, slots: &Slots) -> Result<Slot, BootError<M::Error>> {
        record::scratch(map, slots, self.scratch).ok_or(BootError::NoSlot { area: self.scratch })
    }

    fn status<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        scratch: &Slot,
    ) -> Result<Option<Status>, BootError<M::Error>> {
        Status::read(map, slots, scratch).map_err(BootError::Flash)
    }

    /// Whether one step is done, and the secondary slot still holds what that copied.
    pub(crate) fn spares_update<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<bool, BootError<M::Error>> {
        let nothing = Secrets::default();
        let (Swap { scratch, exchange, .. }, 1) = self.interrupted(map, slots, &nothing)? else {
            return Ok(false);
        };
        let [from, to] = [(scratch.area, 0), (slots.secondary.area, exchange.top.offset)];
        holds(map, from, to, exchange.top_copied, Through::NOTHING).map_err(BootError::Flash)
    }

    /// What is left of an interrupted swap, and how many of its steps are done.
    fn interrupted<'s, M: FlashMap>(
        &self,
        map: &mut M,
        slots: &'s Slots,
        secrets: &'s Secrets,
    ) -> Result<(Swap<'s>, u32), BootError<M::Error>> {
        let scratch = self.scratch(map, slots)?;
        let status = Self::status(map, slots, &scratch)?.ok_or(BootError::BadStatus)?;
        let exchange = Exchange::new(map, slots, &scratch, status.swap_size);
        let exchange = exchange.filter(|exchange| status.done <= exchange.steps());
        let exchange = exchange.ok_or(BootError::BadStatus)?;
        let swap = Swap { slots, secrets, scratch, exchange };
        Ok((swap, status.done))
    }
}

impl Strategy for SwapScratch {
    fn mode(&self) -> UpgradeMode {
        UpgradeMode::SwapScratch
    }

    /// The slots are of one size, and wherever sectors differ, several of one slot make up exactly
    /// one of the other that fits into the scratch area.
    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool {
        let scratch = record::scratch(map, slots, self.scratch);
        scratch.is_some_and(|scratch| chunks::compatible(map, slots, &scratch))
    }

    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32 {
        let scratch = record::scratch(map, slots, self.scratch);
        scratch.and_then(|scratch| chunks::max_size(map, slots, &scratch)).unwrap_or(0)
    }

    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        progress: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>> {
        match progress {
            Progress::Interrupted { .. } => {
                let nothing = Secrets::default();
                let (swap, done) = self.interrupted(map, slots, &nothing)?;
                Ok(swap.headers(done))
            }
            Progress::None | Progress::Recorded(_) => {
                Ok(Place::before(self, map, slots, SwapType::None))
            }
        }
    }

    fn recorded_in<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<TrailerAccess, BootError<M::Error>> {
        let scratch = self.scratch(map, slots)?;
        Ok(match Self::status(map, slots, &scratch)?.map(|status| status.source) {
            Some(Source::Scratch) => scratch.trailer,
            _ => slots.primary.trailer,
        })
    }

    fn progress<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<Progress, BootError<M::Error>> {
        let scratch = self.scratch(map, slots)?;
        Ok(match Self::status(map, slots, &scratch)? {
            None => Progress::None,
            Some(Status { swap: SwapType::None, done: 0, .. }) => Progress::None,
            Some(Status { swap, done: 0, .. }) => Progress::Recorded(swap),
            Some(Status { swap, gap, .. }) => Progress::Interrupted { swap, gap },
        })
    }

    /// Brings the slots from wherever they are to the swapped state.
    ///
    /// | step | when | |
    /// |---|---|---|
    /// | 1 | nothing copied | record the swap |
    /// | 2 | | exchange |
    /// | 3 | permanent or revert | `image_ok` in the primary trailer, unless it is there |
    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>> {
        if let Progress::Interrupted { .. } = job.progress {
            let (swap, done) = self.interrupted(map, slots, secrets)?;
            let mut resume = || {
                swap.run(map, done)?;
                confirm(map, slots, job.swap)
            };
            resume().map_err(BootError::Flash)?;
            return Ok(Installed::Done);
        }
        let scratch = self.scratch(map, slots)?;
        let swap_size = job.primary_size.max(job.secondary_size);
        let Some(exchange) = Exchange::new(map, slots, &scratch, swap_size) else {
            let needed = slots.primary.sectors_below(map, swap_size);
            // Whole ones; of the next, only a part can be.
            let more = self.max_image_size(map, slots).saturating_add(1);
            let available = slots.primary.sectors_below(map, more).saturating_sub(1);
            return Ok(Installed::NoSpace { needed, available });
        };
        let recorded = match job.progress {
            Progress::None => None,
            _ => Self::status(map, slots, &scratch)?.map(|status| status.source),
        };
        let mut install = || {
            let record = SwapRecord {
                info: SwapInfo { swap_type: job.swap, image: slots.image },
                confirmed: slots.secondary_state(map).image_ok == Flag::Set,
                swap_size,
                tlv_sizes: [0; 2],
            };
            let swap = Swap { slots, secrets, scratch, exchange };
            swap.prepare(map, &record, recorded)?;
            swap.run(map, 0)?;
            confirm(map, slots, job.swap)
        };
        install().map_err(BootError::Flash)?;
        Ok(Installed::Done)
    }

    /// Writes `copy_done`: from now on an image that was only to be tested is reverted, unless it
    /// is confirmed. What the last chunk has left in the scratch area must not look like a record
    /// then, for the original to believe it.
    fn finish<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
    ) -> Result<(), BootError<M::Error>> {
        if job.swap == SwapType::None {
            return Ok(());
        }
        let scratch = self.scratch(map, slots)?;
        let mut finish = || {
            if slots.strict() && scratch.trailer.read(map)?.magic == Magic::Good {
                scratch.trailer.erase(map)?;
            }
            slots.primary.trailer.write_copy_done(map)
        };
        finish().map_err(BootError::Flash)
    }

    /// The first step costs no image anything: it copies from the secondary slot to the scratch area. The
    /// second one erases the request, and may have erased what shares a sector with that. A record in the
    /// scratch area without a step counts only beside a request for the same, and may stand.
    fn take_back<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<bool, BootError<M::Error>> {
        let scratch = self.scratch(map, slots)?;
        let ended = match Self::status(map, slots, &scratch)? {
            Some(Status { done: 1.., swap, source, .. }) => {
                if !slots.asks_for(map, swap) || !self.spares_update(map, slots)? {
                    return Ok(false);
                }
                match source {
                    Source::Primary => slots.end_record(map),
                    Source::Scratch => record::retire(map, &scratch),
                }
            }
            _ => slots.end_standing_record(map),
        };
        ended.map(|()| true).map_err(BootError::Flash)
    }

    /// Also erases the record in the scratch area.
    fn forget<M: FlashMap>(&self, map: &mut M, slots: &Slots) -> Result<(), BootError<M::Error>> {
        let scratch = self.scratch(map, slots)?;
        let mut forget = || {
            slots.end_record(map)?;
            if scratch.trailer.is_erased(map)? { Ok(()) } else { scratch.trailer.erase(map) }
        };
        forget().map_err(BootError::Flash)
    }
}
