//! Reads archives, record by record.

use super::list::List;
use super::{HEAD, IMAGES, LIST, LONGEST_LIST, Malformed, RECORD, filled, record};
use crate::Version;

/// Bytes that are kept of an archive: the list's record and the list, and a record for each image.
const KEPT: usize = HEAD + IMAGES * RECORD;
const STEP: u32 = RECORD as u32;

/// What bytes of an archive are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'d> {
    /// Bytes of an image.
    Image {
        /// Its number.
        image: u8,
        /// Where in it they belong.
        offset: u32,
        /// They.
        data: &'d [u8],
    },
    /// A record, the list, or zeros: they have been looked at.
    Frame,
    /// Nobody knows yet: the record at [`Reader::needs`] has to come first.
    Ahead,
}

/// What is at a place of an archive, and how many bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'r> {
    /// Bytes that the reader has kept.
    Kept(&'r [u8]),
    /// Bytes of an image.
    Image {
        /// Its number.
        image: u8,
        /// Where in it.
        offset: u32,
        /// How many.
        len: u32,
    },
    /// So many zeros.
    Zeros(u32),
    /// Nobody knows yet.
    Ahead,
}

/// An image in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    size: u32,
    /// Where its bytes begin, once its record has been seen.
    start: Option<u32>,
    /// Where its record is kept.
    kept: usize,
}

/// Reads an archive in pieces of whole records, in order or not.
///
/// Nothing of it is believed that the list, the records and the archive's size do not agree about.
#[derive(Debug)]
pub struct Reader {
    kept: [u8; KEPT],
    /// Bytes of the archive.
    size: u32,
    /// Bytes of the list, once its record has been seen.
    list: Option<u32>,
    version: Version,
    parts: [Option<Part>; IMAGES],
    /// Where the next record is; behind it nothing is known.
    next: u32,
    /// Where there are zeros only, once all images have been found.
    end: Option<u32>,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Reader {
    /// For an archive of `size` bytes.
    pub const fn new(size: u32) -> Self {
        Self {
            kept: [0; KEPT],
            size,
            list: None,
            version: Version::new(0, 0, 0),
            parts: [None; IMAGES],
            next: 0,
            end: None,
        }
    }

    /// The version that the list says, once it is known.
    pub fn version(&self) -> Option<Version> {
        self.is_listed().then_some(self.version)
    }

    /// Bytes of an image, if the archive has it and its list is known.
    pub fn image(&self, image: u8) -> Option<u32> {
        self.part(image).map(|part| part.size)
    }

    /// Images that it has, a bit each, once the list is known.
    pub fn images(&self) -> u8 {
        let has = |image: &u8| self.part(*image).is_some();
        (0..IMAGES as u8).filter(has).fold(0, |images, image| images | 1 << image)
    }

    /// Where the record is without which nobody knows what is behind it; `None` once all are known.
    pub fn needs(&self) -> Option<u32> {
        self.end.is_none().then_some(self.next)
    }

    /// Bytes of the archive.
    pub fn end(&self) -> u32 {
        self.size
    }

    fn part(&self, image: u8) -> Option<&Part> {
        self.parts.get(usize::from(image))?.as_ref()
    }

    fn is_listed(&self) -> bool {
        self.parts.iter().any(Option::is_some)
    }

    /// Bytes of the list's record and the list with what fills it up.
    fn head(&self) -> u32 {
        self.list.and_then(filled).map_or(STEP, |list| list.saturating_add(STEP))
    }

    /// What is at byte `at`.
    pub fn place(&self, at: u32) -> Place<'_> {
        let known = self.next.min(self.head());
        if at < known {
            let kept = self.kept.get(at as usize..known as usize);
            return kept.map_or(Place::Ahead, Place::Kept);
        }
        for (image, part) in self.parts.iter().enumerate() {
            let Some(Part { size, start: Some(start), kept }) = *part else { continue };
            let before = start.saturating_sub(STEP);
            let (end, next) = (start.saturating_add(size), start.saturating_add(filled_up(size)));
            if (before..start).contains(&at) {
                let skipped = (at - before) as usize;
                let kept = self.kept.get(kept.saturating_add(skipped)..kept.saturating_add(RECORD));
                return kept.map_or(Place::Ahead, Place::Kept);
            }
            if (start..end).contains(&at) {
                return Place::Image { image: image as u8, offset: at - start, len: end - at };
            }
            if (end..next).contains(&at) {
                return Place::Zeros(next - at);
            }
        }
        match self.end {
            Some(end) if at >= end => Place::Zeros(self.size.saturating_sub(at)),
            _ => Place::Ahead,
        }
    }

