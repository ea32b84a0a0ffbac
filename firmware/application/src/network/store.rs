//! Small things that outlive resets: the latest of a row of entries in two sectors, used in turn.
//!
//! ```text
//! sector ── slots of 256 bytes: u32 number │ u32 length │ 4 bytes of SHA-256 │ what is kept
//! ```
//! The highest number whose sum is right counts. A sector is erased when the other one is full, so
//! that a power cut at any moment leaves the entry before the last one.

use updraft_flash::{AreaId, FlashMap, Sector};
use updraft_image::{HashKind, Hasher};

const SLOT: usize = 256;
const HEAD: usize = 12;

/// Two sectors of an area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Store {
    area: AreaId,
    /// Number of the first of them.
    first: u32,
}

/// An entry that counts.
#[derive(Clone, Copy, Debug)]
struct Found {
    number: u32,
    at: u32,
    len: usize,
}

impl Store {
    /// The `index`th store of the area.
    pub fn new(area: AreaId, index: u32) -> Self {
        Self { area, first: 2 * index }
    }

    fn sectors<M: FlashMap>(self, map: &M) -> Option<[Sector; 2]> {
        let mut sector = map.sector_at(self.area, 0)?;
        for _ in 0..self.first {
            sector = map.sector_at(self.area, sector.end())?;
        }
        Some([sector, map.sector_at(self.area, sector.end())?])
    }

    fn latest<M: FlashMap>(self, map: &mut M, slot: &mut [u8; SLOT]) -> Option<Found> {
        let mut best: Option<Found> = None;
        for sector in self.sectors(map)? {
            for at in (sector.offset..sector.end()).step_by(SLOT) {
                if let Some(found) = self.entry(map, at, slot) {
                    best = best.filter(|best| best.number > found.number).or(Some(found));
                }
            }
        }
        best
    }

    fn entry<M: FlashMap>(self, map: &mut M, at: u32, slot: &mut [u8; SLOT]) -> Option<Found> {
        map.read(self.area, at, slot).ok()?;
        let (head, rest) = slot.split_first_chunk::<HEAD>()?;
        let [number, len, sum] = words(head);
        let len = len as usize;
        let kept = rest.get(..len)?;
        (sum == check(number, kept)).then_some(Found { number, at, len })
    }

    /// Puts what was kept last into `to`, as far as it goes; says how long it is.
    pub fn load<M: FlashMap>(self, map: &mut M, to: &mut [u8]) -> Option<usize> {
        let mut slot = [0; SLOT];
        let found = self.latest(map, &mut slot)?;
        self.entry(map, found.at, &mut slot)?;
        let kept = slot.get(HEAD..HEAD + found.len)?;
        to.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
        Some(found.len)
    }

    /// Keeps `bytes` in place of what was kept last; `None` if that cannot be done.
    pub fn save<M: FlashMap>(self, map: &mut M, bytes: &[u8]) -> Option<()> {
        let mut slot = [0; SLOT];
        let latest = self.latest(map, &mut slot);
        let number = latest.map_or(0, |found| found.number).wrapping_add(1);
        let at = self.room(map, latest.map(|found| found.at), &mut slot)?;
        slot.fill(0);
        let head = [number, u32::try_from(bytes.len()).ok()?, check(number, bytes)];
        let words = head.iter().flat_map(|word| word.to_le_bytes());
        slot.iter_mut().zip(words).for_each(|(to, from)| *to = from);
        slot.get_mut(HEAD..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        map.write(self.area, at, &slot).ok()
    }

    /// The first blank slot behind the latest entry, in the same sector or in the other one, which
    /// is erased.
    fn room<M: FlashMap>(
        self,
        map: &mut M,
        latest: Option<u32>,
        slot: &mut [u8; SLOT],
    ) -> Option<u32> {
        let erased = map.info(self.area)?.erased;
        let [one, other] = self.sectors(map)?;
        let Some(latest) = latest else {
            map.erase(self.area, one.offset, one.size).ok()?;
            return Some(one.offset);
        };
        let (here, there) = if latest < one.end() { (one, other) } else { (other, one) };
        for at in (here.offset..here.end()).step_by(SLOT).filter(|at| *at > latest) {
            map.read(self.area, at, slot).ok()?;
            if slot.iter().all(|byte| *byte == erased) {
                return Some(at);
            }
        }
        map.erase(self.area, there.offset, there.size).ok()?;
        Some(there.offset)
    }
}

fn words(head: &[u8; HEAD]) -> [u32; 3] {
    let (words, _) = head.as_chunks::<4>();
    let word = |at: usize| words.get(at).copied().map_or(0, u32::from_le_bytes);
    [word(0), word(1), word(2)]
}

fn check(number: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new(HashKind::Sha256);
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.finish().as_bytes().first_chunk().copied().map_or(0, u32::from_le_bytes)
}
