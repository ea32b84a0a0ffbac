//! The cells of a device: what stands in them, how often they were written, and what a power cut
//! did to them. Here is what each kind of flash allows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use updraft_flash::Kind;

use crate::flash::contents::Contents;
use crate::flash::pages::{Pages, combined};
use crate::flash::torn::{Aftermath, Change, Random};
use crate::flash::{DeviceSpec, SimError, Torn, Word};

/// The cells of a device. Bounds and alignment are the caller's business.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    kind: Kind,
    erased: u8,
    write_size: u32,
    contents: Contents,
    /// How often each unit was written since it was erased, on kinds that limit it.
    programs: Option<Pages>,
    flaws: Option<Arc<Flaws>>,
}

/// What torn operations left behind besides bytes.
#[derive(Clone, Debug, Default)]
struct Flaws {
    /// Unstable bits, by address.
    unstable: BTreeMap<u32, u8>,
    /// Words that cannot be read, by address.
    unreadable: BTreeSet<u32>,
    /// What decides over the values that unstable bits are read as.
    seed: u64,
    /// Reads of unstable cells so far.
    reads: u64,
}

impl Cells {
    /// The cells of a device of `spec`. Of what `contents` hold already, every word that does not
    /// read as erased counts as written once.
    pub(crate) fn new(spec: &DeviceSpec, contents: Contents) -> Self {
        let DeviceSpec { kind, erased, write_size, .. } = *spec;
        let mut cells = Self { kind, erased, write_size, contents, programs: None, flaws: None };
        if kind.programs().is_some() {
            let units = spec.size().div_ceil(cells.unit());
            cells.programs = Some(Pages::filled(0, units as usize));
            cells.recount(0, spec.size());
        }
        cells
    }

    fn unit(&self) -> u32 {
        self.kind.unit(self.write_size).max(1)
    }

    /// The units that `len` bytes from `address` on touch.
    fn units(&self, address: u32, len: u32) -> std::ops::Range<u32> {
        address / self.unit()..(address + len).div_ceil(self.unit())
    }

    pub(crate) fn pages(&self) -> &Pages {
        self.contents.pages()
    }

    /// Puts bytes there as a programmer does, which erases before it writes.
    pub(crate) fn load(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        self.contents.write(address as usize, data)?;
        self.recount(address, data.len() as u32);
        self.heal(address, data.len() as u32);
        Ok(())
    }

    fn recount(&mut self, address: u32, len: u32) {
        let (unit, erased) = (self.unit(), self.erased);
        let units = self.units(address, len);
        let Some(programs) = &mut self.programs else { return };
        let pages = self.contents.pages();
        for index in units {
            let at = (index * unit) as usize;
            let word = pages.to_vec(at, (unit as usize).min(pages.len() - at));
            let count = u8::from(word.iter().any(|byte| *byte != erased));
            if programs.to_vec(index as usize, 1) != [count] {
                programs.write(index as usize, &[count]);
            }
        }
    }

    /// Forgets every flaw of the cells.
    fn heal(&mut self, address: u32, len: u32) {
        let Some(flaws) = &mut self.flaws else { return };
        let end = address + len;
        let unstable = flaws.unstable.range(address..end).next().is_some();
        if !unstable && flaws.unreadable.range(address..end).next().is_none() {
            return;
        }
        let flaws = Arc::make_mut(flaws);
        flaws.unstable.retain(|at, _| !(address..end).contains(at));
        flaws.unreadable.retain(|at| !(address..end).contains(at));
        if flaws.unstable.is_empty() && flaws.unreadable.is_empty() {
            self.flaws = None;
        }
    }

    pub(crate) fn read(&mut self, address: u32, buf: &mut [u8]) -> Result<(), SimError> {
        let end = address + buf.len() as u32;
        let word = self.write_size.max(1);
        if let Some(flaws) = &self.flaws {
            let first = address - address % word;
            if let Some(at) = flaws.unreadable.range(first..end).next() {
                return Err(SimError::Unreadable { address: *at });
            }
        }
        self.pages().read(address as usize, buf);
        let Some(flaws) = &mut self.flaws else { return Ok(()) };
        if flaws.unstable.range(address..end).next().is_none() {
            return Ok(());
        }
        let flaws = Arc::make_mut(flaws);
        flaws.reads += 1;
        let mut random = Random(flaws.seed ^ flaws.reads.rotate_left(32));
        for (at, mask) in flaws.unstable.range(address..end) {
            let cell = &mut buf[(at - address) as usize];
            *cell ^= random.next() as u8 & mask;
        }
        Ok(())
    }

