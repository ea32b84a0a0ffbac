//! Swap using move: the primary image moves up one sector, then the slots change places sector by
//! sector.
//!
//! ```text
//!            primary            secondary
//! before     A0 A1 A2 ..  | t   B0 B1 B2 .. | t     t: trailer, one spare sector before it
//! moved      .. A0 A1 A2  | t   B0 B1 B2 .. |
//! swapped    B0 B1 B2 ..  | t   A0 A1 A2 .. |
//! ```
//! `last` is the number of sectors that the larger image takes. Every step erases a sector whose
//! content exists elsewhere, fills it, and then writes its record; a step without a record is
//! simply done again. The records are in the primary trailer: `N` for the moves, then two per
//! sector for the swaps. Source: MCUboot `docs/design.md`, "Image swap (without scratch)".
//!
//! Strictly, a step leaves a sector alone that holds its bytes already, unless it is the first of
//! a boot: a power cut may have stopped that one.

use updraft_flash::FlashMap;
use updraft_image::{Flag, Magic, MaxSize, SwapInfo, SwapType, TrailerState, UpgradeMode};

use crate::copy::replace;
use crate::secrets::Through;
use crate::status::Records;
use crate::swap_record::{confirm, is_taken_back};
use crate::{BootError, Installed, Job, Place, Progress, Secrets, Slots, Strategy};

/// The swap-move mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SwapMove;

/// Where a swap is to go on, as the number of records that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// `moved` sectors have been moved up.
    Move { moved: u32 },
    /// Every sector has been moved up, and `steps` of the two steps per sector are done.
    Swap { steps: u32 },
}

impl Position {
    /// The position after `written` records, of which `max_sectors` are for moves.
    fn after(written: u32, max_sectors: u32) -> Self {
        match written.checked_sub(max_sectors) {
            None => Self::Move { moved: written },
            Some(steps) => Self::Swap { steps },
        }
    }
}

/// The sectors that `swap_size` bytes take; an exchange has at least one.
fn last(swap_size: u32, sector: u32) -> u32 {
    swap_size.div_ceil(sector.max(1)).max(1)
}

