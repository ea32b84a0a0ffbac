//! The trailer of a slot in flash: reading it, and writing its fields one by one.
//!
//! Mechanism only. Every field lies in its own cell of the largest write alignment, so that each
//! is one write; what may be written when, and in which order, is for the bootloader and for the
//! DFU library to say. Layout and encoding: [`TrailerLayout`].
//!
//! On devices whose writes replace ([`Kind::writes_replace`](crate::Kind::writes_replace)) a row
//! holds many fields. Writing one of them reads the row and writes all of it: a torn write may
//! take the other fields with it.

use updraft_image::{
    Flag, KeySlot, Magic, SavedKey, SwapInfo, SwapType, TrailerLayout, TrailerState, WrapFormat,
    align_up, magic_bytes,
};
use zeroize::Zeroizing;

use crate::{AreaId, Fault, FlashError, FlashMap};

/// The longest cell that is written at once.
const LONGEST_CELL: usize = 32;
/// The longest row of a self-erasing device that a field can be put into.
pub(crate) const LONGEST_ROW: usize = 512;
const MAGIC_SIZE: usize = 16;

/// Access to the trailer of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerAccess {
    area: AreaId,
    layout: TrailerLayout,
}

impl TrailerAccess {
    /// The trailer laid out as `layout` in `area`.
    pub const fn new(area: AreaId, layout: TrailerLayout) -> Self {
        Self { area, layout }
    }

    /// The slot's area.
    pub const fn area(&self) -> AreaId {
        self.area
    }

    /// Where its fields are.
    pub const fn layout(&self) -> &TrailerLayout {
        &self.layout
    }

    /// Reads the four fields that decide over the next boot. A field whose cells cannot be read is
    /// one that a power cut has torn.
    pub fn read<M: FlashMap>(&self, map: &mut M) -> Result<TrailerState, M::Error> {
        let erased = erased_value(map, self.area);
        let mut magic = [0; MAGIC_SIZE];
        let magic = match readable(map.read(self.area, self.layout.magic(), &mut magic))? {
            true => Magic::decode(&magic, self.layout.max_align(), erased),
            false => Magic::Bad,
        };
        let mut byte = |offset| {
            let mut byte = [0];
            let readable = readable(map.read(self.area, offset, &mut byte))?;
            Ok(readable.then_some(byte[0]))
        };
        let swap_info = byte(self.layout.swap_info())?;
        Ok(TrailerState {
            magic,
            swap_info: SwapInfo::decode(swap_info.unwrap_or(erased), erased),
            copy_done: self.read_flag(map, self.layout.copy_done())?,
            image_ok: self.read_flag(map, self.layout.image_ok())?,
        })
    }

    /// Reads a flag. One byte decides, but where the rest of its write is not erased, the flag
    /// could not be set any more: it is none that was ever written.
    fn read_flag<M: FlashMap>(&self, map: &mut M, offset: u32) -> Result<Flag, M::Error> {
        let erased = erased_value(map, self.area);
        let mut cell = [erased; LONGEST_CELL];
        let len = (self.cell_size(map) as usize).min(LONGEST_CELL);
        let cell = cell.get_mut(..len).unwrap_or_default();
        if !readable(map.read(self.area, offset, cell))? {
            return Ok(Flag::Bad);
        }
        let [first, rest @ ..] = &*cell else { return Ok(Flag::Bad) };
        Ok(match Flag::decode(*first, erased) {
            Flag::Unset if rest.iter().any(|byte| *byte != erased) => Flag::Bad,
            flag => flag,
        })
    }

    /// Bytes that are written at once for a field that is one byte long.
    fn cell_size<M: FlashMap>(&self, map: &M) -> u32 {
        map.info(self.area).map_or(1, |info| match info.kind.writes_replace() {
            true => 1,
            false => info.write_size.max(1),
        })
    }

    /// Whether every field from `swap_info` up to the magic can be written: no bit of them, nor of
    /// what lies between, is programmed. [`TrailerAccess::read`] does not tell, as a byte that
    /// names no swap counts as none.
    pub fn is_erased<M: FlashMap>(&self, map: &mut M) -> Result<bool, M::Error> {
        let erased = erased_value(map, self.area);
        let mut at = self.layout.swap_info();
        while at < self.layout.slot_size() {
            let mut piece = [0; LONGEST_CELL];
            let len = (self.layout.slot_size() - at).min(LONGEST_CELL as u32);
            let piece = piece.get_mut(..len as usize).unwrap_or_default();
            let readable = readable(map.read(self.area, at, piece))?;
            if !readable || piece.iter().any(|byte| *byte != erased) {
                return Ok(false);
            }
            at += len;
        }
        Ok(true)
    }