    /// Whether the kind allows to write `data` at `address` now.
    pub(crate) fn admits(&self, address: u32, data: &[u8]) -> Result<(), SimError> {
        match self.kind {
            Kind::Nor => self.moves_no_bit_back(address, data),
            Kind::NorLimited { .. } => {
                self.moves_no_bit_back(address, data)?;
                self.has_programs_left(address, data, |_, _| false)
            }
            Kind::EccWords => {
                let (zeros, erased) = (!self.erased, self.erased);
                self.has_programs_left(address, data, |found, wanted| {
                    // A word that was written with the erased value does not even take that.
                    wanted.iter().all(|byte| *byte == zeros)
                        && found.iter().any(|byte| *byte != erased)
                })
            }
            Kind::SelfErasingRows => Ok(()),
        }
    }

    fn moves_no_bit_back(&self, address: u32, data: &[u8]) -> Result<(), SimError> {
        let mut at = address;
        for piece in self.pages().pieces(address as usize, data.len()) {
            let wanted = &data[(at - address) as usize..][..piece.len()];
            // A bit that is not erased any more has to stay as it is.
            let back = |cell: u8, data: u8| (cell ^ self.erased) & (cell ^ data);
            // All at once first: hardly ever is there one.
            let any =
                piece.iter().zip(wanted).fold(0, |any, (cell, data)| any | back(*cell, *data));
            if any != 0 {
                for ((at, cell), data) in (at..).zip(piece).zip(wanted) {
                    if back(*cell, *data) & !self.unstable(at) != 0 {
                        return Err(SimError::NotErased { address: at, cell: *cell, data: *data });
                    }
                }
            }
            at += piece.len() as u32;
        }
        Ok(())
    }

    fn unstable(&self, address: u32) -> u8 {
        self.flaws.as_ref().and_then(|flaws| flaws.unstable.get(&address)).copied().unwrap_or(0)
    }

