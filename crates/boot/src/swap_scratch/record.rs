//! Which of two records of a swap counts: that in the scratch area or that in the primary trailer.

use updraft_flash::{AreaId, FlashMap, TrailerFormat, readable};
use updraft_image::{Flag, Magic, SwapType, TrailerState, UpgradeMode};

use super::chunks::Exchange;
use crate::Slots;
use crate::slots::Slot;
use crate::status::Records;
use crate::swap_record::is_taken_back;

/// The longest cell of a trailer.
const LONGEST_CELL: usize = 32;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Primary,
    Scratch,
}

/// What a record tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    pub(super) source: Source,
    pub(super) swap: SwapType,
    pub(super) swap_size: u32,
    /// Steps that are done.
    pub(super) done: u32,
    /// Status records up to the last one that is written.
    written: u32,
    /// A status record is missing below the last one.
    pub(super) gap: bool,
}

/// The scratch area, whose trailer has the status records of one round. `None` if it does not
/// exist, or if records as far apart as in the primary slot would run into its other fields.
pub(super) fn scratch<M: FlashMap>(map: &M, slots: &Slots, area: AreaId) -> Option<Slot> {
    let layout = slots.primary.trailer.layout();
    let (max_align, keys) = (layout.max_align(), layout.keys());
    let format = TrailerFormat { mode: UpgradeMode::SwapScratch, max_align, max_sectors: 1, keys };
    let scratch = Slot::alone(map, &format, area).ok()?;
    let [own, width] = [&scratch, &slots.primary].map(width);
    let fits = own == width || own.checked_mul(2) == Some(width);
    fits.then_some(scratch)
}

/// The status records in the primary trailer.
pub(super) fn in_primary(slots: &Slots) -> Records<'_> {
    Records::new(&slots.primary, slots.max_sectors.saturating_mul(3))
}

/// The status records in the scratch area. They are as far apart as in the primary trailer.
pub(super) fn in_scratch<'s>(scratch: &'s Slot, primary: &Slot) -> Records<'s> {
    Records::new(scratch, 2).apart(width(primary))
}

/// From one status record of a slot to the next: a write, but no more than a field.
fn width(slot: &Slot) -> u32 {
    slot.write_size.min(slot.trailer.layout().max_align())
}

/// Where the mark of a retired record is, and how long it is: enough bits that no torn erase takes
/// them all and leaves everything else. The field is `copy_done`, which nobody writes in the
/// scratch area.
fn mark(scratch: &Slot) -> (u32, usize) {
    // A write that is wider than a field takes its neighbours with it.
    let len = scratch.write_size.min(scratch.trailer.layout().max_align());
    let len = (len as usize).clamp(2, LONGEST_CELL);
    (scratch.trailer.layout().copy_done(), len)
}

/// Retires the record in the scratch area: from now on that in the primary trailer counts.
pub(super) fn retire<M: FlashMap>(map: &mut M, scratch: &Slot) -> Result<(), M::Error> {
    let (offset, len) = mark(scratch);
    let mark = [!scratch.erased; LONGEST_CELL];
    scratch.trailer.write_cell(map, offset, mark.get(..len).unwrap_or_default())
}

fn is_retired<M: FlashMap>(map: &mut M, scratch: &Slot) -> Result<bool, M::Error> {
    let (offset, len) = mark(scratch);
    let mut mark = [scratch.erased; LONGEST_CELL];
    let read = map.read(scratch.area, offset, mark.get_mut(..len).unwrap_or_default());
    Ok(!readable(read)? || mark.iter().any(|byte| *byte != scratch.erased))
}

/// Whether the record in a trailer names a size. Words that cannot be read are what a torn erase
/// has left of it.
fn has_size<M: FlashMap>(map: &mut M, slot: &Slot) -> Result<bool, M::Error> {
    readable(map.read(slot.area, slot.trailer.layout().swap_size(), &mut [0; 4]))
}

