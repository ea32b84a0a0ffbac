//! Trailers that stand in an area of their own, in rows with copies and checksums.
//!
//! On flash that is written in large rows, the fields of a trailer cannot be written one by one.
//! Infineon's builds of MCUboot ("swap using status partition") keep them in a *status area*. Here
//! that is a flash map around another one, which shows slots and scratch area as if they ended
//! with a trailer of cells that can be written one by one, and takes what is written there to the
//! status area. Bootloader and application work on it like on any other.
//!
//! ```text
//! as it is      0            below      size            status area
//!               | image ...  | trailer  |               | table | table | table | …
//! as shown      | image ...  | records, fields |             ▲
//!                            └───────────┴────────────────────┘
//! ```
//! The image ends before the sectors of the trailer that the slot itself has. In those, others
//! still ask for an upgrade (a padded image has the magic) and confirm the one that runs: both is
//! taken over after a reset, and the primary slot's trailer is a copy of what the status area says
//! when a swap has ended. Source: `swap_status_part.c` and `swap_status_misc.c` of Infineon's
//! branches.

mod fields;
mod rows;

use updraft_image::{
    Flag, Magic, SwapType, TrailerLayout, TrailerState, UpgradeMode, align_down, align_up,
};

use crate::{
    AreaId, AreaInfo, FlashMap, Kind, Sector, SlotPair, TrailerAccess, TrailerFormat, readable,
};
use rows::{Row, Rows};

/// The most images whose slots have tables in a status area.
const MOST_IMAGES: usize = 8;
/// How often what others have written has to read the same to be taken over.
const READS: u32 = 8;

/// What a board's status area is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFormat {
    status: AreaId,
    scratch: AreaId,
    trailers: TrailerFormat,
    pairs: [SlotPair; MOST_IMAGES],
    images: usize,
    row: Option<u32>,
}

impl StatusFormat {
    /// The status area `status` of a bootloader that swaps through `scratch`, for the images whose
    /// slots are `pairs`, in the order of their tables. `None` without an image, or with more than
    /// eight.
    pub fn new(
        status: AreaId,
        scratch: AreaId,
        trailers: TrailerFormat,
        pairs: &[SlotPair],
    ) -> Option<Self> {
        let mut all = [*pairs.first()?; MOST_IMAGES];
        all.get_mut(..pairs.len())?.copy_from_slice(pairs);
        Some(Self { status, scratch, trailers, pairs: all, images: pairs.len(), row: None })
    }

    /// With rows of `size` bytes, where the map shows sectors in groups. A row is a sector of the
    /// device.
    pub fn with_rows(self, size: u32) -> Self {
        Self { row: Some(size), ..self }
    }

    fn pairs(&self) -> impl Iterator<Item = &SlotPair> {
        self.pairs.iter().take(self.images)
    }

    /// The number of the table of `area`, and the slots that it is one of.
    fn table(&self, area: AreaId) -> Option<(u32, Option<&SlotPair>)> {
        let mut next = 0;
        for pair in self.pairs() {
            let place = [pair.primary, pair.secondary].iter().position(|slot| *slot == area);
            if let Some(place) = place {
                return Some((next + place as u32, Some(pair)));
            }
            next += if next == 0 { 3 } else { 2 };
        }
        (area == self.scratch).then_some((2, None))
    }

    /// Bytes that are written at once wherever an image goes; and those that a status record takes,
    /// which is no more than a field.
    fn write_sizes<M: FlashMap>(&self, map: &M) -> Option<[u32; 2]> {
        let slots = self.pairs().flat_map(|pair| [pair.primary, pair.secondary]);
        let mut areas = slots.chain([self.scratch]);
        areas.try_fold([1; 2], |[unit, record], area| {
            let size = map.info(area)?.write_size;
            Some([size.max(unit), size.min(self.trailers.max_align).max(record)])
        })
    }

