//! Small things that outlive resets: the latest of a row of entries, in two halves that are used in turn.
//!
//! ```text
//! half ── slots: u32 number │ u32 length │ 8 bytes of SHA-256 │ what is kept
//! ```
//! The highest number whose sum is right counts. A half is erased when the other one is full, so that a
//! power cut at any moment leaves the entry before the last one. A slot is a whole number of writes, and a
//! half a whole number of sectors, whatever flash it is:
//!
//! | kind | what it means here |
//! |---|---|
//! | NOR, NOR that limits writes | a slot is written once, when it is blank |
//! | words with a code | one that cannot be read is neither blank nor an entry, and no reason to give up |
//! | self-erasing rows | a slot is at least a row; nothing is erased, as writing does |
//!
//! A slot that a power cut has left half written may read as an entry at one time and not at another. An
//! entry behind it has a number that is higher than its could be.

use updraft_image::{HashKind, Hasher};

use crate::area::{AreaId, FlashMap};
use crate::kind::Kind;

/// Bytes before what is kept.
const HEAD: u32 = 16;
/// Bytes that are written at once, at most; no flash writes more than these.
const CHUNK: usize = 512;
/// How often a slot is read before it is believed to be blank, or to hold what was written: a cell that
/// a power cut has left between its values does not give the same one each time.
const READS: usize = 4;

/// A place in an area for one small thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    area: AreaId,
    halves: [Half; 2],
    slot: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Half {
    offset: u32,
    size: u32,
}

/// What was to be kept was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// It is longer than the place was made for.
    TooLong {
        /// Bytes that it has.
        len: usize,
        /// Bytes that there is room for.
        room: u32,
    },
    /// Neither half takes it: the flash is worn out, or there is no power.
    Worn,
}

impl core::fmt::Display for NotKept {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong { len, room } => write!(f, "{len} bytes where there is room for {room}"),
            Self::Worn => f.write_str("the flash keeps nothing"),
        }
    }
}

impl core::error::Error for NotKept {}

/// An entry that counts.
#[derive(Clone, Copy, Debug)]
struct Found {
    number: u32,
    at: u32,
    len: u32,
}

impl Keep {
    /// A place for up to `longest` bytes, from the sector at `from` on. `None`: the area ends before.
    pub fn new<M: FlashMap>(map: &M, area: AreaId, from: u32, longest: u32) -> Option<Self> {
        let unit = map.info(area)?.write_size;
        let slot = HEAD.checked_add(longest)?.checked_next_multiple_of(unit)?;
        if unit as usize > CHUNK {
            return None;
        }
        let half = |from: u32| {
            let mut size = 0u32;
            while size < slot {
                let sector = map.sector_at(area, from.checked_add(size)?)?;
                size = sector.end().checked_sub(from)?;
            }
            Some(Half { offset: from, size })
        };
        let one = half(from)?;
        let halves = [one, half(one.offset.checked_add(one.size)?)?];
        Some(Self { area, halves, slot })
    }

    /// Where the next place can begin.
    pub fn end(self) -> u32 {
        let [_, last] = self.halves;
        last.offset.saturating_add(last.size)
    }

    /// Where the slots of a half begin.
    fn slots(self, half: Half) -> impl Iterator<Item = u32> {
        let (slot, count) = (self.slot, half.size / self.slot.max(1));
        (0..count).map(move |number| half.offset + number * slot)
    }

    fn latest<M: FlashMap>(self, map: &mut M) -> Option<Found> {
        let mut best: Option<Found> = None;
        for at in self.halves.into_iter().flat_map(|half| self.slots(half)) {
            if let Some(found) = self.entry(map, at) {
                best = best.filter(|best| best.number > found.number).or(Some(found));
            }
        }
        best
    }

    fn entry<M: FlashMap>(self, map: &mut M, at: u32) -> Option<Found> {
        let mut head = [0; HEAD as usize];
        map.read(self.area, at, &mut head).ok()?;
        let (words, _) = head.as_chunks::<4>();
        let [number, len, ..] = *words else { return None };
        let [number, len] = [number, len].map(u32::from_le_bytes);
        if len > self.slot.saturating_sub(HEAD) {
            return None;
        }
        let mut sum = Sum::new(number);
        let mut buffer = [0; 64];
        let mut done = 0;
        while done < len {
            let most = buffer.len().min((len - done) as usize);
            let part = buffer.get_mut(..most)?;
            map.read(self.area, at + HEAD + done, part).ok()?;
            sum.update(part);
            done += part.len() as u32;
        }
        head.ends_with(&sum.finish()).then_some(Found { number, at, len })
    }

