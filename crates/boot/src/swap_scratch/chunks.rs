//! Which parts of the slots pass through the scratch area, one after the other.
//!
//! ```text
//! primary    |  s  |  s  |  s  |  s  |        s        |        s   : trailer |
//! secondary  |     s     |     s     |  s  |  s  |  s  |        s   : trailer |
//! parts      |           |           |                 |                      |
//! ```
//! A part is what lies between two neighbouring boundaries that both slots have. A chunk is as
//! many whole sectors of the primary slot as the scratch area holds; chunks are exchanged from the
//! top downwards, beginning with the one in which the larger image ends. Source: MCUboot
//! `boot/bootutil/src/swap_scratch.c`.

use updraft_flash::FlashMap;
use updraft_image::{MaxSize, UpgradeMode, align_down};

use crate::Slots;
use crate::slots::Slot;

/// What lies between two neighbouring common boundaries.
struct Part {
    end: u32,
    /// Number of sectors in the primary and in the secondary slot.
    sectors: [u32; 2],
    /// Bytes of the last sector of the primary slot.
    top: u32,
}

/// The part that begins at `offset`; `None` where a slot ends before the other.
fn part<M: FlashMap>(map: &M, slots: &Slots, offset: u32) -> Option<Part> {
    let areas = [slots.primary.area, slots.secondary.area];
    let (mut ends, mut sectors, mut top) = ([offset; 2], [0u32; 2], 0);
    while ends[0] != ends[1] || ends[0] == offset {
        let [primary, secondary] = ends;
        for (index, ((area, end), count)) in
            areas.into_iter().zip(&mut ends).zip(&mut sectors).enumerate()
        {
            let behind = if index == 0 { primary <= secondary } else { secondary <= primary };
            if behind {
                let sector = map.sector_at(area, *end)?;
                *end = sector.end();
                *count += 1;
                top = if index == 0 { sector.size } else { top };
            }
        }
    }
    Some(Part { end: ends[0], sectors, top })
}

/// Whether the slots have equally many bytes, in parts that each fit into the scratch area and
/// have only one sector in one of the slots.
///
/// Strictly, no chunk may end within a sector of the secondary slot: the original then erases
/// what it has not exchanged yet.
pub(super) fn compatible<M: FlashMap>(map: &M, slots: &Slots, scratch: &Slot) -> bool {
    let Slots { primary, secondary, .. } = slots;
    let room = room(slots, scratch);
    let enough = |slot: &Slot| slot.sectors(map).0 <= slots.max_sectors;
    if primary.size != secondary.size || !enough(primary) || !enough(secondary) {
        return false;
    }
    // A trailer that is elsewhere is shown as a sector of its own, and never exchanged.
    let trailer = map.sector_at(primary.area, primary.trailer.layout().status());
    let end = trailer.filter(|_| keeps_parts(slots)).map_or(primary.size, |trailer| trailer.offset);
    let mut offset = 0;
    while offset < end {
        let Some(next) = part(map, slots, offset) else { return false };
        let size = next.end.saturating_sub(offset);
        if next.sectors.iter().all(|count| *count > 1) || size > room {
            return false;
        }
        let may_be = slots.strict() && !keeps_parts(slots) && next.sectors[0] > 1;
        if may_be && is_divided(map, slots, room, &next, size) {
            return false;
        }
        offset = next.end;
    }
    true
}

/// Whether chunks end where sectors of both slots do. With a status area, the original takes as
/// many sectors of the primary slot as it otherwise would; but there nobody has to finish what it
/// began.
fn keeps_parts(slots: &Slots) -> bool {
    slots.mode == UpgradeMode::StatusPartition
}

/// Bytes of the scratch area that a chunk may take. A trailer that is elsewhere takes none of them.
fn room(slots: &Slots, scratch: &Slot) -> u32 {
    if keeps_parts(slots) { scratch.trailer.layout().status() } else { scratch.size }
}

/// Whether a chunk that begins somewhere above `part` could take only some of its sectors.
fn is_divided<M: FlashMap>(
    map: &M,
    slots: &Slots,
    scratch: u32,
    divided: &Part,
    size: u32,
) -> bool {
    let room = |taken: u32, more: u32| taken.saturating_add(more) <= scratch;
    let mut above = divided.end;
    loop {
        let taken = above.saturating_sub(divided.end);
        if room(taken, divided.top) && !room(taken, size) {
            return true;
        }
        match part(map, slots, above) {
            Some(next) if room(taken, divided.top) => above = next.end,
            _ => return false,
        }
    }
}