    /// What the bytes `data` are that stand at byte `at`, as far as they are one thing; and the rest
    /// of them. Pieces begin at whole records, and end there or with the archive.
    ///
    /// # Errors
    /// If this is no archive, or not the one that it has said to be.
    pub fn next<'d>(
        &mut self,
        at: u32,
        data: &'d [u8],
    ) -> Result<(Piece<'d>, &'d [u8]), Malformed> {
        let len = u32::try_from(data.len()).ok().filter(|len| *len > 0);
        let end = len.and_then(|len| at.checked_add(len)).filter(|end| *end <= self.size);
        if end.is_none() || !self.size.is_multiple_of(STEP) {
            return Err(Malformed::Cut);
        }
        if at == self.next && self.end.is_none() {
            let record = data.first_chunk().ok_or(Malformed::Record { at })?;
            self.record(at, record)?;
            return Ok((Piece::Frame, data.get(RECORD..).unwrap_or_default()));
        }
        let (piece, taken) = match self.place(at) {
            Place::Ahead => return Ok((Piece::Ahead, &[])),
            Place::Image { image, offset, len } => {
                let data = data.get(..len as usize).unwrap_or(data);
                (Piece::Image { image, offset, data }, data.len())
            }
            Place::Kept(kept) => {
                let len = kept.len().min(data.len());
                if kept.get(..len) != data.get(..len) {
                    return Err(Malformed::Record { at });
                }
                (Piece::Frame, len)
            }
            Place::Zeros(len) => {
                let zeros = data.get(..len as usize).unwrap_or(data);
                if zeros.iter().any(|byte| *byte != 0) {
                    return Err(Malformed::Filling { at });
                }
                (Piece::Frame, zeros.len())
            }
        };
        Ok((piece, data.get(taken..).unwrap_or_default()))
    }

    /// The record that was needed.
    fn record(&mut self, at: u32, bytes: &[u8; RECORD]) -> Result<(), Malformed> {
        match self.list {
            None => {
                let (name, size) = record::parse(bytes).ok_or(Malformed::Record { at })?;
                if name != LIST || size == 0 || size > LONGEST_LIST as u32 {
                    return Err(Malformed::List(LIST));
                }
                self.list = Some(size);
                self.keep(at as usize, bytes);
                self.next = STEP;
            }
            Some(len) if at < self.head() => {
                self.keep(at as usize, bytes);
                let next = at.saturating_add(STEP);
                if next == self.head() {
                    self.listed(len)?;
                }
                self.next = next;
            }
            Some(_) => self.file(at, bytes)?,
        }
        Ok(())
    }

    fn keep(&mut self, at: usize, bytes: &[u8; RECORD]) {
        if let Some(room) = self.kept.get_mut(at..at.saturating_add(RECORD)) {
            room.copy_from_slice(bytes);
        }
    }

    /// The list is there.
    fn listed(&mut self, len: u32) -> Result<(), Malformed> {
        let list = self.kept.get(RECORD..HEAD).unwrap_or_default();
        let list = list.get(..(self.head() - STEP) as usize).unwrap_or_default();
        let (list, filling) = list.split_at_checked(len as usize).unwrap_or_default();
        if filling.iter().any(|byte| *byte != 0) {
            return Err(Malformed::Filling { at: STEP.saturating_add(len) });
        }
        let List { version, images } = List::parse(list)?;
        let sizes = images.map(|image| image.map(|listed| listed.size));
        let mut end = Some(self.head());
        for size in sizes.iter().flatten() {
            end = end.and_then(|end| end.checked_add(STEP)?.checked_add(filled(*size)?));
        }
        if end.is_none_or(|end| end > self.size) {
            return Err(Malformed::Cut);
        }
        self.version = version;
        self.parts = sizes.map(|size| size.map(|size| Part { size, start: None, kept: 0 }));
        Ok(())
    }

    /// The record of an image.
    fn file(&mut self, at: u32, bytes: &[u8; RECORD]) -> Result<(), Malformed> {
        let (name, size) = record::parse(bytes).ok_or(Malformed::Record { at })?;
        let wrong = Malformed::File { at };
        let list = self.kept.get(RECORD..RECORD.saturating_add(self.list.unwrap_or(0) as usize));
        let List { images, .. } = List::parse(list.unwrap_or_default())?;
        let is = |listed: &super::list::Listed<'_>| listed.name.is(name) && listed.size == size;
        let image = images.iter().position(|listed| listed.as_ref().is_some_and(is));
        let image = image.ok_or(wrong)?;
        let found = self.parts.iter().flatten().filter(|part| part.start.is_some()).count();
        let kept = HEAD.saturating_add(found.saturating_mul(RECORD));
        let part = self.parts.get_mut(image).and_then(Option::as_mut).ok_or(wrong)?;
        if part.start.is_some() {
            return Err(wrong);
        }
        let start = at.checked_add(STEP).ok_or(Malformed::Cut)?;
        let next = filled(size).and_then(|size| start.checked_add(size)).ok_or(Malformed::Cut)?;
        (part.start, part.kept) = (Some(start), kept);
        self.keep(kept, bytes);
        self.next = next;
        if self.parts.iter().flatten().all(|part| part.start.is_some()) {
            self.end = Some(next);
        }
        Ok(())
    }
}

/// `size`, filled up to whole records. Those that are too large have been refused.
fn filled_up(size: u32) -> u32 {
    filled(size).unwrap_or(u32::MAX)
}