    /// Puts what was kept last into `to`, as far as it goes; says how long it is. `None`: nothing was.
    pub fn load<M: FlashMap>(self, map: &mut M, to: &mut [u8]) -> Option<usize> {
        let found = self.latest(map)?;
        let len = found.len as usize;
        let to = to.get_mut(..len.min(to.len()))?;
        map.read(self.area, found.at + HEAD, to).ok()?;
        Some(len)
    }

    /// Keeps `bytes` in place of what was kept last.
    ///
    /// # Errors
    /// What was kept last stays, then.
    pub fn save<M: FlashMap>(self, map: &mut M, bytes: &[u8]) -> Result<(), NotKept> {
        let room = self.slot - HEAD;
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if len > room {
            return Err(NotKept::TooLong { len: bytes.len(), room });
        }
        let info = map.info(self.area).ok_or(NotKept::Worn)?;
        let latest = self.latest(map);
        let mut number = latest.map_or(0, |found| found.number);
        let [one, other] = self.halves;
        let here = match latest {
            Some(found) if found.at >= other.offset => other,
            _ => one,
        };
        if let Some(latest) = latest {
            for at in self.slots(here).filter(|at| *at > latest.at) {
                number = number.wrapping_add(1);
                let is_free =
                    info.kind == Kind::SelfErasingRows || self.is_blank(map, at, info.erased);
                if is_free && self.put(map, at, number, bytes) {
                    return Ok(());
                }
            }
        }
        // The half that the latest entry is not in; where there is none, the first will do.
        let there = if latest.is_some() && here == one { other } else { one };
        let is_free = info.kind == Kind::SelfErasingRows
            || map.erase(self.area, there.offset, there.size).is_ok();
        let done = is_free && self.put(map, there.offset, number.wrapping_add(1), bytes);
        done.then_some(()).ok_or(NotKept::Worn)
    }

    fn is_blank<M: FlashMap>(self, map: &mut M, at: u32, erased: u8) -> bool {
        let mut buffer = [0; 64];
        (0..READS).all(|_| {
            let mut done = 0;
            while done < self.slot {
                let most = buffer.len().min((self.slot - done) as usize);
                let Some(part) = buffer.get_mut(..most) else { return false };
                if map.read(self.area, at + done, part).is_err()
                    || part.iter().any(|byte| *byte != erased)
                {
                    return false;
                }
                done += part.len() as u32;
            }
            true
        })
    }

    /// Writes an entry; says whether it is there now.
    fn put<M: FlashMap>(self, map: &mut M, at: u32, number: u32, bytes: &[u8]) -> bool {
        let Some(unit) = map.info(self.area).map(|info| info.write_size.max(1) as usize) else {
            return false;
        };
        let mut sum = Sum::new(number);
        sum.update(bytes);
        let head = [number.to_le_bytes(), (bytes.len() as u32).to_le_bytes()];
        let head = head.into_iter().flatten().chain(sum.finish());
        let mut from = head.chain(bytes.iter().copied());
        let mut buffer = [0; CHUNK];
        let mut done = 0;
        while done < self.slot {
            // Whole writes; behind the entry there are zeros.
            let most = (CHUNK - CHUNK % unit).min((self.slot - done) as usize);
            let Some(part) = buffer.get_mut(..most) else { return false };
            part.iter_mut().for_each(|byte| *byte = from.next().unwrap_or(0));
            if map.write(self.area, at + done, part).is_err() {
                return false;
            }
            done += part.len() as u32;
        }
        (0..READS).all(|_| self.entry(map, at).is_some_and(|found| found.number == number))
    }
}

/// What shows that an entry is whole.
struct Sum(Hasher);

impl Sum {
    fn new(number: u32) -> Self {
        let mut hasher = Hasher::new(HashKind::Sha256);
        hasher.update(&number.to_le_bytes());
        Self(hasher)
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 8] {
        self.0.finish().as_bytes().first_chunk().copied().unwrap_or_default()
    }
}