    /// Reads how many bytes the recorded swap exchanges.
    pub fn read_swap_size<M: FlashMap>(&self, map: &mut M) -> Result<u32, M::Error> {
        let mut bytes = [0; 4];
        map.read(self.area, self.layout.swap_size(), &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads the sizes that the unprotected TLVs of the images in the primary and in the secondary
    /// slot had when the swap began, in bytes. `None` where the mode does not keep them.
    pub fn read_tlv_sizes<M: FlashMap>(&self, map: &mut M) -> Result<Option<[u16; 2]>, M::Error> {
        let Some(offset) = self.layout.tlv_sizes() else { return Ok(None) };
        let mut bytes = [0; 4];
        map.read(self.area, offset, &mut bytes)?;
        let [p0, p1, s0, s1] = bytes;
        Ok(Some([[p0, p1], [s0, s1]].map(u16::from_le_bytes)))
    }

    /// Writes the magic: from now on the other fields count.
    pub fn write_magic<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let mut cell = [erased_value(map, self.area); LONGEST_CELL];
        let offset = self.layout.magic_cell();
        // The layout puts the magic at the end of its cell, which is 16 or 32 bytes long.
        let len = (self.layout.slot_size().saturating_sub(offset) as usize).min(LONGEST_CELL);
        let cell = cell.get_mut(..len).unwrap_or_default();
        if let Some(end) = cell.last_chunk_mut::<MAGIC_SIZE>() {
            *end = magic_bytes(self.layout.max_align());
        }
        self.put(map, offset, cell)
    }

    /// Writes the flag that the image is confirmed.
    pub fn write_image_ok<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.write_cell(map, self.layout.image_ok(), &[Flag::SET])
    }

