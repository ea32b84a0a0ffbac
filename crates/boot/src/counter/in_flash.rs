//! Security counters in two parts of an area of flash.
//!
//! ```text
//! part     │ header │ header │ record │ record │ … erased … │     all as wide as the device writes
//! header   magic, generation, CRC-32                           written last: the part counts from then on
//! record   image number, value, CRC-32
//! ```
//! A part is as many sectors as hold two headers, a record of each image, and room to append. A value is
//! appended to the part with the higher generation. When that is full, the other one is erased, gets the
//! highest value of each image, and then its header. So there is always a part that holds every value, and
//! a torn write is either there or not. What cannot be read, or does not have its CRC, is not there.
//!
//! A torn write may also be there at one time and not at another. So header and record are written twice:
//! whatever a power cut has left of the one, the other is whole, and a value that was raised once is never
//! read as less.

use updraft_flash::{AreaId, Fault, FlashError, FlashMap};

use super::{CounterFault, SecurityCounters};
use crate::MAX_IMAGES;

/// Bytes of a header and of a record, before they are padded to the write size.
const ENTRY: usize = 12;
/// The widest write that is supported.
const WIDEST: usize = 512;
/// "UPsc", little-endian.
const MAGIC: u32 = 0x6373_5055;
/// Distinguishes a record from a header and from what erased flash reads as.
const RECORD: u32 = 0x5ec0_0000;

/// Headers of a part, and records of a value: one of them is whole.
const COPIES: u32 = 2;
/// Entries that a part has to have room for: headers, a record of each image, one value to append.
const ENTRIES: u32 = COPIES + MAX_IMAGES as u32 + COPIES;
/// Entries that raising a value takes at the most, a new part included.
const STEPS: u32 = 2 * COPIES + 2;

/// Counters in an area whose sectors make up two parts; what is behind them is not used. An area that is
/// too small keeps no counter: every access fails.
///
/// Whoever can erase the area can turn the counters back; where that has to be ruled out, the
/// area is to be write-protected for everybody but the bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashCounters {
    area: AreaId,
}

/// A part of the store, and what is in it.
#[derive(Clone, Copy, Debug)]
struct Side {
    start: u32,
    size: u32,
    generation: Option<u32>,
    /// The place of the second header, if there is none yet.
    unaffirmed: Option<u32>,
}

/// What a part tells of an image.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// The highest value, 0 if there is none.
    value: u32,
    /// How many records have as much as was asked for, or more.
    copies: u32,
    /// Where the next record goes.
    free: Option<u32>,
}

/// An entry as it lies in flash: two words and their CRC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Erased,
    Words(u32, u32),
    /// Torn, or not readable.
    Damaged,
}

impl FlashCounters {
    /// The counters in `area`.
    pub const fn new(area: AreaId) -> Self {
        Self { area }
    }

    /// How wide an entry is in flash.
    fn width<M: FlashMap>(&self, flash: &M) -> Result<(u32, u8), CounterFault> {
        let info = flash.info(self.area).ok_or(CounterFault)?;
        let width = (ENTRY as u32).checked_next_multiple_of(info.write_size.max(1));
        let width = width.filter(|width| *width as usize <= WIDEST).ok_or(CounterFault)?;
        Ok((width, info.erased))
    }

    fn entry<M: FlashMap>(&self, flash: &mut M, at: u32) -> Result<Entry, CounterFault> {
        let (_, erased) = self.width(flash)?;
        let mut bytes = [0; ENTRY];
        match flash.read(self.area, at, &mut bytes) {
            Ok(()) => {}
            Err(error) if error.fault() == Fault::Unreadable => return Ok(Entry::Damaged),
            Err(_) => return Err(CounterFault),
        }
        if bytes.iter().all(|byte| *byte == erased) {
            return Ok(Entry::Erased);
        }
        let [a, b, c, d, e, f, g, h, crc @ ..] = bytes;
        let whole = crc32(&[a, b, c, d, e, f, g, h]) == u32::from_le_bytes(crc);
        let words = [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes);
        Ok(if whole { Entry::Words(words[0], words[1]) } else { Entry::Damaged })
    }

    fn write<M: FlashMap>(
        &self,
        flash: &mut M,
        at: u32,
        words: [u32; 2],
    ) -> Result<(), CounterFault> {
        let (width, erased) = self.width(flash)?;
        let mut bytes = [erased; WIDEST];
        let [[a, b, c, d], [e, f, g, h]] = words.map(u32::to_le_bytes);
        let head = [a, b, c, d, e, f, g, h];
        let entry = head.into_iter().chain(crc32(&head).to_le_bytes());
        bytes.iter_mut().zip(entry).for_each(|(to, from)| *to = from);
        let bytes = bytes.get(..width as usize).unwrap_or_default();
        flash.write(self.area, at, bytes).map_err(|_| CounterFault)
    }