    /// The trailer that a slot itself has.
    fn own_trailer<M: FlashMap>(&self, map: &M, slot: AreaId) -> Option<TrailerAccess> {
        let TrailerFormat { max_align, max_sectors, keys, .. } = self.trailers;
        let mode = UpgradeMode::StatusPartition;
        let layout = TrailerLayout::new(map.info(slot)?.size, mode, max_sectors, 1, max_align)?;
        Some(TrailerAccess::new(slot, layout.with_keys(keys)?))
    }
}

/// An area as it is shown.
#[derive(Clone, Copy, Debug)]
struct View {
    info: AreaInfo,
    /// Number of its table.
    table: u32,
    /// Where its own bytes end, and those of its table begin.
    below: u32,
    /// The trailer that is shown.
    layout: TrailerLayout,
    /// Sectors that it has records for.
    sectors: u32,
    /// The trailer in the slot itself.
    own: Option<TrailerAccess>,
    is_primary: bool,
}

/// A flash map whose trailers stand in a status area.
#[derive(Clone, Debug)]
pub struct StatusMap<M> {
    map: M,
    format: StatusFormat,
    /// How the last two areas are shown: data goes from one to another.
    shown: [Option<(AreaId, View, Rows)>; 2],
}

impl<M: FlashMap> StatusMap<M> {
    /// The first look after a reset: decides what a power cut has left undecided, and takes over
    /// what was written to the slots' own trailers. Nothing is written where there is nothing of
    /// that.
    pub fn open(map: M, format: StatusFormat) -> Result<Self, M::Error> {
        let mut opened = Self::reopen(map, format);
        opened.settle()?;
        Ok(opened)
    }

    /// The same map again, if it has been [opened](Self::open) since the last reset.
    pub const fn reopen(map: M, format: StatusFormat) -> Self {
        Self { map, format, shown: [None; 2] }
    }

    /// The map inside.
    pub const fn inner(&self) -> &M {
        &self.map
    }

    /// The same, to be changed.
    pub const fn inner_mut(&mut self) -> &mut M {
        // Its areas may be other ones then.
        self.shown = [None; 2];
        &mut self.map
    }

    /// The map inside, taken out.
    pub fn into_inner(self) -> M {
        self.map
    }

    fn rows(&self) -> Option<Rows> {
        let tables = self.format.images as u32 * 2 + 1;
        let StatusFormat { status, row, trailers, .. } = self.format;
        let row = row.or_else(|| Some(self.map.sector_at(status, 0)?.size))?;
        Rows::new(&self.map, status, row, tables, trailers.max_sectors)
    }

    /// How `area` is shown; `None` if it cannot be.
    fn view(&self, area: AreaId) -> Option<View> {
        let Self { map, format, .. } = self;
        let (table, pair) = format.table(area)?;
        let TrailerFormat { max_align, max_sectors, keys, .. } = format.trailers;
        let [unit, record] = format.write_sizes(map)?;
        let info = map.info(area)?;
        let (below, own, sectors) = match pair {
            Some(pair) => {
                let [primary, secondary] =
                    [pair.primary, pair.secondary].map(|slot| format.own_trailer(map, slot));
                let (primary, secondary) = (primary?, secondary?);
                let edge = |trailer: &TrailerAccess| {
                    let sector = map.sector_at(trailer.area(), trailer.layout().status());
                    sector.map(|sector| sector.offset)
                };
                let below = edge(&primary)?.min(edge(&secondary)?);
                let own = if area == pair.primary { primary } else { secondary };
                (below, Some(own), max_sectors)
            }
            None => (align_down(info.size, unit), None, 1),
        };
        let layout = |size| {
            let mode = UpgradeMode::SwapScratch;
            TrailerLayout::new(size, mode, sectors, record, max_align)?.with_keys(keys)
        };
        let size = below.checked_add(layout(u32::MAX)?.size())?;
        let size = align_up(size, unit.max(max_align))?;
        let kind = if info.kind.writes_replace() { Kind::SelfErasingRows } else { Kind::Nor };
        let is_primary = pair.is_some_and(|pair| pair.primary == area);
        let layout = layout(size)?;
        let info = AreaInfo { size, write_size: info.write_size.max(record), kind, ..info };
        let view = View { info, table, below, layout, sectors, own, is_primary };
        below.is_multiple_of(unit).then_some(view)
    }