impl SwapMove {
    fn records(slots: &Slots) -> Records<'_> {
        Records::new(&slots.primary, slots.max_sectors.wrapping_mul(3))
    }

    /// Makes a revert look like a permanent upgrade to the image that is to come back.
    ///
    /// Until now only the primary trailer asks for the revert, and it is about to be rewritten.
    ///
    /// | step | where | |
    /// |---|---|---|
    /// | 1 | secondary | erase the trailer sectors, downwards |
    /// | 2 | secondary | `image_ok`, `swap_size`, magic |
    fn ask_for_revert<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        swap_size: u32,
    ) -> Result<(), M::Error> {
        let trailer = &slots.secondary.trailer;
        trailer.erase(map)?;
        trailer.write_image_ok(map)?;
        trailer.write_swap_size(map, swap_size)?;
        trailer.write_magic(map)
    }

    /// Records the swap in the primary trailer. The request in the secondary trailer stands until
    /// the magic, written last, vouches for everything before it.
    ///
    /// | step | where | |
    /// |---|---|---|
    /// | 1 | primary | erase the trailer sectors, downwards |
    /// | 2 | primary | `swap_info`, `image_ok` if the secondary's is set, `swap_size`, keys, magic |
    fn record<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        swap: SwapType,
        swap_size: u32,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        let confirmed = slots.secondary_state(map).image_ok == Flag::Set;
        let trailer = &slots.primary.trailer;
        trailer.erase(map)?;
        trailer.write_swap_info(map, SwapInfo { swap_type: swap, image: slots.image })?;
        if confirmed {
            trailer.write_image_ok(map)?;
        }
        trailer.write_swap_size(map, swap_size)?;
        secrets.write(map, trailer)?;
        trailer.write_magic(map)
    }

    /// Exchanges the first `last` sectors of `sector` bytes, from `position` on.
    ///
    /// | phase | for i | step | record |
    /// |---|---|---|---|
    /// | move | last, …, 1 | erase primary i, copy primary i − 1 there | last − i, value 1 |
    /// | swap | 1, …, last | erase primary i − 1, copy secondary i − 1 there | N + 2(i − 1), value 1 |
    /// | | | erase secondary i − 1, copy primary i there | N + 2(i − 1) + 1, value 2 |
    fn exchange<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        (last, sector): (u32, u32),
        position: Position,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        let records = Self::records(slots);
        let Slots { primary, secondary, .. } = slots;
        // `compatible` and the space check keep every offset inside the slots.
        let at = |index: u32| index.wrapping_mul(sector);
        // A cut may have stopped the first step.
        let mut spare = false;
        let mut steps = 0;
        match position {
            Position::Swap { steps: done } => steps = done,
            Position::Move { moved } => {
                for index in moved..last {
                    let to = last - index;
                    let (from, to) = ((primary.area, at(to - 1)), (primary, at(to)));
                    replace(map, from, to, sector, Through::NOTHING, spare)?;
                    records.write(map, index, 1)?;
                    spare = slots.strict();
                }
            }
        }
        for step in steps..last.saturating_mul(2) {
            let index = step / 2;
            let (from, to, through) = if step % 2 == 0 {
                let from = (secondary.area, at(index));
                (from, primary, secrets.incoming(at(index)))
            } else {
                let from = (primary.area, at(index + 1));
                (from, secondary, secrets.outgoing(at(index)))
            };
            replace(map, from, (to, at(index)), sector, through, spare)?;
            spare = slots.strict();
            let value = if step % 2 == 0 { 1 } else { 2 };
            records.write(map, slots.max_sectors.saturating_add(step), value)?;
        }
        Ok(())
    }

    /// Whether the primary trailer is exactly what [`Self::record`] leaves for the images that
    /// are in the slots now.
    fn is_fresh<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        state: &TrailerState,
    ) -> Result<bool, BootError<M::Error>> {
        let test = state.swap_info.swap_type == SwapType::Test;
        if test != (state.image_ok == Flag::Unset) {
            return Ok(false);
        }
        let primary = slots.primary.image_size(map).unwrap_or(0);
        let secondary = slots.secondary.image_size(map).unwrap_or(0);
        let recorded = slots.primary.trailer.read_swap_size(map).map_err(BootError::Flash)?;
        Ok(recorded == primary.max(secondary))
    }

    /// Everything that comes before the first sector is moved.
    fn prepare<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        job: &Job,
        swap_size: u32,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        let recorded = matches!(job.progress, Progress::Recorded(_));
        if job.swap == SwapType::Revert {
            let ask = match slots.secondary_state(map).magic {
                Magic::Good => false,
                Magic::Unset => !(slots.strict() && recorded),
                // The original takes a torn magic for somebody else's.
                Magic::Bad => slots.strict() && !recorded,
            };
            if ask {
                Self::ask_for_revert(map, slots, swap_size)?;
            }
        }
        // A torn erase may have left the record of an older swap of images just as large.
        if !recorded || (slots.strict() && !secrets.are_in(map, &slots.primary.trailer)?) {
            Self::record(map, slots, job.swap, swap_size, secrets)?;
        }
        slots.secondary.trailer.erase(map)
    }

    /// Bytes of a sector, the same for all of both slots.
    fn sector<M: FlashMap>(map: &M, slots: &Slots) -> Result<u32, BootError<M::Error>> {
        let size = slots.primary.sectors(map).1.filter(|size| *size > 0);
        size.ok_or(BootError::NoSlot { area: slots.primary.area })
    }

    /// The sectors that images may take: those before the primary trailer, less one to move into.
    fn available<M: FlashMap>(map: &M, slots: &Slots, sector: u32) -> u32 {
        let count = slots.primary.sectors(map).0;
        let trailer = slots.primary.trailer.layout().size().div_ceil(sector.max(1));
        count.saturating_sub(trailer).saturating_sub(1)
    }
}

impl Strategy for SwapMove {
    fn mode(&self) -> UpgradeMode {
        UpgradeMode::SwapMove
    }