    /// Whether every word may be written once more; `excepted` is asked with what stands there
    /// and what is wanted.
    fn has_programs_left(
        &self,
        address: u32,
        data: &[u8],
        excepted: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<(), SimError> {
        let (Some(programs), Some(limit)) = (&self.programs, self.kind.programs()) else {
            return Ok(());
        };
        let units = self.units(address, data.len() as u32);
        let counts = programs.to_vec(units.start as usize, units.len());
        for (index, count) in units.zip(counts) {
            if u32::from(count) < limit {
                continue;
            }
            // A write may cover a part of the word only.
            let start = (index * self.unit()).max(address);
            let end = ((index + 1) * self.unit()).min(address + data.len() as u32);
            let found = self.pages().to_vec(start as usize, (end - start) as usize);
            let wanted = &data[(start - address) as usize..(end - address) as usize];
            if !excepted(&found, wanted) {
                let (found, wanted) = (Word::new(&found), Word::new(wanted));
                return Err(SimError::Spent { address: start, programs: limit, found, wanted });
            }
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        self.contents.write(address as usize, data)?;
        self.count(address, data.len() as u32, |count| count.saturating_add(1));
        if self.kind.writes_replace() {
            self.heal(address, data.len() as u32);
        } else if let Some(flaws) = &mut self.flaws {
            // Programming makes a bit firm. A bit that is written as erased is left alone, and
            // a word stays unreadable until it is erased.
            let end = address + data.len() as u32;
            if flaws.unstable.range(address..end).next().is_none() {
                return Ok(());
            }
            let flaws = Arc::make_mut(flaws);
            for (at, mask) in flaws.unstable.range_mut(address..end) {
                *mask &= !(data[(at - address) as usize] ^ self.erased);
            }
            flaws.unstable.retain(|_, mask| *mask != 0);
            if flaws.unstable.is_empty() && flaws.unreadable.is_empty() {
                self.flaws = None;
            }
        }
        Ok(())
    }

    pub(crate) fn erase(&mut self, address: u32, len: u32) -> io::Result<()> {
        self.contents.fill(address as usize, len as usize, self.erased)?;
        self.count(address, len, |_| 0);
        self.heal(address, len);
        Ok(())
    }

    fn count(&mut self, address: u32, len: u32, change: impl Fn(u8) -> u8) {
        let units = self.units(address, len);
        if let Some(programs) = &mut self.programs {
            programs.change(units.start as usize, units.len(), |counts| {
                counts.iter_mut().for_each(|count| *count = change(*count));
            });
        }
    }

    /// Lets the power fail within a write of `data`, or within an erase of `len` bytes.
    pub(crate) fn tear(
        &mut self,
        torn: Torn,
        address: u32,
        len: u32,
        data: Option<&[u8]>,
    ) -> io::Result<()> {
        let erased = vec![self.erased; len as usize];
        let old = self.pages().to_vec(address as usize, len as usize);
        let left = torn.apply(&Change {
            kind: self.kind,
            write_size: self.write_size,
            is_write: data.is_some(),
            old: &old,
            erased: &erased,
            wanted: data.unwrap_or(&erased),
        });
        let Aftermath { bytes, done, unstable, unreadable } = left;
        self.contents.write(address as usize, &bytes)?;
        self.recount_torn(address, (&old, &bytes), done, data.is_none(), &unreadable);
        if let Some(flaws) = &mut self.flaws {
            // A cell that has changed is what it is now, unless it is flawed again.
            let stays = |at: &u32| match at.checked_sub(address).map(|at| at as usize) {
                Some(at) if at < bytes.len() => at >= done && old[at] == bytes[at],
                _ => true,
            };
            let flaws = Arc::make_mut(flaws);
            flaws.unstable.retain(|at, _| stays(at));
            flaws.unreadable.retain(stays);
            if flaws.unstable.is_empty() && flaws.unreadable.is_empty() {
                self.flaws = None;
            }
        }
        if !unstable.is_empty() || !unreadable.is_empty() {
            let flaws = Arc::make_mut(self.flaws.get_or_insert_default());
            flaws.seed = torn.seed().unwrap_or_default();
            let at = |offset: usize| address + offset as u32;
            flaws.unstable.extend(unstable.into_iter().map(|(offset, mask)| (at(offset), mask)));
            flaws.unreadable.extend(unreadable.into_iter().map(at));
        }
        Ok(())
    }

    /// What a torn operation wrote to counts as written, and what it left alone does not. What a
    /// torn erase left erased counts as erased.
    fn recount_torn(
        &mut self,
        address: u32,
        (old, now): (&[u8], &[u8]),
        done: usize,
        is_erase: bool,
        unreadable: &[usize],
    ) {
        let (unit, erased) = (self.unit(), self.erased);
        let units = self.units(address, now.len() as u32);
        let Some(programs) = &mut self.programs else { return };
        for index in units {
            let from = (index * unit).saturating_sub(address) as usize;
            let to = (((index + 1) * unit).saturating_sub(address) as usize).min(now.len());
            let count = programs.to_vec(index as usize, 1)[0];
            let flawed = unreadable.contains(&from);
            let count = if is_erase {
                let is_erased = !flawed && now[from..to].iter().all(|byte| *byte == erased);
                if is_erased { 0 } else { count }
            } else if to <= done || flawed || old[from..to] != now[from..to] {
                count.saturating_add(1)
            } else {
                continue;
            };
            programs.write(index as usize, &[count]);
        }
    }

    /// 128 bits that stand for everything that decides what the cells will do.
    pub(crate) fn hash(&self) -> u128 {
        let programs = self.programs.as_ref().map_or(0, Pages::hash);
        let flaws = self.flaws.iter().flat_map(|flaws| {
            let unstable = flaws.unstable.iter();
            let unstable = unstable.map(|(at, mask)| u128::from(*at) << 8 | u128::from(*mask));
            let unreadable = flaws.unreadable.iter().map(|at| u128::from(*at) << 8 | 1 << 64);
            unstable.chain(unreadable).chain([u128::from(flaws.seed) << 64 | 1])
        });
        combined([self.pages().hash(), programs].into_iter().chain(flaws))
    }
}