    /// How `area` is shown, and the rows that it is shown from; `None` if it cannot be.
    fn shown(&self, area: AreaId) -> Option<(View, Rows)> {
        match self.shown.iter().flatten().find(|(known, ..)| *known == area) {
            Some((_, view, rows)) => Some((*view, *rows)),
            None => self.view(area).zip(self.rows()),
        }
    }

    /// The same, remembered.
    fn look(&mut self, area: AreaId) -> Option<(View, Rows)> {
        let (view, rows) = self.shown(area)?;
        if !self.shown.iter().flatten().any(|(known, ..)| *known == area) {
            let [last, _] = self.shown;
            self.shown = [Some((area, view, rows)), last];
        }
        Some((view, rows))
    }

    /// Where the table of `area` is, both copies of it: the status area, and offset and length in
    /// it in bytes. Who programs a slot from outside, as if it were new, erases that, too.
    pub fn table(&self, area: AreaId) -> Option<(AreaId, u32, u32)> {
        let (table, _) = self.format.table(area)?;
        let [start, end] = [table, table + 1].map(|table| self.rows().map(|it| it.start(table)));
        Some((self.format.status, start?, end?.checked_sub(start?)?))
    }

    /// What [`StatusMap::open`] does, for a map that outlives a reset.
    pub fn settle(&mut self) -> Result<(), M::Error> {
        let Some(rows) = self.rows() else { return Ok(()) };
        for table in 0..self.format.images as u32 * 2 + 1 {
            for index in 0..rows.count {
                rows.settle(&mut self.map, Row { table, index })?;
            }
        }
        let format = self.format;
        for pair in format.pairs() {
            self.take_request(pair.secondary)?;
            self.take_confirmation(pair.primary)?;
        }
        Ok(())
    }

    /// What the slot's own trailer says, if it always says the same. Its magic is bad otherwise.
    fn steady(&mut self, own: &TrailerAccess) -> Result<TrailerState, M::Error> {
        let state = own.read(&mut self.map)?;
        for _ in 1..READS {
            if own.read(&mut self.map)? != state {
                return Ok(TrailerState { magic: Magic::Bad, ..state });
            }
        }
        Ok(state)
    }

    /// Takes over the request in the secondary slot's own trailer: written to the status area
    /// first, then erased there. What is none is erased, so that it never becomes one.
    fn take_request(&mut self, slot: AreaId) -> Result<(), M::Error> {
        let Some((view, own)) = self.look(slot).and_then(|(view, _)| Some((view, view.own?)))
        else {
            return Ok(());
        };
        if is_blank(&mut self.map, &own)? {
            return Ok(());
        }
        let found = self.steady(&own)?;
        let shown = TrailerAccess::new(slot, view.layout);
        if found.magic == Magic::Good && shown.read(self)?.magic == Magic::Unset {
            if found.image_ok == Flag::Set {
                shown.write_image_ok(self)?;
            }
            if found.swap_info.swap_type != SwapType::None {
                shown.write_swap_info(self, found.swap_info)?;
            }
            shown.write_magic(self)?;
        }
        own.erase(&mut self.map)
    }

    /// Takes over the confirmation in the primary slot's own trailer.
    fn take_confirmation(&mut self, slot: AreaId) -> Result<(), M::Error> {
        let Some((view, own)) = self.look(slot).and_then(|(view, _)| Some((view, view.own?)))
        else {
            return Ok(());
        };
        let shown = TrailerAccess::new(slot, view.layout);
        let state = shown.read(self)?;
        let waits = state.magic == Magic::Good && state.copy_done == Flag::Set;
        if waits && state.image_ok == Flag::Unset {
            let found = self.steady(&own)?;
            if found.magic == Magic::Good && found.image_ok == Flag::Set {
                shown.write_image_ok(self)?;
            }
        }
        Ok(())
    }

