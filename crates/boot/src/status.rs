//! Swap status records: how far an exchange of sectors has come.
//!
//! A record is one write, `W` bytes at `status + index · W`: the number of the step that was
//! completed, padded with the erased value. Anything but erased counts as written, cells that
//! cannot be read included: a record that a power cut tore is either there or not, and the step
//! that it stands for was complete before its write began. Unlike the original, which looks at the
//! first byte alone, all of it is looked at: what is not erased could not be written. Source: MCUboot
//! `docs/design.md`, "Swap status".

use updraft_flash::{FlashMap, readable};

use crate::slots::Slot;

/// Bytes of a record that are read together.
const PIECE: usize = 32;

/// The status records of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'s> {
    slot: &'s Slot,
    len: u32,
    /// Bytes of a record: a write, but no more than a field.
    width: u32,
    /// From the beginning of one record to the next, in bytes.
    stride: u32,
}

impl<'s> Records<'s> {
    /// The `len` records of `slot`.
    pub(crate) fn new(slot: &'s Slot, len: u32) -> Self {
        let width = slot.write_size.min(slot.trailer.layout().max_align());
        Self { slot, len, width, stride: width }
    }

    /// The same `stride` bytes apart.
    pub(crate) fn apart(self, stride: u32) -> Self {
        Self { stride, ..self }
    }

    fn offset(&self, index: u32) -> u32 {
        let status = self.slot.trailer.layout().status();
        // The layout has room for every record, or there would be none.
        status.wrapping_add(index.wrapping_mul(self.stride))
    }

    /// Writes record number `index`, counted from 0.
    pub(crate) fn write<M: FlashMap>(
        &self,
        map: &mut M,
        index: u32,
        step: u8,
    ) -> Result<(), M::Error> {
        self.slot.trailer.write_cell(map, self.offset(index), &[step])
    }

    fn is_written<M: FlashMap>(&self, map: &mut M, index: u32) -> Result<bool, M::Error> {
        let mut at = self.offset(index);
        let end = at.saturating_add(self.width);
        while at < end {
            let mut piece = [self.slot.erased; PIECE];
            let len = (end - at).min(PIECE as u32);
            let piece = piece.get_mut(..len as usize).unwrap_or_default();
            let readable = readable(map.read(self.slot.area, at, piece))?;
            if !readable || piece.iter().any(|byte| *byte != self.slot.erased) {
                return Ok(true);
            }
            at += len;
        }
        Ok(false)
    }

    /// How many records there are up to the last one that is written; 0 if none is.
    pub(crate) fn last_written<M: FlashMap>(&self, map: &mut M) -> Result<u32, M::Error> {
        let mut count = self.len;
        while let Some(index) = count.checked_sub(1) {
            if self.is_written(map, index)? {
                break;
            }
            count = index;
        }
        Ok(count)
    }

    /// Whether every record from `first` up to but not including `end` is written.
    pub(crate) fn all_written<M: FlashMap>(
        &self,
        map: &mut M,
        first: u32,
        end: u32,
    ) -> Result<bool, M::Error> {
        for index in first..end {
            if !self.is_written(map, index)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
