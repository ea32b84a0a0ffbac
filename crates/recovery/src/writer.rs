//! Writing an upload into a slot so that half of it is never taken for a whole image.
//!
//! ```text
//! area   ┊ head   │ written as it comes ──▶ │ erased │ what was there before … │ trailer ┊
//!        └ kept in RAM to the end           └ one sector ahead                └ erased, record
//! ```
//! The first bytes of the image, its header among them, are written last. Until then no bootloader
//! finds an image in the slot, whether it verifies images or only looks for their magic. A cut
//! leaves the slot empty or complete.
//!
//! # Going on after a reset
//!
//! A record in the trailer, where no bootloader looks as long as there is no magic, says of which
//! file the slot holds a part. How much can be read off the flash: the sector behind the one that
//! is being written is always erased, so that the first blank sector tells where the upload broke
//! off. The sector before it may be torn and is written again. A blank stretch in the file itself
//! only makes the upload go on earlier.

use updraft_flash::{AreaId, FlashMap, SlotSource, TrailerAccess};
use updraft_image::{HashKind, Hasher, Source};

/// Which file a slot holds a part of: a digest of its length and its hash. It fits the fields of a
/// trailer without status records, short of the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record([u8; Self::SIZE]);

impl Record {
    const SIZE: usize = 24;

