//! The rows of a status area.
//!
//! ```text
//! row     payload, u32 0xdeadbeef, u32 counter, u32 CRC-32C of all before it      one sector
//! table   rows of sector states, rows that end with the trailer's fields          two copies
//! area    a table for the primary and the secondary slot of image 0, for the scratch area, for
//!         the slots of image 1 …
//! ```
//! The valid copy with the later counter counts. A row is changed by writing the other copy of it
//! with a counter one higher: until that is whole, the old one counts. A copy that is neither
//! blank nor valid is what a cut has left.

use zeroize::Zeroizing;

use crate::crc::Crc;
use crate::{AreaId, FlashMap, readable};

const MAGIC: u32 = 0xdead_beef;
/// Bytes of a row that are not payload.
pub(super) const OVERHEAD: u32 = 12;
/// Bytes that a table has at least for the trailer's fields.
pub(super) const TRAILER: u32 = 64;
/// Copies of a table.
const COPIES: u32 = 2;
/// Bytes of a row that are read and written together.
const PIECE: usize = 512;
/// How often a copy has to read as valid after a reset: cells that read differently from time to
/// time show.
const READS: u32 = 8;

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) table: u32,
    pub(super) index: u32,
}

/// Where a row's content is, and how often it has been written.
type Current = Option<(u32, u32)>;

/// The geometry of a status area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    area: AreaId,
    size: u32,
    /// Bytes of a row.
    row: u32,
    /// Rows of a table.
    pub(super) count: u32,
    pub(super) erased: u8,
    replaces: bool,
}

impl Rows {
    /// The rows of `area`, of `row` bytes, for `tables` tables with `states` sector states each; `None` if it does
    /// not hold them.
    pub(super) fn new<M: FlashMap>(
        map: &M,
        area: AreaId,
        row: u32,
        tables: u32,
        states: u32,
    ) -> Option<Self> {
        let info = map.info(area)?;
        let payload = row.checked_sub(OVERHEAD).filter(|payload| *payload > 0)?;
        let count = states.div_ceil(payload) + TRAILER.div_ceil(payload);
        let needed = count.checked_mul(COPIES)?.checked_mul(tables)?.checked_mul(row)?;
        let fits = needed <= info.size && info.write_size <= PIECE as u32 && row.is_multiple_of(16);
        let (erased, replaces) = (info.erased, info.kind.writes_replace());
        fits.then_some(Self { area, size: info.size, row, count, erased, replaces })
    }

    fn payload(&self) -> u32 {
        self.row.saturating_sub(OVERHEAD)
    }

    /// Bytes of a table's payload.
    pub(super) fn table_size(&self) -> u32 {
        self.payload().saturating_mul(self.count)
    }

    /// Where the table number `table` begins.
    pub(super) fn start(&self, table: u32) -> u32 {
        self.at(Row { table, index: 0 }, 0)
    }

    /// Where copy number `copy` of `row` begins. An overflow is refused by the map.
    fn at(&self, row: Row, copy: u32) -> u32 {
        let before = row.table.saturating_mul(COPIES).saturating_add(copy);
        let index = before.saturating_mul(self.count).saturating_add(row.index);
        index.saturating_mul(self.row).min(self.size)
    }