    /// The primary slot has as many sectors as the secondary or one more, all of one size.
    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool {
        let (primary, size) = slots.primary.sectors(map);
        let (secondary, other) = slots.secondary.sectors(map);
        let counts = primary == secondary || primary.checked_sub(1) == Some(secondary);
        counts && primary <= slots.max_sectors && size.is_some() && size == other
    }

    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32 {
        let pair = [&slots.primary, &slots.secondary];
        let [sizes, trailers] =
            [pair.map(|slot| slot.size), pair.map(|slot| slot.trailer.layout().size())];
        let (_, sector) = slots.primary.sectors(map);
        sector.and_then(|sector| MaxSize::swap_move(sizes, sector, trailers)).unwrap_or(0)
    }

    /// The primary image's header is the last thing to be moved up.
    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        progress: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>> {
        let [primary, secondary] = Place::before(self, map, slots, SwapType::None);
        if !matches!(progress, Progress::Interrupted { .. }) {
            return Ok([primary, secondary]);
        }
        let offset = Self::sector(map, slots)?;
        let size = slots.primary.trailer.read_swap_size(map).map_err(BootError::Flash)?;
        let written = Self::records(slots).last_written(map).map_err(BootError::Flash)?;
        Ok(match Position::after(written, slots.max_sectors) {
            Position::Move { moved } if moved < last(size, offset) => [primary, secondary],
            Position::Move { .. } | Position::Swap { steps: 0 } => {
                [Place { offset, ..primary }, secondary]
            }
            Position::Swap { steps: 1 } => [Place { offset, ..primary }, primary],
            Position::Swap { .. } => [secondary, primary],
        })
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
            let taken_back = slots.strict() && is_taken_back(&state);
            let counts = !unnamed && !taken_back;
            let recorded = counts && (!requested || Self::is_fresh(map, slots, &state)?);
            return Ok(if recorded { Progress::Recorded(swap) } else { Progress::None });
        }
        if requested {
            return Ok(Progress::None);
        }
        let sector = Self::sector(map, slots)?;
        let size = slots.primary.trailer.read_swap_size(map).map_err(BootError::Flash)?;
        let mut whole = |first, end| records.all_written(map, first, end);
        let whole = match Position::after(written, slots.max_sectors) {
            Position::Move { moved } => whole(0, moved),
            Position::Swap { .. } => {
                let moves = last(size, sector).min(slots.max_sectors);
                whole(0, moves).and_then(|moved| Ok(moved && whole(slots.max_sectors, written)?))
            }
        };
        Ok(Progress::Interrupted { swap, gap: !whole.map_err(BootError::Flash)? })
    }

    /// Brings the slots from wherever they are to the swapped state.
    ///
    /// | step | when | |
    /// |---|---|---|
    /// | 1 | a revert that is not recorded | ask for it in the secondary trailer |
    /// | 2 | not recorded | record the swap in the primary trailer |
    /// | 3 | no sector moved | erase the secondary trailer's sectors, downwards |
    /// | 4 | | move and swap |
    /// | 5 | permanent or revert | `image_ok` in the primary trailer, unless it is there |
    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>> {
        let sector = Self::sector(map, slots)?;
        let available = Self::available(map, slots, sector);
        let interrupted = matches!(job.progress, Progress::Interrupted { .. });
        let swap_size = match interrupted {
            true => slots.primary.trailer.read_swap_size(map).map_err(BootError::Flash)?,
            false => job.primary_size.max(job.secondary_size),
        };
        let last = last(swap_size, sector);
        if last > available && interrupted {
            return Err(BootError::BadStatus);
        }
        if last > available {
            if !slots.strict() {
                confirm(map, slots, job.swap).map_err(BootError::Flash)?;
            }
            return Ok(Installed::NoSpace { needed: last, available });
        }
        let position = match interrupted {
            true => {
                let written = Self::records(slots).last_written(map).map_err(BootError::Flash)?;
                Position::after(written, slots.max_sectors)
            }
            false => Position::Move { moved: 0 },
        };
        match position {
            Position::Move { moved } if moved > last => return Err(BootError::BadStatus),
            Position::Swap { steps } if steps > last * 2 => return Err(BootError::BadStatus),
            _ => {}
        }
        if !interrupted {
            Self::prepare(map, slots, job, swap_size, secrets).map_err(BootError::Flash)?;
        }
        Self::exchange(map, slots, (last, sector), position, secrets).map_err(BootError::Flash)?;
        confirm(map, slots, job.swap).map_err(BootError::Flash)?;
        Ok(Installed::Done)
    }
}