    pub(crate) fn of(len: u32, sha256: &[u8; 32]) -> Self {
        let mut hasher = Hasher::new(HashKind::Sha256);
        hasher.update(&len.to_le_bytes());
        hasher.update(sha256);
        let digest = hasher.finish();
        Self(digest.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// Writes one file into one slot.
#[derive(Clone, Debug)]
pub(crate) struct SlotWriter<const HEAD: usize> {
    area: AreaId,
    /// Where in the area the image begins.
    start: u32,
    /// Bytes of the file.
    len: u32,
    /// Bytes taken.
    off: u32,
    head: [u8; HEAD],
    write_size: usize,
    erased: u8,
    /// Nothing has to be erased before it is written.
    replaces: bool,
    trailer: TrailerAccess,
    /// Where the first sector of the trailer begins in the area.
    limit: u32,
    /// First offset of the area that was not erased, below `limit`.
    erased_to: u32,
    record: Option<Record>,
}

impl<const HEAD: usize> SlotWriter<HEAD> {
    /// A writer of `len` bytes from offset `start` on, into the area that `trailer` belongs to.
    /// `None` if the area's device cannot be written that way.
    pub(crate) fn new<M: FlashMap>(
        map: &M,
        trailer: TrailerAccess,
        start: u32,
        len: u32,
    ) -> Option<Self> {
        let area = trailer.area();
        let info = map.info(area)?;
        let write_size = info.write_size.max(1) as usize;
        let limit = map.sector_at(area, trailer.layout().status())?.offset;
        HEAD.is_multiple_of(write_size).then_some(Self {
            area,
            start,
            len,
            off: 0,
            head: [info.erased; HEAD],
            write_size,
            erased: info.erased,
            replaces: info.kind.writes_replace(),
            trailer,
            limit,
            erased_to: 0,
            record: None,
        })
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The next byte wanted.
    pub(crate) fn off(&self) -> u32 {
        self.off
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.off == self.len
    }

    /// Whether `data` does not pass the end of the file.
    pub(crate) fn fits(&self, data: &[u8]) -> bool {
        (self.len - self.off) as usize >= data.len()
    }

    /// Whether the file's first bytes are those of `data`.
    pub(crate) fn begins_with(&self, data: &[u8]) -> bool {
        self.head.iter().zip(data).all(|(a, b)| a == b)
    }

    /// Takes the first bytes of the file, which stay in RAM.
    pub(crate) fn keep_head(&mut self, data: &[u8]) {
        self.head.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    }

    /// Takes the header away: from now on there is no image in the slot. This comes before all
    /// else, above all before the status of an interrupted swap goes with the trailer: without it
    /// half-swapped images look like whole ones.
    ///
    /// The magic is programmed away first. A cut in the erase that follows may damage any part of
    /// the sector, and leave the magic of an image that is not whole any more.
    pub(crate) fn drop_image<M: FlashMap>(&mut self, map: &mut M) -> Result<(), M::Error> {
        let mut unit = [0; HEAD];
        let unit = unit.get_mut(..self.magic_unit()).unwrap_or_default();
        if !self.replaces && map.read(self.area, self.start, unit).is_ok() {
            let erased = self.erased;
            if unit.iter().any(|byte| *byte != erased) {
                // Every kind of cell takes this; one that does not is erased in a moment.
                unit.fill(!erased);
                let _ = map.write(self.area, self.start, unit);
            }
        }
        self.erase_below(map, self.start.saturating_add(1))
    }

    /// Bytes of the write units that hold the magic.
    fn magic_unit(&self) -> usize {
        const MAGIC: usize = 4;
        MAGIC.next_multiple_of(self.write_size)
    }

    /// Erases the trailer, and leaves `record` in it if the file can be gone on with after a reset:
    /// if it says what it hashes to, does not reach into the trailer's sectors, and if the progress
    /// can be read off the flash.
    pub(crate) fn begin<M: FlashMap>(
        &mut self,
        map: &mut M,
        record: Option<Record>,
    ) -> Result<(), M::Error> {
        self.trailer.erase(map)?;
        if self.replaces {
            self.erased_to = u32::MAX;
        }
        let clear_of_trailer = self.start.saturating_add(self.len) <= self.limit;
        if let Some(record) = record.filter(|_| clear_of_trailer && !self.replaces) {
            self.record = Some(record);
            self.erase_for(map, self.head_len())?;
            self.trailer.write_cell(map, self.trailer.layout().status(), &record.0)?;
        }
        Ok(())
    }

    /// Goes on behind what is in flash, if that is a part of the file that `record` stands for.
    pub(crate) fn resume<M: FlashMap>(&mut self, map: &mut M, record: Record) -> bool {
        let mut found = [0; Record::SIZE];
        let read = map.read(self.area, self.trailer.layout().status(), &mut found);
        if read.is_err() || found != record.0 {
            return false;
        }
        let frontier = self.frontier(map);
        let off = frontier.saturating_sub(self.start);
        if off < HEAD as u32 || off > self.len || self.replaces {
            return false;
        }
        (self.off, self.erased_to, self.record) = (off, frontier, Some(record));
        true
    }

    /// The sector that was being written when the upload broke off.
    fn frontier<M: FlashMap>(&self, map: &mut M) -> u32 {
        let (mut at, mut last) = (self.start, self.start);
        while at < self.limit {
            let Some(sector) = map.sector_at(self.area, at) else { break };
            if is_blank(map, self.area, sector.offset, sector.end(), self.erased) {
                break;
            }
            last = sector.offset;
            at = sector.end();
        }
        last
    }

    /// Takes `data`, which fits. What does not fill a write unit is left for the client to send
    /// again, except at the end of the file.
    pub(crate) fn take<M: FlashMap>(&mut self, map: &mut M, data: &[u8]) -> Result<(), M::Error> {
        let last = (self.len - self.off) as usize == data.len();
        let usable = if last { data.len() } else { data.len() - data.len() % self.write_size };
        let data = data.get(..usable).unwrap_or_default();
        let off = self.off as usize;
        let in_head = HEAD.saturating_sub(off).min(data.len());
        let (head, body) = data.split_at(in_head);
        for (to, from) in self.head.iter_mut().skip(off).zip(head) {
            *to = *from;
        }
        if !body.is_empty() {
            let at = self.off.saturating_add(in_head as u32);
            self.erase_for(map, at.saturating_add(body.len() as u32))?;
            self.put(map, at, body)?;
        }
        self.off = self.off.saturating_add(data.len() as u32);
        Ok(())
    }

    /// Writes `data` at `at`, padded to a whole write unit.
    fn put<M: FlashMap>(&self, map: &mut M, at: u32, data: &[u8]) -> Result<(), M::Error> {
        let (whole, rest) = data.split_at(data.len() - data.len() % self.write_size);
        let at = self.start.saturating_add(at);
        if !whole.is_empty() {
            map.write(self.area, at, whole)?;
        }
        if !rest.is_empty() {
            let mut unit = [self.erased; HEAD];
            unit.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let unit = unit.get(..self.write_size).unwrap_or_default();
            map.write(self.area, at.saturating_add(whole.len() as u32), unit)?;
        }
        Ok(())
    }

    fn head_len(&self) -> u32 {
        self.len.min(HEAD as u32)
    }

    /// The file as it will be.
    pub(crate) fn source<'m, M: FlashMap>(&'m self, map: &'m mut M) -> FileSource<'m, M> {
        self.source_with(map, self.head.get(..self.head_len() as usize).unwrap_or_default())
    }

    /// The same of a file that begins like this. Where this is the whole of it, nothing is read from flash.
    pub(crate) fn source_with<'m, M: FlashMap>(
        &self,
        map: &'m mut M,
        head: &'m [u8],
    ) -> FileSource<'m, M> {
        FileSource { slot: SlotSource::at(map, self.area, self.start), head, len: self.len }
    }

    /// Takes the record away, so that the trailer is as a new image has it; also after a file that
    /// proved bad, which is not to be gone on with.
    pub(crate) fn erase_record<M: FlashMap>(&mut self, map: &mut M) -> Result<(), M::Error> {
        match self.record.take() {
            Some(_) => self.trailer.erase(map),
            None => Ok(()),
        }
    }

    /// Writes the head, its first unit last: the magic stands there.
    pub(crate) fn finish<M: FlashMap>(&mut self, map: &mut M) -> Result<(), M::Error> {
        let head = self.head;
        let head = head.get(..self.head_len() as usize).unwrap_or_default();
        self.erase_for(map, self.head_len())?;
        let (first, others) = head.split_at(self.magic_unit().min(head.len()));
        self.put(map, first.len() as u32, others)?;
        self.put(map, 0, first)
    }

    /// Erases what the file's bytes below `end` need and, where the progress is to be read off the
    /// flash, the sector behind.
    fn erase_for<M: FlashMap>(&mut self, map: &mut M, end: u32) -> Result<(), M::Error> {
        let end = self.start.saturating_add(end);
        let last = map.sector_at(self.area, end.saturating_sub(1));
        match (last, self.record) {
            // The sector behind is blank before this one is written.
            (Some(last), Some(_)) => self.erase_below(map, last.end().saturating_add(1)),
            _ => self.erase_below(map, end),
        }
    }

    /// Erases the sectors with bytes of the area below `end`; those of the trailer are erased
    /// already.
    fn erase_below<M: FlashMap>(&mut self, map: &mut M, end: u32) -> Result<(), M::Error> {
        while self.erased_to < end.min(self.limit) {
            let Some(sector) = map.sector_at(self.area, self.erased_to) else { break };
            map.erase(self.area, sector.offset, sector.size)?;
            self.erased_to = sector.end();
        }
        Ok(())
    }
}

fn is_blank<M: FlashMap>(map: &mut M, area: AreaId, from: u32, to: u32, erased: u8) -> bool {
    let mut piece = [0; 64];
    let mut at = from;
    while at < to {
        let len = (to - at).min(piece.len() as u32);
        let piece = piece.get_mut(..len as usize).unwrap_or_default();
        if map.read(area, at, piece).is_err() || piece.iter().any(|byte| *byte != erased) {
            return false;
        }
        at += len;
    }
    true
}

/// A file whose head is still in RAM.
#[derive(Debug)]
pub(crate) struct FileSource<'m, M> {
    slot: SlotSource<'m, M>,
    head: &'m [u8],
    len: u32,
}

impl<M: FlashMap> Source for FileSource<'_, M> {
    type Error = M::Error;

    fn size(&self) -> u32 {
        self.len
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), M::Error> {
        let head = self.head.get(offset as usize..).unwrap_or_default();
        let (from_head, from_slot) = buf.split_at_mut(head.len().min(buf.len()));
        from_head.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        match from_slot.is_empty() {
            true => Ok(()),
            false => self.slot.read(offset.saturating_add(from_head.len() as u32), from_slot),
        }
    }
}