    fn side<M: FlashMap>(&self, flash: &mut M, start: u32) -> Result<Side, CounterFault> {
        let (width, _) = self.width(flash)?;
        let least = width.checked_mul(ENTRIES).ok_or(CounterFault)?;
        let mut size = 0u32;
        while size < least {
            let end = start.checked_add(size).ok_or(CounterFault)?;
            let sector = flash.sector_at(self.area, end).ok_or(CounterFault)?;
            size = size.checked_add(sector.size).ok_or(CounterFault)?;
        }
        let copies = [start, start.saturating_add(width)];
        let mut side = Side { start, size, generation: None, unaffirmed: None };
        for at in copies {
            match self.entry(flash, at)? {
                Entry::Words(MAGIC, generation) => {
                    side.generation = side.generation.max(Some(generation));
                }
                Entry::Erased => side.unaffirmed = Some(at),
                _ => {}
            }
        }
        Ok(side)
    }

    fn sides<M: FlashMap>(&self, flash: &mut M) -> Result<[Side; 2], CounterFault> {
        let first = self.side(flash, 0)?;
        Ok([first, self.side(flash, first.size)?])
    }

    /// The part that counts, and the other one; `None` if nothing was ever stored.
    fn current<M: FlashMap>(&self, flash: &mut M) -> Result<(Option<Side>, Side), CounterFault> {
        let [a, b] = self.sides(flash)?;
        Ok(match (a.generation, b.generation) {
            (None, None) => (None, a),
            (Some(x), Some(y)) if y > x => (Some(b), a),
            (None, Some(_)) => (Some(b), a),
            (Some(_), _) => (Some(a), b),
        })
    }

    /// Goes through the records of `side`: what each is, and where.
    fn records<M: FlashMap>(
        &self,
        flash: &mut M,
        side: &Side,
        mut each: impl FnMut(u32, Entry),
    ) -> Result<(), CounterFault> {
        let (width, _) = self.width(flash)?;
        // Earlier versions wrote one header, and a record in the place of the second.
        let mut at = width;
        while at.checked_add(width).is_some_and(|end| end <= side.size) {
            each(side.start + at, self.entry(flash, side.start + at)?);
            at += width;
        }
        Ok(())
    }

    /// What `side` tells of `image`, of which `asked` is asked for.
    fn find<M: FlashMap>(
        &self,
        flash: &mut M,
        side: &Side,
        (image, asked): (u8, u32),
    ) -> Result<Found, CounterFault> {
        let mut found = Found::default();
        self.records(flash, side, |at, entry| match entry {
            Entry::Erased => {
                found.free.get_or_insert(at);
            }
            Entry::Words(tag, value) => {
                // Behind something written there is nothing free.
                found.free = None;
                if tag == RECORD | u32::from(image) {
                    found.value = found.value.max(value);
                    found.copies += u32::from(value >= asked);
                }
            }
            Entry::Damaged => found.free = None,
        })?;
        Ok(found)
    }

    /// Moves to the other part: the highest value of each image, then the header.
    fn compact<M: FlashMap>(
        &self,
        flash: &mut M,
        from: Option<Side>,
        to: Side,
        raised: (u8, u32),
    ) -> Result<(), CounterFault> {
        let (width, _) = self.width(flash)?;
        let mut end = to.start;
        while end < to.start + to.size {
            let sector = flash.sector_at(self.area, end).ok_or(CounterFault)?;
            flash.erase(self.area, sector.offset, sector.size).map_err(|_| CounterFault)?;
            end = sector.end();
        }
        let mut at = to.start + COPIES * width;
        for image in 0..MAX_IMAGES as u8 {
            let mut value = match &from {
                Some(side) => self.find(flash, side, (image, 0))?.value,
                None => 0,
            };
            if image == raised.0 {
                value = value.max(raised.1);
            }
            if value > 0 {
                self.write(flash, at, [RECORD | u32::from(image), value])?;
                at += width;
            }
        }
        let generation = from.and_then(|side| side.generation).unwrap_or(0);
        let next = generation.checked_add(1).ok_or(CounterFault)?;
        self.write(flash, to.start, [MAGIC, next])
    }
}

impl SecurityCounters for FlashCounters {
    fn read<M: FlashMap>(&mut self, flash: &mut M, image: u8) -> Result<Option<u32>, CounterFault> {
        match self.current(flash)?.0 {
            Some(side) => Ok(Some(self.find(flash, &side, (image, 0))?.value)),
            None => Ok(Some(0)),
        }
    }

    fn raise<M: FlashMap>(
        &mut self,
        flash: &mut M,
        image: u8,
        value: u32,
    ) -> Result<(), CounterFault> {
        if usize::from(image) >= MAX_IMAGES {
            return Err(CounterFault);
        }
        if value == 0 {
            return Ok(());
        }
        for _ in 0..STEPS {
            let (side, other) = self.current(flash)?;
            let Some(side) = side else {
                self.compact(flash, None, other, (image, value))?;
                continue;
            };
            if let (Some(at), Some(generation)) = (side.unaffirmed, side.generation) {
                self.write(flash, at, [MAGIC, generation])?;
            }
            match self.find(flash, &side, (image, value))? {
                Found { copies: COPIES.., .. } => return Ok(()),
                Found { free: Some(at), .. } => {
                    self.write(flash, at, [RECORD | u32::from(image), value])?;
                }
                Found { free: None, .. } => {
                    self.compact(flash, Some(side), other, (image, value))?;
                }
            }
        }
        Err(CounterFault)
    }
}

/// CRC-32 (IEEE 802.3), bit by bit: a dozen bytes are not worth a table.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low != 0 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