    /// Divides an access to `area` into its own bytes and those that are shown; `None` if it
    /// passes the end.
    fn divide(view: &View, offset: u32, len: usize) -> Option<usize> {
        let end = offset.checked_add(u32::try_from(len).ok()?)?;
        let own = view.below.saturating_sub(offset) as usize;
        (end <= view.info.size).then_some(own.min(len))
    }
}

/// Whether the cells of a slot's own trailer are erased, fields or not.
fn is_blank<M: FlashMap>(map: &mut M, own: &TrailerAccess) -> Result<bool, M::Error> {
    let erased = map.info(own.area()).map_or(0xff, |info| info.erased);
    let layout = own.layout();
    let mut at = layout.status();
    while at < layout.slot_size() {
        let mut piece = [0; 32];
        let len = (layout.slot_size() - at).min(32);
        let piece = piece.get_mut(..len as usize).unwrap_or_default();
        let readable = readable(map.read(own.area(), at, piece))?;
        if !readable || piece.iter().any(|byte| *byte != erased) {
            return Ok(false);
        }
        at += len;
    }
    Ok(true)
}

impl<M: FlashMap> FlashMap for StatusMap<M> {
    type Error = M::Error;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        match self.format.table(id) {
            Some(_) => Some(self.shown(id)?.0.info),
            None => self.map.info(id),
        }
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        if self.format.table(id).is_none() {
            return self.map.sector_at(id, offset);
        }
        let (View { below, info, .. }, _) = self.shown(id)?;
        if offset < below {
            return self.map.sector_at(id, offset);
        }
        (offset < info.size).then(|| Sector { offset: below, size: info.size - below })
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), Self::Error> {
        if self.format.table(id).is_none() {
            return self.map.read(id, offset, buf);
        }
        let view = self.look(id);
        let divided = view.and_then(|(view, _)| Self::divide(&view, offset, buf.len()));
        let (Some((view, rows)), Some(own)) = (view, divided) else {
            return self.map.read(id, u32::MAX, buf);
        };
        let (own, shown) = buf.split_at_mut_checked(own).unwrap_or_default();
        if !own.is_empty() {
            self.map.read(id, offset, own)?;
        }
        if shown.is_empty() {
            return Ok(());
        }
        fields::show(&mut self.map, &rows, &view, offset.max(view.below), shown)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), Self::Error> {
        if self.format.table(id).is_none() {
            return self.map.write(id, offset, data);
        }
        let view = self.look(id);
        let divided = view.and_then(|(view, _)| Self::divide(&view, offset, data.len()));
        let (Some((view, rows)), Some(own)) = (view, divided) else {
            return self.map.write(id, u32::MAX, data);
        };
        let (own, shown) = data.split_at_checked(own).unwrap_or_default();
        if !own.is_empty() {
            self.map.write(id, offset, own)?;
        }
        if shown.is_empty() {
            return Ok(());
        }
        fields::put(&mut self.map, &rows, &view, offset.max(view.below), shown)
    }

    /// What is shown goes first, as one: a trailer goes before the data that it tells of. The
    /// slot's own trailer goes before that, or it would be taken over once more.
    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), Self::Error> {
        if self.format.table(id).is_none() {
            return self.map.erase(id, offset, len);
        }
        let Some((view, rows)) = self.look(id) else {
            return self.map.erase(id, u32::MAX, len);
        };
        let end = offset.saturating_add(len);
        if end > view.below {
            if end != view.info.size || offset > view.below {
                return self.map.erase(id, u32::MAX, len);
            }
            if let Some(own) = view.own
                && !is_blank(&mut self.map, &own)?
            {
                own.erase(&mut self.map)?;
            }
            rows.erase(&mut self.map, view.table)?;
        }
        match view.below.min(end).saturating_sub(offset) {
            0 => Ok(()),
            own => self.map.erase(id, offset, own),
        }
    }
}