/// Bytes that can be written everywhere at once. The original copies as much as it has to, and
/// fails where that is not a multiple.
fn unit<M: FlashMap>(map: &M, slots: &Slots, scratch: &Slot) -> u32 {
    let areas = [slots.primary.area, slots.secondary.area, scratch.area];
    let widths = areas.map(|area| map.info(area).map_or(1, |info| info.write_size.max(1)));
    if slots.strict() { widths.into_iter().fold(1, u32::max) } else { 1 }
}

/// The largest image that can be exchanged, in bytes.
pub(super) fn max_size<M: FlashMap>(map: &M, slots: &Slots, scratch: &Slot) -> Option<u32> {
    let Slots { primary, secondary, .. } = slots;
    let unit = unit(map, slots, scratch);
    let below = align_down(primary.trailer.layout().status(), unit);
    let first = map.sector_at(primary.area, below)?.end();
    let first = first.max(map.sector_at(secondary.area, below)?.end());
    let room = align_down(scratch.trailer.layout().status(), unit);
    MaxSize::swap_scratch(below, first, scratch.size.saturating_sub(room))
}

/// A part of both slots that is exchanged in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Where it begins.
    pub(super) offset: u32,
    /// Where it ends; the next one ends where this one begins.
    pub(super) end: u32,
}

/// All that is exchanged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    room: u32,
    /// The first chunk to be exchanged, which is the last one in the slots.
    pub(super) top: Chunk,
    /// How many chunks there are.
    pub(super) rounds: u32,
    /// Bytes of the top chunk that are copied. The rest of it belongs to the trailers.
    pub(super) top_copied: u32,
    /// Whether the top chunk reaches into the sectors of the primary trailer. Then the status is
    /// kept in the scratch area until that chunk has been exchanged.
    pub(super) shares_trailer: bool,
}

impl Exchange {
    /// What `swap_size` bytes at the beginning of both slots take; `None` if that cannot be
    /// exchanged.
    pub(super) fn new<M: FlashMap>(
        map: &M,
        slots: &Slots,
        scratch: &Slot,
        swap_size: u32,
    ) -> Option<Self> {
        let Slots { primary, secondary, .. } = slots;
        let mut end = 0;
        while end < swap_size.max(1) {
            end = part(map, slots, end)?.end;
        }
        let status = primary.trailer.layout().status();
        let shares_trailer = end > map.sector_at(primary.area, status)?.offset;
        let room = room(slots, scratch);
        let top = chunk_below(map, slots, room, end)?;
        let top_copied = match shares_trailer {
            true => {
                let room = scratch.trailer.layout().status();
                align_down(status.checked_sub(top.offset)?.min(room), unit(map, slots, scratch))
            }
            false => end - top.offset,
        };
        // The image must not end in what is not copied, and erasing the secondary trailer must
        // not reach into the next chunk.
        let erased = map.sector_at(secondary.area, status)?;
        if swap_size.saturating_sub(top.offset) > top_copied || erased.offset < top.offset {
            return None;
        }
        let (mut rounds, mut chunk) = (1, top);
        while chunk.offset > 0 {
            chunk = chunk_below(map, slots, room, chunk.offset)?;
            rounds += 1;
        }
        Some(Self { room, top, rounds, top_copied, shares_trailer })
    }

    /// The steps of all rounds.
    pub(super) fn steps(&self) -> u32 {
        self.rounds.saturating_mul(3)
    }

    /// The chunk that is exchanged after `chunk`.
    pub(super) fn below<M: FlashMap>(
        &self,
        map: &M,
        slots: &Slots,
        chunk: &Chunk,
    ) -> Option<Chunk> {
        chunk_below(map, slots, self.room, chunk.offset)
    }
}

/// The chunk that ends at `end`: as many sectors of the primary slot as fit; `None` if not even
/// one does, or if there is none.
fn chunk_below<M: FlashMap>(map: &M, slots: &Slots, room: u32, end: u32) -> Option<Chunk> {
    let mut offset = end;
    while let Some(last) = offset.checked_sub(1) {
        let sector = map.sector_at(slots.primary.area, last)?;
        if end.saturating_sub(sector.offset) > room {
            break;
        }
        offset = sector.offset;
    }
    while keeps_parts(slots) && offset < end {
        let ends =
            [slots.primary.area, slots.secondary.area].map(|area| map.sector_at(area, offset));
        match ends {
            [Some(one), Some(other)] if one.offset != offset || other.offset != offset => {
                offset = one.end().max(other.end());
            }
            _ => break,
        }
    }
    (offset < end).then_some(Chunk { offset, end })
}