    /// Writes the flag that the swap has ended.
    pub fn write_copy_done<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.write_cell(map, self.layout.copy_done(), &[Flag::SET])
    }

    /// Writes which swap this is; a slot without one is left erased.
    pub fn write_swap_info<M: FlashMap>(
        &self,
        map: &mut M,
        info: SwapInfo,
    ) -> Result<(), M::Error> {
        if info.swap_type == SwapType::None {
            return Ok(());
        }
        self.write_cell(map, self.layout.swap_info(), &[info.encode()])
    }

    /// Writes how many bytes the swap exchanges.
    pub fn write_swap_size<M: FlashMap>(&self, map: &mut M, size: u32) -> Result<(), M::Error> {
        self.write_cell(map, self.layout.swap_size(), &size.to_le_bytes())
    }

    /// Writes the sizes of the unprotected TLVs of the images in the primary and in the secondary
    /// slot, in bytes; a mode that does not keep them has nothing to write.
    pub fn write_tlv_sizes<M: FlashMap>(
        &self,
        map: &mut M,
        sizes: [u16; 2],
    ) -> Result<(), M::Error> {
        let Some(offset) = self.layout.tlv_sizes() else { return Ok(()) };
        let [[p0, p1], [s0, s1]] = sizes.map(u16::to_le_bytes);
        self.write_cell(map, offset, &[p0, p1, s0, s1])
    }

    /// Reads the content key that was saved for the image of `slot`; `None` if none was, or if the
    /// layout has no such fields. An erased field and one that an absent key was written to are
    /// the same.
    pub fn read_key<M: FlashMap>(
        &self,
        map: &mut M,
        slot: KeySlot,
    ) -> Result<Option<SavedKey>, M::Error> {
        let erased = erased_value(map, self.area);
        let (Some(keys), Some(offset)) = (self.layout.keys(), self.layout.key(slot)) else {
            return Ok(None);
        };
        let mut saved = SavedKey::absent(keys);
        map.read(self.area, offset, saved.as_mut_bytes())?;
        Ok(saved.is_present(erased).then_some(saved))
    }

    /// Saves the content key of the image of `slot`, or that it has none. Nothing happens where
    /// the layout has no such fields.
    pub fn write_key<M: FlashMap>(
        &self,
        map: &mut M,
        slot: KeySlot,
        key: Option<&SavedKey>,
    ) -> Result<(), M::Error> {
        let (Some(keys), Some(offset)) = (self.layout.keys(), self.layout.key(slot)) else {
            return Ok(());
        };
        let mut field = Zeroizing::new([SavedKey::ABSENT; WrapFormat::LONGEST]);
        for (to, from) in field.iter_mut().zip(key.map_or(&[][..], SavedKey::as_bytes)) {
            *to = *from;
        }
        let len = keys.field_size(self.layout.max_align()) as usize;
        self.put(map, offset, field.get(..len).unwrap_or_default())
    }

    /// Erases the sectors that hold the trailer, the last one first: the magic goes before
    /// anything that it vouches for.
    pub fn erase<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        erase_backwards(map, self.area, self.layout.status())
    }

    /// Erases the sectors that hold the fields which decide over the next boot, the last one
    /// first, and not those that hold status records only.
    pub fn erase_fields<M: FlashMap>(&self, map: &mut M) -> Result<(), M::Error> {
        erase_backwards(map, self.area, self.layout.swap_info())
    }

    /// Writes `value` and pads it with the erased value to the device's write size.
    pub fn write_cell<M: FlashMap>(
        &self,
        map: &mut M,
        offset: u32,
        value: &[u8],
    ) -> Result<(), M::Error> {
        let write_size = self.cell_size(map);
        let len = u32::try_from(value.len()).ok().and_then(|len| align_up(len, write_size));
        let mut cell = [erased_value(map, self.area); LONGEST_CELL];
        for (to, from) in cell.iter_mut().zip(value) {
            *to = *from;
        }
        let len = len.map_or(LONGEST_CELL, |len| len as usize).min(LONGEST_CELL);
        self.put(map, offset, cell.get(..len).unwrap_or_default())
    }

    /// Writes a cell, by itself or with the row around it.
    fn put<M: FlashMap>(&self, map: &mut M, offset: u32, cell: &[u8]) -> Result<(), M::Error> {
        let info = map.info(self.area).filter(|info| info.kind.writes_replace());
        let Some(row_size) = info.map(|info| info.write_size.max(1)) else {
            return map.write(self.area, offset, cell);
        };
        let mut rest = cell;
        let mut at = offset;
        while !rest.is_empty() {
            // Areas begin with a row, as rows are what sectors are made of.
            let into = at % row_size;
            // The row may hold content keys besides.
            let mut row = Zeroizing::new([0; LONGEST_ROW]);
            let row = row.get_mut(..row_size as usize).unwrap_or_default();
            map.read(self.area, at - into, row)?;
            let place = row.get_mut(into as usize..).unwrap_or_default();
            let Some((now, later)) = rest.split_at_checked(rest.len().min(place.len())) else {
                break;
            };
            if now.is_empty() {
                // A row longer than the longest: the map tells that this is no whole write.
                return map.write(self.area, offset, cell);
            }
            for (to, from) in place.iter_mut().zip(now) {
                *to = *from;
            }
            map.write(self.area, at - into, row)?;
            at = at.saturating_add(row_size - into);
            rest = later;
        }
        Ok(())
    }
}

/// Whether cells could be read; `Err` if that is not for the cells to answer.
pub fn readable<E: FlashError>(read: Result<(), E>) -> Result<bool, E> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.fault() == Fault::Unreadable => Ok(false),
        Err(error) => Err(error),
    }
}

/// A missing area reads as 0xff here and is refused by the access that follows.
fn erased_value<M: FlashMap>(map: &M, area: AreaId) -> u8 {
    map.info(area).map_or(0xff, |info| info.erased)
}

/// Erases sector by sector from the end of `area` down to the one that contains `start`.
fn erase_backwards<M: FlashMap>(map: &mut M, area: AreaId, start: u32) -> Result<(), M::Error> {
    let mut end = map.info(area).map_or(0, |info| info.size);
    while end > start {
        let Some(sector) = map.sector_at(area, end - 1) else {
            break;
        };
        map.erase(area, sector.offset, sector.size)?;
        end = sector.offset;
    }
    Ok(())
}