    /// Hands the `len` bytes from `at` on to `each`, in pieces.
    fn pieces<M: FlashMap>(
        &self,
        map: &mut M,
        at: u32,
        len: u32,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, M::Error> {
        let mut buf = Zeroizing::new([0; PIECE]);
        let mut done = 0;
        while done < len {
            let n = (len - done).min(PIECE as u32);
            let piece = buf.get_mut(..n as usize).unwrap_or_default();
            if !readable(map.read(self.area, at.saturating_add(done), piece))? || !each(piece) {
                return Ok(false);
            }
            done += n;
        }
        Ok(true)
    }

    fn is_blank<M: FlashMap>(&self, map: &mut M, at: u32) -> Result<bool, M::Error> {
        self.pieces(map, at, self.row, |piece| piece.iter().all(|byte| *byte == self.erased))
    }

    /// The counter of the copy at `at`, if it has one. Its checksum is not looked at.
    fn counter<M: FlashMap>(&self, map: &mut M, at: u32) -> Result<Option<u32>, M::Error> {
        let mut tail = [0; 8];
        let found = readable(map.read(self.area, at.saturating_add(self.payload()), &mut tail))?;
        let [m0, m1, m2, m3, c0, c1, c2, c3] = tail;
        let marked = found && u32::from_le_bytes([m0, m1, m2, m3]) == MAGIC;
        Ok(marked.then_some(u32::from_le_bytes([c0, c1, c2, c3])))
    }

    /// Whether the copy at `at` is whole.
    fn is_valid<M: FlashMap>(&self, map: &mut M, at: u32) -> Result<bool, M::Error> {
        let mut crc = Crc::new();
        let checked = self.row.saturating_sub(4);
        let found = self.pieces(map, at, checked, |piece| {
            crc.update(piece);
            true
        })?;
        let mut sum = [0; 4];
        let found = found && readable(map.read(self.area, at.saturating_add(checked), &mut sum))?;
        Ok(found && sum == crc.finish().to_le_bytes())
    }

    /// Erases what a cut has left of `row`, so that it is decided for good which copy counts. A
    /// copy that does not read as valid every time is one that was being written or erased: the
    /// other one is whole, and what has been read of this one has had no consequence yet.
    pub(super) fn settle<M: FlashMap>(&self, map: &mut M, row: Row) -> Result<(), M::Error> {
        for copy in 0..COPIES {
            let at = self.at(row, copy);
            if self.is_blank(map, at)? {
                continue;
            }
            let mut valid = true;
            for _ in 0..READS {
                valid = valid && self.counter(map, at)?.is_some() && self.is_valid(map, at)?;
            }
            if !valid {
                map.erase(self.area, at, self.row)?;
            }
        }
        Ok(())
    }

    /// The copy of `row` that counts, and its counter. Copies that are not valid have been erased.
    fn current<M: FlashMap>(&self, map: &mut M, row: Row) -> Result<Current, M::Error> {
        let mut best = None;
        for copy in 0..COPIES {
            let counter = self.counter(map, self.at(row, copy))?;
            if let Some(counter) =
                counter.filter(|it| best.is_none_or(|(_, most)| follows(*it, most)))
            {
                best = Some((copy, counter));
            }
        }
        Ok(best)
    }

    /// The rows that `len` bytes of a table from `at` on lie in: each with where its part begins
    /// in it, and how long that is.
    fn parts(&self, table: u32, at: u32, len: u32) -> impl Iterator<Item = (Row, u32, u32)> {
        let (payload, end) = (self.payload().max(1), at.saturating_add(len));
        let mut at = at;
        core::iter::from_fn(move || {
            let within = at % payload;
            let n = end.checked_sub(at).filter(|n| *n > 0)?.min(payload - within);
            let row = Row { table, index: at / payload };
            at += n;
            Some((row, within, n))
        })
    }

    /// Reads bytes of a table. Rows that were never written read as erased.
    pub(super) fn read<M: FlashMap>(
        &self,
        map: &mut M,
        table: u32,
        at: u32,
        buf: &mut [u8],
    ) -> Result<(), M::Error> {
        let mut rest = buf;
        for (row, within, n) in self.parts(table, at, rest.len() as u32) {
            let Some((part, later)) = rest.split_at_mut_checked(n as usize) else { break };
            match self.current(map, row)? {
                Some((copy, _)) => map.read(self.area, self.at(row, copy) + within, part)?,
                None => part.fill(self.erased),
            }
            rest = later;
        }
        Ok(())
    }

    /// Writes bytes of a table, row by row upwards; rows that have them already are left.
    pub(super) fn write<M: FlashMap>(
        &self,
        map: &mut M,
        table: u32,
        at: u32,
        data: &[u8],
    ) -> Result<(), M::Error> {
        let mut rest = data;
        for (row, within, n) in self.parts(table, at, data.len() as u32) {
            let Some((part, later)) = rest.split_at_checked(n as usize) else { break };
            let current = self.current(map, row)?;
            if !self.has(map, row, current, within, part)? {
                self.replace(map, row, current, within, part)?;
            }
            rest = later;
        }
        Ok(())
    }

    fn has<M: FlashMap>(
        &self,
        map: &mut M,
        row: Row,
        current: Current,
        within: u32,
        part: &[u8],
    ) -> Result<bool, M::Error> {
        let Some((copy, _)) = current else {
            return Ok(part.iter().all(|byte| *byte == self.erased));
        };
        let mut rest = part;
        let at = self.at(row, copy).saturating_add(within);
        self.pieces(map, at, part.len() as u32, |piece| {
            let (now, later) = rest.split_at_checked(piece.len()).unwrap_or_default();
            rest = later;
            now == piece
        })
    }

    /// Writes the other copy of `row`, with `part` in it from `within` on.
    fn replace<M: FlashMap>(
        &self,
        map: &mut M,
        row: Row,
        current: Current,
        within: u32,
        part: &[u8],
    ) -> Result<(), M::Error> {
        let (from, to, counter) = match current {
            Some((copy, counter)) => {
                (Some(self.at(row, copy)), self.at(row, 1 - copy.min(1)), counter.wrapping_add(1))
            }
            None => (None, self.at(row, 0), 1),
        };
        if !self.replaces {
            map.erase(self.area, to, self.row)?;
        }
        let mut crc = Crc::new();
        let mut buf = Zeroizing::new([0; PIECE]);
        let mut done = 0;
        while done < self.row {
            let n = (self.row - done).min(PIECE as u32);
            let piece = buf.get_mut(..n as usize).unwrap_or_default();
            match from {
                Some(from) => map.read(self.area, from.saturating_add(done), piece)?,
                None => piece.fill(self.erased),
            }
            let mut put = |at: u32, bytes: &[u8]| {
                for (at, byte) in (at..).zip(bytes) {
                    let to = at.checked_sub(done).and_then(|at| piece.get_mut(at as usize));
                    to.into_iter().for_each(|to| *to = *byte);
                }
            };
            put(within, part);
            put(self.payload(), &MAGIC.to_le_bytes());
            put(self.payload() + 4, &counter.to_le_bytes());
            // The last piece is at least 16 bytes long, as rows are multiples of that.
            let last = done + n == self.row;
            let summed = piece.len() - if last { 4 } else { 0 };
            crc.update(piece.get(..summed).unwrap_or_default());
            if let Some(sum) = piece.get_mut(summed..) {
                sum.iter_mut().zip(crc.finish().to_le_bytes()).for_each(|(to, from)| *to = from);
            }
            map.write(self.area, to.saturating_add(done), piece)?;
            done += n;
        }
        Ok(())
    }

    /// Erases a table, its last row first: the magic goes before anything that it vouches for. Of
    /// each row the copy goes first that does not count any more, so that it never does again.
    pub(super) fn erase<M: FlashMap>(&self, map: &mut M, table: u32) -> Result<(), M::Error> {
        for index in (0..self.count).rev() {
            let row = Row { table, index };
            let copy = self.current(map, row)?.map_or(0, |(copy, _)| copy);
            for copy in [1 - copy.min(1), copy] {
                let at = self.at(row, copy);
                if !self.is_blank(map, at)? {
                    map.erase(self.area, at, self.row)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a copy whose counter is `counter` is no older than one whose counter is `other`. Two
/// copies are one write apart, also where the counter begins anew: a row whose counter stands at
/// its end, whoever wrote that, could never be changed otherwise.
fn follows(counter: u32, other: u32) -> bool {
    counter.wrapping_sub(other) <= u32::MAX / 2
}