impl Status {
    /// Reads what counts.
    pub(super) fn read<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        scratch: &Slot,
    ) -> Result<Option<Self>, M::Error> {
        if !slots.strict() {
            return Self::imitate(map, slots, scratch);
        }
        let from_primary = Self::from_primary(map, slots, scratch)?;
        if let Some(status) = from_primary.filter(Self::is_past_scratch)
            && Exchange::new(map, slots, scratch, status.swap_size)
                .is_some_and(|exchange| status.done < exchange.steps())
        {
            return Ok(from_primary);
        }
        Ok(Self::from_scratch(map, slots, scratch)?.or(from_primary))
    }

    /// Whether the record in the primary trailer tells of a step that comes after the last one of
    /// which the scratch area has a record. If it goes on from there, what looks like a record in
    /// the scratch area is image data, or what a torn erase has left of one: the original does not
    /// retire it first. If it does not, it may be of an earlier swap, its `copy_done` torn away: with one
    /// step done, of one that was put off.
    fn is_past_scratch(&self) -> bool {
        self.done > 1 && self.written == self.done
    }

    /// The original's choice; the first row that fits decides.
    ///
    /// | primary magic | scratch magic | primary copy_done | |
    /// |---|---|---|---|
    /// | good | not good | set | none |
    /// | good | not good | unset | primary |
    /// | | good | | scratch, if it is of this image |
    /// | unset | | unset | primary |
    fn imitate<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        scratch: &Slot,
    ) -> Result<Option<Self>, M::Error> {
        let primary = slots.primary.trailer.read(map)?;
        let in_scratch = scratch.trailer.read(map)?;
        match (primary.magic, in_scratch.magic, primary.copy_done) {
            (_, Magic::Good, _) if in_scratch.swap_info.image != slots.image => Ok(None),
            (_, Magic::Good, _) => {
                Self::at(map, slots, scratch, Source::Scratch, &in_scratch).map(Some)
            }
            (Magic::Good | Magic::Unset, _, Flag::Unset) => {
                Self::at(map, slots, scratch, Source::Primary, &primary).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The record in the scratch area, if it counts.
    ///
    /// | condition | otherwise it is |
    /// |---|---|
    /// | names a swap of this image | image data, or another image's |
    /// | not retired, or the primary trailer has none | done with |
    /// | `image_ok` goes with the kind, `swap_size` can be read | what a torn erase has left |
    /// | nothing copied: agrees with what is asked in the secondary trailer | the same, or old |
    /// | something copied: the top chunk shares a sector with the primary trailer | image data |
    fn from_scratch<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        scratch: &Slot,
    ) -> Result<Option<Self>, M::Error> {
        let state = scratch.trailer.read(map)?;
        let swap = state.swap_info.swap_type;
        let stays = if swap == SwapType::Permanent { Flag::Set } else { Flag::Unset };
        let counts = is_record(&state, slots) && state.image_ok == stays;
        if !counts || !has_size(map, scratch)? {
            return Ok(None);
        }
        let status = Self::at(map, slots, scratch, Source::Scratch, &state)?;
        let retired = is_retired(map, scratch)?;
        let counts = match status.done {
            // It had its use up to the last step but one.
            done if retired && (done != 2 || has_record(map, slots)?) => false,
            0 => asked(map, slots) == if swap == SwapType::Revert { SwapType::None } else { swap },
            _ => shares_trailer(map, slots, scratch, status.swap_size),
        };
        Ok(counts.then_some(status))
    }

    /// The record in the primary trailer, if it counts. Nothing but a record in the scratch area
    /// has come before it, and that does not count any more: so this one is whole, unless its
    /// sector was about to be copied to again, and the erase before that was torn.
    ///
    /// Before anything is copied, the request for an upgrade still stands and says all there is to
    /// know. Only a revert needs the record then.
    fn from_primary<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        scratch: &Slot,
    ) -> Result<Option<Self>, M::Error> {
        let state = slots.primary_state(map)?;
        let counts = is_record(&state, slots) && state.copy_done == Flag::Unset;
        if !counts || !has_size(map, &slots.primary)? {
            return Ok(None);
        }
        let status = Self::at(map, slots, scratch, Source::Primary, &state)?;
        let requested = slots.secondary_state(map).magic == Magic::Good;
        let counts = match status.done {
            0 => status.swap == SwapType::Revert && !requested,
            // The next thing to be done erases the request.
            1 => !is_taken_back(&state),
            _ => !requested,
        };
        Ok(counts.then_some(status))
    }

    /// What the record at `source` tells.
    fn at<M: FlashMap>(
        map: &mut M,
        slots: &Slots,
        scratch: &Slot,
        source: Source,
        state: &TrailerState,
    ) -> Result<Self, M::Error> {
        let (trailer, records) = match source {
            Source::Primary => (slots.primary.trailer, in_primary(slots)),
            Source::Scratch => (scratch.trailer, in_scratch(scratch, &slots.primary)),
        };
        let swap_size = trailer.read_swap_size(map)?;
        let written = records.last_written(map)?;
        // By the time that the primary trailer has the record of a top chunk that it shares a
        // sector with, that chunk is in its place. The records of its steps may have stayed in
        // the scratch area.
        let handed_over = source == Source::Primary
            && state.magic == Magic::Good
            && shares_trailer(map, slots, scratch, swap_size);
        let first = if handed_over { 2 } else { 0 };
        let gap = !records.all_written(map, first, written)?;
        let done = if handed_over { written.max(3) } else { written };
        Ok(Self { source, swap: state.swap_info.swap_type, swap_size, done, written, gap })
    }
}

/// Whether a trailer vouches for a swap of this image.
fn is_record(state: &TrailerState, slots: &Slots) -> bool {
    let info = state.swap_info;
    state.magic == Magic::Good && info.swap_type != SwapType::None && info.image == slots.image
}

/// Whether the primary trailer has a record, of whatever.
fn has_record<M: FlashMap>(map: &mut M, slots: &Slots) -> Result<bool, M::Error> {
    Ok(slots.primary.trailer.read(map)?.magic == Magic::Good)
}

/// The upgrade that the secondary trailer asks for.
fn asked<M: FlashMap>(map: &mut M, slots: &Slots) -> SwapType {
    let secondary = slots.secondary_state(map);
    TrailerState::swap_type(UpgradeMode::SwapScratch, &TrailerState::UNSET, &secondary)
}

fn shares_trailer<M: FlashMap>(map: &M, slots: &Slots, scratch: &Slot, swap_size: u32) -> bool {
    Exchange::new(map, slots, scratch, swap_size).is_some_and(|exchange| exchange.shares_trailer)
}
